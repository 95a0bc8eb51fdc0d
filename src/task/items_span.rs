//! [`ItemsSpan`]: the span of a batch, the items of a map that go to a worker together and have no task of their own.
//!
//! A batch is made under locks, where no subscriber may be called. So the span is made when the batch starts, and
//! records how long that was in the queue. Under the lock here, the span is only stored and taken out.
#![forbid(unsafe_code)]

use std::time::Instant;

use super::nested::as_callback;
use super::times::Times;
use super::trace::{Caller, SUBSCRIBER, TaskSpan};
use crate::error::Error;
use crate::id::FutureId;
use crate::sync::Mutex;

pub(crate) struct ItemsSpan {
    /// The caller of the map.
    caller: Caller,
    /// The times, and after the start of the batch its span.
    state: Mutex<(Times, TaskSpan)>,
}

/// What the span records of a batch.
#[derive(Clone, Copy)]
pub(crate) struct BatchInfo<'a> {
    pub(crate) id: FutureId,
    pub(crate) name: Option<&'a str>,
    pub(crate) items: usize,
    pub(crate) executor: &'static str,
}

impl ItemsSpan {
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller, state: Mutex::new((Times::begin(), TaskSpan::none())) }
    }

    /// Returns the span of a part of the batch. The part has not started.
    pub(crate) fn part(&self) -> Self {
        Self::new(self.caller.clone())
    }

    /// Makes the span, unless the batch has started before.
    pub(crate) fn start(&self, at: Instant, worker: &str, info: BatchInfo<'_>, function: &(dyn Fn() -> String + Sync)) {
        let mut state = self.state.lock();
        if state.0.started().is_some() {
            return;
        }
        state.0.note_start(at, Some(worker.into()));
        let times = state.0.clone();
        drop(state);
        let mut span = TaskSpan::none();
        as_callback(SUBSCRIBER, &mut || {
            span = self.caller.span_of_items(info.id, || function().into(), info.items);
            span.started(&times, Some(info.executor), info.name);
        });
        self.state.lock().1 = span;
    }

    /// Closes the span, if the batch has started.
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
