//! The end of a scope: nothing that borrows may be left.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use concurrent_futures::{Backend as _, Error, ThreadPoolExecutor};

use crate::checker::{Event, Tally, check, spawn};

#[test]
fn end_against_the_last_task() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let ended = Tally::default();
        let counted = ended.counted();
        pool.scope(|scope| {
            scope
                .spawn(|| {
                    let _until_the_end = &counted;
                    Event::new().set();
                    ended.add();
                })
                .detach();
        });
        assert_eq!(ended.count(), 1);
    });
}

#[test]
fn end_against_two_workers() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(2);
        let ended = Tally::default();
        pool.scope(|scope| {
            for _ in 0..2 {
                let counted = ended.counted();
                // The unclaimed outcome goes before the scope ends as well.
                scope.spawn(move || counted).detach();
            }
        });
        assert_eq!(ended.count(), 2);
    });
}

#[test]
fn outcome_against_end() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let data = [1, 2, 3];
        let sum = pool.scope(|scope| scope.spawn(|| data.iter().sum::<i32>()).result());
        assert_eq!(sum.unwrap(), 6);
    });
}

#[test]
fn abort_of_a_running_task_against_end() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let (ran, dropped) = (Tally::default(), Tally::default());
        let aborted = pool.scope(|scope| {
            let counted = dropped.counted();
            let run = &ran;
            let future = scope.spawn(move || {
                let _counted = counted;
                Event::new().set();
                run.add();
            });
            future.abort()
        });
        assert_eq!(dropped.count(), 1, "the closure has ended, not only its future");
        assert!(aborted || ran.count() == 1);
    });
}

#[test]
fn cancel_against_end() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let (ran, dropped) = (Tally::default(), Tally::default());
        let cancelled = pool.scope(|scope| {
            let counted = dropped.counted();
            let run = &ran;
            let future = scope.spawn(move || {
                let _counted = counted;
                run.add();
            });
            future.cancel()
        });
        assert_eq!(dropped.count(), 1);
        assert_eq!(ran.count(), usize::from(!cancelled));
    });
}

#[test]
fn panic_of_a_task_against_end() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let dropped = Tally::default();
        pool.scope(|scope| {
            let counted = dropped.counted();
            // Resumed, not raised: the hook would print it for every schedule.
            scope
                .spawn(move || {
                    let _counted = counted;
                    resume_unwind(Box::new("the task"))
                })
                .detach();
        });
        assert_eq!(dropped.count(), 1);
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
    });
}

/// Another thread takes what the scope waits for out of the queue, and drops it.
#[test]
fn cancel_pending_against_end() {
    check(3, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (ran, dropped) = (Tally::default(), Tally::default());
        let other = Arc::clone(&pool);
        let other = spawn(move || other.cancel_pending());
        pool.scope(|scope| {
            let (counted, run) = (dropped.counted(), &ran);
            scope
                .spawn(move || {
                    run.add();
                    drop(counted);
                })
                .detach();
        });
        assert_eq!(dropped.count(), 1);
        assert_eq!(other.join().unwrap() + ran.count(), 1);
    });
}

#[test]
fn broken_against_end() {
    check(3, || {
        let initializer = || resume_unwind(Box::new("no lamp"));
        let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
        let dropped = Tally::default();
        let outcome = pool.scope(|scope| {
            let [first, second] = [dropped.counted(), dropped.counted()];
            scope.spawn(move || drop(first)).detach();
            scope.spawn(move || drop(second)).result()
        });
        assert_eq!(dropped.count(), 2);
        assert!(matches!(outcome, Err(Error::Broken(_))));
    });
}

/// What a task spawns meanwhile is cancelled before it is in the queue, or is run.
#[test]
fn panic_of_the_body_against_spawn_from_a_task() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let dropped = Tally::default();
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|scope| {
                let (first, second) = (dropped.counted(), dropped.counted());
                scope
                    .spawn(move || {
                        scope.spawn(move || drop(second)).detach();
                        drop(first);
                    })
                    .detach();
                resume_unwind(Box::new("the body"))
            })
        }));
        assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "the body");
        assert_eq!(dropped.count(), 2);
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn panic_of_the_body_against_tasks() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let dropped = Tally::default();
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|scope| {
                for _ in 0..2 {
                    let counted = dropped.counted();
                    scope.spawn(move || drop(counted)).detach();
                }
                resume_unwind(Box::new("the body"))
            })
        }));
        assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "the body");
        assert_eq!(dropped.count(), 2, "run or cancelled, but ended");
    });
}

#[test]
fn scope_inside_a_task() {
    check(3, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&pool);
        let outer = pool.spawn(move || {
            let ended = Tally::default();
            inside.scope(|scope| {
                scope.spawn(|| ended.add()).detach();
                scope.spawn(|| ended.add()).detach();
            });
            ended.count()
        });
        assert_eq!(outer.result().unwrap(), 2);
    });
}

/// A task that spawns another one in its scope. How many had ended with that.
fn spawn_from_a_task(pool: &ThreadPoolExecutor) -> usize {
    let ended = Tally::default();
    pool.scope(|scope| {
        let ended = &ended;
        scope
            .spawn(move || {
                scope.spawn(move || ended.add()).detach();
                ended.add();
            })
            .detach();
    });
    ended.count()
}

/// Who waits for the end of the scope claims a task that is not in the queue yet.
#[test]
fn spawn_from_a_task_against_claim_at_the_end() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let inside = Arc::clone(&pool);
        let outer = pool.spawn(move || spawn_from_a_task(&inside));
        assert_eq!(outer.result().unwrap(), 2);
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn spawn_from_a_task_against_end() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        assert_eq!(spawn_from_a_task(&pool), 2);
    });
}
