//! A program that has an allocator of its own: all of these.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_futures::{Executor, ProcessPoolExecutor};

use crate::exercise::exercise;
use crate::host::*;

pub(crate) const CASES: &[Case] =
    &[Case { name: "an_allocator_of_the_programs_own", host: look_at_it, check: end_well }];

/// Marks each piece of memory as its own, and takes no other back, nor any twice.
struct Own;

#[global_allocator]
static OWN: Own = Own;

static GIVEN: AtomicUsize = AtomicUsize::new(0);

const MARK: u64 = 0x6f77_6e20_6d65_6d6f;

/// What comes before each piece: room for the mark, and what its alignment takes.
fn ahead(layout: Layout) -> usize {
    layout.align().max(16)
}

fn with_mark(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(ahead(layout))?;
    Layout::from_size_align(size, ahead(layout)).ok()
}

#[allow(unsafe_code)]
impl Own {
    /// Gives a piece out.
    fn mark(block: *mut u8, layout: Layout) -> *mut u8 {
        if block.is_null() {
            return block;
        }
        GIVEN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the block is so much longer than what was asked for.
        let piece = unsafe { block.add(ahead(layout)) };
        // SAFETY: at least 16 bytes of the block come before the piece.
        let mark = unsafe { piece.cast::<u64>().sub(1) };
        // SAFETY: it is in the block, and aligned as its begin.
        unsafe { mark.write(MARK) };
        piece
    }

    /// Takes a piece back: the block it is in.
    fn unmark(piece: *mut u8, layout: Layout) -> *mut u8 {
        // SAFETY: whatever gave it out, there is memory before it.
        let mark = unsafe { piece.cast::<u64>().sub(1) };
        // SAFETY: as above.
        if unsafe { mark.read() } != MARK {
            // To panic would take memory.
            std::process::abort();
        }
        // SAFETY: by its mark it is one of ours.
        unsafe { mark.write(0) };
        // SAFETY: it was given out from so far behind the block's begin.
        unsafe { piece.sub(ahead(layout)) }
    }
}

#[allow(unsafe_code)]
// SAFETY: each piece is in a block of the system's, and none in two.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(block) = with_mark(layout) else { return ptr::null_mut() };
        // SAFETY: it is not of no bytes.
        Self::mark(unsafe { System.alloc(block) }, layout)
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(block) = with_mark(layout) else { return ptr::null_mut() };
        // SAFETY: it is not of no bytes.
        Self::mark(unsafe { System.alloc_zeroed(block) }, layout)
    }
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let block = Self::unmark(piece, layout);
        let Some(layout) = with_mark(layout) else { std::process::abort() };
        // SAFETY: the block was allocated with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

fn given(_: ()) -> usize {
    GIVEN.load(Ordering::Relaxed)
}

fn look_at_it() {
    let pool = ProcessPoolExecutor::new(2);
    // There it is used before `main` would be.
    assert!(pool.submit(given, ()).result().expect("a number") > 0);
    assert!(given(()) > 0);
    exercise(&pool);
}

fn end_well(name: &str) {
    Host::start(name).ends_well();
}
