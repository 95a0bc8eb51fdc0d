//! Time limits: one thread per executor, started with the first limit.
//!
//! It runs nothing of the user's, which could hold it up: what has expired is ended by its [`TimerOwner`].
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::sync::Mutex;
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use crate::task::owner;
use crate::task::roles::{Runnable, TaskOwner};

/// The executor whose tasks a timer watches.
pub(super) trait TimerOwner: TaskOwner {
    /// Ends a task that has run for its limit. Called on the timer thread, which it must not hold up.
    fn expire(&self, task: Arc<dyn Runnable>, limit: Duration);
    /// The timer thread is about to end.
    fn timer_ended(&self);
}

/// Sends what is to be watched to the timer thread. The thread ends when the sender is gone.
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

    /// Starts the thread, if it is not there, by calling `spawn` with what it does.
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
        // Further off than the clock goes: no limit.
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
    // If no other thread can be started for them, callbacks of tasks that ran out of time run here.
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

/// The watched tasks by deadline. Those that are over are swept out, so the heap is at most twice what runs.
#[derive(Default)]
struct Watches {
    heap: BinaryHeap<Reverse<Watch>>,
    swept_to: usize,
}

impl Watches {
    fn add(&mut self, watch: Watch) {
        const FEW: usize = 64;
        self.heap.push(Reverse(watch));
        if self.heap.len() > FEW.max(2 * self.swept_to) {
            self.heap
                .retain(|Reverse(watch)| watch.task.upgrade().is_some_and(|task| !task.snapshot().state.is_done()));
            self.swept_to = self.heap.len();
        }
    }

    /// Hands over the tasks whose time is up, and returns the next deadline.
    fn expire(&mut self, pool: &dyn TimerOwner, now: Instant) -> Option<Instant> {
        loop {
            let next = self.heap.peek()?.0.deadline;
            if next > now {
                return Some(next);
            }
            if let Some(Reverse(watch)) = self.heap.pop()
                && let Some(task) = watch.task.upgrade()
                && !task.snapshot().state.is_done()
            {
                pool.expire(task, watch.limit);
            }
        }
    }
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}
impl Eq for Watch {}
impl PartialOrd for Watch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Watch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.deadline.cmp(&other.deadline)
    }
}
