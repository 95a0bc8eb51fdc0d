//! Promises: futures that are completed by hand.

use std::sync::{Arc, Barrier};
use std::thread;

use concurrent_futures::{Error, State, promise};

use crate::support::{Drops, LONG, within};

#[test]
fn a_promise_completes_its_future() {
    let (promise, future) = promise();
    assert!(promise.complete(Ok(42)));
    assert_eq!(future.state(), State::Finished, "without a start");
    assert_eq!(future.result().unwrap(), 42);
}

#[test]
fn a_promise_completes_its_future_with_an_error() {
    let (promise, future) = promise::<u8>();
    assert!(promise.complete(Err(Error::ShutDown)));
    assert_eq!(future.state(), State::Finished);
    assert!(matches!(future.result(), Err(Error::ShutDown)));
}

#[test]
fn a_promise_starts_its_task() {
    let (promise, future) = promise();
    assert_eq!(future.state(), State::Pending);
    assert!(promise.start());
    assert_eq!(future.state(), State::Running);
    assert!(!future.cancel());
    assert!(!promise.is_cancelled());
    assert!(promise.complete(Ok(1)));
    assert_eq!(future.state(), State::Finished);
}

#[test]
fn a_second_start_is_harmless() {
    let (promise, future) = promise();
    assert!(promise.start());
    assert!(promise.start());
    assert_eq!(future.state(), State::Running);
    assert!(promise.complete(Ok(1)));
    assert_eq!(future.result().unwrap(), 1);
}

#[test]
fn a_cancelled_task_does_not_start() {
    let (promise, future) = promise::<u8>();
    assert!(!promise.is_cancelled());
    assert!(future.cancel());
    assert!(promise.is_cancelled());
    assert!(!promise.start());
    assert!(future.is_cancelled());
}

#[test]
fn a_promise_learns_of_an_abort() {
    let (promise, future) = promise();
    promise.start();
    assert!(future.abort());
    assert!(promise.is_cancelled());
    assert!(!promise.start());
    assert!(!promise.complete(Ok(1)));
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

#[test]
fn a_promise_drops_a_value_that_comes_too_late() {
    let (promise, future) = promise();
    let drops = Drops::default();
    future.cancel();
    assert!(!promise.complete(Ok(drops.token())));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_dropped_promise_abandons_its_future() {
    let (promise, future) = promise::<u8>();
    drop(promise);
    assert_eq!(future.state(), State::Finished);
    assert!(matches!(future.result(), Err(Error::Abandoned)));
}

#[test]
fn a_promise_dropped_while_running_abandons_its_future() {
    let (promise, future) = promise::<u8>();
    promise.start();
    drop(promise);
    assert!(matches!(future.result(), Err(Error::Abandoned)));
}

#[test]
fn a_promise_dropped_by_a_panic_abandons_its_future() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let thread = thread::spawn(move || {
            let _promise = promise;
            panic!("with a promise in hand");
        });
        assert!(matches!(future.result(), Err(Error::Abandoned)));
        assert!(thread.join().is_err());
    });
}

#[test]
fn a_cancelled_future_is_not_abandoned() {
    let (promise, future) = promise::<u8>();
    future.cancel();
    drop(promise);
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

#[test]
fn a_promise_without_a_future_completes() {
    let drops = Drops::default();
    let (promise, future) = promise();
    future.detach();
    assert!(!promise.is_cancelled(), "detached is not cancelled");
    assert!(promise.start());
    assert!(promise.complete(Ok(drops.token())));
    assert_eq!(drops.count(), 1);
}

#[test]
fn completing_a_promise_with_cancelled_cancels_its_future() {
    let (promise, future) = promise::<u8>();
    assert!(promise.complete(Err(Error::Cancelled)));
    assert!(future.is_cancelled());
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

/// Whatever comes first counts, and both sides agree on what that was.
#[test]
fn cancel_and_complete_agree_on_the_winner() {
    within(LONG, || {
        for _ in 0..300 {
            let (promise, future) = promise();
            let both = Arc::new(Barrier::new(2));
            let here = Arc::clone(&both);
            let completer = thread::spawn(move || {
                here.wait();
                promise.complete(Ok(1))
            });
            both.wait();
            let cancelled = future.cancel();
            let completed = completer.join().unwrap();
            assert_ne!(cancelled, completed);
            match future.result() {
                Ok(1) => assert!(completed),
                Err(Error::Cancelled) => assert!(cancelled),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn start_and_cancel_agree_on_the_winner() {
    within(LONG, || {
        for _ in 0..300 {
            let (promise, future) = promise::<u8>();
            let both = Arc::new(Barrier::new(2));
            let here = Arc::clone(&both);
            let starter = thread::spawn(move || {
                here.wait();
                (promise.start(), promise)
            });
            both.wait();
            let cancelled = future.cancel();
            let (started, _promise) = starter.join().unwrap();
            assert_ne!(cancelled, started);
        }
    });
}
