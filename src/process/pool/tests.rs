use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::bytes::OutOfBand;
use crate::items::BatchOwner;
use crate::process::batch::Batch;
use crate::process::program::call::{FunctionAddress, LocatedCall};
use crate::process::protocol::frame::{Kind, put_item};
use crate::process::task::{Completion, RemoteTask};
use crate::task::encoded::Entry;
use crate::task::encoded::ItemOffsets;
use crate::task::function::Infallible;
use crate::task::items_span::ItemsSpan;
use crate::task::owner::Shared;
use crate::task::owner::tests::Nothing;
use crate::ticket::Ticket;
use crate::{Backend, Error, Executor, ProcessPoolExecutor};

/// Counts the outcomes that are delivered.
#[derive(Default)]
struct Tally(AtomicUsize);

impl BatchOwner for Tally {
    fn deliver(&self, _: usize, replies: Vec<Result<&[u8], Error>>, _: &Arc<dyn OutOfBand>, _: Duration) {
        self.0.fetch_add(replies.len(), Ordering::Relaxed);
    }
    fn divided(&self) {}
    fn turn_away(&self, _: &Error) {}
}

fn batch(processes: &ProcessPoolExecutor, tally: &Arc<Tally>) -> Arc<RemoteTask> {
    batch_in_span(processes, tally, None)
}

fn batch_in_span(processes: &ProcessPoolExecutor, tally: &Arc<Tally>, span: Option<Box<ItemsSpan>>) -> Arc<RemoteTask> {
    let call = FunctionAddress::of(Entry::of(&Infallible(|n: u64| n + 1))).unwrap();
    let (argument, offsets) = ItemOffsets::of(&[1_u64, 2, 3]);
    let batch = Batch::new(Arc::clone(tally) as _, None, 0, Ticket::default(), Arc::default(), span);
    let encoded = LocatedCall { call, argument, items: Some(offsets) };
    RemoteTask::new(Completion::Batch(batch), Arc::clone(&processes.pool) as _, encoded, Vec::new(), None)
}

#[test]
fn a_batch_that_is_called_back_before_it_arrives_is_not_sent() {
    let processes = ProcessPoolExecutor::new(1);
    let tally = Arc::<Tally>::default();
    let remote = batch(&processes, &tally);
    remote.call_back();
    processes.pool.submit(remote, true);
    assert_eq!((processes.stats().workers, processes.stats().pending), (0, 0));
    processes.shutdown();
    assert_eq!(tally.0.load(Ordering::Relaxed), 3, "each item has one outcome");
}

#[test]
fn items_of_a_batch_that_have_not_begun_are_withdrawn() {
    let (processes, tally) = (ProcessPoolExecutor::new(1), Arc::<Tally>::default());
    let remote = batch(&processes, &tally);
    let mut first = Vec::new();
    put_item(&mut first, Kind::Value, &[2]);
    assert!(remote.note(0, 1, &first));
    assert_eq!(remote.withdraw(), 2);
    assert_eq!(tally.0.load(Ordering::Relaxed), 3, "each item has one outcome");
}

/// Counts the calls for spans that are there.
#[cfg(feature = "tracing")]
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

#[cfg(feature = "tracing")]
impl Counting {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "tracing")]
impl tracing::Subscriber for Counting {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {
        self.count();
    }
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::Id) {
        self.count();
    }
    fn exit(&self, _: &tracing::Id) {
        self.count();
    }
    fn clone_span(&self, id: &tracing::Id) -> tracing::Id {
        self.count();
        id.clone()
    }
    fn try_close(&self, _: tracing::Id) -> bool {
        self.count();
        true
    }
}

#[cfg(feature = "tracing")]
#[test]
fn a_batch_is_divided_and_dropped_without_a_call_of_a_subscriber() {
    use crate::task::trace::Caller;

    let (counting, tally) = (Counting::default(), Arc::<Tally>::default());
    let calls = Arc::clone(&counting.0);
    tracing::subscriber::with_default(counting, || {
        let processes = ProcessPoolExecutor::new(1);
        let outer = tracing::info_span!("outer");
        let caller = outer.in_scope(Caller::here).expect("spans are wanted");
        let remote = batch_in_span(&processes, &tally, Some(Box::new(ItemsSpan::new(caller))));
        let before = calls.load(Ordering::Relaxed);
        let rest = remote.divide(1, 3).expect("its items have not begun");
        assert_eq!(calls.load(Ordering::Relaxed), before, "it is called under the lock of the scheduler");
        rest.note_started(std::time::Instant::now(), "worker");
        remote.fail(&Error::Cancelled);
        rest.fail(&Error::Cancelled);
        let before = calls.load(Ordering::Relaxed);
        drop((remote, rest));
        assert_eq!(calls.load(Ordering::Relaxed), before, "it is called wherever the last handle is dropped");
    });
}

#[test]
fn a_chunk_without_items_left_is_not_blamed_for_a_death() {
    let (processes, tally) = (ProcessPoolExecutor::new(1), Arc::<Tally>::default());
    let remote = batch(&processes, &tally);
    assert!(remote.has_begun(0), "the worker was about to begin the first item");
    remote.curtail();
    assert!(!remote.has_begun(0), "no item is left");
    assert!(remote.has_begun(1), "the worker was in the first item");
}

#[test]
fn cancelled_tasks_do_not_keep_an_ended_pool() {
    let processes = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(1).build().unwrap();
    let pool = Arc::downgrade(&processes.pool);
    let [first, second, third] = [1, 2, 3].map(|n: u64| processes.submit(|n| n + 1, n));
    assert!(third.cancel(), "there is no worker yet that could have started it");
    assert_eq!((first.result().unwrap(), second.result().unwrap()), (2, 3));
    drop(third);
    drop(processes);
    assert!(pool.upgrade().is_none());
}

#[test]
fn only_threads_of_possible_workers_are_kept() {
    let processes = ProcessPoolExecutor::new(2);
    let futures = [1, 2].map(|n: u64| processes.submit(|n| n, n));
    assert_eq!(processes.pool.threads.lock().len(), 2, "no worker is there yet, so none has gone");
    assert_eq!(futures.map(|future| future.result().unwrap()), [1, 2]);
}

#[test]
fn maps_that_have_ended_are_forgotten() {
    let processes = ProcessPoolExecutor::new(1);
    for _ in 0..3 {
        let shared: Arc<dyn Shared> = Arc::new(Nothing);
        processes.pool.enlist(Arc::downgrade(&shared));
    }
    assert_eq!(processes.pool.shared.lock().len(), 1);
}

#[test]
fn a_closed_pool_expects_more_while_it_has_workers() {
    let processes = ProcessPoolExecutor::new(1);
    let pool = &processes.pool;
    assert_eq!(processes.submit(|n: u64| n, 1).result().unwrap(), 1);
    pool.expect_more(true).unwrap();
    processes.close();
    let (accepted, more) = (pool.expect_more(false), pool.expect_more(true));
    for _ in 0..1 + usize::from(more.is_ok()) {
        pool.expect_no_more();
    }
    assert!(processes.join(None));
    accepted.and(more).expect("workers stay for a map that expected more before the close");
    assert!(matches!(pool.expect_more(true), Err(Error::ShutDown)));
}
