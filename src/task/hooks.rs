//! [`Hooks`]: what the executors on a task's way want to be told about it.
//!
//! A task without hooks has none of this: hooks are among the [extras](super::state) that few tasks have. Under the
//! task's lock they are only added, and taken out to be called. They are called as callbacks are: without a lock, in a
//! thread that must not block meanwhile, and a panic is logged.
//!
//! | what happens | hooks that are taken out and called |
//! |---|---|
//! | the task starts | `on_start` |
//! | it ends | `on_done`, before the callbacks; an `on_start` that is left is dropped, because the task has never started |
//! | one is added to a task that has started, or has ended | that one, at once |
#![forbid(unsafe_code)]

use std::time::Instant;

use super::state::as_callback;
use super::times::Times;
use crate::error::Error;
use crate::sync::thread;

pub(crate) type OnStart = Box<dyn FnOnce(&Times) + Send>;
pub(crate) type OnDone = Box<dyn FnOnce(Result<(), &Error>, &Times) + Send>;

/// The hooks of one task that were not called yet, and its times so far.
pub(super) struct Hooks {
    pub(super) times: Times,
    pub(super) on_start: Vec<OnStart>,
    pub(super) on_done: Vec<OnDone>,
}

impl Hooks {
    pub(super) fn new() -> Self {
        Self { times: Times::begin(), on_start: Vec::new(), on_done: Vec::new() }
    }

    /// Notes the start, and takes out what has to be called.
    pub(super) fn start(&mut self, at: Instant, worker: Option<&str>) -> Started {
        self.times.note_start(at, worker.map(Into::into));
        Started { times: self.times.clone(), hooks: std::mem::take(&mut self.on_start) }
    }

    /// Calls the hooks for the end of the task.
    pub(super) fn run_done(mut self, outcome: Result<(), &Error>) {
        self.times.note_end();
        for hook in self.on_done {
            call_done(hook, outcome, &self.times);
        }
    }
}

/// The name of this thread, if it has one, is that of the worker.
pub(super) fn worker_name() -> Option<String> {
    thread::current().name().map(String::from)
}

/// The hooks for the start of a task, out of its lock.
#[must_use]
pub(super) struct Started {
    times: Times,
    hooks: Vec<OnStart>,
}

impl Started {
    pub(super) fn run(self) {
        for hook in self.hooks {
            call_start(hook, &self.times);
        }
    }
}

pub(super) fn call_start(hook: OnStart, times: &Times) {
    let mut hook = Some(hook);
    as_callback("an on_start hook", &mut || {
        if let Some(hook) = hook.take() {
            hook(times);
        }
    });
}

pub(super) fn call_done(hook: OnDone, outcome: Result<(), &Error>, times: &Times) {
    let mut hook = Some(hook);
    as_callback("an on_done hook", &mut || {
        if let Some(hook) = hook.take() {
            hook(outcome, times);
        }
    });
}
