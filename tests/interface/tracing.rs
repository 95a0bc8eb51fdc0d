//! The spans of tasks, with the feature `tracing`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

#[cfg(automatic)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{
    Backend, Error, Executor, InlineExecutor, Job, MapOptions, ReturnWhen, TaskOptions, ThreadPoolExecutor, promise,
    wait,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{NoSubscriber, with_default};
use tracing::{Dispatch, Event, Metadata, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::support::{Door, Held, LONG, logged, occupy, occupy_at_door, pass, within};

/// What the subscriber has seen of a span.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
    /// The fields that were recorded more than once.
    repeated: Vec<&'static str>,
    entered_on: Vec<String>,
    is_closed: bool,
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value)
    }

    fn keep(&mut self, field: &Field, value: String) {
        if self.fields.insert(field.name(), value).is_some() {
            self.repeated.push(field.name());
        }
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }
}

/// Keeps all spans, in the order in which they were made.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

impl Spans {
    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut spans = self.0.lock().unwrap();
        // Ids of closed spans are used again.
        let seen = spans.iter_mut().rev().find(|(seen, _)| *seen == id.into_u64());
        change(&mut seen.expect("a span that was made").1);
    }

    /// The spans of tasks.
    fn tasks(&self) -> Vec<Seen> {
        let spans = self.0.lock().unwrap();
        spans.iter().map(|(_, seen)| seen.clone()).filter(|seen| seen.name == "task").collect()
    }

    #[track_caller]
    fn one(&self) -> Seen {
        let tasks = self.tasks();
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks.into_iter().next().unwrap()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it is new");
        let parent = span.parent().map(|parent| parent.name());
        let mut seen = Seen { name: span.name(), parent, ..Seen::default() };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |seen| values.record(seen));
    }
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        self.change(id, |seen| seen.entered_on.push(thread));
    }
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.change(&id, |seen| seen.is_closed = true);
    }
}

/// Keeps a second subscriber, which is interested in nothing. If a program has only one, `tracing` asks the subscriber of the
/// thread that first reaches a callsite, and caches the answer. That may be a thread of another test, without a subscriber:
/// then the spans of the callsite would be disabled everywhere.
fn keep_another_subscriber() {
    static OTHER: OnceLock<Dispatch> = OnceLock::new();
    OTHER.get_or_init(|| Dispatch::new(NoSubscriber::default()));
}

/// Runs the test, in the span "caller", with a subscriber of its own.
fn traced(test: impl FnOnce(&Spans) + Send + 'static) {
    keep_another_subscriber();
    within(LONG, || {
        let spans = Spans::default();
        with_default(Registry::default().with(spans.clone()), || {
            let _entered = info_span!("caller").entered();
            test(&spans);
        });
    });
}

fn double(n: u64) -> u64 {
    2 * n
}

#[track_caller]
fn assert_ended(seen: &Seen, executor: &str) {
    assert_eq!((seen.parent, seen.is_closed), (Some("caller"), true), "{seen:?}");
    assert_eq!((seen.field("executor"), seen.field("outcome"), seen.field("error")), (executor, "Ok", ""));
    assert!(seen.field("queued_us").parse::<u64>().is_ok() && seen.field("ran_us").parse::<u64>().is_ok(), "{seen:?}");
    assert_eq!(seen.field("traceparent").len(), 55);
    assert!(seen.field("traceparent").ends_with(&format!("{:016x}-01", seen.field("id").parse::<u64>().unwrap())));
}

#[test]
fn a_task_on_a_thread_runs_in_its_span() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        let named = threads.with(TaskOptions::new().name("twice"));
        let before = 1;
        let future = named.submit(move |n| n + before, 1_u64);
        let id = future.id();
        assert_eq!(future.result().unwrap(), 2);
        let seen = spans.one();
        assert_ended(&seen, "ThreadPoolExecutor");
        assert_eq!((seen.field("id"), seen.field("name")), (&*id.to_string(), "twice"));
        let here = concat!(module_path!(), "::a_task_on_a_thread_runs_in_its_span::");
        assert!(
            seen.field("function").starts_with(here) && seen.field("function").ends_with("{{closure}}"),
            "{seen:?}"
        );
        assert_eq!(seen.entered_on, [seen.field("worker")]);
        assert!(seen.field("worker").starts_with("ThreadPoolExecutor-"));
    });
}

#[test]
fn a_function_has_its_name() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        threads.submit(double, 1).result().unwrap();
        assert_eq!(spans.one().field("function"), concat!(module_path!(), "::double"));
        threads.scope(|scope| scope.spawn(|| double(1)).result()).unwrap();
        threads.submit_after(promise_of(1), |n: u64| n).result().unwrap();
        for seen in &spans.tasks()[1..] {
            assert!(seen.field("function").starts_with(module_path!()), "{seen:?}");
        }
        // Through the trait, only its address is left.
        Executor::submit(&threads, double, 1).result().unwrap();
        let name = spans.tasks().pop().unwrap().field("function").to_owned();
        assert!(name == "fn(u64) -> u64" || name.ends_with("::double"), "{name}");
    });
}

#[test]
fn attempts_have_the_parent_and_the_function_of_their_task() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        let retry = TaskOptions::new().retries(2).retry_if(|_| true);
        threads.with(retry.clone()).try_submit(busy, 1).result().unwrap_err();
        let pause = Duration::from_millis(1);
        threads.with(retry.back_off(pause, pause)).try_submit(busy, 1).result().unwrap_err();
        let tasks = spans.tasks();
        assert_eq!(tasks.len(), 6);
        for seen in &tasks {
            assert_eq!((seen.parent, seen.field("function")), (Some("caller"), concat!(module_path!(), "::busy")));
            assert!(seen.is_closed && seen.field("outcome") == "Failed", "{seen:?}");
        }
    });
}

fn busy(_: u64) -> Result<u64, &'static str> {
    Err("busy")
}

#[test]
fn every_method_of_a_retrying_pool_has_the_name_of_its_function() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        let retrying = threads.with(TaskOptions::new().retries(1).retry_if(|_| true));
        let two = || 2;
        retrying.submit(double, 1).result().unwrap();
        retrying.bind(double)(1).result().unwrap();
        retrying.map(double, [1]).for_each(|outcome| assert!(outcome.is_ok()));
        retrying.map_unordered(double, [1]).for_each(|(_, outcome)| assert!(outcome.is_ok()));
        let (plain, tasks) = (concat!(module_path!(), "::double"), spans.tasks());
        assert_eq!(tasks.len(), 4);
        tasks.iter().for_each(|seen| assert_eq!(seen.field("function"), plain));
        retrying.spawn(two).result().unwrap();
        let name = spans.tasks().pop().unwrap().field("function").to_owned();
        assert!(name.starts_with(module_path!()) && name.ends_with("{{closure}}"), "{name}");
    });
}

fn promise_of(value: u64) -> concurrent_futures::Future<u64> {
    let (promise, future) = promise();
    promise.complete(Ok(value));
    future
}

#[test]
fn a_task_inside_submit_runs_in_its_span() {
    traced(|spans| {
        for (at, executor) in [InlineExecutor, InlineExecutor::new()].iter().enumerate() {
            let inner = |()| {
                info_span!("inner").in_scope(|| ());
            };
            executor.submit(inner, ()).result().unwrap();
            let seen = &spans.tasks()[at];
            assert_ended(seen, "InlineExecutor");
            assert_eq!(seen.entered_on.len(), 1);
        }
        let inner = spans.0.lock().unwrap().iter().find(|(_, seen)| seen.name == "inner").cloned().unwrap();
        assert_eq!(inner.1.parent, Some("task"));
    });
}

#[test]
fn a_task_of_another_executor_has_what_is_known() {
    traced(|spans| {
        let held = Held::default();
        let future = held.submit(double, 1);
        let job: Job = held.take(0);
        assert_eq!(job.traceparent(), spans.one().field("traceparent"));
        assert!(job.start());
        job.complete(Ok(&[9]));
        assert_eq!(future.result().unwrap(), 9);
        let seen = spans.one();
        assert_ended(&seen, "");
        assert_eq!((seen.field("worker"), seen.entered_on.len()), ("", 0));
    });
}

#[test]
fn a_span_tells_how_its_task_ended() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        let failed = threads.try_submit(|n: u64| if n > 0 { Err("too large") } else { Ok(n) }, 1);
        failed.result().unwrap_err();
        let seen = spans.one();
        assert_eq!((seen.field("outcome"), seen.field("error")), ("Failed", "too large"));
        let door = Door::new();
        let running = occupy_at_door(&threads, &door);
        threads.with(TaskOptions::new().name("cancelled")).submit(double, 1).cancel();
        let seen = spans.tasks().pop().unwrap();
        assert_eq!((seen.field("outcome"), seen.field("name"), seen.field("ran_us")), ("Cancelled", "cancelled", ""));
        assert_eq!((seen.field("executor"), seen.is_closed), ("ThreadPoolExecutor", true));
        door.open();
        running.result().unwrap();
        // The span is closed when the future is done, although a handle is left.
        assert!(spans.tasks().iter().all(|seen| seen.is_closed));
    });
}

#[test]
fn a_chain_has_no_span_of_its_own() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        threads.submit(double, 1).map(|n| n + 1).result().unwrap();
        drop(promise::<u8>());
        spans.one();
    });
}

#[test]
fn items_that_threads_share_have_a_span_for_each_worker() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(2);
        assert_eq!(threads.map(double, 0..100).map(Result::unwrap).sum::<u64>(), 9900);
        drop(threads);
        let tasks = spans.tasks();
        assert!((1..50).contains(&tasks.len()), "{}", tasks.len());
        for seen in &tasks {
            assert_eq!((seen.parent, seen.field("function")), (Some("caller"), concat!(module_path!(), "::double")));
            assert!(seen.is_closed, "{seen:?}");
        }
    });
}

#[test]
fn items_that_are_jobs_have_a_span_each_and_a_chunk_has_one() {
    traced(|spans| {
        let threads = ThreadPoolExecutor::new(1);
        threads.with(MapOptions::new().buffer_size(2)).map(double, 0..4).for_each(|outcome| assert!(outcome.is_ok()));
        assert_eq!(spans.tasks().len(), 4);
        threads.with(MapOptions::new().chunk_size(2)).map(double, 0..4).for_each(|outcome| assert!(outcome.is_ok()));
        assert_eq!(spans.tasks().len(), 6);
    });
}

#[cfg(automatic)]
#[test]
fn a_task_on_a_process_has_a_span_here_that_nobody_enters() {
    traced(|spans| {
        let processes = ProcessPoolExecutor::new(1);
        assert_eq!(processes.submit(double, 1).result().unwrap(), 2);
        let seen = spans.one();
        assert_ended(&seen, "ProcessPoolExecutor");
        assert!(seen.field("worker").starts_with("ProcessPoolExecutor-"), "{seen:?}");
        assert!(seen.field("function").ends_with("::double"), "{seen:?}");
        assert_eq!(seen.entered_on.len(), 0);
    });
}

#[cfg(automatic)]
#[test]
fn attempts_on_processes_have_the_parent_of_their_task() {
    traced(|spans| {
        let processes = ProcessPoolExecutor::new(1);
        let retry = TaskOptions::new().retries(1).retry_if(|_| true);
        processes.with(retry).try_submit(busy, 1).result().unwrap_err();
        let parents: Vec<_> = spans.tasks().iter().map(|seen| seen.parent).collect();
        assert_eq!(parents, [Some("caller"); 2]);
    });
}

#[cfg(automatic)]
#[test]
fn a_task_on_a_process_that_ends_by_its_limit_has_each_field_once() {
    traced(|spans| {
        let processes = ProcessPoolExecutor::new(1);
        let limited = processes.with(TaskOptions::new().time_limit(Duration::from_millis(30)));
        let door = Door::new();
        let late = limited.submit(pass, door.path()).result();
        assert!(matches!(late, Err(Error::TimeLimit(_))), "{late:?}");
        let seen = spans.one();
        assert!(seen.field("worker").starts_with("ProcessPoolExecutor-"), "{seen:?}");
        assert!(seen.repeated.is_empty(), "{seen:?}");
    });
}

#[cfg(automatic)]
#[test]
fn a_closure_on_processes_has_the_same_name_in_a_map() {
    traced(|spans| {
        let processes = ProcessPoolExecutor::new(1);
        let square = |n: i64| n * n;
        processes.submit(square, 1).result().unwrap();
        processes.map(square, [1]).for_each(|outcome| assert!(outcome.is_ok()));
        let names: Vec<_> = spans.tasks().iter().map(|seen| seen.field("function").to_owned()).collect();
        assert!(names.len() == 2 && names[0] == names[1], "{names:?}");
    });
}

#[cfg(automatic)]
#[test]
fn items_that_processes_share_have_a_span_for_each_batch() {
    traced(|spans| {
        let processes = ProcessPoolExecutor::new(2);
        assert_eq!(processes.map(double, 0..100).map(Result::unwrap).sum::<u64>(), 9900);
        let tasks = spans.tasks();
        assert_eq!(tasks.iter().map(|seen| seen.field("items").parse::<u64>().unwrap()).sum::<u64>(), 100);
        tasks.iter().for_each(|seen| assert_ended(seen, "ProcessPoolExecutor"));
        let outcomes: Vec<_> = processes.map(|n: u64| assert_ne!(n, 3), [3]).collect();
        assert!(matches!(&outcomes[..], [Err(Error::Panicked(_))]));
        assert_eq!(spans.tasks().pop().unwrap().field("outcome"), "Panicked");
    });
}

#[cfg(automatic)]
mod in_worker {
    use std::sync::OnceLock;

    use super::*;

    static SPANS: OnceLock<Spans> = OnceLock::new();

    fn subscribe(_: ()) {
        let spans = SPANS.get_or_init(Spans::default).clone();
        tracing::subscriber::set_global_default(Registry::default().with(spans)).expect("the first");
    }

    /// Returns the fields of the span that it runs in.
    fn fields(_: ()) -> Vec<(String, String)> {
        let seen = SPANS.get().expect("set by the initializer").tasks().pop().expect("a span");
        assert_eq!(seen.entered_on, [seen.field("worker")]);
        seen.fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
    }

    #[test]
    fn a_task_has_a_span_in_its_worker_with_the_same_traceparent() {
        traced(|spans| {
            let processes = ProcessPoolExecutor::builder().max_workers(1).initializer(subscribe, ()).build().unwrap();
            let fields = processes.submit(fields, ()).result().unwrap();
            let (seen, fields) = (spans.one(), fields.into_iter().collect::<BTreeMap<_, _>>());
            for field in ["id", "function", "traceparent", "worker"] {
                assert_eq!(fields.get(field).map(String::as_str), Some(seen.field(field)), "{field}");
            }
        });
    }

    /// Installs a subscriber that panics in each call.
    fn subscribe_to_panics(at_the_end: bool) {
        struct PanicsAtOnce;
        impl<S: Subscriber> Layer<S> for PanicsAtOnce {
            fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
                panic!("at the start of this test");
            }
        }
        let installed = match at_the_end {
            true => tracing::subscriber::set_global_default(Registry::default().with(Panics).with(PanicsAtTheEnd)),
            false => tracing::subscriber::set_global_default(Registry::default().with(PanicsAtOnce)),
        };
        installed.expect("there is no other");
    }

    #[test]
    fn a_subscriber_that_panics_in_a_worker_process_does_not_end_it() {
        for at_the_end in [false, true] {
            let builder = ProcessPoolExecutor::builder().max_workers(1);
            let processes = builder.initializer(subscribe_to_panics, at_the_end).build().unwrap();
            for n in 1..4 {
                assert_eq!(processes.submit(double, n).result().unwrap(), 2 * n);
            }
            assert_eq!(processes.map(double, 0..3).collect::<Result<Vec<_>, _>>().unwrap(), [0, 2, 4]);
        }
    }

    #[test]
    fn a_pool_may_name_the_trace_of_its_workers() {
        traced(|_| {
            let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let builder = ProcessPoolExecutor::builder().max_workers(1).env("TRACEPARENT", given);
            let processes = builder.initializer(subscribe, ()).build().unwrap();
            let fields = processes.submit(fields, ()).result().unwrap();
            let traceparent = fields.into_iter().find(|(name, _)| name == "traceparent").unwrap().1;
            assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{traceparent}");
        });
    }
}

/// Panics wherever a span is not made.
struct Panics;

impl<S: Subscriber> Layer<S> for Panics {
    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        panic!("at the entrance of this test");
    }
    fn on_record(&self, _: &Id, _: &Record<'_>, _: Context<'_, S>) {
        panic!("at a record of this test");
    }
}

/// Panics where a span is left and closed.
struct PanicsAtTheEnd;

impl<S: Subscriber> Layer<S> for PanicsAtTheEnd {
    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        panic!("at the exit of this test");
    }
    fn on_close(&self, _: Id, _: Context<'_, S>) {
        panic!("at the end of this test");
    }
}

#[test]
fn a_subscriber_that_panics_costs_no_more_than_the_task() {
    keep_another_subscriber();
    within(LONG, || {
        logged("");
        with_default(Registry::default().with(Panics), || {
            let threads = ThreadPoolExecutor::new(1);
            assert!(matches!(threads.submit(double, 1).result(), Err(Error::Panicked(_))));
            assert!(!logged("at a record of this test").is_empty());
            // Its worker counts it after its end.
            threads.close();
            assert!(threads.join(None));
            assert_eq!(threads.stats().failed, 1);
        });
    });
}

#[test]
fn a_subscriber_that_panics_at_the_end_of_a_span_costs_nothing() {
    keep_another_subscriber();
    within(LONG, || {
        logged("");
        with_default(Registry::default().with(PanicsAtTheEnd), || {
            let threads = ThreadPoolExecutor::new(1);
            assert_eq!(threads.submit(double, 1).result().unwrap(), 2);
            // The span is left while a panic unwinds.
            let panics = |n: u64| -> u64 { panic!("{n} in a task of this test") };
            assert!(matches!(threads.submit(panics, 1).result(), Err(Error::Panicked(_))));
            // The thread that ran it is the last to have the span.
            let (opener, task) = occupy(&threads);
            assert!(task.abort());
            opener.open();
            assert_eq!(threads.submit(double, 2).result().unwrap(), 4);
            assert!(!logged("at the exit of this test").is_empty() && !logged("at the end of this test").is_empty());
        });
    });
}

/// Looks at a future in each call.
#[derive(Default)]
struct Curious {
    future: OnceLock<concurrent_futures::Future<u64>>,
    spans: AtomicU64,
}

impl Curious {
    fn look(&self) {
        if let Some(future) = self.future.get() {
            let _ = future.is_running();
        }
    }
}

impl Subscriber for Curious {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.look();
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::Relaxed))
    }
    fn record(&self, _: &Id, _: &Record<'_>) {
        self.look();
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {
        self.look();
    }
    fn exit(&self, _: &Id) {
        self.look();
    }
    fn clone_span(&self, id: &Id) -> Id {
        self.look();
        id.clone()
    }
    fn try_close(&self, _: Id) -> bool {
        self.look();
        true
    }
}

#[test]
fn a_subscriber_may_look_at_the_task() {
    keep_another_subscriber();
    within(LONG, || {
        let curious = Arc::new(Curious::default());
        with_default(Arc::clone(&curious), || {
            let threads = ThreadPoolExecutor::new(1);
            let (opener, _first) = occupy(&threads);
            let future = curious.future.get_or_init(|| threads.submit(double, 1));
            opener.open();
            wait([future], None, ReturnWhen::AllCompleted);
            assert!(future.is_done());
        });
    });
}
