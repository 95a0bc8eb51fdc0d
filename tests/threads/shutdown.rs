//! The end of an executor: in every way, from every thread, with everything that is still to do.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, Future, TaskOptions, ThreadPoolExecutor};

use super::support::*;

#[test]
fn shutdown_leaves_no_thread() {
    within(LONG, || {
        let (builder, prefix, ended) = observed(2);
        let (threads, gate) = (builder.build().unwrap(), Gate::default());
        let busy = [occupy_at(&threads, &gate), occupy_at(&threads, &gate)];
        let queued: Vec<_> = (0..50).map(|n| threads.submit(|n: u32| n, n)).collect();
        gate.open();
        threads.shutdown();
        assert_named(&prefix, 0);
        assert!(busy.iter().all(|future| future.is_done()));
        assert!(queued.iter().all(|future| future.is_done()));
        assert_eq!(ended.try_iter().count(), 2);
        for (n, future) in (0..).zip(queued) {
            assert_eq!(future.result().unwrap(), n);
        }
        // Again, and again.
        threads.shutdown();
        threads.shutdown_now();
        assert!(threads.join(Some(Duration::ZERO)));
    });
}

#[test]
fn shutdown_now_cancels_pending_tasks_and_waits_for_running_ones() {
    within(LONG, || {
        let (builder, prefix, _ended) = observed(1);
        let (threads, gate, drops) = (builder.build().unwrap(), Gate::default(), Drops::default());
        let running = occupy_at(&threads, &gate);
        let pending: Vec<_> = (0..20)
            .map(|_| {
                let token = drops.token();
                threads.spawn(move || drop(token))
            })
            .collect();
        let opener = gate.clone();
        // The last of them lets the running one end.
        pending[19].add_done_callback(move |_| opener.open());
        threads.shutdown_now();
        assert!(pending.iter().all(|future| future.is_cancelled()));
        assert_eq!(drops.alive(), 0);
        assert_named(&prefix, 0);
        assert!(running.is_done());
        running.result().unwrap();
    });
}

#[test]
fn submit_after_shutdown_is_refused() {
    within(LONG, || {
        let (threads, drops) = (ThreadPoolExecutor::new(1), Drops::default());
        threads.close();
        let token = drops.token();
        let refused = threads.spawn(move || drop(token));
        assert!(refused.is_done());
        assert_eq!(drops.alive(), 0);
        assert!(matches!(refused.result(), Err(Error::ShutDown)));
        assert!(matches!(Executor::submit(&threads, |n: u8| n, 1).result(), Err(Error::ShutDown)));
        let limited = threads.with(TaskOptions::new().time_limit(LONG));
        assert!(matches!(limited.spawn(|| ()).result(), Err(Error::ShutDown)));
        assert!(threads.map(|n| n, [1, 2]).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
        assert_eq!(threads.map(|n: u8| n, []).count(), 0);
        assert!(threads.join(None));
        assert_eq!(threads.stats().workers, 0);
    });
}

#[test]
fn nested_submits_while_closing_still_run() {
    within(LONG, || {
        let (threads, gate) = (Arc::new(ThreadPoolExecutor::new(2)), Gate::default());
        let (own, hold, (started, wait_for_start), (report, reported)) =
            (Arc::clone(&threads), gate.clone(), channel(), channel());
        threads
            .spawn(move || {
                started.send(()).unwrap();
                hold.pass();
                // Nobody waits for these but the shutdown.
                for n in 0..100 {
                    let (report, inner) = (report.clone(), Arc::clone(&own));
                    own.spawn(move || inner.spawn(move || report.send(n).unwrap()).detach()).detach();
                }
            })
            .detach();
        soon(&wait_for_start);
        threads.close();
        assert!(matches!(threads.spawn(|| ()).result(), Err(Error::ShutDown)));
        gate.open();
        threads.shutdown();
        let mut numbers: Vec<_> = reported.try_iter().collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..100));
    });
}

#[test]
fn a_dropped_executor_leaves_no_thread() {
    within(LONG, || {
        let (builder, prefix, ended) = observed(2);
        let threads = builder.build().unwrap();
        let futures: Vec<_> = (0..100).map(|n| threads.submit(|n: u32| n, n)).collect();
        let limited = threads.with(TaskOptions::new().time_limit(LONG)).spawn(|| 7);
        drop(threads);
        assert_named(&prefix, 0);
        assert!(limited.is_done() && futures.iter().all(|future| future.is_done()));
        assert_nothing_left(&prefix, &ended);
    });
}

#[test]
fn a_drop_while_unwinding_cancels_pending_tasks() {
    within(LONG, || {
        let (gate, drops) = (Gate::default(), Drops::default());
        let mut futures = Vec::new();
        let unwound = panic::catch_unwind(AssertUnwindSafe(|| {
            let threads = ThreadPoolExecutor::new(1);
            let running = occupy_at(&threads, &gate);
            for _ in 0..20 {
                let token = drops.token();
                futures.push(threads.spawn(move || drop(token)));
            }
            let opener = gate.clone();
            futures[19].add_done_callback(move |_| opener.open());
            futures.push(running);
            panic!("out of the block");
        }));
        assert!(unwound.is_err());
        assert_eq!(drops.alive(), 0);
        assert!(futures.pop().unwrap().result().is_ok());
        assert!(futures.iter().all(|future| future.is_cancelled()));
    });
}

#[test]
fn detach_leaves_the_queue_to_the_workers() {
    within(LONG, || {
        let (builder, prefix, ended) = observed(2);
        let (threads, gate) = (builder.build().unwrap(), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let also_busy = occupy_at(&threads, &gate);
        let queued: Vec<_> = (0..50).map(|n| threads.submit(|n: u32| n, n)).collect();
        threads.detach();
        assert!(!busy.is_done());
        gate.open();
        for (n, future) in (0..).zip(queued) {
            assert_eq!(future.result().unwrap(), n);
        }
        busy.result().unwrap();
        also_busy.result().unwrap();
        assert_nothing_left(&prefix, &ended);
    });
}

#[test]
fn detach_of_an_unused_executor_leaves_nothing() {
    let (builder, prefix, ended) = observed(2);
    builder.build().unwrap().detach();
    assert_nothing_left(&prefix, &ended);
}

#[test]
fn two_threads_may_shut_down_at_the_same_time() {
    within(LONG, || {
        for round in 0..200 {
            let (builder, prefix, _ended) = observed(3);
            let threads = Arc::new(builder.build().unwrap());
            let futures: Vec<_> = (0..round % 20).map(|n| threads.submit(|n: u32| n, n)).collect();
            let barrier = Arc::new(Barrier::new(2));
            let enders: Vec<_> = (0..2)
                .map(|who| {
                    let (threads, barrier, prefix) = (Arc::clone(&threads), Arc::clone(&barrier), prefix.clone());
                    thread::spawn(move || {
                        barrier.wait();
                        if (who + round) % 3 == 0 {
                            threads.shutdown_now()
                        } else {
                            threads.shutdown()
                        }
                        // No task runs when a shutdown returns.
                        assert_named(&prefix, 0);
                    })
                })
                .collect();
            for ender in enders {
                ender.join().unwrap();
            }
            assert!(futures.iter().all(|future| future.is_done()));
        }
    });
}

#[test]
fn a_join_with_a_timeout_waits_for_one_worker_after_the_other() {
    within(LONG, || {
        for _ in 0..50 {
            let (threads, gate) = (ThreadPoolExecutor::new(4), Gate::default());
            let busy: Vec<_> = (0..4).map(|_| occupy_at(&threads, &gate)).collect();
            threads.close();
            let opener = thread::spawn(move || gate.open());
            assert!(threads.join(Some(LONG)));
            opener.join().unwrap();
            assert!(busy.iter().all(Future::is_done));
        }
    });
}

#[test]
fn each_shutdown_returns_only_when_the_threads_have_ended() {
    within(LONG, || {
        let (gate, (promise, ended)) = (Gate::default(), thread_ends());
        struct Slow(Gate);
        impl Drop for Slow {
            fn drop(&mut self) {
                self.0.pass();
            }
        }
        thread_local! {
            static SLOW: std::cell::RefCell<Option<Slow>> = const { std::cell::RefCell::new(None) };
        }
        let (hold, (leaving, left)) = (gate.clone(), channel());
        let initializer = move || {
            promise();
            SLOW.set(Some(Slow(hold.clone())));
        };
        let threads = Arc::new(ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap());
        threads.spawn(|| ()).result().unwrap();
        let enders: Vec<_> = (0..3)
            .map(|_| {
                let (threads, leaving) = (Arc::clone(&threads), leaving.clone());
                thread::spawn(move || {
                    threads.shutdown();
                    leaving.send(()).unwrap();
                })
            })
            .collect();
        assert!(left.recv_timeout(Duration::from_millis(50)).is_err(), "a shutdown returned before the end");
        gate.open();
        for ender in enders {
            ender.join().unwrap();
        }
        soon(&ended);
    });
}

#[test]
fn submitters_and_shutdown_at_the_same_time_lose_nothing() {
    within(LONG, || {
        for _ in 0..200 {
            let threads = Arc::new(ThreadPoolExecutor::new(2));
            let barrier = Arc::new(Barrier::new(3));
            let submitters: Vec<_> = (0..2)
                .map(|_| {
                    let (threads, barrier) = (Arc::clone(&threads), Arc::clone(&barrier));
                    thread::spawn(move || {
                        barrier.wait();
                        let limited = threads.with(TaskOptions::new().time_limit(LONG));
                        let futures: Vec<_> = (0..20).map(|_| [threads.spawn(|| ()), limited.spawn(|| ())]).collect();
                        futures.into_iter().flatten().map(|future| future.result()).collect::<Vec<_>>()
                    })
                })
                .collect();
            barrier.wait();
            threads.shutdown();
            let outcomes = submitters.into_iter().flat_map(|submitter| submitter.join().unwrap());
            assert!(outcomes.into_iter().all(|outcome| matches!(outcome, Ok(()) | Err(Error::ShutDown))));
        }
    });
}

#[test]
fn executors_end_independently() {
    within(LONG, || {
        let ((one, one_prefix, _), (two, two_prefix, _)) = (observed(2), observed(2));
        let (one, two) = (one.build().unwrap(), Arc::new(two.build().unwrap()));
        let other = Arc::clone(&two);
        // A task of one waits for a task of the other.
        let across = one.spawn(move || other.spawn(|| 20).result().unwrap() + 1);
        assert_eq!(across.result().unwrap(), 21);
        one.shutdown();
        assert_named(&one_prefix, 0);
        assert!(threads_named(&two_prefix).is_none_or(|count| count > 0));
        assert_eq!(two.spawn(|| 1).result().unwrap(), 1);
        two.shutdown();
        assert_named(&two_prefix, 0);
    });
}

#[test]
fn a_task_may_shut_down_another_executor_and_waits_for_it() {
    within(LONG, || {
        let (one, (builder, prefix, _ended)) = (ThreadPoolExecutor::new(1), observed(2));
        let two = builder.build().unwrap();
        let queued: Vec<_> = (0..10).map(|n| two.submit(|n: u32| n, n)).collect();
        let left = one.spawn(move || {
            two.shutdown();
            assert_named(&prefix, 0);
        });
        left.result().unwrap();
        assert!(queued.iter().all(|future| future.is_done()));
    });
}
