//! `wait`: when it returns, and what comes out of it.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::ReturnWhen::{AllCompleted, FirstCompleted, FirstError};
use concurrent_futures::{
    Backend, Error, Executor, Future, InlineExecutor, Promise, ThreadPoolExecutor, Waitable, Waited, promise, wait,
};

use crate::support::{LONG, gate, occupy, within};

fn promises(count: usize) -> (Vec<Promise<usize>>, Vec<Future<usize>>) {
    (0..count).map(|_| promise()).unzip()
}

type End = fn(Promise<usize>, &Future<usize>);

/// Ends one future in every way that is an end.
const ENDS: [End; 5] = [
    |promise, _| assert!(promise.complete(Ok(1))),
    |promise, _| assert!(promise.complete(Err(Error::ShutDown))),
    |_promise, future| assert!(future.cancel()),
    |promise, future| {
        promise.start();
        assert!(future.abort());
    },
    |promise, _| drop(promise),
];

#[test]
fn both_sides_keep_input_order() {
    let (mut promises, futures) = promises(6);
    let ids: Vec<_> = futures.iter().map(Future::id).collect();
    for at in [5, 3, 1] {
        promises.remove(at).complete(Ok(at));
    }
    let Waited { done, not_done } = wait(futures, Duration::from_millis(1), AllCompleted);
    assert_eq!(done.iter().map(Future::id).collect::<Vec<_>>(), [ids[1], ids[3], ids[5]]);
    assert_eq!(not_done.iter().map(Future::id).collect::<Vec<_>>(), [ids[0], ids[2], ids[4]]);
}

#[test]
fn a_wait_lasts_as_long_as_its_timeout() {
    let (_promises, futures) = promises(2);
    for when in [FirstCompleted, FirstError, AllCompleted] {
        let begin = Instant::now();
        let Waited { done, not_done } = wait(&futures, Duration::from_millis(5), when);
        assert!(begin.elapsed() >= Duration::from_millis(5));
        assert_eq!((done.len(), not_done.len()), (0, 2));
    }
}

#[test]
fn a_timeout_too_long_for_the_clock_is_no_limit() {
    within(LONG, || {
        let (promise, future) = promise();
        let completer = thread::spawn(move || promise.complete(Ok(1)));
        assert_eq!(wait([future], Duration::MAX, AllCompleted).done.len(), 1);
        assert!(completer.join().unwrap());
    });
}

#[test]
fn the_timeout_may_be_an_option() {
    let (promise, future) = promise();
    promise.complete(Ok(1));
    assert_eq!(wait([&future], Some(LONG), AllCompleted).done.len(), 1);
    assert_eq!(wait([&future], LONG, AllCompleted).done.len(), 1);
    assert_eq!(wait([&future], None, AllCompleted).done.len(), 1);
}

#[test]
fn first_completed_accepts_any_end_of_a_task() {
    within(LONG, || {
        for end in ENDS {
            for _ in 0..40 {
                let (mut promises, futures) = promises(3);
                let futures = Arc::new(futures);
                let (inside, promise) = (Arc::clone(&futures), promises.remove(1));
                let ender = thread::spawn(move || end(promise, &inside[1]));
                let Waited { done, not_done } = wait(&*futures, None, FirstCompleted);
                assert_eq!((done.len(), not_done.len()), (1, 2));
                assert_eq!(done[0].id(), futures[1].id());
                ender.join().unwrap();
            }
        }
    });
}

#[test]
fn all_completed_accepts_any_end_of_a_task() {
    within(LONG, || {
        for round in 0..100 {
            let (promises, futures) = promises(ENDS.len());
            let futures = Arc::new(futures);
            let inside = Arc::clone(&futures);
            let ender = thread::spawn(move || {
                for _ in 0..round % 10 {
                    thread::yield_now();
                }
                for ((promise, future), end) in promises.into_iter().zip(&*inside).zip(ENDS) {
                    end(promise, future);
                }
            });
            assert_eq!(wait(&*futures, None, AllCompleted).done.len(), ENDS.len());
            ender.join().unwrap();
        }
    });
}

#[test]
fn an_error_during_the_wait_ends_first_error() {
    within(LONG, || {
        for round in 0..100 {
            let (mut promises, futures) = promises(4);
            let (failing, good) = (promises.remove(2), promises.remove(0));
            let ender = thread::spawn(move || {
                good.complete(Ok(1));
                for _ in 0..round % 10 {
                    thread::yield_now();
                }
                failing.complete(Err(Error::Abandoned));
            });
            let ids: Vec<_> = futures.iter().map(Future::id).collect();
            let Waited { done, not_done } = wait(futures, None, FirstError);
            assert_eq!(done.iter().map(Future::id).collect::<Vec<_>>(), [ids[0], ids[2]]);
            assert_eq!(not_done.len(), 2);
            ender.join().unwrap();
        }
    });
}

#[test]
fn a_failed_task_counts_as_an_error_a_returned_err_does_not() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, running) = occupy(&threads);
        let failed = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "x".into());
        let returned = InlineExecutor.submit(|text: String| text.parse::<u8>().map_err(|e| e.to_string()), "x".into());
        let waited = wait([&running as &dyn Waitable, &failed], None, FirstError);
        assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
        let waited = wait([&running as &dyn Waitable, &returned], Duration::from_millis(1), FirstError);
        assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
        assert!(failed.error().is_some());
    });
}

#[test]
fn boxed_futures_can_be_waited_for() {
    let (promise, future) = promise::<u8>();
    promise.complete(Ok(1));
    let boxes: Vec<Box<dyn Waitable>> =
        vec![Box::new(future), Box::new(InlineExecutor.submit(|s: String| s, "x".into()))];
    assert_eq!(wait(boxes, None, AllCompleted).done.len(), 2);
    let boxed: Box<Future<u8>> = Box::new(InlineExecutor.submit(|n: u8| n, 3));
    let waited = wait([boxed], None, AllCompleted);
    assert_eq!(waited.done.into_iter().map(|future| future.result().unwrap()).collect::<Vec<_>>(), [3]);
}

#[test]
fn several_threads_wait_for_the_same_futures() {
    within(LONG, || {
        for _ in 0..30 {
            let (promises, futures) = promises(20);
            let futures = Arc::new(futures);
            let waiters: Vec<_> = [AllCompleted, FirstCompleted, FirstError, AllCompleted]
                .into_iter()
                .map(|when| {
                    let futures = Arc::clone(&futures);
                    thread::spawn(move || wait(&*futures, None, when).done.len())
                })
                .collect();
            for promise in promises {
                promise.complete(Ok(1));
            }
            let counts: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
            assert_eq!((counts[0], counts[2], counts[3]), (20, 20, 20));
            assert!(counts[1] >= 1);
        }
    });
}

#[test]
fn callbacks_run_before_a_wait_returns_their_future() {
    within(LONG, || {
        for _ in 0..100 {
            let (promise, future) = promise::<u8>();
            let slot = Arc::new(std::sync::OnceLock::new());
            let inside = Arc::clone(&slot);
            future.add_done_callback(move |_| inside.set(()).unwrap());
            let completer = thread::spawn(move || promise.complete(Ok(1)));
            assert_eq!(wait([&future], None, FirstCompleted).done.len(), 1);
            assert!(slot.get().is_some());
            assert!(completer.join().unwrap());
        }
    });
}

#[test]
fn the_method_of_an_executor_is_the_same() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let waited = threads.wait([threads.spawn(|| 1)], None, AllCompleted);
        assert_eq!(waited.done.len(), 1);
        assert!(format!("{waited:?}").starts_with("Waited"), "{waited:?}");
    });
}

#[test]
fn a_task_waits_for_tasks_of_its_own_executor() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        for when in [AllCompleted, FirstCompleted, FirstError] {
            for timeout in [None, Some(LONG)] {
                let inside = Arc::clone(&threads);
                let outer = threads.spawn(move || {
                    let inner: Vec<_> = (0..5).map(|n| inside.spawn(move || n)).collect();
                    wait(inner, timeout, when).done.len()
                });
                let done = outer.result().unwrap();
                assert!(if when == FirstCompleted { done >= 1 } else { done == 5 }, "{when:?} {timeout:?} {done}");
            }
        }
    });
}

#[test]
fn a_worker_that_waits_for_all_runs_them_itself() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let inner: Vec<_> = (0..5).map(|_| inside.spawn(|| thread::current().id())).collect();
            let ran_by = wait(inner, None, AllCompleted).done.into_iter().map(|future| future.result().unwrap());
            ran_by.filter(|by| *by == thread::current().id()).count()
        });
        assert_eq!(outer.result().unwrap(), 5);
        assert_eq!(threads.stats().workers, 1, "no other worker was started");
    });
}

#[test]
fn a_worker_that_waits_for_the_first_task_starts_none_itself() {
    for when in [FirstCompleted, FirstError] {
        within(LONG, move || {
            let threads = Arc::new(ThreadPoolExecutor::new(1));
            let (opener, gate) = gate();
            let (promise, promised) = promise();
            let inside = Arc::clone(&threads);
            let outer = threads.spawn(move || {
                let held = inside.spawn(move || gate.pass());
                wait([held, promised], None, when).done.len()
            });
            // Begun by another worker, which takes the place of the one that waits.
            opener.arrived(1);
            promise.complete(Err(Error::ShutDown));
            assert_eq!(outer.result().unwrap(), 1);
        });
    }
}

#[test]
fn a_task_may_wait_for_the_first_of_another_and_itself() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let (hand_over, handed_over) = mpsc::channel::<Future<usize>>();
        let (report, reported) = mpsc::channel();
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let own = handed_over.recv().unwrap();
            let other = inside.spawn(|| 1);
            wait([&other, &own], None, FirstCompleted).done.len()
        });
        outer.add_done_callback(move |outcome| report.send(outcome.clone()).unwrap());
        hand_over.send(outer).unwrap();
        assert_eq!(reported.recv().unwrap().unwrap(), 1);
    });
}
