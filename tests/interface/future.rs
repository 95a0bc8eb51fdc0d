//! A future from submission to outcome: states, waits, cancel and abort.

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Promise, SharedFuture, State, ThreadPoolExecutor, promise, task};

use crate::support::{Drops, LONG, gate, occupy, within};

#[test]
fn states_print_as_words_and_know_whether_they_are_done() {
    let all = [State::Pending, State::Running, State::Cancelled, State::Finished];
    assert_eq!(all.map(|state| state.to_string()), ["pending", "running", "cancelled", "finished"]);
    assert_eq!(all.map(State::is_done), [false, false, true, true]);
}

#[test]
fn ids_are_unique_across_threads_and_dropped_futures() {
    within(LONG, || {
        let from_threads: Vec<_> =
            (0..4).map(|_| thread::spawn(|| (0..3000).map(|_| promise::<u8>().1.id()).collect::<Vec<_>>())).collect();
        let ids: Vec<_> = from_threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let texts: HashSet<String> = ids.iter().map(ToString::to_string).collect();
        let unique: HashSet<_> = ids.iter().copied().collect();
        assert_eq!((ids.len(), unique.len(), texts.len()), (12_000, 12_000, 12_000));
    });
}

#[test]
fn an_id_does_not_change() {
    let (promise, future) = promise::<u8>();
    let id = future.id();
    promise.complete(Ok(1));
    assert_eq!(future.id(), id);
    assert_eq!(future.share().id(), id);
}

#[test]
fn abort_ends_a_future_at_once_and_asks_its_task_to_stop() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, at_gate) = gate();
        let (told, hears) = mpsc::channel();
        let future = threads.spawn(move || {
            let context = task::current().unwrap();
            let before = context.is_aborted();
            at_gate.pass();
            told.send((before, context.is_aborted())).unwrap();
        });
        opener.arrived(1);
        assert!(future.abort());
        assert!(future.is_cancelled());
        assert!(matches!(future.result(), Err(Error::Cancelled)));
        // The worker is busy until the function returns.
        assert_eq!(hears.try_recv(), Err(mpsc::TryRecvError::Empty));
        opener.open();
        assert_eq!(hears.recv_timeout(LONG), Ok((false, true)));
    });
}

#[test]
fn a_worker_is_busy_until_an_aborted_task_returns() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, future) = occupy(&threads);
        future.abort();
        let next = threads.spawn(|| 1);
        assert_eq!(next.state(), State::Pending);
        opener.open();
        assert_eq!(next.result().unwrap(), 1);
    });
}

#[test]
fn the_late_result_of_an_aborted_task_is_dropped() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let drops = Drops::default();
        let token = drops.token();
        let (opener, at_gate) = gate();
        let future = threads.spawn(move || {
            at_gate.pass();
            token
        });
        opener.arrived(1);
        assert!(future.abort());
        assert_eq!(drops.count(), 0, "the function has it");
        opener.open();
        drop(threads);
        assert_eq!(drops.count(), 1);
        assert!(future.is_cancelled());
    });
}

#[test]
fn a_timeout_too_long_for_the_clock_is_no_limit() {
    within(LONG, || {
        let (promise, future) = promise();
        let waiter = thread::spawn(move || {
            assert!(future.wait_timeout(Duration::MAX));
            future.result_timeout(Duration::MAX).unwrap().unwrap()
        });
        promise.complete(Ok(4));
        assert_eq!(waiter.join().unwrap(), 4);
    });
}

/// Each way of blocking is woken by each way of ending. Many rounds, because a waiter that comes late finds the
/// future done and proves nothing.
#[test]
fn every_end_wakes_every_waiter() {
    within(LONG, || {
        type End = fn(Promise<u8>, &SharedFuture<u8>);
        let ends: [End; 4] = [
            |promise, _| assert!(promise.complete(Ok(1))),
            |_promise, future| assert!(future.cancel()),
            |promise, future| {
                promise.start();
                assert!(future.abort());
            },
            |promise, _| drop(promise),
        ];
        for round in 0..200 {
            let (promise, future) = promise();
            let shared = future.share();
            let waiters: Vec<_> = (0..3)
                .map(|kind| {
                    let shared = shared.clone();
                    thread::spawn(move || match kind {
                        0 => shared.wait(),
                        1 => assert!(shared.wait_timeout(LONG)),
                        _ => drop(shared.error()),
                    })
                })
                .collect();
            for _ in 0..round % 20 {
                thread::yield_now();
            }
            ends[round % ends.len()](promise, &shared);
            for waiter in waiters {
                waiter.join().unwrap();
            }
        }
    });
}
