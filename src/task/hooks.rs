//! [`Hooks`]: functions that the executors of a task have added, to be called at its start and its end. Also the span
//! of the task.
//!
//! They are among the [extras](super::more) that few tasks have. Under the task's lock, hooks are only added, or taken
//! out to be called. They are called as callbacks are: without a lock, they must not block on a future, and a panic is
//! logged.
//!
//! | event | hooks that are taken out and called |
//! |---|---|
//! | the task starts | `on_start` |
//! | the task ends | `on_done`, before the callbacks. An `on_start` that is left is dropped, because the task has never started |
//! | a hook is added to a task that has started, or has ended | that hook, at once |
#![forbid(unsafe_code)]

use std::time::Instant;

use super::nested::as_callback;
use super::times::{OnDone, OnStart, Times};
use super::trace::{SUBSCRIBER, TaskSpan};
use crate::error::Error;
use crate::sync::thread;

/// The hooks of one task that were not called yet, its times so far, and its span.
pub(super) struct Hooks {
    pub(super) times: Times,
    pub(super) on_start: Vec<OnStart>,
    pub(super) on_done: Vec<OnDone>,
    span: TaskSpan,
    /// The kind of the executor that has the task, or had it last.
    executor: Option<&'static str>,
}

impl Hooks {
    pub(super) fn new(span: TaskSpan) -> Self {
        Self { times: Times::begin(), on_start: Vec::new(), on_done: Vec::new(), span, executor: None }
    }

    pub(super) fn note_executor(&mut self, kind: Option<&'static str>) {
        if kind.is_some() {
            self.executor = kind;
        }
    }

    /// Notes that the task starts in this thread, and takes out the hooks for that.
    pub(super) fn start_here(&mut self) -> Box<Started> {
        self.start(Instant::now(), thread::current().name())
    }

    /// Notes the start of the task, and takes out the hooks for that.
    pub(super) fn start(&mut self, at: Instant, worker: Option<&str>) -> Box<Started> {
        let is_first = self.times.started().is_none();
        let is_new_worker = worker.is_some() && worker != self.times.worker_name();
        self.times.note_start(at, worker.map(Into::into));
        Box::new(Started {
            times: self.times.clone(),
            is_first,
            is_new_worker,
            hooks: std::mem::take(&mut self.on_start),
            span: self.span.clone(),
            executor: self.executor,
        })
    }

    /// Takes out all hooks, but leaves the span.
    pub(super) fn clear(&mut self) -> (Vec<OnStart>, Vec<OnDone>) {
        (std::mem::take(&mut self.on_start), std::mem::take(&mut self.on_done))
    }

    /// Calls the hooks for the end of the task, and closes its span.
    pub(super) fn run_done(mut self, outcome: Result<(), &Error>, name: Option<&str>) {
        self.times.note_end();
        for hook in self.on_done {
            call_done(hook, outcome, &self.times);
        }
        if !self.span.is_none() {
            as_callback(SUBSCRIBER, &mut || self.span.ended(outcome, &self.times, self.executor, name));
        }
    }
}

/// The hooks for the start of a task, to be called without its lock. Boxed where it is passed on, so that a task without
/// any passes no more than a null pointer.
#[must_use]
pub(super) struct Started {
    times: Times,
    /// `false` if the task was started before, as one that is past its limit is once more. A subscriber keeps all values of
    /// a field, so the span is told of each only once.
    is_first: bool,
    /// Whether the worker is another one than at the start before.
    is_new_worker: bool,
    hooks: Vec<OnStart>,
    span: TaskSpan,
    executor: Option<&'static str>,
}

impl Started {
    /// Calls the hooks. Returns the span that the task runs in, if it has one.
    #[cold]
    pub(super) fn run(self, executor: Option<&str>, name: Option<&str>) -> Option<Box<TaskSpan>> {
        if !self.span.is_none() {
            as_callback(SUBSCRIBER, &mut || {
                if self.is_first {
                    self.span.started(&self.times, executor.or(self.executor), name);
                }
                if self.is_new_worker {
                    self.span.runs_on(&self.times);
                }
            });
        }
        for hook in self.hooks {
            call_start(hook, &self.times);
        }
        Some(self.span).filter(|span| !span.is_none()).map(Box::new)
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
