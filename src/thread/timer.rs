//! Time limits: one thread per executor, started with the first limit.
//!
//! It runs no user code, which could delay other limits: the [`TimerOwner`] ends the expired tasks.
#![forbid(unsafe_code)]

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::deadlines::{Deadlines, Key};
use crate::sync::Mutex;
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use crate::task::owner;
use crate::task::roles::{Runnable, TaskOwner};

/// The executor whose tasks a timer watches.
pub(super) trait TimerOwner: TaskOwner {
    /// Ends a task that has run for its limit. Called on the timer thread, which it must not block.
    fn expire(&self, task: Arc<dyn Runnable>, limit: Duration);
    /// Called by the timer thread when it is about to end.
    fn timer_ended(&self);
}

/// Sends the tasks to be watched to the timer thread. The thread ends when the sender is dropped.
pub(super) struct Timer(Mutex<Option<Sender<Watch>>>);

struct Watch {
    deadline: Instant,
    limit: Duration,
    task: Weak<dyn Runnable>,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Starts the timer thread if it does not run, by calling `spawn` with its body.
    pub(super) fn start(
        &self,
        spawn: impl FnOnce(Box<dyn FnOnce(Arc<dyn TimerOwner>) + Send>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sender = self.0.lock();
        if sender.is_none() {
            let (send, receive) = unbounded();
            spawn(Box::new(move |pool| run(&pool, &receive)))?;
            *sender = Some(send);
        }
        Ok(())
    }

    /// Ends the task when it has run for `limit` from now.
    pub(super) fn watch(&self, task: Weak<dyn Runnable>, limit: Duration) {
        // Beyond the range of the clock: no limit.
        let Some(deadline) = Instant::now().checked_add(limit) else {
            return;
        };
        if let Some(sender) = &*self.0.lock() {
            // The receiver lives until this sender is gone.
            let _ = sender.send(Watch { deadline, limit, task });
        }
    }

    pub(super) fn stop(&self) {
        let sender = self.0.lock().take();
        drop(sender);
    }
}

fn run(pool: &Arc<dyn TimerOwner>, commands: &Receiver<Watch>) {
    // Callbacks of expired tasks run here if no other thread can be started for them.
    owner::enter(Arc::clone(pool) as _);
    let mut watches = Watches::default();
    loop {
        let command = match watches.expire(&**pool, Instant::now()) {
            Some(next) => match commands.recv_deadline(next) {
                Ok(watch) => Some(watch),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(_) => None,
            },
            None => commands.recv().ok(),
        };
        match command {
            Some(watch) => watches.add(watch),
            None => break,
        }
    }
    pool.timer_ended();
}

/// The watched tasks by deadline. Tasks that are done are swept out, so there are at most twice as many as running
/// tasks.
#[derive(Default)]
struct Watches {
    watched: Deadlines<Watch>,
    swept_to: usize,
}

impl Watches {
    fn add(&mut self, watch: Watch) {
        const FEW: usize = 64;
        self.watched.add(Key::new(watch.deadline), watch);
        if self.watched.len() > FEW.max(2 * self.swept_to) {
            self.watched.retain(|watch| watch.task.upgrade().is_some_and(|task| !task.snapshot().state.is_done()));
            self.swept_to = self.watched.len();
        }
    }

    /// Expires the tasks that have reached their deadline, and returns the next deadline.
    fn expire(&mut self, pool: &dyn TimerOwner, now: Instant) -> Option<Instant> {
        while let Some(watch) = self.watched.take_due(now) {
            if let Some(task) = watch.task.upgrade()
                && !task.snapshot().state.is_done()
            {
                pool.expire(task, watch.limit);
            }
        }
        self.watched.first()
    }
}
