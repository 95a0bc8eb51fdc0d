//! [`ItemsSpan`]: the span of a batch, the items of a map that go to a worker together and have no task of their own.
//!
//! A batch is made under locks, where no subscriber may be called. So the span is made when the batch starts, and
//! records how long that was in the queue. Under the lock here, the span is only stored and taken out.
//!
//! A batch may be dropped under a lock as well. So its end lets go of all that the subscriber is told of then, and a span
//! that is made later than that is not kept.
#![forbid(unsafe_code)]

use std::time::Instant;

use super::nested::as_callback;
use super::times::Times;
use super::trace::{Caller, SUBSCRIBER, TaskSpan};
use crate::error::Error;
use crate::id::FutureId;
use crate::sync::Mutex;

pub(crate) struct ItemsSpan(Mutex<State>);

struct State {
    /// The caller of the map, until the batch has ended.
    caller: Option<Caller>,
    times: Times,
    /// None until the batch has started, and after its end.
    span: TaskSpan,
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
        Self::of(Some(caller))
    }

    /// Returns the span of a part of the batch. The part has not started.
    pub(crate) fn part(&self) -> Self {
        Self::of(self.0.lock().caller.clone())
    }

    fn of(caller: Option<Caller>) -> Self {
        Self(Mutex::new(State { caller, times: Times::begin(), span: TaskSpan::none() }))
    }

    /// Makes the span, unless the batch has started before.
    pub(crate) fn start(&self, at: Instant, worker: &str, info: BatchInfo<'_>, function: &(dyn Fn() -> String + Sync)) {
        let mut state = self.0.lock();
        if state.times.started().is_some() {
            return;
        }
        let Some(caller) = state.caller.clone() else { return };
        state.times.note_start(at, Some(worker.into()));
        let times = state.times.clone();
        drop(state);
        let mut span = TaskSpan::none();
        as_callback(SUBSCRIBER, &mut || {
            span = caller.span_of_items(info.id, || function().into(), info.items);
            span.started(&times, Some(info.executor), info.name);
            span.runs_on(&times);
        });
        let mut state = self.0.lock();
        if state.caller.is_some() {
            std::mem::swap(&mut state.span, &mut span);
        }
    }

    /// Closes the span, if the batch has started.
    pub(crate) fn end(&self, outcome: Result<(), &Error>) {
        let mut state = self.0.lock();
        state.times.note_end();
        let times = state.times.clone();
        // Dropped after the lock.
        let _caller = state.caller.take();
        let span = std::mem::replace(&mut state.span, TaskSpan::none());
        drop(state);
        as_callback(SUBSCRIBER, &mut || span.ended(outcome, &times, None, None));
    }
}
