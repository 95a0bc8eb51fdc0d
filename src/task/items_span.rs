//! [`ItemsSpan`]: the span of items of a map that travel to a worker together, and have no task of their own.
//!
//! They are put together under locks, where no subscriber may be called, so the span is made when they start. It says how
//! long they were in the queue. Under the lock here, the span is only stored and taken out.
#![forbid(unsafe_code)]

use std::time::Instant;

use super::nested::as_callback;
use super::times::Times;
use super::trace::{Caller, TaskSpan};
use crate::error::Error;
use crate::id::FutureId;
use crate::sync::Mutex;

pub(crate) struct ItemsSpan {
    /// The caller of the map.
    caller: Caller,
    /// The times, and the span once the items have started.
    state: Mutex<(Times, TaskSpan)>,
}

/// What a span says of a batch of items.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) id: FutureId,
    pub(crate) name: Option<&'a str>,
    pub(crate) items: usize,
    pub(crate) executor: &'static str,
}

impl ItemsSpan {
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller, state: Mutex::new((Times::begin(), TaskSpan::none())) }
    }

    /// Returns one for a part of the items, which has not started.
    pub(crate) fn part(&self) -> Self {
        Self::new(self.caller.clone())
    }

    /// Makes the span. Has no effect on items that have started before.
    pub(crate) fn start(&self, at: Instant, worker: &str, about: About<'_>, function: &(dyn Fn() -> String + Sync)) {
        let mut state = self.state.lock();
        if state.0.started().is_some() {
            return;
        }
        state.0.note_start(at, Some(worker.into()));
        let times = state.0.clone();
        drop(state);
        let mut span = TaskSpan::none();
        as_callback(SUBSCRIBER, &mut || {
            span = self.caller.span_of_items(about.id, || function().into(), about.items);
            span.started(&times, Some(about.executor), about.name);
            span.runs_on(&times);
        });
        self.state.lock().1 = span;
    }

    /// Closes the span, if the items have started.
    pub(crate) fn end(&self, outcome: Result<(), &Error>) {
        let mut state = self.state.lock();
        state.0.note_end();
        let times = state.0.clone();
        let mut span = Some(std::mem::replace(&mut state.1, TaskSpan::none()));
        drop(state);
        as_callback(SUBSCRIBER, &mut || {
            if let Some(span) = span.take() {
                span.ended(outcome, &times, None, None);
            }
        });
    }
}

/// Whose panics are logged.
const SUBSCRIBER: &str = "a subscriber of `tracing`";
