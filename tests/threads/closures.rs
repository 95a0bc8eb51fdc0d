//! The methods that take capturing closures and types that serde does not know, on the executor and on `with`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, MapOptions, MapWith, State, TaskOptions, ThreadPoolExecutor, With,
};

use super::support::*;

/// Can cross threads, and nothing else.
struct Opaque(Sender<u32>, Box<dyn Fn(u32) -> u32 + Send>);

fn opaque(plus: u32) -> Opaque {
    Opaque(channel().0, Box::new(move |n| n + plus))
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is odd")]
struct Odd(u32);

fn even(n: u32) -> Result<u32, Odd> {
    if n.is_multiple_of(2) { Ok(n) } else { Err(Odd(n)) }
}

fn assert_odd<T: std::fmt::Debug>(outcome: Result<T, Error>, n: u32) {
    let error = outcome.unwrap_err();
    assert_eq!(error.downcast_ref::<Odd>().map(|odd| odd.0), Some(n));
    assert_eq!(error.to_string(), format!("{n} is odd"));
}

/// The same calls on an executor and on one with options: they are twins, not one trait.
macro_rules! call_everything {
    ($executor:expr) => {{
        let threads = $executor;
        call_everything!(&threads, &threads);
    }};
    ($executor:expr, $maps:expr) => {{
        let (threads, maps) = ($executor, $maps);
        let base = String::from("captured");
        let captured = base.clone();
        assert_eq!(
            threads.submit(move |more: &str| captured + more, " and passed").result().unwrap(),
            "captured and passed"
        );
        let Opaque(_, plus) = threads.submit(|Opaque(sender, plus)| Opaque(sender, plus), opaque(1)).result().unwrap();
        assert_eq!(plus(1), 2);
        let limit = base.len() as u32;
        assert_eq!(threads.try_submit(move |n| even(n * limit), 3).result().unwrap(), 24);
        assert_odd(threads.try_submit(move |n| even(n + limit), 3).result(), 11);
        assert_eq!(threads.spawn(move || limit).result().unwrap(), 8);
        assert_eq!(threads.try_spawn(move || even(limit)).result().unwrap(), 8);
        assert_odd(threads.try_spawn(move || even(limit + 1)).result(), 9);
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let counted = move |n: u32| {
            count.fetch_add(1, Ordering::SeqCst);
            n + limit
        };
        assert!(maps.map(counted.clone(), 0..20).map(Result::unwrap).eq(8..28));
        let tried: Vec<_> = maps.try_map(move |n| even(n + limit), [0, 1, 2]).collect();
        let [first, second, third] = <[_; 3]>::try_from(tried).unwrap();
        assert_eq!((first.unwrap(), third.unwrap()), (8, 10));
        assert_odd(second, 9);
        let mut unordered: Vec<_> =
            maps.map_unordered(counted.clone(), 0..20).map(|(at, n)| (at, n.unwrap())).collect();
        unordered.sort_unstable();
        assert!(unordered.into_iter().eq((0..20).map(|n| (n, n as u32 + 8))));
        let opaques = maps.map(|Opaque(_, plus)| plus(1), [opaque(1), opaque(2)]);
        assert_eq!(opaques.collect::<Result<Vec<_>, _>>().unwrap(), [2, 3]);
        let later = threads.bind(counted);
        let twin = later.clone();
        let bound: Vec<Future<u32>> = (0..3).map(|n| later(n)).chain([twin(3)]).collect();
        assert!(bound.into_iter().map(|future| future.result().unwrap()).eq(8..12));
        assert_eq!(calls.load(Ordering::SeqCst), 44);
    }};
}

#[test]
fn closures_may_capture_and_types_need_no_serde() {
    within(LONG, || call_everything!(ThreadPoolExecutor::new(2)));
}

#[test]
fn closures_may_capture_behind_options() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        call_everything!(threads.with(TaskOptions::new()));
        call_everything!(threads.with(TaskOptions::new().time_limit(LONG)));
        call_everything!(threads.with(TaskOptions::new().time_limit(LONG)).with(TaskOptions::new().name("twice")));
        call_everything!(&threads, threads.with(MapOptions::new().chunk_size(3).buffer_size(5)));
        call_everything!(
            &threads,
            threads.with(MapOptions::new().buffer_size(1)).with(MapOptions::new().chunk_size(1))
        );
        let named = threads.with(TaskOptions::new().name("named").refuse_when_full().retries(2));
        call_everything!(&named, named.with(MapOptions::new().timeout(LONG)));
    });
}

#[test]
fn captures_and_argument_are_dropped_before_the_task_is_done() {
    within(LONG, || {
        let (threads, drops) = (ThreadPoolExecutor::new(1), Drops::default());
        let (captured, argument) = (drops.token(), drops.token());
        let seen = Arc::new(AtomicUsize::new(usize::MAX));
        let future = threads.submit(move |argument| drop((captured, argument)), argument);
        let (count, look) = (drops.clone(), Arc::clone(&seen));
        future.add_done_callback(move |_| look.store(count.alive(), Ordering::SeqCst));
        future.result().unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 0);
        let function = drops.token();
        let map = threads.map(move |n: u32| n + census_of(&function), [1, 2]);
        assert_eq!(map.map(Result::unwrap).sum::<u32>(), 3);
        threads.shutdown();
        assert_eq!(drops.alive(), 0);
    });
    fn census_of(_: &Token) -> u32 {
        0
    }
}

#[test]
fn the_name_belongs_to_the_task() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let named = threads.with(TaskOptions::new().name("fetch BR"));
        assert!(format!("{named:?}").contains("fetch BR"));
        let renamed = named.with(TaskOptions::new().name("fetch CN"));
        assert!(format!("{renamed:?}").contains("fetch CN"));
        assert_eq!(renamed.spawn(|| 3).result().unwrap(), 3);
    });
}

#[test]
fn the_time_limit_is_applied() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(2), Gate::default());
        let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(5)));
        let (one, two, three) = (gate.clone(), gate.clone(), gate.clone());
        let spawned = limited.spawn(move || one.pass());
        assert!(matches!(spawned.result(), Err(Error::TimeLimit(_))));
        let bound = limited.bind(move |()| two.pass());
        assert!(matches!(bound(()).result(), Err(Error::TimeLimit(_))));
        gate.open();
        assert!(threads.spawn(move || three.pass()).result().is_ok());
    });
}

#[test]
fn the_buffer_size_is_applied() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for (buffer, chunk) in [(1, 1), (3, 1), (4, 2), (2, 5)] {
            let pulled = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&pulled);
            let input = (0_u64..).inspect(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            let options = MapOptions::new().buffer_size(buffer).chunk_size(chunk);
            let buffered = threads.with(options);
            let mut map = buffered.map(|n: u64| n, input);
            assert_eq!(pulled.load(Ordering::SeqCst), buffer);
            for n in 0..20 {
                assert_eq!(map.next().unwrap().unwrap(), n);
                // Never more than the buffer ahead of what came out, but for the rest of a chunk.
                let ahead = pulled.load(Ordering::SeqCst) - (n as usize + 1);
                assert!((buffer..buffer + chunk).contains(&ahead), "{ahead} ahead with {buffer} and {chunk}");
            }
        }
    });
}

#[test]
fn the_chunk_size_is_applied() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let chunked = threads.with(MapOptions::new().chunk_size(4));
        let plus = threads.max_workers();
        let map = chunked.map(move |n: usize| n + plus, 0..10);
        assert_eq!(threads.stats().pending, 3);
        gate.open();
        assert!(map.map(Result::unwrap).eq(1..11));
        busy.result().unwrap();
    });
}

#[test]
fn the_timeout_is_applied() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(2), Gate::default());
        let timed = threads.with(MapOptions::new().timeout(Duration::from_millis(30)));
        let hold = gate.clone();
        let mut map = timed.map(
            move |wait| {
                if wait {
                    hold.pass()
                }
            },
            [true, true, false, false],
        );
        match map.next() {
            Some(Err(Error::Timeout(timeout))) => {
                assert_eq!((timeout.unfinished(), timeout.total()), (4, 4));
                assert_eq!(timeout.to_string(), "4 (of 4) futures unfinished after 30ms");
            }
            other => panic!("no timeout: {other:?}"),
        }
        assert!(map.next().is_none());
        drop(map);
        assert_eq!(threads.stats().pending, 0);
        gate.open();
    });
}

#[test]
fn dropping_a_map_cancels_items_that_have_not_started() {
    within(LONG, || {
        for chunk in [1, 4] {
            let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
            let ran = Arc::new(Mutex::new(Vec::new()));
            let (log, hold, (started, wait_for_start)) = (Arc::clone(&ran), gate.clone(), channel());
            let one_at_a_time = move |n: u32| {
                log.lock().unwrap().push(n);
                if n == 0 {
                    started.send(()).unwrap();
                    hold.pass();
                }
            };
            let chunked = threads.with(MapOptions::new().chunk_size(chunk));
            let map = chunked.map(one_at_a_time, 0..100);
            soon(&wait_for_start);
            drop(map);
            assert_eq!(threads.stats().pending, 0);
            gate.open();
            threads.shutdown();
            assert_eq!(*ran.lock().unwrap(), [0]);
        }
    });
}

#[test]
fn inner_options_win_and_other_outer_options_stay() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let outer: With<'_, ThreadPoolExecutor> = threads.with(TaskOptions::new().time_limit(LONG));
        let inner = outer.with(TaskOptions::new().time_limit(Duration::from_millis(5)));
        let (one, two) = (gate.clone(), gate.clone());
        let late = inner.spawn(move || one.pass());
        match late.result() {
            Err(Error::TimeLimit(limit)) => assert_eq!(limit.limit(), Duration::from_millis(5)),
            other => panic!("in time: {other:?}"),
        }
        let patient = outer.spawn(move || two.pass());
        gate.open();
        patient.result().unwrap();
        let maps: MapWith<'_, ThreadPoolExecutor> = inner.with(MapOptions::new().buffer_size(5).timeout(LONG));
        let maps = maps.with(MapOptions::new().buffer_size(2));
        let ahead = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ahead);
        let map = maps.map(
            |n: u32| n,
            (0..10).inspect(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
            }),
        );
        assert_eq!(ahead.load(Ordering::SeqCst), 2);
        assert_eq!(map.count(), 10);
    });
}

#[test]
fn other_methods_of_with_are_those_of_the_executor() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(3), Gate::default());
        let named = threads.with(TaskOptions::new().name("x"));
        let busy: Vec<_> = (0..3).map(|_| occupy_at(&threads, &gate)).collect();
        let pending = named.spawn(|| ());
        assert_eq!((named.max_workers(), named.stats().running, named.stats().pending), (3, 3, 1));
        assert_eq!(named.cancel_pending(), 1);
        assert_eq!(pending.state(), State::Cancelled);
        named.close();
        assert!(matches!(threads.spawn(|| ()).result(), Err(Error::ShutDown)));
        assert!(!named.join(Some(Duration::ZERO)));
        gate.open();
        named.shutdown();
        assert!(busy.iter().all(|future| future.is_done()));
    });
}

#[test]
fn a_bound_function_may_be_called_from_many_threads() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let offset = threads.max_workers();
        let later = threads.bind(move |n: usize| n + offset);
        let sums = thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|from| {
                    let later = later.clone();
                    scope.spawn(move || (0..100).map(|n| later(from * n).result().unwrap()).sum::<usize>())
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
        });
        assert_eq!(sums, 6 * 4950 + 4 * 100 * 2);
    });
}

#[test]
fn a_map_outlives_the_options_it_was_made_with() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let factor = 10;
        let map = threads.with(MapOptions::new().buffer_size(1)).map(move |n: u32| n * factor, 1..4);
        let unordered = threads.with(MapOptions::new().chunk_size(2)).map_unordered(move |n: u32| n * factor, 1..4);
        assert_eq!(map.collect::<Result<Vec<_>, _>>().unwrap(), [10, 20, 30]);
        assert_eq!(unordered.map(|(_, outcome)| outcome.unwrap()).sum::<u32>(), 60);
    });
}
