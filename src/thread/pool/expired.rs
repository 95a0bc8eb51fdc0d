//! [`ExpiredTasks`]: tasks whose time limit is over, and the threads that end them.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::task::Runnable;

/// A task that has run for longer than its limit.
pub(super) type Expired = (Arc<dyn Runnable>, Duration);

/// Invariant: when the pool's lock is free, no more tasks are queued here than threads are coming for them.
#[derive(Default)]
pub(super) struct ExpiredTasks {
    /// Pushed by the timer, popped by the thread that ends the task.
    pub(super) tasks: VecDeque<Expired>,
    /// Threads that have not looked here yet. Raised by the timer, in the turn of the lock that pushes a task for which
    /// no thread is coming; lowered by the thread's first look, and by a start that failed.
    pub(super) coming: usize,
    /// Threads that have not ended. Raised together with `coming`; lowered by the look that finds no task, and by a
    /// start that failed.
    pub(super) threads: usize,
}

impl ExpiredTasks {
    /// Is no thread left, nor to come?
    pub(super) fn all_ended(&self) -> bool {
        self.threads == 0
    }
}
