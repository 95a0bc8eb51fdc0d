//! Spans of tasks, across the wire. They need no broker: `Eager` writes every call as a message, and reads it as a worker.
#![cfg(feature = "tracing")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use concurrent_futures::{Executor, ThreadPoolExecutor, task};
use concurrent_futures_celery::Eager;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::{NoSubscriber, with_default};
use tracing::{Dispatch, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

#[task(name = "tests.tracing.double")]
fn double(n: u64) -> u64 {
    2 * n
}

/// What the subscriber has seen of a span.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    /// The position of its parent.
    parent: Option<usize>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.into());
    }
}

/// Keeps all spans, in the order in which they were made.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it is new");
        let mut spans = self.0.lock().unwrap();
        // Ids of closed spans are used again.
        let position = |parent: u64| spans.iter().rposition(|(id, _)| *id == parent);
        let parent = span.parent().and_then(|parent| position(parent.id().into_u64()));
        let mut seen = Seen { name: span.name(), parent, fields: BTreeMap::new() };
        attributes.record(&mut seen);
        spans.push((id.into_u64(), seen));
    }
}

#[test]
fn the_spans_of_a_worker_are_children_of_the_task_of_its_client() {
    // Otherwise `tracing` might ask a thread without a subscriber first, and remember that nobody wants spans.
    let _other = Dispatch::new(NoSubscriber::default());
    let spans = Spans::default();
    with_default(Registry::default().with(spans.clone()), || {
        let eager = Eager::new(ThreadPoolExecutor::new(1));
        let future = info_span!("caller").in_scope(|| eager.submit(double, 21));
        assert_eq!(future.result().unwrap(), 42);
    });
    let spans: Vec<Seen> = spans.0.lock().unwrap().iter().map(|(_, seen)| seen.clone()).collect();
    let names: Vec<_> = spans.iter().map(|span| (span.name, span.parent)).collect();
    // In one program, what a client sends is read inside of its own span.
    assert_eq!(names, [("caller", None), ("task", Some(0)), ("message", Some(0)), ("task", Some(2))]);
    let [_, sent, message, ran] = &spans[..] else { unreachable!() };
    assert_eq!(message.fields["traceparent"], sent.fields["traceparent"]);
    assert_eq!(message.fields["task"], "tests.tracing.double");
    assert_eq!(sent.fields["traceparent"].split('-').count(), 4);
    assert_ne!(ran.fields["traceparent"], sent.fields["traceparent"], "each task has a place of its own");
}
