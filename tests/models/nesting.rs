//! Tasks that wait for tasks of their own executor: claims and spare workers.

use std::panic::resume_unwind;
use std::sync::Arc;

use concurrent_futures::{
    Backend as _, Choices, Error, Executor as _, ReturnWhen, SharedFuture, ThreadPoolExecutor, as_completed, wait,
};

use crate::checker::{Channel, Event, LATER, Tally, block_on, check, check_choices, spawn};

fn shared_pool(workers: usize) -> (Arc<ThreadPoolExecutor>, Arc<ThreadPoolExecutor>) {
    let pool = Arc::new(ThreadPoolExecutor::new(workers));
    (Arc::clone(&pool), pool)
}

/// A pool whose second worker breaks it.
fn with_a_bad_second_worker(workers: usize) -> ThreadPoolExecutor {
    let begun = Tally::default();
    let initializer = move || {
        begun.add();
        if begun.count() == 2 {
            // Resumed, not raised: the hook would print it for every schedule.
            resume_unwind(Box::new("no second lamp"));
        }
    };
    ThreadPoolExecutor::builder().max_workers(workers).initializer(initializer).build().unwrap()
}

#[test]
fn nested_result_on_one_worker() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || inside.spawn(|| 1).result().unwrap() + 1);
        assert_eq!(outer.result().unwrap(), 2);
    });
}

/// Which of two levels are not run where they are waited for, because too little of the stack is left there.
#[test]
fn levels_on_stacks_that_are_nearly_used_up() {
    check_choices(2, 2, |cramped| {
        Choices { cramped, ..Choices::default() }.make();
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let deeper = Arc::clone(&inside);
            let inner = inside.spawn(move || deeper.spawn(|| 1).result().unwrap() + 1);
            inner.result().unwrap() + 1
        });
        assert_eq!(pool.spawn(|| 4).result().unwrap(), 4);
        assert_eq!(outer.result().unwrap(), 3);
        assert_eq!(pool.stats().pending, 0);
    });
}

/// What a worker cannot run itself is hastened while another thread takes it, or gives it up.
#[test]
fn hasten_against_pop_and_cancel() {
    check_choices(2, 1, |cramped| {
        Choices { cramped, ..Choices::default() }.make();
        let (inside, pool) = shared_pool(1);
        let channel = Channel::new();
        let give = channel.clone();
        let outer = pool.spawn(move || {
            let inner = Arc::new(inside.spawn(|| ()));
            give.put(Arc::clone(&inner));
            inner.wait();
            inner.is_done()
        });
        let inner: Arc<concurrent_futures::Future<()>> = channel.take();
        inner.cancel();
        assert!(outer.result().unwrap());
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        assert_eq!(pool.stats().pending, 0);
    });
}

/// A task is hastened by one worker and claimed by another one.
#[test]
fn hasten_against_claim() {
    check(2, || {
        let (inside, pool) = shared_pool(2);
        let ran = Tally::default();
        let run = ran.adding();
        let outer = pool.spawn(move || {
            let channel = Channel::new();
            let taken = channel.clone();
            let claiming = inside.spawn(move || {
                let inner: SharedFuture<()> = taken.take();
                inner.wait();
            });
            let inner = inside.spawn(run).share();
            channel.put(inner.clone());
            assert!(inner.wait_timeout(LATER));
            claiming.result().unwrap();
        });
        outer.result().unwrap();
        assert_eq!(ran.count(), 1);
        assert_eq!(pool.stats().pending, 0);
    });
}

/// What a worker has hastened runs, or is cancelled, and its second entry keeps nothing going.
#[test]
fn hasten_against_shutdown_now() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || as_completed([inside.spawn(|| 1)]).next().unwrap().result());
        pool.shutdown_now();
        match outer.result() {
            Ok(inner) => assert!(matches!(inner, Ok(1) | Err(Error::Cancelled | Error::ShutDown)), "{inner:?}"),
            Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
        }
        assert_eq!((pool.stats().pending, pool.stats().workers), (0, 0));
    });
}

/// A task before it in the queue needs what a worker waits for, which the pool cannot know.
#[test]
fn what_is_hastened_runs_before_the_first_in_the_queue() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let ran = Event::new();
            let happens = ran.clone();
            let before = inside.spawn(move || ran.wait());
            let inner = as_completed([inside.spawn(move || happens.set())]).next().unwrap();
            inner.result().unwrap();
            before
        });
        outer.result().unwrap().result().unwrap();
        assert_eq!(pool.stats().pending, 0);
    });
}

/// No thread can be started for what a worker cannot run itself.
#[test]
fn hasten_where_no_thread_can_be_started() {
    check(3, || {
        Choices { cramped: 1, failing: 0b10, ..Choices::default() }.make();
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || inside.spawn(|| 1).result());
        assert!(matches!(outer.result().unwrap(), Err(Error::Broken(_))));
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn claim_against_pop() {
    check(3, || {
        let (inside, pool) = shared_pool(2);
        let ran = Tally::default();
        let run = ran.clone();
        let outer = pool.spawn(move || {
            let inner = inside.spawn(move || {
                run.add();
                1
            });
            inner.result().unwrap() + 1
        });
        assert_eq!(outer.result().unwrap(), 2);
        assert_eq!(ran.count(), 1);
    });
}

#[test]
fn claim_against_cancel() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let (channel, ran) = (Channel::new(), Tally::default());
        let (given, run) = (channel.clone(), ran.clone());
        let outer = pool.spawn(move || {
            let inner: Arc<concurrent_futures::Future<()>> = given.take();
            inner.wait();
            inner.is_done()
        });
        let inner = Arc::new(pool.spawn(move || run.add()));
        channel.put(Arc::clone(&inner));
        let cancelled = inner.cancel();
        assert!(outer.result().unwrap());
        assert_eq!(inner.is_cancelled(), cancelled);
        assert_eq!(ran.count(), usize::from(!cancelled));
        // A dead entry in the queue blocks no task.
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn claim_against_pop_and_abort() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let (channel, dropped) = (Channel::new(), Tally::default());
        let (given, counted) = (channel.clone(), dropped.counted());
        let outer = pool.spawn(move || {
            let inner: Arc<concurrent_futures::Future<()>> = given.take();
            inner.wait();
        });
        let inner = Arc::new(pool.spawn(move || drop(counted)));
        channel.put(Arc::clone(&inner));
        let aborted = inner.abort();
        outer.result().unwrap();
        assert_eq!(inner.is_cancelled(), aborted);
        drop(pool);
        assert_eq!(dropped.count(), 1);
    });
}

/// The entry of what is claimed is the newest in the queue, or is not any more.
#[test]
fn claim_against_push() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || inside.spawn(|| 1).result().unwrap());
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
        assert_eq!(outer.result().unwrap(), 1);
        assert_eq!(pool.stats().pending, 0);
    });
}

/// A worker that is woken for a task which another one claims goes back to sleep.
#[test]
fn claim_against_a_worker_that_wakes() {
    check(2, || {
        let (inside, pool) = shared_pool(2);
        let outer = pool.spawn(move || [1, 2].map(|n| inside.spawn(move || n).result().unwrap()));
        assert_eq!(outer.result().unwrap(), [1, 2]);
        assert_eq!(pool.spawn(|| 3).result().unwrap(), 3);
    });
}

#[test]
fn two_claims_of_one_task() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let (channels, ran) = ([Channel::new(), Channel::new()], Tally::default());
        let outers = channels.clone().map(|given| {
            pool.spawn(move || {
                let inner: SharedFuture<i32> = given.take();
                *inner.result().unwrap()
            })
        });
        let run = ran.clone();
        let inner = pool.spawn(move || {
            run.add();
            1
        });
        let inner = inner.share();
        for channel in channels {
            channel.put(inner.clone());
        }
        assert_eq!(outers.map(|outer| outer.result().unwrap()), [1, 1]);
        assert_eq!(ran.count(), 1);
    });
}

/// The worker may leave, whichever thread runs the task.
#[test]
fn claim_against_expiry() {
    check_choices(2, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::builder().max_workers(2).keep_alive(LATER).build().unwrap();
        let pool = Arc::new(pool);
        let inside = Arc::clone(&pool);
        let outer = pool.spawn(move || inside.spawn(|| 1).result().unwrap());
        assert_eq!(outer.result().unwrap(), 1);
    });
}

/// A worker that breaks the pool refuses what another one claims.
#[test]
fn claim_against_breakdown() {
    check(3, || {
        let pool = Arc::new(with_a_bad_second_worker(2));
        let inside = Arc::clone(&pool);
        let outer = pool.spawn(move || inside.spawn(|| 1).result());
        let inner = outer.result().unwrap();
        assert!(matches!(inner, Ok(1) | Err(Error::Broken(_))), "{inner:?}");
    });
}

/// What is taken out of the queue is claimed, or not; nothing new begins.
#[test]
fn claim_against_shutdown_now() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || inside.spawn(|| 1).result());
        pool.shutdown_now();
        match outer.result() {
            Ok(inner) => assert!(matches!(inner, Ok(1) | Err(Error::Cancelled)), "{inner:?}"),
            Err(error) => assert!(matches!(error, Error::Cancelled), "{error:?}"),
        }
        assert_eq!(pool.stats().workers, 0);
    });
}

#[test]
fn claim_makes_room_for_a_blocked_submitter() {
    check(3, || {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap());
        let (channel, busy, submitted) = (Channel::new(), Event::new(), Event::new());
        let (given, begun, go_on) = (channel.clone(), busy.clone(), submitted.clone());
        let outer = pool.spawn(move || {
            begun.set();
            let inner: concurrent_futures::Future<i32> = given.take();
            let value = inner.result().unwrap();
            go_on.wait();
            value
        });
        busy.wait();
        channel.put(pool.spawn(|| 1));
        let client = Arc::clone(&pool);
        let client = spawn(move || {
            let future = client.spawn(|| 2);
            submitted.set();
            future.result().unwrap()
        });
        assert_eq!(outer.result().unwrap(), 1);
        assert_eq!(client.join().unwrap(), 2);
    });
}

#[test]
fn nested_wait_for_all() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let futures = [inside.spawn(|| 1), inside.spawn(|| 2)];
            let waited = wait(futures, None, ReturnWhen::AllCompleted);
            waited.done.into_iter().map(|future| future.result().unwrap()).sum::<i32>()
        });
        assert_eq!(outer.result().unwrap(), 3);
    });
}

#[test]
fn nested_await() {
    check(3, || {
        let (inside, pool) = shared_pool(2);
        let outer = pool.spawn(move || block_on(inside.spawn(|| 1)).unwrap());
        assert_eq!(outer.result().unwrap(), 1);
    });
}

#[test]
fn spare_worker_for_as_completed() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let futures = [inside.spawn(|| 1), inside.spawn(|| 2)];
            as_completed(futures).map(|future| future.result().unwrap()).sum::<i32>()
        });
        assert_eq!(outer.result().unwrap(), 3);
        // One of the two has left, or will, and the other is there.
        assert_eq!(pool.spawn(|| 4).result().unwrap(), 4);
    });
}

#[test]
fn spare_worker_for_the_first_completed() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let futures = [inside.spawn(|| 1), inside.spawn(|| 2)];
            wait(&futures, None, ReturnWhen::FirstCompleted).done.len()
        });
        assert!(outer.result().unwrap() >= 1);
    });
}

#[test]
fn spare_worker_for_a_wait_with_timeout() {
    check_choices(3, 1, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || match inside.spawn(|| 1).result_timeout(LATER) {
            Ok(outcome) => outcome.unwrap(),
            Err(inner) => inner.result().unwrap(),
        });
        assert_eq!(outer.result().unwrap(), 1);
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn spare_worker_that_cannot_start() {
    check(3, || {
        // The pool has only blocked workers then: what they wait for is refused.
        Choices { failing: 0b10, ..Choices::default() }.make();
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let first = as_completed([inside.spawn(|| 1)]).next().unwrap();
            first.result().is_err()
        });
        assert!(outer.result().unwrap());
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn spare_worker_whose_initializer_panics() {
    check(3, || {
        let pool = Arc::new(with_a_bad_second_worker(1));
        let inside = Arc::clone(&pool);
        let outer = pool.spawn(move || {
            let first = as_completed([inside.spawn(|| 1)]).next().unwrap();
            matches!(first.result(), Err(Error::Broken(_)))
        });
        assert!(outer.result().unwrap());
    });
}

/// A worker that was started for a task, and waits for it before it looks at the queue, is not on its way there.
#[test]
fn spare_worker_for_an_initializer_that_waits() {
    check(2, || {
        let (channel, first, has_waited) = (Channel::new(), Tally::default(), Event::new());
        let (given, waited) = (channel.clone(), has_waited.clone());
        let initializer = move || {
            first.add();
            if first.count() == 1 {
                let future: concurrent_futures::Future<i32> = given.take();
                assert_eq!(as_completed([future]).next().unwrap().result().unwrap(), 1);
                waited.set();
            }
        };
        let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
        channel.put(pool.spawn(|| 1));
        // No other task calls for a worker before.
        has_waited.wait();
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

/// One too many goes, and looks after what was pushed before it had: another one sleeps.
#[test]
fn spare_worker_that_goes_against_push() {
    check(1, || {
        let (inside, pool) = shared_pool(2);
        let outer = pool.spawn(move || {
            let futures = [inside.spawn(|| 1), inside.spawn(|| 2)];
            let sum: i32 = as_completed(futures).map(|future| future.result().unwrap()).sum();
            let there = Event::new();
            let arrived = there.clone();
            inside.spawn(move || arrived.set()).detach();
            there.wait();
            sum
        });
        assert_eq!(outer.result().unwrap(), 3);
    });
}

#[test]
fn spare_worker_against_expiry() {
    check_choices(2, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::builder().max_workers(1).keep_alive(LATER).build().unwrap();
        let pool = Arc::new(pool);
        let inside = Arc::clone(&pool);
        let outer = pool.spawn(move || as_completed([inside.spawn(|| 1)]).next().unwrap().result().unwrap());
        assert_eq!(outer.result().unwrap(), 1);
        assert_eq!(pool.spawn(|| 2).result().unwrap(), 2);
    });
}

/// The task that needs the spare worker ends, and no other task needs one.
#[test]
fn spare_worker_against_close() {
    check_choices(2, 1, |now| {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || as_completed([inside.spawn(|| 1)]).next().unwrap().result());
        match now {
            0 => pool.shutdown(),
            _ => pool.shutdown_now(),
        }
        match outer.result() {
            Ok(inner) => assert!(matches!(inner, Ok(1)) || now == 1 && matches!(inner, Err(Error::Cancelled))),
            Err(error) => assert!(now == 1 && matches!(error, Error::Cancelled), "{error:?}"),
        }
        assert_eq!(pool.stats().workers, 0);
    });
}

#[test]
fn spare_worker_for_a_promise_kept_by_a_task() {
    check(3, || {
        let (inside, pool) = shared_pool(1);
        let outer = pool.spawn(move || {
            let (promise, future) = concurrent_futures::promise();
            inside.spawn(move || promise.complete(Ok(1))).detach();
            as_completed([future]).next().unwrap().result().unwrap()
        });
        assert_eq!(outer.result().unwrap(), 1);
    });
}

/// Only the spare worker runs something, and its task blocks when the worker it stood in for waits for it.
fn block_on_a_spare_worker(wait_for: impl FnOnce(concurrent_futures::Future<i32>) -> i32 + Send + 'static) {
    let (inside, pool) = shared_pool(1);
    let outer = pool.spawn(move || {
        let first = inside.spawn(|| 1);
        let nested = Arc::clone(&inside);
        let second = inside.spawn(move || as_completed([nested.spawn(|| 2)]).map(|one| one.result().unwrap()).sum());
        let _ = wait([&first, &second], None, ReturnWhen::FirstCompleted);
        wait_for(second)
    });
    assert_eq!(outer.result().unwrap(), 2);
}

#[test]
fn spare_worker_that_blocks_while_its_result_is_awaited() {
    check(2, || block_on_a_spare_worker(|second| second.result().unwrap()));
}

#[test]
fn spare_worker_that_blocks_while_it_is_waited_for() {
    check(2, || {
        block_on_a_spare_worker(|second| {
            let _ = wait([&second], None, ReturnWhen::AllCompleted);
            second.result().unwrap()
        });
    });
}

#[test]
fn spare_worker_that_blocks_while_it_is_polled() {
    check(2, || block_on_a_spare_worker(|second| block_on(second).unwrap()));
}
