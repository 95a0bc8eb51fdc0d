//! `wait`, `as_completed` and waits with a timeout: what registers against what ends.

use std::sync::Arc;

use concurrent_futures::{Choices, Error, ReturnWhen, Waited, as_completed, promise, wait};

use crate::checker::{LATER, check, check_choices, spawn};

#[test]
fn wait_against_finish() {
    check(5, || {
        let (first_promise, first) = promise();
        let (second_promise, second) = promise();
        let finishers = [(first_promise, 1), (second_promise, 2)]
            .map(|(promise, value)| spawn(move || promise.complete(Ok(value))));
        let Waited { done, not_done } = wait([first, second], None, ReturnWhen::AllCompleted);
        assert_eq!(not_done.len(), 0);
        let values: Vec<_> = done.into_iter().map(|future| future.result().unwrap()).collect();
        assert_eq!(values, [1, 2]);
        for finisher in finishers {
            assert!(finisher.join().unwrap());
        }
    });
}

#[test]
fn wait_against_cancel() {
    check(5, || {
        let (promise, future) = promise::<u32>();
        let future = Arc::new(future);
        let canceller = Arc::clone(&future);
        let canceller = spawn(move || canceller.cancel());
        let waited = wait([&*future], None, ReturnWhen::AllCompleted);
        assert!(waited.done[0].is_cancelled());
        assert!(canceller.join().unwrap());
        assert!(!promise.complete(Ok(1)));
    });
}

#[test]
fn two_waits_for_one_future() {
    check(4, || {
        let (promise, future) = promise();
        let future = Arc::new(future);
        let other = Arc::clone(&future);
        let other = spawn(move || wait([&*other], None, ReturnWhen::AllCompleted).done.len());
        let finisher = spawn(move || promise.complete(Ok(7)));
        assert_eq!(wait([&*future], None, ReturnWhen::FirstCompleted).done.len(), 1);
        assert_eq!(other.join().unwrap(), 1);
        finisher.join().unwrap();
    });
}

#[test]
fn first_completed_leaves_while_another_finishes() {
    check(4, || {
        let (first_promise, first) = promise();
        let (second_promise, second) = promise();
        let finishers = [(first_promise, 1), (second_promise, 2)]
            .map(|(promise, value)| spawn(move || promise.complete(Ok(value))));
        let Waited { done, not_done } = wait([first, second], None, ReturnWhen::FirstCompleted);
        assert!(!done.is_empty());
        // The one that was left behind has forgotten the wait, or told it in vain.
        for future in not_done {
            future.result().unwrap();
        }
        for finisher in finishers {
            finisher.join().unwrap();
        }
    });
}

#[test]
fn first_error_against_finish_and_failure() {
    check(5, || {
        let (good_promise, good) = promise::<u32>();
        let (bad_promise, bad) = promise::<u32>();
        let finisher = spawn(move || good_promise.complete(Ok(1)));
        let failer = spawn(move || drop(bad_promise));
        let waited = wait([&good, &bad], None, ReturnWhen::FirstError);
        assert!(bad.is_done(), "a success alone is not enough");
        assert_eq!(waited.done.len() + waited.not_done.len(), 2);
        finisher.join().unwrap();
        failer.join().unwrap();
        assert!(matches!(bad.result(), Err(Error::Abandoned)));
    });
}

#[test]
fn as_completed_against_finish() {
    check(5, || {
        let (first_promise, first) = promise();
        let (second_promise, second) = promise();
        let finishers = [(first_promise, 1), (second_promise, 2)]
            .map(|(promise, value)| spawn(move || promise.complete(Ok(value))));
        let mut values: Vec<_> = as_completed([first, second]).map(|future| future.result().unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values, [1, 2], "each comes out once");
        for finisher in finishers {
            finisher.join().unwrap();
        }
    });
}

#[test]
fn as_completed_against_cancel() {
    check(5, || {
        let (first_promise, first) = promise();
        let (second_promise, second) = promise();
        let first = Arc::new(first);
        let canceller = Arc::clone(&first);
        let canceller = spawn(move || canceller.cancel());
        let finisher = spawn(move || second_promise.complete(Ok(2)));
        let came: Vec<_> = as_completed([("first", &*first), ("second", &second)]).map(|(name, _)| name).collect();
        assert!(came == ["first", "second"] || came == ["second", "first"], "{came:?}");
        assert!(canceller.join().unwrap());
        assert!(finisher.join().unwrap());
        assert!(!first_promise.complete(Ok(1)));
    });
}

#[test]
fn push_to_as_completed_against_finish() {
    check(5, || {
        let (first_promise, first) = promise();
        let (second_promise, second) = promise();
        let finishers = [(first_promise, 1), (second_promise, 2)]
            .map(|(promise, value)| spawn(move || promise.complete(Ok(value))));
        let mut all = as_completed([first]);
        all.push(second);
        let sum: u32 = all.map(|future| future.result().unwrap()).sum();
        assert_eq!(sum, 3);
        for finisher in finishers {
            finisher.join().unwrap();
        }
    });
}

#[test]
fn unfinished_against_finish() {
    check(5, || {
        let (promise, future) = promise();
        let finisher = spawn(move || promise.complete(Ok(7)));
        let mut unfinished = as_completed([future]).into_unfinished();
        assert_eq!(unfinished.pop().unwrap().result().unwrap(), 7);
        finisher.join().unwrap();
    });
}

#[test]
fn timeout_against_finish() {
    check_choices(5, 1, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let (promise, future) = promise();
        let finisher = spawn(move || promise.complete(Ok(7)));
        match future.result_timeout(LATER) {
            Ok(outcome) => assert_eq!(outcome.unwrap(), 7),
            Err(future) => {
                assert_eq!(expiring & 1, 1, "nothing expired");
                assert_eq!(future.result().unwrap(), 7);
            }
        }
        finisher.join().unwrap();
    });
}

#[test]
fn timeouts_of_wait_and_as_completed_against_finish() {
    check_choices(5, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let (promise, future) = promise();
        let finisher = spawn(move || promise.complete(Ok(7)));
        let waited = wait([&future], LATER, ReturnWhen::AllCompleted);
        assert_eq!(waited.done.len() + waited.not_done.len(), 1);
        let mut all = as_completed([future]);
        match all.next_timeout(LATER) {
            Ok(future) => assert_eq!(future.unwrap().result().unwrap(), 7),
            Err(_) => assert_eq!(all.next().unwrap().result().unwrap(), 7),
        }
        assert!(all.next().is_none());
        finisher.join().unwrap();
    });
}
