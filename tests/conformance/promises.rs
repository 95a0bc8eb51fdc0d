//! The side of a future that who completes it has. Python: `set_running_or_notify_cancel`, `set_result`, `set_exception`.

use concurrent_futures::{Error, State, promise};

use crate::Own;

pub(crate) const OWN: Own = list![
    a_promise_may_be_completed_without_a_start,
    a_started_promise_is_running_and_cannot_be_cancelled,
    a_second_start_changes_nothing,
    a_cancelled_promise_does_not_start_and_takes_no_outcome,
    a_promise_that_is_dropped_is_an_error,
];

fn a_promise_may_be_completed_without_a_start() {
    let (value, future) = promise();
    assert!(value.complete(Ok(1)));
    assert_eq!(future.state(), State::Finished);
    assert_eq!(future.result().unwrap(), 1);
    let (error, future) = promise::<u8>();
    assert!(error.complete(Err(Error::ShutDown)));
    assert!(matches!(future.result(), Err(Error::ShutDown)));
}

fn a_started_promise_is_running_and_cannot_be_cancelled() {
    let (promise, future) = promise();
    assert!(promise.start());
    assert_eq!(future.state(), State::Running);
    assert!(!future.cancel());
    assert!(promise.complete(Ok(1)));
    assert_eq!(future.result().unwrap(), 1);
}

fn a_second_start_changes_nothing() {
    let (promise, future) = promise();
    assert!(promise.start() && promise.start());
    assert_eq!(future.state(), State::Running);
    assert!(promise.complete(Ok(1)));
}

fn a_cancelled_promise_does_not_start_and_takes_no_outcome() {
    let (promise, future) = promise();
    assert!(future.cancel());
    assert!(promise.is_cancelled());
    assert!(!promise.start());
    assert!(!promise.complete(Ok(1)));
    assert_eq!(future.state(), State::Cancelled);
    assert!(matches!(future.result(), Err(Error::Cancelled)));
}

fn a_promise_that_is_dropped_is_an_error() {
    let (promise, future) = promise::<u8>();
    drop(promise);
    assert!(matches!(future.result(), Err(Error::Abandoned)));
}
