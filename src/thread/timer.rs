//! Time limits: one thread per executor, started with the first limit.
//!
//! A worker adds the task that it begins, and wakes the timer only if the limit of that task ends before all others. The
//! timer sleeps until the earliest deadline, and takes out the tasks that are due. A task that is done stays until its
//! deadline, or until it is swept out because nothing but its memory is left.
//!
//! The timer runs no user code, which could delay other limits: the [`TimerOwner`] ends the expired tasks. No task is
//! dropped under the lock, because the timer only holds weak handles there.
#![forbid(unsafe_code)]

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::deadlines::{Deadlines, Key};
use crate::sync::{Condvar, Mutex};
use crate::task::owner;
use crate::task::roles::{Runnable, TaskOwner};

/// The executor whose tasks a timer watches.
pub(super) trait TimerOwner: TaskOwner {
    /// Ends a task that has run for its limit. Called on the timer thread, which it must not block.
    fn expire(&self, task: Arc<dyn Runnable>, limit: Duration);
    /// Called by the timer thread when it is about to end.
    fn timer_ended(&self);
}

/// The executor's handle on the timer thread, which runs until it is [stopped](Self::stop).
pub(super) struct Timer(Arc<Watches>);

struct Watches {
    state: Mutex<State>,
    /// Notified when an earlier deadline than all others is added, and when the thread is to end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    watched: Deadlines<Watch>,
    /// How many tasks were left by the last sweep.
    swept_to: usize,
    /// How many times the timer was stopped. A thread ends when this differs from the value at its start.
    stops: u64,
    runs: bool,
}

/// A task that has begun, and its time limit.
struct Watch {
    limit: Duration,
    task: Weak<dyn Runnable>,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self(Arc::new(Watches { state: Mutex::new(State::default()), changed: Condvar::new() }))
    }

    /// Starts the timer thread if it does not run, by calling `spawn` with its body.
    pub(super) fn start(
        &self,
        spawn: impl FnOnce(Box<dyn FnOnce(Arc<dyn TimerOwner>) + Send>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.0.state.lock();
        if !state.runs {
            let (watches, stops) = (Arc::clone(&self.0), state.stops);
            spawn(Box::new(move |pool| watches.run(&pool, stops)))?;
            state.runs = true;
        }
        Ok(())
    }

    /// Ends the task when it has run for `limit` from now.
    pub(super) fn watch(&self, task: Weak<dyn Runnable>, limit: Duration) {
        // Beyond the range of the clock: no limit.
        let Some(deadline) = Instant::now().checked_add(limit) else {
            return;
        };
        let mut state = self.0.state.lock();
        let is_first = state.watched.first().is_none_or(|first| deadline < first);
        state.add(Key::new(deadline), Watch { limit, task });
        drop(state);
        if is_first {
            self.0.changed.notify_all();
        }
    }

    pub(super) fn stop(&self) {
        let mut state = self.0.state.lock();
        state.runs = false;
        state.stops += 1;
        let watched = std::mem::take(&mut state.watched);
        drop(state);
        drop(watched);
        self.0.changed.notify_all();
    }
}

impl State {
    fn add(&mut self, key: Key, watch: Watch) {
        const FEW: usize = 64;
        self.watched.add(key, watch);
        if self.watched.len() > FEW.max(2 * self.swept_to) {
            self.watched.retain(|watch| watch.task.strong_count() > 0);
            self.swept_to = self.watched.len();
        }
    }
}

impl Watches {
    fn run(&self, pool: &Arc<dyn TimerOwner>, stops: u64) {
        // Callbacks of expired tasks run here if no other thread can be started for them.
        owner::enter(Arc::clone(pool) as _);
        while let Some(Watch { limit, task }) = self.next(stops) {
            if let Some(task) = task.upgrade()
                && !task.snapshot().state.is_done()
            {
                pool.expire(task, limit);
            }
        }
        pool.timer_ended();
    }

    /// Sleeps until the limit of a task is over. Returns `None` if the thread is to end.
    fn next(&self, stops: u64) -> Option<Watch> {
        let mut state = self.state.lock();
        let mut now = Instant::now();
        while state.stops == stops {
            if let Some(due) = state.watched.take_due(now) {
                return Some(due);
            }
            now = match state.watched.first() {
                Some(first) if self.changed.wait_until(&mut state, first).timed_out() => first,
                Some(_) => Instant::now(),
                None => {
                    self.changed.wait(&mut state);
                    Instant::now()
                }
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Timer;
    use crate::error::Outcome;
    use crate::task::call::LocalCall;
    use crate::task::owner_ref::OwnerRef;
    use crate::task::{Runnable, TaskHandle, new_task};

    fn task() -> Arc<dyn Runnable> {
        let task: Arc<dyn TaskHandle<()>> =
            new_task(Some(LocalCall(|| -> Outcome<()> { Ok(()) })), None, OwnerRef::NOBODY);
        task
    }

    #[test]
    fn tasks_of_which_only_memory_is_left_are_swept_out() {
        const LONG: Duration = Duration::from_secs(3600);
        let timer = Timer::new();
        let kept: Vec<_> = (0..100).map(|_| task()).collect();
        kept.iter().for_each(|task| timer.watch(Arc::downgrade(task), LONG));
        for _ in 0..10_000 {
            timer.watch(Arc::downgrade(&task()), LONG);
            // The newest task is alive when they are swept.
            assert!(timer.0.state.lock().watched.len() <= 2 * (kept.len() + 1));
        }
        timer.stop();
        assert_eq!(timer.0.state.lock().watched.len(), 0);
    }
}
