//! How an executor ends: close, join, a drop in its own task, an initializer that panics.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{
    Backend as _, Choices, Error, Executor as _, TaskOptions, ThreadPoolExecutor, as_completed, task,
};

use crate::checker::{Event, Tally, check, check_choices, spawn};

fn shared_pool(workers: usize) -> (Arc<ThreadPoolExecutor>, Arc<ThreadPoolExecutor>) {
    let pool = Arc::new(ThreadPoolExecutor::new(workers));
    (Arc::clone(&pool), pool)
}

#[test]
fn close_against_push() {
    check(3, || {
        let (client, pool) = shared_pool(1);
        let client = spawn(move || client.spawn(|| 1).result());
        pool.close();
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(1) | Err(Error::ShutDown)), "{outcome:?}");
        assert!(matches!(pool.spawn(|| 2).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn close_against_going_to_sleep() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        pool.spawn(|| ()).result().unwrap();
        pool.close();
        assert!(pool.join(None));
        assert_eq!(pool.stats().workers, 0);
    });
}

#[test]
fn close_against_two_sleepers() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let futures = [pool.spawn(|| 1), pool.spawn(|| 2)];
        assert_eq!(futures.map(|future| future.result().unwrap()), [1, 2]);
    });
}

/// A sleeper that was woken for a task runs it first.
#[test]
fn close_against_a_wake() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        pool.spawn(|| ()).result().unwrap();
        let future = pool.spawn(|| 1);
        pool.shutdown();
        assert_eq!(pool.stats().workers, 0);
        assert_eq!(future.result().unwrap(), 1);
    });
}

/// While a task runs that may submit more, no worker leaves: no third thread is needed, and none can be started.
#[test]
fn close_against_a_sleeper_that_is_needed() {
    check(2, || {
        Choices { failing: !0b11, ..Choices::default() }.make();
        let (inside, pool) = shared_pool(2);
        pool.spawn(|| ()).detach();
        let outer = pool.spawn(move || as_completed([inside.spawn(|| 1)]).next().unwrap().result().unwrap());
        pool.close();
        assert_eq!(outer.result().unwrap(), 1);
    });
}

#[test]
fn close_against_expiry() {
    check_choices(3, 1, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::builder().max_workers(1).keep_alive(Duration::from_secs(1000)).build().unwrap();
        pool.spawn(|| ()).result().unwrap();
        pool.shutdown();
        assert_eq!(pool.stats().workers, 0);
    });
}

#[test]
fn close_against_a_failed_start() {
    check(3, || {
        Choices { failing: 1, ..Choices::default() }.make();
        let (client, pool) = shared_pool(1);
        let client = spawn(move || client.spawn(|| 1).result());
        pool.shutdown();
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Err(Error::Broken(_) | Error::ShutDown)), "{outcome:?}");
        assert_eq!(pool.stats().workers, 0);
    });
}

/// The timer is started first, and has to end even if no worker is started that would end it.
#[test]
fn close_against_push_with_a_time_limit() {
    check_choices(2, 2, |failing| {
        Choices { failing, ..Choices::default() }.make();
        let (client, pool) = shared_pool(1);
        let client = spawn(move || {
            let limited = client.with(TaskOptions::new().time_limit(Duration::from_secs(1000)));
            limited.spawn(|| 1).result()
        });
        pool.shutdown();
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(1) | Err(Error::ShutDown | Error::Broken(_))), "{outcome:?}");
        assert!(failing > 0 || !matches!(outcome, Err(Error::Broken(_))), "{outcome:?}");
    });
}

#[test]
fn close_against_nested_result() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || inside.spawn(|| 1).result().unwrap());
        pool.shutdown();
        assert_eq!(outer.result().unwrap(), 1, "an accepted task may still submit");
    });
}

#[test]
fn close_against_nested_push() {
    check(3, || {
        let (inside, pool) = shared_pool(2);
        let ran = Tally::default();
        let run = ran.clone();
        pool.spawn(move || inside.spawn(move || run.add()).detach()).detach();
        pool.shutdown();
        assert_eq!(ran.count(), 1, "the workers ended after it");
    });
}

#[test]
fn two_shutdowns() {
    check(3, || {
        let (other, pool) = shared_pool(1);
        let ran = Tally::default();
        let run = ran.clone();
        pool.spawn(move || run.add()).detach();
        let seen = ran.clone();
        let other = spawn(move || {
            other.shutdown();
            assert_eq!(seen.count(), 1);
        });
        pool.shutdown();
        assert_eq!(ran.count(), 1);
        other.join().unwrap();
    });
}

#[test]
fn join_against_the_last_of_two_workers() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(2);
        let dropped = Tally::default();
        for _ in 0..2 {
            let counted = dropped.counted();
            pool.spawn(move || counted).detach();
        }
        drop(pool);
        assert_eq!(dropped.count(), 2, "nothing is left behind");
    });
}

#[test]
fn shutdown_now_against_running() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let ran = Tally::default();
        let futures = [(), ()].map(|()| {
            let run = ran.clone();
            pool.spawn(move || run.add())
        });
        pool.shutdown_now();
        assert!(futures.iter().all(concurrent_futures::Future::is_done));
        let finished = futures.into_iter().filter(|future| !future.is_cancelled()).count();
        assert_eq!(ran.count(), finished);
    });
}

#[test]
fn shutdown_now_against_push() {
    check(3, || {
        let (client, pool) = shared_pool(1);
        let client = spawn(move || client.spawn(|| 1).result());
        pool.shutdown_now();
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(1) | Err(Error::ShutDown | Error::Cancelled)), "{outcome:?}");
    });
}

#[test]
fn shutdown_now_against_nested_push() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let (ran, dropped) = (Tally::default(), Tally::default());
        let (run, counted) = (ran.clone(), dropped.counted());
        let outer = pool.spawn(move || {
            let inner = inside.spawn(move || {
                let _counted = counted;
                run.add();
            });
            inner.detach();
        });
        pool.shutdown_now();
        assert!(outer.is_done());
        assert!(ran.count() <= 1);
        assert_eq!(dropped.count(), 1, "run or not, it has ended");
    });
}

#[test]
fn shutdown_now_against_drop_of_the_handle() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let (ran, dropped) = (Tally::default(), Tally::default());
        let (run, counted) = (ran.clone(), dropped.counted());
        let future = pool.spawn(move || {
            run.add();
            counted
        });
        let dropper = spawn(move || drop(future));
        pool.shutdown_now();
        dropper.join().unwrap();
        assert!(ran.count() <= 1);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn broken_against_push() {
    check(3, || {
        // Resumed, not raised: the hook would print it for every schedule.
        let initializer = || resume_unwind(Box::new("no lamp"));
        let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
        let pool = Arc::new(pool);
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result());
        for _ in 0..2 {
            assert!(matches!(pool.spawn(|| 2).result(), Err(Error::Broken(_))));
        }
        assert!(matches!(client.join().unwrap(), Err(Error::Broken(_))));
    });
}

#[test]
fn broken_against_push_with_two_workers() {
    check(3, || {
        let initializer = || resume_unwind(Box::new("no lamp"));
        let pool = ThreadPoolExecutor::builder().max_workers(2).initializer(initializer).build().unwrap();
        for future in [pool.spawn(|| 1), pool.spawn(|| 2)] {
            assert!(matches!(future.result(), Err(Error::Broken(_))));
        }
    });
}

#[test]
fn broken_against_a_blocked_submitter() {
    check(3, || {
        let initializer = || resume_unwind(Box::new("no lamp"));
        let builder = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).initializer(initializer);
        let pool = builder.build().unwrap();
        for future in [pool.spawn(|| 1), pool.spawn(|| 2)] {
            assert!(matches!(future.result(), Err(Error::Broken(_))));
        }
    });
}

pub(crate) fn broken_by_the_second_worker() -> ThreadPoolExecutor {
    let begun = Tally::default();
    let initializer = move || {
        begun.add();
        if begun.count() == 2 {
            // Resumed, not raised: the hook would print it for every schedule.
            resume_unwind(Box::new("no second lamp"));
        }
    };
    ThreadPoolExecutor::builder().max_workers(2).initializer(initializer).build().unwrap()
}

/// One worker sleeps, or is woken, when the other one breaks the pool.
#[test]
fn broken_against_a_sleeper() {
    check(2, || {
        let pool = broken_by_the_second_worker();
        for future in [pool.spawn(|| ()), pool.spawn(|| ()), pool.spawn(|| ())] {
            assert!(matches!(future.result(), Ok(()) | Err(Error::Broken(_))));
        }
    });
}

#[test]
fn broken_against_close() {
    check_choices(3, 1, |now| {
        let initializer = || resume_unwind(Box::new("no lamp"));
        let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
        let future = pool.spawn(|| 1);
        match now {
            0 => pool.shutdown(),
            _ => pool.shutdown_now(),
        }
        assert_eq!(pool.stats().workers, 0);
        let outcome = future.result();
        assert!(matches!(outcome, Err(Error::Broken(_))) || now == 1 && matches!(outcome, Err(Error::Cancelled)));
    });
}

#[test]
fn drop_in_its_own_task() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let future = pool.spawn(move || drop(inside));
        drop(pool);
        // The task and the worker end, whichever thread drops the last handle.
        future.result().unwrap();
    });
}

/// Who sleeps meanwhile goes as well.
#[test]
fn drop_in_its_own_task_against_a_sleeper() {
    check(2, || {
        let (inside, pool) = shared_pool(2);
        let first = pool.spawn(|| 1);
        let second = pool.spawn(move || drop(inside));
        drop(pool);
        assert_eq!(first.result().unwrap(), 1);
        second.result().unwrap();
    });
}

#[test]
fn drop_in_its_own_callback() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let future = pool.spawn(|| 1);
        future.add_done_callback(move |_| drop(inside));
        drop(pool);
        assert_eq!(future.result().unwrap(), 1);
    });
}

#[test]
fn detach_against_queued_tasks() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let futures = [pool.spawn(|| 1), pool.spawn(|| 2)];
        pool.detach();
        assert_eq!(futures.map(|future| future.result().unwrap()), [1, 2]);
    });
}

#[test]
fn time_limit_against_finish() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        // Over before the timer thread looks.
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let dropped = Tally::default();
        let counted = dropped.counted();
        let outcome = limited.spawn(move || counted).result();
        assert!(matches!(outcome, Ok(_) | Err(Error::TimeLimit(_))));
        drop(outcome);
        drop(pool);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn time_limit_against_abort() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let dropped = Tally::default();
        let counted = dropped.counted();
        let future = limited.spawn(move || counted);
        let aborted = future.abort();
        let outcome = future.result();
        assert_eq!(matches!(outcome, Err(Error::Cancelled)), aborted);
        assert!(matches!(outcome, Ok(_) | Err(Error::Cancelled | Error::TimeLimit(_))));
        drop(outcome);
        drop(pool);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn time_limit_against_callback_and_drop_of_the_handle() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let (called, dropped) = (Tally::default(), Tally::default());
        let (call, counted) = (called.clone(), dropped.counted());
        let future = limited.spawn(move || counted);
        future.add_done_callback(move |outcome| {
            assert!(matches!(outcome, Ok(_) | Err(Error::TimeLimit(_))));
            call.add();
        });
        drop(future);
        drop(pool);
        assert_eq!((called.count(), dropped.count()), (1, 1));
    });
}

/// What the end of one runs may take until the other one is over. Both are ended on threads of their own, which the end of the pool
/// waits for.
#[test]
fn time_limit_against_a_callback_of_another() {
    check(1, || {
        let pool = ThreadPoolExecutor::new(1);
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let [begin, is_over, go_on, other_is_over] = [(); 4].map(|()| Event::new());
        let called = Tally::default();
        let may_begin = begin.clone();
        pool.spawn(move || may_begin.wait()).detach();
        let may_go_on = go_on.clone();
        let first = limited.spawn(move || may_go_on.wait());
        let (call, says, waits_for) = (called.clone(), is_over.clone(), other_is_over.clone());
        first.add_done_callback(move |_| {
            says.set();
            waits_for.wait();
            call.add();
        });
        begin.set();
        is_over.wait();
        let may_end = other_is_over.clone();
        let second = limited.spawn(move || may_end.wait());
        go_on.set();
        assert!(matches!(second.result(), Err(Error::TimeLimit(_))), "while the other one's callback runs");
        other_is_over.set();
        pool.close();
        assert!(pool.join(Some(Duration::from_secs(1000))));
        assert_eq!(called.count(), 1);
    });
}

/// The timer ends it, if no other thread can be started.
#[test]
fn time_limit_if_no_thread_can_be_started() {
    check(2, || {
        Choices { failing: 0b100, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::new(1);
        let gate = Event::new();
        let opened = gate.clone();
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let future = limited.spawn(move || opened.wait());
        assert!(matches!(future.result(), Err(Error::TimeLimit(_))));
        gate.set();
    });
}

#[test]
fn time_limit_against_a_task_that_checks_for_it() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let gate = Event::new();
        let opened = gate.clone();
        let future = limited.spawn(move || {
            opened.wait();
            assert!(task::current().unwrap().is_aborted());
        });
        assert!(matches!(future.result(), Err(Error::TimeLimit(_))), "done at once, while the task runs");
        gate.set();
    });
}
