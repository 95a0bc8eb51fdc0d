//! What a time limit does when it is over: ends the task, with all that its future has to tell, on a thread made for it.
//!
//! The timer only finds out. Whatever is the user's (callbacks, wakers, drops, the logger) may take as long as it likes,
//! and must not hold up the limits of other tasks; so the timer hands each expired task to a thread that does nothing
//! else. Such a thread takes what else has expired, and ends when nothing has: none of them sleeps.
//!
//! *When the pool's lock is free, no more tasks are queued here than threads are coming for them.*
//!
//! | number | up | down |
//! |---|---|---|
//! | `expired` | the timer | whoever takes the task, to end it |
//! | `coming` | the timer, in the same turn of the lock, when fewer are coming than are queued | the thread's first look; a start that failed |
//! | `threads` | the same | the look that finds nothing; a start that failed |
//!
//! If no thread can be started, the timer itself ends the task: late limits of others are better than a limit that is
//! not kept. Only the timer starts these threads, and it waits until their handle is stored, so whoever joins the pool,
//! which waits for the timer and for `threads`, misses none.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use crate::task::Runnable;
use crate::task::owner;

/// A task that has run for longer than its limit.
type Expired = (Arc<dyn Runnable>, Duration);

#[derive(Default)]
pub(super) struct Expiries {
    expired: VecDeque<Expired>,
    coming: usize,
    threads: usize,
}

impl Expiries {
    /// Is no thread left, nor to come?
    pub(super) fn all_ended(&self) -> bool {
        self.threads == 0
    }
}

impl Pool {
    /// Ends a task that has run for its limit, on another thread. Called by the timer.
    pub(in crate::thread) fn expire(&self, task: Arc<dyn Runnable>, limit: Duration) {
        let mut queue = self.queue.lock();
        let expiries = &mut queue.expiries;
        expiries.expired.push_back((task, limit));
        if expiries.expired.len() <= expiries.coming {
            return;
        }
        expiries.coming += 1;
        expiries.threads += 1;
        drop(queue);
        let pool = self.me();
        let spawned = self.spawn(format!("{}-limit", self.settings.prefix), move || pool.end_expired());
        let mut queue = self.queue.lock();
        match spawned {
            Ok(handle) => {
                queue.leaving.push(handle);
                queue.forget_ended();
            }
            Err(_) => {
                queue.expiries.coming -= 1;
                queue.expiries.threads -= 1;
                let is_left = queue.expiries.expired.len() > queue.expiries.coming;
                let left = if is_left { queue.expiries.expired.pop_front() } else { None };
                drop(queue);
                if let Some((task, limit)) = left {
                    task.expire(limit);
                }
            }
        }
    }

    /// What a thread does that was started for an expired task.
    fn end_expired(self: Arc<Self>) {
        owner::enter(Arc::clone(&self) as _);
        let mut comes = true;
        while let Some((task, limit)) = self.next_expired(comes) {
            comes = false;
            task.expire(limit);
        }
        if !self.is_copy() {
            self.ended.notify_all();
        }
    }

    /// The next expired task; `None` when the calling thread is to end, and is counted no more.
    fn next_expired(&self, comes: bool) -> Option<Expired> {
        if self.is_copy() {
            return None;
        }
        let mut queue = self.queue.lock();
        queue.expiries.coming -= usize::from(comes);
        let next = queue.expiries.expired.pop_front();
        if next.is_none() {
            queue.expiries.threads -= 1;
        }
        next
    }
}
