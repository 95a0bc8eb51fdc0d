//! Ends the tasks that have reached their time limits, with their callbacks and drops, on threads started for them.
//!
//! The timer only detects the expiry. User code (callbacks, wakers, drops, the logger) may take arbitrarily long, and
//! must not delay the limits of other tasks; so the timer passes each expired task to a thread that does nothing else.
//! That thread ends all tasks that have expired, then exits: none of these threads sleeps.
//!
//! If no thread can be started, the timer itself ends the task: enforcing other limits late is better than not
//! enforcing one. Only the timer starts these threads, and it stores their handles before it continues. So a caller
//! that joins the pool, which waits for the timer and for `threads`, misses none.
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
    /// Runs the body of a thread that was started for an expired task.
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

    /// Returns the next expired task, or `None` if the calling thread is to end; it is no longer counted then.
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
