//! [`growth`]: how many bytes are allocated and not freed, for as long as somebody wants to know.
#![allow(unsafe_code, reason = "an allocator is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// Off the rest of the time: to count costs those most who allocate most.
static COUNTS: AtomicBool = AtomicBool::new(false);
static GROWTH: AtomicIsize = AtomicIsize::new(0);

/// By how many bytes that were asked for `body` makes all threads' memory grow.
pub(crate) fn growth(body: impl FnOnce()) -> isize {
    GROWTH.store(0, Ordering::SeqCst);
    COUNTS.store(true, Ordering::SeqCst);
    body();
    COUNTS.store(false, Ordering::SeqCst);
    GROWTH.load(Ordering::SeqCst)
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        GROWTH.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
