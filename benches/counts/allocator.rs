//! [`Usage`]: what the threads of this process have allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What was allocated since [`begin`](Usage::begin).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// How often memory was allocated, or moved to be larger.
    pub(crate) allocations: u64,
    /// The requested bytes that are not freed.
    pub(crate) bytes: u64,
}

impl Usage {
    /// Begins to count. A run whose instructions are counted never begins, so that the atomics of this allocator are not
    /// among those of a task.
    pub(crate) fn begin() {
        IS_COUNTING.store(true, Ordering::SeqCst);
    }

    /// Returns what was allocated until now: nothing, if counting has not begun.
    pub(crate) fn now() -> Self {
        Self { allocations: ALLOCATIONS.load(Ordering::SeqCst), bytes: BYTES.load(Ordering::SeqCst) }
    }
}

struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Adds to the counts, if counting has begun.
fn count(allocations: u64, requested: usize, freed: usize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        // Wraps below zero where more is freed than was requested since the count began.
        BYTES.fetch_add((requested as u64).wrapping_sub(freed as u64), Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller promises what the system's allocator requires.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: the caller promises what the system's allocator requires.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        // SAFETY: the caller promises what the system's allocator requires.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
