//! What is done, as a stream: nothing blocks, and each completion wakes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, MapOptions, Promise, ThreadPoolExecutor, as_completed, promise,
};
use smol::stream::{Stream, StreamExt};

use crate::support::{LONG, WakeCounter, block_on, gate, within};

fn next<S: Stream + Unpin>(stream: &mut S, counter: &Arc<WakeCounter>) -> Poll<Option<S::Item>> {
    counter.poll_with(|context| Pin::new(stream).poll_next(context))
}

type Keyed = (usize, Future<usize>);

fn promises(count: usize) -> (Vec<Promise<usize>>, Vec<Keyed>) {
    let (promises, futures): (Vec<_>, Vec<_>) = (0..count).map(|_| promise()).unzip();
    (promises, futures.into_iter().enumerate().collect())
}

#[test]
fn futures_come_in_completion_order_and_each_wakes_the_stream() {
    let (promises, futures) = promises(3);
    let counter = WakeCounter::new();
    let mut stream = as_completed(futures).into_stream();
    assert_eq!(stream.size_hint(), (3, Some(3)));
    for (at, promise) in promises.into_iter().enumerate().rev() {
        assert!(next(&mut stream, &counter).is_pending());
        let before = counter.woken();
        promise.complete(Ok(at));
        assert_eq!(counter.woken(), before + 1);
        let Poll::Ready(Some((key, future))) = next(&mut stream, &counter) else { panic!("one is done") };
        assert_eq!((key, future.result().unwrap()), (at, at));
    }
    assert!(matches!(next(&mut stream, &counter), Poll::Ready(None)));
    assert_eq!(Arc::strong_count(&counter), 1, "it keeps no waker");
}

#[test]
fn a_stream_whose_task_was_not_polled_again_is_woken_once() {
    let (promises, futures) = promises(3);
    let counter = WakeCounter::new();
    let mut stream = as_completed(futures).into_stream();
    assert!(next(&mut stream, &counter).is_pending());
    promises.into_iter().for_each(|promise| assert!(promise.complete(Ok(0))));
    assert_eq!(counter.woken(), 1);
    assert_eq!(block_on(stream.count()), 3);
}

#[test]
fn a_stream_takes_more_futures_and_gives_back_the_unfinished_ones() {
    let (mut promises, mut futures) = promises(3);
    let counter = WakeCounter::new();
    let later = futures.pop().unwrap();
    let mut stream = as_completed(futures).into_stream();
    assert!(next(&mut stream, &counter).is_pending());
    stream.push(later);
    assert!(promises.pop().unwrap().complete(Ok(2)));
    let Poll::Ready(Some((2, _))) = next(&mut stream, &counter) else { panic!("the last one is done") };
    let keys: Vec<_> = stream.into_unfinished().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [0, 1]);
    assert_eq!(Arc::strong_count(&counter), 1);
}

#[test]
fn futures_of_a_pool_come_from_a_stream_under_a_runtime() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for _ in 0..50 {
            let futures: Vec<_> = (0..20_u64).map(|n| (n, threads.submit(|n: u64| n * n, n))).collect();
            let squares = block_on(
                as_completed(futures)
                    .into_stream()
                    .then(|(n, future)| async move {
                        assert_eq!(future.await.unwrap(), n * n);
                        1
                    })
                    .fold(0, |sum, one| sum + one),
            );
            assert_eq!(squares, 20);
        }
    });
}

#[test]
fn outcomes_of_a_map_wake_the_stream_before_the_last_one_is_there() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        for options in [MapOptions::new(), MapOptions::new().buffer_size(2), MapOptions::new().chunk_size(1)] {
            let (opener, at_gate) = gate();
            let maps = threads.with(options);
            let mut stream = maps
                .map_unordered(
                    move |n: u32| {
                        if n == 1 {
                            at_gate.pass()
                        }
                    },
                    0..2,
                )
                .into_stream();
            let Some((0, Ok(()))) = block_on(stream.next()) else { panic!("the first is done") };
            let counter = WakeCounter::new();
            assert!(next(&mut stream, &counter).is_pending());
            opener.open();
            let Some((1, Ok(()))) = block_on(stream.next()) else { panic!("the second is done") };
            assert!(block_on(stream.next()).is_none());
        }
    });
}

#[test]
fn a_map_yields_every_outcome_through_a_stream() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let odd = |n: usize| if n.is_multiple_of(2) { n } else { panic!("odd") };
        for options in [MapOptions::new(), MapOptions::new().buffer_size(5), MapOptions::new().chunk_size(7)] {
            let maps = threads.with(options);
            let outcomes: Vec<_> = block_on(maps.map_unordered(odd, 0..1000).into_stream().collect());
            assert_eq!(outcomes.len(), 1000);
            for (position, outcome) in outcomes {
                match outcome {
                    Ok(n) => assert_eq!((n, n % 2), (position, 0)),
                    Err(error) => assert!(matches!(error, Error::Panicked(_)) && position % 2 == 1),
                }
            }
        }
    });
}

#[test]
fn a_dropped_stream_cancels_the_rest_of_its_map() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, at_gate) = gate();
        let mut stream = threads
            .map_unordered(
                move |n: u32| {
                    if n == 1 {
                        at_gate.pass()
                    }
                },
                0..10,
            )
            .into_stream();
        assert!(block_on(stream.next()).is_some());
        drop(stream);
        assert_eq!(threads.stats().pending, 0);
        opener.open();
    });
}

#[test]
fn a_stream_notices_when_it_is_polled_that_the_time_is_up() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, at_gate) = gate();
        let timed = threads.with(MapOptions::new().timeout(Duration::from_nanos(1)));
        let mut stream = timed.map_unordered(move |_: u32| at_gate.pass(), 0..3).into_stream();
        let counter = WakeCounter::new();
        let Poll::Ready(Some((0, Err(Error::Timeout(timeout))))) = next(&mut stream, &counter) else {
            panic!("the time is up")
        };
        assert_eq!((timeout.unfinished(), timeout.total()), (3, 3));
        assert!(matches!(next(&mut stream, &counter), Poll::Ready(None)));
        opener.open();
    });
}

#[test]
fn a_stream_that_waits_is_woken_when_the_time_is_up() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, at_gate) = gate();
        let timed = threads.with(MapOptions::new().timeout(Duration::from_millis(20)));
        let mut stream = timed.map_unordered(move |_: u32| at_gate.pass(), 0..3).into_stream();
        assert!(matches!(block_on(stream.next()), Some((0, Err(Error::Timeout(_))))));
        assert!(block_on(stream.next()).is_none());
        opener.open();
    });
}

#[test]
fn a_worker_that_polls_a_stream_lets_others_run_its_tasks() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let futures: Vec<_> = (0..5).map(|n| inside.spawn(move || (n, thread::current().id()))).collect();
            block_on(as_completed(futures).into_stream().count())
        });
        assert_eq!(outer.result().unwrap(), 5);
    });
}
