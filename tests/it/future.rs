//! A future from submission to outcome: states, waits, cancel and abort.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Promise, SharedFuture, State, ThreadPoolExecutor, promise, task};

use crate::support::{Drops, LONG, gate, occupy, within};

#[test]
fn a_result_is_the_value_of_the_call() {
    let threads = ThreadPoolExecutor::new(1);
    assert_eq!(threads.submit(|n: u64| (1..=n).sum::<u64>(), 10_000).result().unwrap(), 50_005_000);
}

#[test]
fn a_task_goes_from_pending_over_running_to_finished() {
    let threads = ThreadPoolExecutor::new(1);
    let (opener, running) = occupy(&threads);
    let pending = threads.spawn(|| 7);
    assert_eq!(running.state(), State::Running);
    assert!(running.is_running() && !running.is_done() && !running.is_cancelled());
    assert_eq!(pending.state(), State::Pending);
    assert!(!pending.is_running() && !pending.is_done() && !pending.is_cancelled());
    opener.open();
    pending.wait();
    assert_eq!(pending.state(), State::Finished);
    assert!(!pending.is_running() && pending.is_done() && !pending.is_cancelled());
    assert_eq!(pending.result().unwrap(), 7);
}

#[test]
fn an_error_is_finished_too() {
    let threads = ThreadPoolExecutor::new(1);
    let future = threads.spawn(|| -> u8 { panic!("finished by a panic") });
    future.wait();
    assert_eq!(future.state(), State::Finished);
    assert!(future.is_done() && !future.is_cancelled());
    assert!(matches!(future.result(), Err(Error::Panicked(_))));
}

#[test]
fn states_print_as_words_and_know_whether_they_are_done() {
    let all = [State::Pending, State::Running, State::Cancelled, State::Finished];
    assert_eq!(all.map(|state| state.to_string()), ["pending", "running", "cancelled", "finished"]);
    assert_eq!(all.map(State::is_done), [false, false, true, true]);
}

#[test]
fn ids_are_unique_also_over_threads_and_gone_futures() {
    let from_threads: Vec<_> =
        (0..4).map(|_| thread::spawn(|| (0..3000).map(|_| promise::<u8>().1.id()).collect::<Vec<_>>())).collect();
    let ids: Vec<_> = from_threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let texts: HashSet<String> = ids.iter().map(ToString::to_string).collect();
    let unique: HashSet<_> = ids.iter().copied().collect();
    assert_eq!((ids.len(), unique.len(), texts.len()), (12_000, 12_000, 12_000));
}

#[test]
fn an_id_stays() {
    let (promise, future) = promise::<u8>();
    let id = future.id();
    promise.complete(Ok(1));
    assert_eq!(future.id(), id);
    assert_eq!(future.share().id(), id);
}

#[test]
fn cancel_stops_a_pending_task_for_good() {
    let threads = ThreadPoolExecutor::new(1);
    let (opener, _running) = occupy(&threads);
    let ran = Arc::new(AtomicBool::new(false));
    let task_ran = Arc::clone(&ran);
    let future = threads.spawn(move || task_ran.store(true, Ordering::SeqCst));
    assert!(future.cancel());
    assert_eq!(future.state(), State::Cancelled);
    assert!(future.is_cancelled() && future.is_done() && !future.is_running());
    opener.open();
    drop(threads);
    assert!(!ran.load(Ordering::SeqCst));
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

#[test]
fn cancel_says_true_again_and_changes_nothing() {
    let (_promise, future) = promise::<u8>();
    assert!(future.cancel());
    assert!(future.cancel());
    assert!(future.abort());
    assert!(future.is_cancelled());
}

#[test]
fn cancel_leaves_a_running_task_alone() {
    let threads = ThreadPoolExecutor::new(1);
    let (opener, future) = occupy(&threads);
    assert!(!future.cancel());
    assert!(future.is_running());
    opener.open();
    future.result().unwrap();
}

#[test]
fn nothing_leaves_done() {
    let (promise, future) = promise();
    promise.complete(Ok(3));
    assert!(!future.cancel());
    assert!(!future.abort());
    assert_eq!(future.state(), State::Finished);
    assert_eq!(future.result().unwrap(), 3);
}

#[test]
fn abort_cancels_a_pending_task() {
    let (promise, future) = promise::<u8>();
    assert!(future.abort());
    assert!(future.is_cancelled());
    assert!(!promise.start());
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

#[test]
fn abort_ends_a_running_task_at_once_and_asks_it_to_stop() {
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
}

#[test]
fn a_worker_is_busy_until_an_aborted_task_returns() {
    let threads = ThreadPoolExecutor::new(1);
    let (opener, future) = occupy(&threads);
    future.abort();
    let next = threads.spawn(|| 1);
    assert_eq!(next.state(), State::Pending);
    opener.open();
    assert_eq!(next.result().unwrap(), 1);
}

#[test]
fn the_late_result_of_an_aborted_task_is_dropped() {
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
}

#[test]
fn a_zero_timeout_is_a_poll() {
    let (promise, future) = promise();
    assert!(!future.wait_timeout(Duration::ZERO));
    let future = future.result_timeout(Duration::ZERO).expect_err("not done");
    let future = future.try_result().expect_err("not done");
    promise.complete(Ok(1));
    assert!(future.wait_timeout(Duration::ZERO));
    assert_eq!(future.result_timeout(Duration::ZERO).unwrap().unwrap(), 1);
}

#[test]
fn try_result_takes_what_is_there() {
    let (promise, future) = promise();
    promise.complete(Ok(5));
    assert_eq!(future.try_result().unwrap().unwrap(), 5);
}

#[test]
fn a_timeout_gives_the_handle_back() {
    let (promise, future) = promise();
    assert!(!future.wait_timeout(Duration::from_millis(1)));
    let id = future.id();
    let future = future.result_timeout(Duration::from_millis(1)).expect_err("not done");
    assert_eq!(future.id(), id);
    promise.complete(Ok(9));
    assert_eq!(future.result().unwrap(), 9);
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

#[test]
fn error_blocks_and_looks_without_taking() {
    let threads = ThreadPoolExecutor::new(1);
    let good = threads.spawn(|| 1);
    assert!(good.error().is_none());
    assert_eq!(good.result().unwrap(), 1);
    let bad = threads.spawn(|| -> u8 { panic!("an error to look at") });
    assert!(matches!(bad.error(), Some(Error::Panicked(_))));
    assert!(matches!(bad.error(), Some(Error::Panicked(_))));
    assert!(matches!(bad.result(), Err(Error::Panicked(_))));
    let (_promise, cancelled) = promise::<u8>();
    cancelled.cancel();
    assert!(matches!(cancelled.error(), Some(Error::Cancelled)));
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
