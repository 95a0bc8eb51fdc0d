//! [`Counts`]: how many calls a worker has ended.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::task::Ran;
use crate::task::owner::Ended;

/// The ended calls of one worker, which alone writes them. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(in crate::thread) struct Counts {
    completed: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Counts a task that the worker has run.
    pub(in crate::thread) fn count(&self, ran: Ran) {
        let count = match ran {
            Ran::Completed => &self.completed,
            Ran::Failed => &self.failed,
            Ran::Skipped | Ran::Uncounted => return,
        };
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(in crate::thread) fn ended(&self) -> Ended {
        Ended { completed: self.completed.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed) }
    }
}
