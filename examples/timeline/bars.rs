//! [`Bars`]: a layer of tracing-subscriber that keeps when each task was submitted, started and ended.
//!
//! Other layers that write trace files draw a span while a thread is in it. They cannot draw a task in a worker
//! process, whose span no thread here enters, nor the time that a task waits. Both are in the fields of the span, where
//! this layer finds them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A task, from its submission to its end, counted from the beginning of the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) function: String,
    pub(crate) executor: String,
    pub(crate) worker: String,
    pub(crate) outcome: String,
    pub(crate) submitted: Duration,
    pub(crate) queued: Duration,
    pub(crate) ran: Duration,
}

impl Bar {
    pub(crate) fn started(&self) -> Duration {
        self.submitted + self.queued
    }

    pub(crate) fn ended(&self) -> Duration {
        self.started() + self.ran
    }
}

impl Visit for Bar {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "queued_us" => self.queued = Duration::from_micros(value),
            "ran_us" => self.ran = Duration::from_micros(value),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = match field.name() {
            "name" => &mut self.name,
            "function" => &mut self.function,
            "executor" => &mut self.executor,
            "worker" => &mut self.worker,
            "outcome" => &mut self.outcome,
            _ => return,
        };
        *text = value.into();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Collects the tasks that have ended. Clones are the same collection.
#[derive(Clone)]
pub(crate) struct Bars {
    begin: Instant,
    ended: Arc<Mutex<Vec<Bar>>>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), ended: Arc::default() }
    }

    /// Returns the tasks that have ended, in the order of submission.
    pub(crate) fn take(&self) -> Vec<Bar> {
        let mut bars = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        bars.sort_by_key(|bar| bar.submitted);
        bars
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bars {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "concurrent_futures"
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut bar = Bar { submitted: self.begin.elapsed(), ..Bar::default() };
        attributes.record(&mut bar);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(bar);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(bar) = span.extensions_mut().get_mut::<Bar>()
        {
            values.record(bar);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let bar = context.span(&id).and_then(|span| span.extensions_mut().remove::<Bar>());
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).extend(bar);
    }
}
