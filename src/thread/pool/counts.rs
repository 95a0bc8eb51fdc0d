//! [`Counts`]: how many calls a worker has ended.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::task::Ran;
use crate::task::owner::Ended;

/// How many calls one worker has ended. Only that worker writes the counts, so they are on a cache line of their own.
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

    /// Returns the counts.
    pub(in crate::thread) fn ended(&self) -> Ended {
        Ended { completed: self.completed.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed) }
    }
}
