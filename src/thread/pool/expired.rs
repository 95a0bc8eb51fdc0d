//! [`ExpiredTasks`]: tasks that have run for longer than their limits, and the threads that end them.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::task::Runnable;

/// A task that has run for longer than its limit, and the limit.
pub(super) type Expired = (Arc<dyn Runnable>, Duration);

/// Invariant: when the pool's lock is free, no more tasks are queued here than threads are coming for them.
#[derive(Default)]
pub(super) struct ExpiredTasks {
    /// Pushed by the timer, popped by the thread that ends the task.
    pub(super) tasks: VecDeque<Expired>,
    /// Threads that have not looked here yet. Incremented by the timer, under the same lock as the push of a task for
    /// which no thread is coming; decremented by the thread's first look, and by a failed start.
    pub(super) coming: usize,
    /// Threads that have not ended. Incremented together with `coming`; decremented by the look that finds no task, and
    /// by a failed start.
    pub(super) threads: usize,
}

impl ExpiredTasks {
    /// Returns `true` if no thread is left or coming.
    pub(super) fn all_ended(&self) -> bool {
        self.threads == 0
    }
}
