//! The end of a pool: close, join, cancel and break down.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Pool;
use crate::condition::Waiting;
use crate::error::Error;
use crate::task::{Runnable, owner};
use crate::wait::deadline;

impl Pool {
    /// Ends tasks that were taken out of the queue, with `error`.
    pub(super) fn refuse(&self, unstarted: VecDeque<Arc<dyn Runnable>>, error: &Error) {
        for task in unstarted {
            if !task.refuse(error.clone()) {
                self.queue.lock().dead -= 1;
            }
        }
    }

    /// Ends every pending task, and each later one, with `error`.
    pub(in crate::thread) fn break_down(&self, error: Error) {
        let mut queue = self.lock();
        queue.broken.get_or_insert_with(|| error.clone());
        self.closing.store(true, Ordering::Relaxed);
        let unstarted = queue.take_all();
        drop(queue);
        self.work.notify_all();
        self.room.notify_all();
        self.refuse(unstarted, &error);
        for shared in self.shared() {
            shared.call_off(&error);
        }
    }

    pub(in crate::thread) fn close(&self) {
        if self.is_copy() {
            return;
        }
        let mut queue = self.lock();
        queue.closed = true;
        self.closing.store(true, Ordering::Relaxed);
        let last = queue.is_last();
        drop(queue);
        self.work.notify_all();
        self.room.notify_all();
        if last {
            self.timer.stop();
        }
        self.ended.notify_all();
        self.upcoming.close();
    }

    pub(in crate::thread) fn join(&self, timeout: Option<Duration>) -> bool {
        // A task of this pool may wait for the callback that is running on this thread.
        if self.is_copy() || self.owns_thread() || !owner::may_block() {
            return false;
        }
        let until = deadline(timeout);
        let mut queue = self.queue.lock();
        if !queue.closed {
            return false;
        }
        while !queue.all_ended() {
            if self.ended.wait_until(&mut queue, until) && !queue.all_ended() {
                return false;
            }
        }
        if timeout.is_some() {
            // Thread-locals of the ended workers may still be dropping, and joining a thread has no time limit.
            return true;
        }
        let leaving = std::mem::take(&mut queue.leaving);
        queue.joining = leaving.len();
        drop(queue);
        for thread in leaving {
            // A worker catches the panics of its tasks; the result of its thread says nothing.
            let _ = thread.join();
        }
        self.queue.lock().joining = 0;
        self.ended.notify_all();
        true
    }

    /// Returns `true` if there is nothing to wait for: the workers of the closed pool have ended, or the calling thread
    /// would wait for itself. Otherwise registers the poll.
    pub(in crate::thread) fn poll_join(&self, waiting: &mut Waiting) -> bool {
        if self.is_copy() || self.owns_thread() {
            return true;
        }
        let queue = self.queue.lock();
        if queue.closed && queue.all_ended() {
            return true;
        }
        let replaced = self.ended.register(waiting);
        drop(queue);
        drop(replaced);
        false
    }

    /// Cancels the pending tasks. In a closed pool, also cancels what its tasks submit from now on, which could
    /// otherwise keep it going for ever.
    pub(in crate::thread) fn cancel_pending(&self) -> usize {
        if self.is_copy() {
            return 0;
        }
        // Before the queue, because the end of a task there may end tasks that are held back until then.
        let upcoming = self.upcoming.take();
        let mut queue = self.lock();
        queue.cancelling = queue.closed;
        queue.drain_front();
        let tasks: Vec<_> = queue.tasks.iter().map(Arc::clone).collect();
        drop(queue);
        // Call off the shared items first, or the tasks that were to run them would be counted too.
        let shared: usize = self.shared().iter().map(|shared| shared.call_off(&Error::Cancelled)).sum();
        shared + tasks.iter().filter(|task| task.withdraw()).count() + upcoming.cancel()
    }
}
