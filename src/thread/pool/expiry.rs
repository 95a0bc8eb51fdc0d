//! What a time limit does when it is over: ends the task, with all that its future has to tell, on a thread made for
//! it.
//!
//! The timer only finds out. Whatever is the user's (callbacks, wakers, drops, the logger) may take as long as it
//! likes, and must not hold up the limits of other tasks; so the timer hands each expired task to a thread that does
//! nothing else. Such a thread takes what else has expired, and ends when nothing has: none of them sleeps.
//!
//! If no thread can be started, the timer itself ends the task: late limits of others are better than a limit that is
//! not kept. Only the timer starts these threads, and it waits until their handle is stored, so whoever joins the pool,
//! which waits for the timer and for `threads`, misses none.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::expired::Expired;
use crate::task::Runnable;
use crate::task::owner;
use crate::thread::timer::TimerOwner;

impl TimerOwner for Pool {
    /// Ends a task that has run for its limit, on another thread. Called by the timer.
    fn expire(&self, task: Arc<dyn Runnable>, limit: Duration) {
        let mut queue = self.queue.lock();
        let expired = &mut queue.expired;
        expired.tasks.push_back((task, limit));
        if expired.tasks.len() <= expired.coming {
            return;
        }
        expired.coming += 1;
        expired.threads += 1;
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
                queue.expired.coming -= 1;
                queue.expired.threads -= 1;
                let is_left = queue.expired.tasks.len() > queue.expired.coming;
                let left = if is_left { queue.expired.tasks.pop_front() } else { None };
                drop(queue);
                if let Some((task, limit)) = left {
                    task.expire(limit);
                }
            }
        }
    }

    fn timer_ended(&self) {
        self.queue.lock().timer_runs = false;
        self.ended.notify_all();
    }
}

impl Pool {
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
        queue.expired.coming -= usize::from(comes);
        let next = queue.expired.tasks.pop_front();
        if next.is_none() {
            queue.expired.threads -= 1;
        }
        next
    }
}
