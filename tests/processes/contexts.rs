//! Contexts on their way to workers: each is sent to each worker once, is there when a task needs it, and is dropped
//! when no task does.

use std::path::PathBuf;
use std::process::id;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use concurrent_futures::{Bytes, Error, Executor, MapOptions, Outcome, Part, TaskOptions};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::marked::*;
use super::support::*;

static WRITTEN: AtomicUsize = AtomicUsize::new(0);
static READ: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is written and read in this process.
struct Counted(u64);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.fetch_add(1, Ordering::SeqCst);
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.fetch_add(1, Ordering::SeqCst);
        u64::deserialize(deserializer).map(Self)
    }
}

/// Returns how often a context was read in this process, and the sum of it and the number.
fn read_and_sum(context: &Counted, number: u64) -> (usize, u64) {
    (READ.load(Ordering::SeqCst), context.0 + number)
}

#[test]
fn a_context_is_written_once_and_read_once_by_each_worker() {
    with_pool(workers(2), |pool| {
        let before = WRITTEN.load(Ordering::SeqCst);
        let context = pool.with_context(Counted(10));
        let single: Vec<_> = (0..50).map(|n| context.submit(read_and_sum, n)).collect();
        let mut outcomes: Vec<_> = single.into_iter().map(|future| future.result().unwrap()).collect();
        outcomes.extend(context.map(read_and_sum, 50..500).map(Result::unwrap));
        outcomes.extend(context.with(MapOptions::new().chunk_size(7)).map(read_and_sum, 500..600).map(Result::unwrap));
        let mut unordered: Vec<_> =
            context.map_unordered(read_and_sum, 600..700).map(|(_, one)| one.unwrap()).collect();
        unordered.sort_unstable();
        outcomes.extend(unordered);
        assert!(outcomes.iter().zip(0..).all(|(outcome, n)| *outcome == (1, 10 + n)), "{outcomes:?}");
        assert_eq!(outcomes.len(), 700);
        assert_eq!(WRITTEN.load(Ordering::SeqCst) - before, 1);
    });
}

#[test]
fn threads_that_begin_together_share_a_context() {
    /// Is not counted when it is written.
    #[derive(Serialize)]
    struct Quiet(u64);
    impl<'de> Deserialize<'de> for Quiet {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Counted::deserialize(deserializer).map(|counted| Self(counted.0))
        }
    }
    let read_and_sum = |context: &Quiet, number| read_and_sum(&Counted(context.0), number);
    with_pool(workers(2), move |pool| {
        let context = pool.with_context(Quiet(1));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..20 {
                        assert_eq!(context.submit(read_and_sum, n).result().unwrap(), (1, n + 1));
                    }
                });
            }
        });
    });
}

/// Tells a checkpoint when it is dropped in a worker, and waits there.
#[derive(Serialize, Deserialize)]
struct Dropped {
    checkpoint: String,
    caller: u32,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if id() != self.caller {
            stop_at(std::mem::take(&mut self.checkpoint));
        }
    }
}

/// Waits at a checkpoint, where there is one.
fn stop_with(_: &Dropped, address: Option<String>) {
    if let Some(address) = address {
        stop_at(address);
    }
}

#[test]
fn a_context_is_dropped_in_the_workers_with_its_last_handle() {
    with_pool(workers(2), |pool| {
        let (dropped, tasks) = (Checkpoint::new(), Checkpoint::new());
        let context = pool.with_context(Dropped { checkpoint: dropped.address(), caller: id() });
        let other = context.with(TaskOptions::new().name("other"));
        // Both workers have it.
        let running = [&context, &other].map(|context| context.submit(stop_with, Some(tasks.address())));
        let arrived = [tasks.arrived(), tasks.arrived()];
        drop(arrived);
        running.into_iter().for_each(|future| future.result().unwrap());
        drop(context);
        other.submit(stop_with, None).result().unwrap();
        drop(other);
        let ends = [dropped.arrived(), dropped.arrived()];
        drop(ends);
        pool.works();
    });
}

#[test]
fn a_context_is_dropped_in_the_workers_with_its_last_task() {
    with_pool(workers(1), |pool| {
        let (dropped, task) = (Checkpoint::new(), Checkpoint::new());
        let new = || Dropped { checkpoint: dropped.address(), caller: id() };
        for by_map in [false, true] {
            let context = pool.with_context(new());
            if by_map {
                let mut map = context.map(stop_with, [Some(task.address()), None]);
                drop(context);
                drop(task.arrived());
                map.next().unwrap().unwrap();
                assert!(map.next().unwrap().is_ok() && map.next().is_none());
            } else {
                let running = context.submit(stop_with, Some(task.address()));
                let (pending, cancelled) = (context.submit(stop_with, None), context.submit(stop_with, None));
                drop(context);
                let arrived = task.arrived();
                assert!(cancelled.cancel());
                drop(arrived);
                running.result().unwrap();
                pending.result().unwrap();
            }
            drop(dropped.arrived());
            pool.works();
        }
    });
}

#[test]
fn a_panic_of_its_drop_does_not_end_the_worker() {
    #[derive(Serialize, Deserialize)]
    struct Bad(u32);
    impl Drop for Bad {
        fn drop(&mut self) {
            if id() != self.0 {
                panic!("boom in a drop");
            }
        }
    }
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        for _ in 0..3 {
            let context = pool.with_context(Bad(id()));
            context.submit(|_, ()| (), ()).result().unwrap();
        }
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker);
    });
}

/// Where marks are left.
#[derive(Serialize, Deserialize)]
struct Marks(PathBuf);

/// Ends the worker unless another one has left a mark.
fn die_at_first(file: &Marks, number: u32) -> u32 {
    if marks(&file.0).is_empty() {
        mark((file.0.clone(), number));
        std::process::abort();
    }
    number
}

#[test]
fn a_worker_that_replaces_another_one_gets_the_context_again() {
    with_pool(workers(1), |pool| {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| Marks(directory.path().join(name));
        let (alone, retried) = (pool.with_context(file("alone")), pool.with_context(file("retried")));
        died(alone.submit(die_at_first, 1).result());
        assert_eq!(alone.submit(die_at_first, 2).result().unwrap(), 2);
        let retried = retried.with(TaskOptions::new().retries(1));
        assert_eq!(retried.submit(die_at_first, 3).result().unwrap(), 3);
        let mapped = pool.with(TaskOptions::new().retries(1)).with_context(file("mapped"));
        let outcomes: Vec<_> = mapped.map(die_at_first, 0..20).collect::<Result<_, _>>().unwrap();
        assert!(outcomes.into_iter().eq(0..20));
        pool.kill_workers();
        assert_eq!(alone.submit(die_at_first, 4).result().unwrap(), 4);
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Behavior {
    Works,
    Fails,
    Panics,
}
use Behavior::*;

/// A context that is difficult to write or to read.
struct Difficult(Behavior, Behavior);

impl Serialize for Difficult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Works => self.1.serialize(serializer),
            Fails => Err(ser::Error::custom("this context fails")),
            Panics => panic!("this context panics"),
        }
    }
}

impl<'de> Deserialize<'de> for Difficult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Behavior::deserialize(deserializer)? {
            Works => Ok(Self(Works, Works)),
            Fails => Err(de::Error::custom("this context fails")),
            Panics => panic!("this context panics"),
        }
    }
}

fn use_it(_: &Difficult, number: u64) -> u64 {
    number
}

#[track_caller]
fn assert_lost(outcome: Outcome<u64>, written: bool, behavior: Behavior) {
    let text = outcome.as_ref().map_or_else(ToString::to_string, u64::to_string);
    let part = match outcome {
        Err(Error::Encode(encode)) if written => encode.part(),
        Err(Error::Decode(decode)) if !written => decode.part(),
        other => panic!("{behavior:?}: {other:?}"),
    };
    assert_eq!(part, Part::Context, "{text}");
    assert!(text.starts_with("the context cannot be "), "{text}");
    assert!(text.contains(if behavior == Panics { "this context panics" } else { "this context fails" }), "{text}");
}

#[test]
fn a_context_that_cannot_be_written_or_read_fails_each_task_and_nothing_else() {
    with_pool(workers(1), |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        for (write, read) in [(Fails, Works), (Panics, Works), (Works, Fails), (Works, Panics)] {
            let (written, behavior) = (write != Works, if write == Works { read } else { write });
            let context = pool.with_context(Difficult(write, read));
            let others: Vec<_> = (0..3).map(|n| pool.submit(|n: u64| n, n)).collect();
            for n in 0..3 {
                assert_lost(context.submit(use_it, n).result(), written, behavior);
            }
            let mapped: Vec<_> = context.map(use_it, 0..5).collect();
            let chunked: Vec<_> = context.with(MapOptions::new().chunk_size(3)).map(use_it, 0..5).collect();
            assert_eq!((mapped.len(), chunked.len()), (5, 5));
            mapped.into_iter().chain(chunked).for_each(|outcome| assert_lost(outcome, written, behavior));
            assert!(others.into_iter().map(|other| other.result().unwrap()).eq(0..3));
        }
        assert_eq!(pool.with_context(Difficult(Works, Works)).submit(use_it, 7).result().unwrap(), 7);
        assert_eq!(pool.submit(pid, ()).result().unwrap(), worker, "the worker lives on");
    });
}

#[test]
fn a_context_that_is_too_long_is_refused() {
    const MOST: u64 = 400 << 10;
    with_pool(workers(1).max_message_size(MOST), |pool| {
        let length = |context: &Bytes, more: usize| context.len() + more;
        // Within the message, and beside it.
        for too_long in [Bytes::from(vec![1; 500 << 10]), Bytes::from(vec![1; 401 << 10])] {
            let context = pool.with_context(too_long);
            let mapped = context.map(length, [1, 2]);
            for outcome in mapped.chain([context.submit(length, 1).result()]) {
                let Err(Error::TooLarge(large)) = outcome else { panic!("{outcome:?}") };
                assert_eq!((large.part(), large.limit()), (Some(Part::Context), MOST));
                assert!(large.to_string().starts_with("a context of "), "{large}");
            }
        }
        let most = pool.with_context(Bytes::from(vec![1; 390 << 10]));
        assert_eq!(most.submit(length, 1).result().unwrap(), (390 << 10) + 1);
    });
}

#[test]
fn a_context_that_is_large_in_memory_fits_the_stack_of_a_worker() {
    type Large = [[[[u64; 32]; 32]; 32]; 6];
    with_pool(workers(1), |pool| {
        let call = || {
            let context = pool.with_context([[[[1; 32]; 32]; 32]; 6]);
            context.submit(|large: &Large, n: u64| large[5][31][31][31] + n, 1).result().unwrap()
        };
        // That of the caller has to be large enough.
        let caller = thread::Builder::new().stack_size(64 << 20);
        assert_eq!(thread::scope(|scope| caller.spawn_scoped(scope, call).unwrap().join().unwrap()), 2);
    });
}

static KEPT: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());

fn is_all((bytes, byte): (&Bytes, u8)) -> bool {
    bytes.iter().all(|other| *other == byte)
}

#[test]
fn bytes_in_a_context_are_read_in_place_and_may_be_kept() {
    fn keep(context: &(u8, Vec<Bytes>), _: ()) -> bool {
        KEPT.lock().unwrap().push(context.1[1].clone());
        context.1.iter().all(|bytes| is_all((bytes, context.0)))
    }
    fn look(_: ()) -> usize {
        let kept = KEPT.lock().unwrap();
        kept.iter().filter(|bytes| is_all((bytes, bytes[0]))).count()
    }
    with_pool(workers(1), |pool| {
        // More of them than a pool has segments.
        for byte in 0..50_u8 {
            let long = Bytes::from(vec![byte; 1 << 20]);
            let context = pool.with_context((byte, vec![long.clone(), long.clone(), Bytes::from(vec![byte; 3])]));
            assert!(context.submit(keep, ()).result().unwrap());
            assert!(pool.submit(|bytes: Bytes| is_all((&bytes, 7)), Bytes::from(vec![7; 1 << 20])).result().unwrap());
        }
        assert_eq!(pool.submit(look, ()).result().unwrap(), 50);
    });
}

#[test]
fn many_contexts_of_all_lengths_do_not_mix() {
    let sum = |context: &Vec<u64>, number: u64| context.iter().sum::<u64>() + number;
    with_pool(workers(3), move |pool| {
        let lengths = [1, 1000, 3000, 100_000];
        let contexts: Vec<_> = (0..20).map(|n| pool.with_context(vec![n; lengths[n as usize % 4]])).collect();
        let mut futures = Vec::new();
        for round in 0..20 {
            for (n, context) in (0..).zip(&contexts) {
                let expected = n * lengths[n as usize % 4] as u64 + round;
                futures.push((expected, context.submit(sum, round)));
            }
        }
        drop(contexts);
        for (expected, future) in futures {
            assert_eq!(future.result().unwrap(), expected);
        }
    });
}

#[test]
fn a_task_after_others_finds_its_context() {
    with_pool(workers(2), |pool| {
        let context = pool.with_context(100_u64);
        let add = |context: &u64, (one, other): (u64, u64)| context + one + other;
        let inputs = [1, 2].map(|n| pool.submit(|n: u64| n, n));
        let [one, other] = inputs;
        let sum = context.submit_after((one, other), add);
        drop(context);
        assert_eq!(sum.result().unwrap(), 103);
    });
}
