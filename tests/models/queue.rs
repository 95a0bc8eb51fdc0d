//! The queue of the thread pool: which workers sleep, wake, start and leave.

use std::panic::resume_unwind;
use std::sync::Arc;

use concurrent_futures::{Backend as _, Choices, Error, ThreadPoolExecutor};

use crate::checker::{Event, LATER, Tally, check, check_choices, holding, occupy, spawn};

fn two_meet(pool: &ThreadPoolExecutor) {
    let (first, second) = (Event::new(), Event::new());
    let futures = [pool.spawn(holding(&first, &second)), pool.spawn(holding(&second, &first))];
    for future in futures {
        future.result().unwrap();
    }
}

#[test]
fn push_against_going_to_sleep() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn two_pushes_against_going_to_sleep() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        pool.spawn(|| ()).result().unwrap();
        let futures = [pool.spawn(|| 1), pool.spawn(|| 2)];
        assert_eq!(futures.map(|future| future.result().unwrap()), [1, 2]);
    });
}

#[test]
fn two_clients_and_one_worker() {
    check(3, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result().unwrap());
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
        assert_eq!(client.join().unwrap(), 1);
    });
}

#[test]
fn two_tasks_that_meet() {
    check(3, || two_meet(&ThreadPoolExecutor::new(2)));
}

#[test]
fn two_tasks_that_meet_of_a_pool_for_more() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(3);
        two_meet(&pool);
        assert_eq!(pool.stats().workers, 2, "one worker for each task");
    });
}

#[test]
fn two_tasks_that_meet_after_sleep() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        two_meet(&pool);
        two_meet(&pool);
    });
}

#[test]
fn two_tasks_that_meet_from_two_clients() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let (first, second) = (Event::new(), Event::new());
        let (client, task) = (Arc::clone(&pool), holding(&first, &second));
        let client = spawn(move || client.spawn(task).result().unwrap());
        pool.spawn(holding(&second, &first)).result().unwrap();
        client.join().unwrap();
    });
}

#[test]
fn expiry_against_push() {
    check_choices(3, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::builder().max_workers(1).keep_alive(LATER).build().unwrap();
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn expiry_against_two_tasks_that_meet() {
    check_choices(2, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::builder().max_workers(2).keep_alive(LATER).build().unwrap();
        pool.spawn(|| ()).result().unwrap();
        two_meet(&pool);
    });
}

#[test]
fn failed_start_against_push() {
    check_choices(3, 2, |failing| {
        Choices { failing, ..Choices::default() }.make();
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let client = Arc::clone(&pool);
        let ended = Tally::default();
        let counted = ended.counted();
        let client = spawn(move || {
            let outcome = client.spawn(move || drop(counted)).result();
            assert!(matches!(outcome, Ok(()) | Err(Error::Broken(_))), "{outcome:?}");
            outcome.is_ok()
        });
        let outcome = pool.spawn(|| ()).result();
        assert!(matches!(outcome, Ok(()) | Err(Error::Broken(_))), "{outcome:?}");
        let both = client.join().unwrap() && outcome.is_ok();
        assert!(both || failing > 0);
        assert_eq!(ended.count(), 1);
        if failing < 2 {
            // The next start succeeds.
            assert_eq!(pool.spawn(|| 3).result().unwrap(), 3);
        }
    });
}

#[test]
fn failed_start_of_a_second_worker() {
    check(3, || {
        Choices { failing: 0b10, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::new(2);
        let futures = [pool.spawn(|| 1), pool.spawn(|| 2)];
        assert_eq!(futures.map(|future| future.result().unwrap()), [1, 2], "the first worker runs both");
    });
}

/// The worker that goes starts another one for what came meanwhile, or tries to.
#[test]
fn expiry_against_a_failed_start() {
    check(3, || {
        Choices { expiring: 1, failing: 0b10, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::builder().max_workers(1).keep_alive(LATER).build().unwrap();
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        let outcome = pool.spawn(|| 2).result();
        assert!(matches!(outcome, Ok(2) | Err(Error::Broken(_))), "{outcome:?}");
        assert!(matches!(pool.spawn(|| 3).result(), Ok(3) | Err(Error::Broken(_))));
        assert_eq!(pool.stats().pending, 0);
    });
}

/// What was queued for a worker that does not come is refused, and may be cancelled at the same time.
#[test]
fn failed_start_against_cancel() {
    check(3, || {
        Choices { failing: 1, ..Choices::default() }.make();
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result());
        let dropped = Tally::default();
        let counted = dropped.counted();
        let future = pool.spawn(move || drop(counted));
        let cancelled = future.cancel();
        let outcome = future.result();
        assert_eq!(matches!(outcome, Err(Error::Cancelled)), cancelled);
        assert!(matches!(outcome, Ok(()) | Err(Error::Cancelled | Error::Broken(_))), "{outcome:?}");
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(1) | Err(Error::Broken(_))), "{outcome:?}");
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
        assert_eq!((pool.stats().pending, dropped.count()), (0, 1));
    });
}

#[test]
fn cancel_against_pop() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let (ran, dropped) = (Tally::default(), Tally::default());
        let (run, counted) = (ran.clone(), dropped.counted());
        let future = pool.spawn(move || {
            let _counted = counted;
            run.add();
        });
        let cancelled = future.cancel();
        assert_eq!(future.result().is_err(), cancelled);
        drop(pool);
        assert_eq!(ran.count(), usize::from(!cancelled), "cancelled: it never runs");
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn abort_against_finish() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let dropped = Tally::default();
        let counted = dropped.counted();
        let future = pool.spawn(move || counted);
        let aborted = future.abort();
        let outcome = future.result();
        assert_eq!(outcome.is_err(), aborted);
        drop(outcome);
        drop(pool);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn panic_against_abort() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let dropped = Tally::default();
        let counted = dropped.counted();
        // Resumed, not raised: the hook would print it for every schedule.
        let future = pool.spawn(move || -> u8 { resume_unwind(Box::new(counted)) });
        let aborted = future.abort();
        match future.result().unwrap_err() {
            Error::Cancelled => assert!(aborted),
            error => assert!(!aborted && matches!(error, Error::Panicked(_)), "{error:?}"),
        }
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2, "the worker goes on");
        drop(pool);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn drop_of_the_handle_against_run() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let dropped = Tally::default();
        let counted = dropped.counted();
        pool.spawn(move || counted).detach();
        drop(pool);
        assert_eq!(dropped.count(), 1);
    });
}

fn bounded() -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap())
}

#[test]
fn blocked_submitter_against_start() {
    check(2, || {
        let pool = bounded();
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result().unwrap());
        let futures = [pool.spawn(|| 2), pool.spawn(|| 3)];
        assert_eq!(futures.map(|future| future.result().unwrap()), [2, 3]);
        assert_eq!(client.join().unwrap(), 1);
    });
}

#[test]
fn blocked_submitter_against_cancel() {
    check(3, || {
        let pool = bounded();
        let (gate, _) = occupy(&pool);
        let queued = pool.spawn(|| 1);
        let (client, submitted) = (Arc::clone(&pool), Event::new());
        let after = submitted.clone();
        let client = spawn(move || {
            let future = client.spawn(|| 2);
            after.set();
            future.result().unwrap()
        });
        assert!(queued.cancel());
        submitted.wait();
        gate.set();
        assert_eq!(client.join().unwrap(), 2);
    });
}

#[test]
fn blocked_submitter_against_close() {
    check(3, || {
        let pool = bounded();
        let (gate, _) = occupy(&pool);
        let queued = pool.spawn(|| 1);
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 2).result());
        pool.close();
        assert!(matches!(client.join().unwrap(), Err(Error::ShutDown)));
        gate.set();
        assert_eq!(queued.result().unwrap(), 1);
    });
}

/// There is room then, but not for what comes late.
#[test]
fn blocked_submitter_against_shutdown_now() {
    check(3, || {
        let pool = bounded();
        let (gate, _) = occupy(&pool);
        let queued = pool.spawn(|| 1);
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 2).result());
        pool.close();
        assert_eq!(pool.cancel_pending(), 1);
        gate.set();
        assert!(matches!(client.join().unwrap(), Err(Error::ShutDown)));
        assert!(queued.is_cancelled());
    });
}

#[test]
fn blocked_submitter_against_a_failed_start() {
    check(3, || {
        Choices { failing: 1, ..Choices::default() }.make();
        let pool = bounded();
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result());
        let outcome = pool.spawn(|| 2).result();
        assert!(matches!(outcome, Ok(2) | Err(Error::Broken(_))), "{outcome:?}");
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(1) | Err(Error::Broken(_))), "{outcome:?}");
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn two_blocked_submitters_against_cancel_and_start() {
    check(2, || {
        let pool = bounded();
        let (gate, _) = occupy(&pool);
        let queued = pool.spawn(|| 0);
        let clients: Vec<_> = (1..=2)
            .map(|value| {
                let client = Arc::clone(&pool);
                spawn(move || client.spawn(move || value).result().unwrap())
            })
            .collect();
        assert!(queued.cancel());
        gate.set();
        let values: Vec<i32> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(values, [1, 2]);
    });
}
