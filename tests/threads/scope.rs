//! `scope`: tasks that borrow from their caller's stack, all of which have ended when it returns.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, ReturnWhen, Scope, TaskOptions, ThreadPoolExecutor, as_completed, task, wait,
};

use super::support::*;
use crate::support::gate;

#[test]
fn tasks_borrow_and_change_values_outside_the_scope() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(3);
        let words = vec![String::from("IN"), String::from("BR"), String::from("CN")];
        let mut counts = [0; 3];
        let joined = Mutex::new(String::new());
        let total = threads.scope(|scope| {
            for (count, word) in counts.iter_mut().zip(&words) {
                scope.spawn(|| *count = word.len()).detach();
            }
            let lengths: Vec<_> = words.iter().map(|word| scope.spawn(|| word.len())).collect();
            scope.spawn(|| joined.lock().unwrap().push_str(&words.concat())).detach();
            lengths.into_iter().map(|future| future.result().unwrap()).sum::<usize>()
        });
        assert_eq!((total, counts), (6, [2; 3]));
        assert_eq!(joined.into_inner().unwrap(), "INBRCN");
    });
}

#[test]
fn results_may_borrow_from_outside_the_scope() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let words = [String::from("short"), String::from("the longest one")];
        let longest: &str = threads.scope(|scope| {
            let longest = scope.spawn(|| words.iter().max_by_key(|word| word.len()).unwrap().as_str());
            let failed = scope.try_spawn(|| words[0].parse::<u32>());
            assert!(failed.error().unwrap().to_string().contains("invalid digit"));
            longest.result().unwrap()
        });
        assert_eq!(longest, "the longest one");
    });
}

#[test]
fn futures_of_a_scope_work_like_all_others() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let data = [1, 2, 3];
        let borrowed = &data;
        threads.scope(|scope| {
            let squares: Vec<_> = data.iter().map(|n| (n, scope.spawn(move || n * n))).collect();
            for (n, square) in as_completed(squares) {
                assert_eq!(square.result().unwrap(), n * n);
            }
            let waited = wait(data.iter().map(|n| scope.spawn(move || n + 1)), LONG, ReturnWhen::AllCompleted);
            assert_eq!(waited.done.len(), 3);
            let shared = scope.spawn(move || borrowed.iter().sum::<i32>()).share();
            assert_eq!(*shared.clone().result().unwrap(), 6);
            assert_eq!(block_on(async { scope.spawn(move || borrowed.len()).await }).unwrap(), 3);
            assert_eq!(panic_message(scope.spawn(|| -> () { panic!("{}", data[2]) }).result()), "3");
            assert!(scope.spawn(|| task::current().is_some()).result().unwrap());
        });
    });
}

#[test]
fn every_task_has_ended_when_the_scope_returns() {
    within(LONG, || {
        let (threads, ended, drops) = (ThreadPoolExecutor::new(3), AtomicUsize::new(0), Drops::default());
        for round in 1..=200 {
            threads.scope(|scope| {
                for n in 0..10 {
                    let token = drops.token();
                    let future = scope.spawn(|| {
                        thread::yield_now();
                        ended.fetch_add(1, Ordering::SeqCst);
                        token
                    });
                    match n % 4 {
                        0 => drop(future),
                        1 => future.detach(),
                        2 => drop(future.try_result()),
                        _ => drop(future.result()),
                    }
                }
            });
            assert_eq!((ended.load(Ordering::SeqCst), drops.alive()), (10 * round, 0));
        }
    });
}

#[test]
fn scopes_nest() {
    within(LONG, || {
        for workers in [1, 2] {
            let threads = ThreadPoolExecutor::new(workers);
            let outside = AtomicUsize::new(0);
            threads.scope(|outer| {
                let between = AtomicUsize::new(0);
                threads.scope(|inner| {
                    for _ in 0..10 {
                        inner.spawn(|| between.fetch_add(1, Ordering::SeqCst)).detach();
                        outer.spawn(|| outside.fetch_add(1, Ordering::SeqCst)).detach();
                    }
                });
                assert_eq!(between.into_inner(), 10);
            });
            assert_eq!(outside.into_inner(), 10);
        }
    });
}

#[test]
fn tasks_spawn_into_their_own_scope() {
    fn grow<'scope>(scope: &'scope Scope<'scope, '_>, leaves: &'scope AtomicUsize, depth: u32) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::SeqCst);
            return;
        }
        for _ in 0..2 {
            scope.spawn(move || grow(scope, leaves, depth - 1)).detach();
        }
    }
    within(LONG, || {
        for workers in [1, 3] {
            let (threads, leaves) = (ThreadPoolExecutor::new(workers), AtomicUsize::new(0));
            threads.scope(|scope| grow(scope, &leaves, 10));
            assert_eq!(leaves.into_inner(), 1024);
        }
    });
}

#[test]
fn a_panicking_body_cancels_its_tasks_and_waits_for_them() {
    within(LONG, || {
        let (threads, gate, drops) = (ThreadPoolExecutor::new(1), Gate::default(), Drops::default());
        let (running, ran) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (started, wait_for_start) = channel();
        let payload = panic::catch_unwind(AssertUnwindSafe(|| {
            threads.scope(|scope| {
                scope
                    .spawn(|| {
                        running.store(true, Ordering::SeqCst);
                        started.send(()).unwrap();
                        gate.pass();
                        thread::yield_now();
                        running.store(false, Ordering::SeqCst);
                    })
                    .detach();
                for n in 0..10 {
                    let (token, gate) = (drops.token(), gate.clone());
                    let pending = scope.spawn(|| {
                        ran.fetch_add(1, Ordering::SeqCst);
                        drop(token);
                    });
                    // The last one that is cancelled lets the running one end.
                    if n == 9 {
                        pending.add_done_callback(move |_| gate.open());
                    }
                }
                soon(&wait_for_start);
                panic!("the body is torn");
            })
        }))
        .unwrap_err();
        assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "the body is torn");
        assert!(!running.into_inner());
        assert_eq!((ran.into_inner(), drops.alive()), (0, 0));
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn a_task_that_panics_does_not_end_its_scope() {
    within(LONG, || {
        let (threads, drops) = (ThreadPoolExecutor::new(1), Drops::default());
        let value = threads.scope(|scope| {
            let token = drops.token();
            scope
                .spawn(|| {
                    let _captured = token;
                    panic!("inside");
                })
                .detach();
            5
        });
        assert_eq!((value, drops.alive()), (5, 0));
    });
}

#[test]
fn abort_of_a_running_task_does_not_end_the_scope() {
    within(LONG, || {
        let (threads, gate, drops) = (ThreadPoolExecutor::new(1), Gate::default(), Drops::default());
        let mut local = vec![0; 1000];
        let (started, wait_for_start) = channel();
        let returned = Arc::new(AtomicBool::new(false));
        let (seen, opener) = (Arc::clone(&returned), gate.clone());
        let (aborted, wait_for_abort) = channel();
        let other = thread::spawn(move || {
            soon(&wait_for_abort);
            // Some time for a scope that is wrong to return in.
            (0..100).for_each(|_| thread::yield_now());
            let early = seen.load(Ordering::SeqCst);
            opener.open();
            early
        });
        let token = drops.token();
        threads.scope(|scope| {
            let running = scope.spawn(|| {
                started.send(task::current().unwrap()).unwrap();
                gate.pass();
                local.fill(7);
                token
            });
            let context = soon(&wait_for_start);
            assert!(running.abort() && running.is_cancelled() && context.is_aborted());
            assert!(matches!(running.result(), Err(Error::Cancelled)));
            aborted.send(()).unwrap();
        });
        returned.store(true, Ordering::SeqCst);
        assert_eq!(local, [7; 1000]);
        assert_eq!(drops.alive(), 0);
        assert!(!other.join().unwrap(), "the scope returned while its task ran");
    });
}

#[test]
fn cancelled_tasks_are_dropped_before_the_scope_returns() {
    within(LONG, || {
        let (threads, gate, drops) = (ThreadPoolExecutor::new(1), Gate::default(), Drops::default());
        let busy = occupy_at(&threads, &gate);
        threads.scope(|scope| {
            for _ in 0..10 {
                let token = drops.token();
                assert!(scope.spawn(|| drop(token)).cancel());
            }
            let token = drops.token();
            scope.spawn(|| drop(token)).detach();
            assert_eq!(threads.cancel_pending(), 1);
        });
        assert_eq!(drops.alive(), 0);
        gate.open();
        busy.result().unwrap();
    });
}

#[test]
fn a_forgotten_future_does_no_harm() {
    within(LONG, || {
        let (threads, data, ran) = (ThreadPoolExecutor::new(2), vec![1, 2, 3], AtomicUsize::new(0));
        for _ in 0..100 {
            threads.scope(|scope| {
                std::mem::forget(scope.spawn(|| {
                    ran.fetch_add(1, Ordering::SeqCst);
                    &data
                }));
            });
        }
        drop(data);
        assert_eq!(ran.into_inner(), 100);
        threads.shutdown();
    });
}

#[test]
fn a_scope_inside_a_task_runs_on_one_worker() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let own = Arc::clone(&threads);
        let sum = threads.spawn(move || {
            let data: Vec<u64> = (0..100).collect();
            let sum = AtomicUsize::new(0);
            own.scope(|scope| {
                for chunk in data.chunks(10) {
                    let sum = &sum;
                    scope.spawn(move || sum.fetch_add(chunk.iter().sum::<u64>() as usize, Ordering::SeqCst)).detach();
                }
            });
            sum.into_inner()
        });
        assert_eq!(sum.result().unwrap(), 4950);
    });
}

#[test]
fn a_scope_inside_a_task_waits_for_a_blocked_task() {
    within(LONG, || {
        for workers in [1, 2, 3] {
            let threads = Arc::new(ThreadPoolExecutor::new(workers));
            let own = Arc::clone(&threads);
            let done = threads.spawn(move || {
                let done = AtomicUsize::new(0);
                own.scope(|scope| {
                    for _ in 0..20 {
                        let task = || {
                            // Each needs a worker besides the one it is on.
                            let one = own.spawn(|| 1).result_timeout(LONG).unwrap().unwrap();
                            done.fetch_add(one, Ordering::SeqCst);
                        };
                        scope.spawn(task).detach();
                    }
                });
                done.into_inner()
            });
            assert_eq!(done.result().unwrap(), 20);
        }
    });
}

#[test]
fn a_scope_of_another_executor_inside_a_task() {
    within(LONG, || {
        let (one, two) = (ThreadPoolExecutor::new(1), ThreadPoolExecutor::new(1));
        let count = one.spawn(move || {
            let count = AtomicUsize::new(0);
            two.scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| count.fetch_add(1, Ordering::SeqCst)).detach();
                }
            });
            count.into_inner()
        });
        assert_eq!(count.result().unwrap(), 10);
    });
}

#[test]
fn a_scope_on_a_full_queue_waits_for_room() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
        let (gate, count) = (Gate::default(), AtomicUsize::new(0));
        let busy = occupy_at(&threads, &gate);
        let queued = threads.spawn(|| ());
        let opener = thread::spawn(move || gate.open());
        threads.scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| count.fetch_add(1, Ordering::SeqCst)).detach();
            }
        });
        assert_eq!(count.into_inner(), 50);
        opener.join().unwrap();
        queued.result().unwrap();
        busy.result().unwrap();
    });
}

#[test]
fn a_scope_in_a_callback() {
    within(LONG, || {
        let (threads, gate, (report, reported)) = (Arc::new(ThreadPoolExecutor::new(1)), Gate::default(), channel());
        let run = |threads: &ThreadPoolExecutor| {
            let count = AtomicUsize::new(0);
            threads.scope(|scope| {
                for _ in 0..5 {
                    scope.spawn(|| count.fetch_add(1, Ordering::SeqCst)).detach();
                }
            });
            count.into_inner()
        };
        let busy = occupy_at(&threads, &gate);
        let (own, on_worker) = (Arc::clone(&threads), report.clone());
        busy.add_done_callback(move |_| on_worker.send(run(&own)).unwrap());
        gate.open();
        assert_eq!(soon(&reported), 5);
        busy.result().unwrap();
        let own = Arc::clone(&threads);
        threads.spawn(|| ()).add_done_callback(move |_| report.send(run(&own)).unwrap());
        assert_eq!(soon(&reported), 5);
    });
}

#[test]
fn a_scope_on_an_executor_that_was_shut_down() {
    within(LONG, || {
        let (threads, drops) = (ThreadPoolExecutor::new(1), Drops::default());
        threads.shutdown();
        threads.scope(|scope| {
            let token = drops.token();
            let refused = scope.spawn(|| drop(token));
            assert_eq!(drops.alive(), 0);
            assert!(matches!(refused.result(), Err(Error::ShutDown)));
        });
    });
}

#[test]
fn a_scope_while_its_executor_is_closed() {
    within(LONG, || {
        for _ in 0..100 {
            let (threads, count) = (Arc::new(ThreadPoolExecutor::new(2)), AtomicUsize::new(0));
            let other = Arc::clone(&threads);
            let closer = thread::spawn(move || other.shutdown_now());
            let mut came = 0;
            threads.scope(|scope| {
                let futures: Vec<_> = (0..20).map(|_| scope.spawn(|| count.fetch_add(1, Ordering::SeqCst))).collect();
                for future in futures {
                    match future.result() {
                        Ok(_) => came += 1,
                        Err(Error::Cancelled | Error::ShutDown) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
            assert_eq!(count.into_inner(), came);
            closer.join().unwrap();
        }
    });
}

#[test]
fn a_context_may_outlive_its_scope() {
    within(LONG, || {
        let (threads, text) = (ThreadPoolExecutor::new(1), String::from("borrowed"));
        let context = threads.scope(|scope| {
            let length = scope.spawn(|| (task::current().unwrap(), text.len()));
            let (context, length) = length.result().unwrap();
            assert_eq!(length, 8);
            context
        });
        drop(text);
        assert!(!context.is_aborted());
        drop(threads);
        assert!(format!("{context:?}").contains("TaskContext"));
        assert!(thread::spawn(move || context.id()).join().is_ok());
    });
}

#[test]
fn a_scope_of_many_short_tasks_and_waits_with_limits() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let total = AtomicUsize::new(0);
        threads.scope(|scope| {
            for n in 0..5000 {
                let future = scope.spawn(|| total.fetch_add(1, Ordering::SeqCst));
                if n % 100 == 0 {
                    assert!(future.wait_timeout(Duration::MAX));
                }
            }
        });
        assert_eq!(total.into_inner(), 5000);
    });
}

#[test]
fn a_map_borrows_its_items_and_results_and_keeps_their_order() {
    within(LONG, || {
        for workers in [1, 3] {
            let threads = ThreadPoolExecutor::new(workers);
            let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
            let calls = AtomicUsize::new(0);
            for length in [0, 1, 2, 47, 48, 49, 1000] {
                let borrowed: Vec<&str> = threads.scope(|scope| {
                    let map = scope.map(
                        |word: &String| {
                            calls.fetch_add(1, Ordering::SeqCst);
                            word.as_str()
                        },
                        &words[..length],
                    );
                    assert_eq!(map.len(), length);
                    map.map(Result::unwrap).collect()
                });
                assert_eq!(borrowed, words[..length]);
                let unordered = threads.scope(|scope| {
                    let mut all: Vec<_> = scope.map_unordered(|word: &String| word.len(), &words[..length]).collect();
                    all.sort_by_key(|(position, _)| *position);
                    all
                });
                assert_eq!(unordered.len(), length);
                for (at, (position, outcome)) in unordered.into_iter().enumerate() {
                    assert_eq!((position, outcome.unwrap()), (at, words[at].len()));
                }
            }
            assert_eq!(calls.into_inner(), 1147);
        }
    });
}

#[test]
fn a_map_in_a_scope_changes_what_its_items_borrow() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let mut numbers: Vec<u32> = (0..100).collect();
        threads.scope(|scope| scope.map(|n: &mut u32| *n *= 2, &mut numbers).for_each(|outcome| outcome.unwrap()));
        assert!(numbers.into_iter().eq((0..100).map(|n| 2 * n)));
    });
}

#[test]
fn an_item_of_a_map_in_a_scope_fails_alone() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let texts: Vec<String> = (0..100).map(|n| if n % 10 == 3 { "x".into() } else { n.to_string() }).collect();
        let outcomes: Vec<_> =
            threads.scope(|scope| scope.try_map(|text: &String| text.parse::<u32>(), &texts).collect());
        for (n, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(number) => assert_eq!(number, n),
                Err(error) => assert!(matches!(error, Error::Failed(_)) && n % 10 == 3, "{n}: {error}"),
            }
        }
        let outcomes: Vec<_> =
            threads.scope(|scope| scope.map(|n: u32| if n == 7 { panic!("seven") } else { n }, 0..20).collect());
        assert!(matches!(&outcomes[7], Err(Error::Panicked(panicked)) if panicked.message() == "seven"));
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 19);
    });
}

#[test]
fn a_dropped_map_of_a_scope_cancels_what_has_not_started() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        let ran = AtomicUsize::new(0);
        threads.scope(|scope| {
            let map = scope.map(
                |_: u32| {
                    gate.pass();
                    ran.fetch_add(1, Ordering::SeqCst);
                },
                0..1000,
            );
            gate.arrived(1);
            drop(map);
            gate.open();
        });
        assert_eq!(ran.into_inner(), 1, "the item that had started");
        assert_eq!(threads.stats().pending, 0);
    });
}

#[test]
fn a_map_in_a_scope_of_a_closed_executor_yields_the_reason_for_each_item() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        threads.close();
        threads.scope(|scope| {
            assert!(scope.map(|n: u32| n, 0..50).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
            let unordered = scope.map_unordered(|n: u32| n, 0..50);
            assert_eq!(unordered.filter(|(_, outcome)| matches!(outcome, Err(Error::ShutDown))).count(), 50);
        });
    });
}

#[test]
fn a_worker_maps_in_a_scope_of_its_own_executor() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let sum = threads.spawn(move || {
            let numbers: Vec<u64> = (0..100).collect();
            inside.scope(|scope| scope.map(|n: &u64| n * 2, &numbers).map(Result::unwrap).sum::<u64>())
        });
        assert_eq!(sum.result().unwrap(), 9900);
    });
}

#[test]
fn tasks_of_a_scope_have_the_options_that_it_was_opened_with() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap();
        let named = threads.with(TaskOptions::new().name("scoped").refuse_when_full());
        let text = String::from("borrowed");
        let (opener, gate) = gate();
        named.scope(|scope| {
            let failed = scope.spawn(|| panic!("{text}"));
            match failed.result() {
                Err(Error::Panicked(panicked)) => assert_eq!(panicked.task_name(), Some("scoped")),
                other => panic!("{other:?}"),
            }
            let running = scope.spawn(|| gate.pass());
            opener.arrived(1);
            let queued = scope.spawn(|| text.len());
            assert!(matches!(scope.spawn(|| text.len()).result(), Err(Error::Full(_))));
            opener.open();
            assert_eq!((running.result().unwrap(), queued.result().unwrap()), ((), 8));
        });
        let plain = threads.scope(|scope| scope.spawn(|| panic!("{text}")).result());
        assert!(matches!(plain, Err(Error::Panicked(panicked)) if panicked.task_name().is_none()));
    });
}

#[test]
fn a_time_limit_ends_the_future_and_not_the_borrow() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(1)));
        let finished = AtomicUsize::new(0);
        let (opener, gate) = gate();
        limited.scope(|scope| {
            let slow = scope.spawn(|| {
                gate.pass();
                finished.fetch_add(1, Ordering::SeqCst);
            });
            assert!(matches!(slow.result(), Err(Error::TimeLimit(_))));
            assert_eq!(finished.load(Ordering::SeqCst), 0);
            opener.open();
        });
        assert_eq!(finished.into_inner(), 1);
    });
}

#[test]
fn each_item_of_a_map_in_a_scope_has_its_own_time_limit() {
    within(LONG, || {
        let limit = Duration::from_millis(1);
        let of_pool = ThreadPoolExecutor::builder().max_workers(2).time_limit(limit).build().unwrap();
        let threads = ThreadPoolExecutor::new(2);
        let of_options = threads.with(TaskOptions::new().time_limit(limit));
        let items: Vec<usize> = (0..100).collect();
        // Item 50 is held until it has timed out.
        fn search(n: usize, gate: &Gate) -> usize {
            if n == 50 {
                gate.pass();
            }
            n
        }
        fn timed_out(outcomes: impl Iterator<Item = Result<usize, Error>>, gate: &Gate) -> bool {
            let open_after = |(n, outcome)| {
                if n == 50 {
                    gate.open();
                }
                outcome
            };
            let outcomes: Vec<_> = outcomes.enumerate().map(open_after).collect();
            matches!(outcomes[50], Err(Error::TimeLimit(_))) && outcomes.iter().any(Result::is_ok)
        }
        let gate = Gate::default();
        assert!(of_pool.scope(|scope| timed_out(scope.map(|n| search(*n, &gate), &items), &gate)));
        let gate = Gate::default();
        let map = |n: &usize| Ok::<_, Error>(search(*n, &gate));
        assert!(of_options.scope(|scope| timed_out(scope.try_map(map, &items), &gate)));
    });
}
