//! Adds hooks and a span to a task, in whatever state it is.
#![forbid(unsafe_code)]

use std::time::Instant;

use super::call::Call;
use super::hooks::{Hooks, call_done, call_start};
use super::phase::{HeldOutcome, Phase, StoredError};
use super::state::Task;
use super::times::{OnDone, OnStart, Times};
use super::trace::TaskSpan;
use crate::error::Error;
use crate::unwind::drop_caught;

impl<C, T, H> Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    /// Begins the span of a new task, if a subscriber wants it.
    #[cold]
    pub(super) fn begin_span(&self) {
        let entry = match self.inner.lock().phase.call() {
            Some(call) => call.entry(),
            None => return,
        };
        let span = TaskSpan::of_call(self.id, std::any::type_name::<C>(), || entry);
        if !span.is_none() {
            self.inner.lock().more.extras().hooks = Some(Box::new(Hooks::new(span)));
        }
    }

    /// Adds a hook for the start, or calls it if the task is running.
    pub(super) fn add_on_start(&self, hook: OnStart) {
        let mut inner = self.inner.lock();
        match inner.phase {
            Phase::Pending(..) | Phase::PendingElsewhere(_) => {
                inner.more.add_hooks().on_start.push(hook);
            }
            Phase::Started(..) | Phase::StartedElsewhere(_) | Phase::Running(_) => {
                let hooks = inner.more.add_hooks();
                hooks.times.note_start(Instant::now(), None);
                let times = hooks.times.clone();
                drop(inner);
                call_start(hook, &times);
            }
            _ => {
                drop(inner);
                drop_caught(hook);
            }
        }
    }

    /// Adds a hook for the end, or calls it if the task has ended.
    pub(super) fn add_on_done(&self, hook: OnDone) {
        let mut inner = self.inner.lock();
        let error = match &inner.phase {
            Phase::Finished(_) => None,
            Phase::Failed(failure) => Some(failure.error().clone()),
            Phase::Cancelled => Some(Error::Cancelled),
            Phase::Taken { raised: None } => None,
            // The error was taken. No executor gets here: it has the only job of the task, and others can only cancel
            // that.
            Phase::Taken { raised: Some(_) } => Some(Error::Abandoned),
            _ => {
                inner.more.add_hooks().on_done.push(hook);
                return;
            }
        };
        drop(inner);
        let mut times = Times::begin();
        times.note_end();
        call_done(hook, error.as_ref().map_or(Ok(()), Err), &times);
        drop_caught(error);
    }
}
