//! The right to read the replies of a worker, shared by its monitor and by threads that wait for a reply. A lost wake-up is a deadlock.

use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, Future, ModelExecutor, Outcome};

use crate::checker::{Tally, check, check_choices, spawn};

/// A wait with a time limit does not look. In a model it does not expire.
const LONG: Duration = Duration::from_secs(600);

fn same(number: u8) -> u8 {
    number
}

fn task(executor: &ModelExecutor) -> Future<u8> {
    executor.submit(same, 0)
}

/// Runs `body` with an executor whose worker runs `work`, and whose monitor runs until the worker has ended.
fn with_executor<T: Send + 'static>(
    work: impl FnOnce(&ModelExecutor) -> T + Send + 'static,
    body: impl FnOnce(&ModelExecutor),
) -> T {
    let executor = ModelExecutor::new();
    let (theirs, monitored) = (executor.clone(), executor.clone());
    let worker = spawn(move || work(&theirs));
    let monitor = spawn(move || monitored.monitor());
    executor.wait_for_monitor();
    body(&executor);
    let result = worker.join().unwrap();
    monitor.join().unwrap();
    result
}

fn assert_died(outcome: Outcome<u8>) {
    assert!(matches!(outcome, Err(Error::Abandoned)), "{outcome:?}");
}

/// The reply is there, whichever thread reads it. So is the next one, for which no thread looks, and the one after that.
#[test]
fn a_waiter_against_the_monitor() {
    check_choices(2, 1, |looks| {
        let work = |executor: &ModelExecutor| [(); 2].map(|()| executor.work());
        with_executor(work, |executor| {
            assert_eq!(task(executor).result().unwrap(), 1);
            let next = task(executor);
            assert!(looks == 1 || next.wait_timeout(LONG));
            assert_eq!(next.result().unwrap(), 2);
            executor.exit();
        });
    });
}

/// While a waiter looks, another task is sent, whose answer it leaves to the monitor.
#[test]
fn a_waiter_against_the_answer_to_another_task() {
    check(1, || {
        let work = |executor: &ModelExecutor| [(); 2].map(|()| executor.work());
        with_executor(work, |executor| {
            let first = task(executor);
            let theirs = executor.clone();
            let other = spawn(move || {
                let other = task(&theirs);
                assert!(other.wait_timeout(LONG));
                other.result().unwrap()
            });
            assert_eq!(first.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 2);
            executor.exit();
        });
    });
}

/// Two wait for two tasks. One of them looks at most.
#[test]
fn a_waiter_against_another_waiter() {
    check(1, || {
        let work = |executor: &ModelExecutor| [(); 2].map(|()| executor.work());
        with_executor(work, |executor| {
            let first = task(executor);
            let theirs = executor.clone();
            let other = spawn(move || task(&theirs).result().unwrap());
            assert_eq!(first.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 2);
            executor.exit();
        });
    });
}

#[test]
fn two_waiters_for_one_task() {
    check(1, || {
        with_executor(ModelExecutor::work, |executor| {
            let future = task(executor).share();
            let theirs = future.clone();
            let other = spawn(move || *theirs.result().unwrap());
            assert_eq!(*future.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 1);
            executor.exit();
        });
    });
}

#[test]
fn a_waiter_against_cancel() {
    check(1, || {
        let cancels = Tally::default();
        let count = cancels.clone();
        let worked = with_executor(ModelExecutor::work, move |executor| {
            let future = task(executor).share();
            let theirs = future.clone();
            let other = spawn(move || theirs.cancel());
            let outcome = future.result();
            if other.join().unwrap() {
                count.add();
                assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
            } else {
                assert_eq!(*outcome.unwrap(), 1);
            }
            executor.exit();
        });
        assert_ne!(worked, cancels.count() == 1, "the task has run, or was taken back");
    });
}

/// To abort what runs is the end of its worker, which may be in the middle of its answer.
#[test]
fn a_waiter_against_abort() {
    check(1, || {
        with_executor(ModelExecutor::work, |executor| {
            let future = task(executor).share();
            let theirs = future.clone();
            let other = spawn(move || theirs.abort());
            let outcome = future.result();
            match other.join().unwrap() {
                true => assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}"),
                false => assert_eq!(*outcome.unwrap(), 1),
            }
            executor.exit();
        });
    });
}

/// The monitor keeps the time of a task also while a waiter looks.
#[test]
fn a_waiter_against_a_time_limit() {
    check(2, || {
        with_executor(ModelExecutor::work, |executor| {
            let future = task(executor);
            executor.expire();
            let outcome = future.result();
            assert!(matches!(outcome, Ok(1) | Err(Error::TimeLimit(_))), "{outcome:?}");
            executor.exit();
        });
    });
}

/// A reply counts if its worker ends after it. A worker that ends before its reply keeps no thread waiting.
#[test]
fn a_waiter_against_the_end_of_the_worker() {
    check_choices(2, 1, |answers| {
        let work = move |executor: &ModelExecutor| {
            if answers == 1 {
                executor.work();
            } else {
                executor.start();
            }
            executor.exit();
        };
        with_executor(work, |executor| {
            let outcome = task(executor).result();
            match answers {
                1 => assert_eq!(outcome.unwrap(), 1),
                _ => assert_died(outcome),
            }
        });
    });
}

/// The pool has not ended before a waiter has completed what it has read.
#[test]
fn join_against_a_waiter() {
    check(2, || {
        let work = |executor: &ModelExecutor| {
            executor.work();
            executor.exit();
        };
        with_executor(work, |executor| {
            let future = task(executor);
            let theirs = executor.clone();
            let other = spawn(move || {
                assert!(theirs.join(None));
                theirs.completed()
            });
            assert_eq!(future.result().unwrap(), 1);
            assert_eq!(other.join().unwrap(), 1, "the join returns before the task has ended");
        });
    });
}

/// Where there are callbacks the monitor is to run them, and the waiter leaves what there is to it.
#[test]
fn a_waiter_against_a_callback() {
    check(1, || {
        let called = Tally::default();
        let call = called.clone();
        with_executor(ModelExecutor::work, move |executor| {
            let future = task(executor).share();
            let theirs = future.clone();
            let adds = spawn(move || theirs.add_done_callback(move |outcome| outcome.iter().for_each(|_| call.add())));
            assert_eq!(*future.result().unwrap(), 1);
            adds.join().unwrap();
            executor.exit();
        });
        assert_eq!(called.count(), 1);
    });
}
