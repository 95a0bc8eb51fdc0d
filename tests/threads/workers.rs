//! Workers: when they start, what they are called, when they leave, and what happens if they cannot start.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, ReturnWhen, TaskOptions, ThreadPoolExecutor, task, wait};

use super::support::*;
use crate::support::broken;

fn own_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn no_worker_is_started_before_the_first_task() {
    within(LONG, || {
        let prefix = unique_prefix();
        let threads = ThreadPoolExecutor::builder().max_workers(4).thread_name_prefix(&prefix).build().unwrap();
        assert_eq!(threads.stats().workers, 0);
        assert_named(&prefix, 0);
        threads.shutdown();
        assert_named(&prefix, 0);
    });
}

#[test]
fn workers_start_on_demand_up_to_the_limit() {
    within(LONG, || {
        let (gate, prefix) = (Gate::default(), unique_prefix());
        let threads = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix(&prefix).build().unwrap();
        let first = occupy_at(&threads, &gate);
        assert_eq!(threads.stats().workers, 1);
        assert_named(&prefix, 1);
        let second = occupy_at(&threads, &gate);
        assert_eq!(threads.stats().workers, 2);
        let third = threads.spawn(|| ());
        assert_eq!(threads.stats().workers, 2);
        assert_named(&prefix, 2);
        assert_eq!(threads.stats().pending, 1);
        gate.open();
        for future in [first, second, third] {
            future.result().unwrap();
        }
        assert_eq!(threads.max_workers(), 2);
    });
}

#[test]
fn idle_workers_are_reused() {
    within(LONG, || {
        // Between the end of a task and the worker's next look at the queue a new one may start: rarely.
        const TASKS: usize = 1000;
        let threads = ThreadPoolExecutor::new(TASKS);
        let used: HashSet<_> = (0..TASKS).map(|_| threads.spawn(|| thread::current().id()).result().unwrap()).collect();
        assert!(used.len() < TASKS / 2, "{} workers for tasks one after the other", used.len());
        assert!(threads.stats().workers <= used.len() + 1);
    });
}

#[test]
fn each_task_starts_one_worker_and_no_more() {
    within(LONG, || {
        for tasks in [1, 3, 5] {
            let (gate, begun) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
            let count = Arc::clone(&begun);
            let initializer = move || {
                count.fetch_add(1, Ordering::SeqCst);
            };
            let threads = ThreadPoolExecutor::builder().max_workers(20).initializer(initializer).build().unwrap();
            let futures: Vec<_> = (0..tasks)
                .map(|_| {
                    let gate = gate.clone();
                    threads.spawn(move || gate.pass())
                })
                .collect();
            gate.open();
            drop(threads.wait(futures, None, ReturnWhen::AllCompleted));
            assert!(threads.stats().workers <= tasks, "{} workers for {tasks} tasks", threads.stats().workers);
            threads.shutdown();
            assert!(begun.load(Ordering::SeqCst) <= tasks);
        }
    });
}

/// An initializer that waits for what its own worker was started for.
#[test]
fn an_initializer_may_wait_for_a_queued_task() {
    within(LONG, || {
        let ((hand_over, handed_over), (has_waited, waited), begun) = (channel(), channel(), AtomicUsize::new(0));
        let handed_over = std::sync::Mutex::new(handed_over);
        let initializer = move || {
            if begun.fetch_add(1, Ordering::SeqCst) == 0 {
                let future: concurrent_futures::Future<u8> = soon(&handed_over.lock().unwrap());
                has_waited.send(future.result_timeout(LONG).unwrap().unwrap()).unwrap();
            }
        };
        let threads = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
        hand_over.send(threads.spawn(|| 1)).unwrap();
        // No other task calls for a worker before.
        assert_eq!(soon(&waited), 1);
        assert_eq!(threads.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn workers_stay_without_keep_alive() {
    within(LONG, || {
        let (gate, threads) = (Gate::default(), ThreadPoolExecutor::new(3));
        let futures: Vec<_> = (0..3).map(|_| occupy_at(&threads, &gate)).collect();
        gate.open();
        drop(threads.wait(futures, None, ReturnWhen::AllCompleted));
        assert_eq!(threads.stats().workers, 3);
    });
}

#[test]
fn workers_are_named_after_the_prefix() {
    within(LONG, || {
        let gate = Gate::default();
        let threads = ThreadPoolExecutor::builder().max_workers(3).thread_name_prefix("download").build().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| {
                let (gate, (started, wait_for_start)) = (gate.clone(), channel());
                threads
                    .spawn(move || {
                        started.send(own_name()).unwrap();
                        gate.pass();
                    })
                    .detach();
                soon(&wait_for_start)
            })
            .collect();
        assert_eq!(names, ["download-0", "download-1", "download-2"]);
        gate.open();
    });
}

#[test]
fn the_default_prefix_is_unique_per_executor() {
    within(LONG, || {
        let (one, two) = (ThreadPoolExecutor::new(1), ThreadPoolExecutor::new(1));
        let names = [one.spawn(own_name).result().unwrap(), two.spawn(own_name).result().unwrap()];
        let prefixes = names.each_ref().map(|name| name.strip_suffix("-0").expect("the first worker"));
        assert_ne!(prefixes[0], prefixes[1]);
        for prefix in prefixes {
            let number = prefix.strip_prefix("ThreadPoolExecutor-").expect("Python's prefix");
            number.parse::<u32>().expect("a number");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_stack_size_is_applied() {
    /// How far down the stack of this thread goes.
    fn stack_below() -> usize {
        let here = 0_u8;
        let address = std::ptr::from_ref(&here).addr();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let bounds = |line: &str| {
            let (start, rest) = line.split_once('-')?;
            let (end, _) = rest.split_once(' ')?;
            Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
        };
        let (start, _) =
            maps.lines().filter_map(bounds).find(|(start, end)| (*start..*end).contains(&address)).expect("a stack");
        address - start
    }
    within(LONG, || {
        for bytes in [1 << 18, 40 << 20] {
            let threads = ThreadPoolExecutor::builder().max_workers(1).stack_size(bytes).build().unwrap();
            let below = threads.spawn(stack_below).result().unwrap();
            // The system may hand out the stack of an earlier thread, if it is not much larger.
            assert!((bytes / 2..=5 * bytes).contains(&below), "{below} bytes of {bytes}");
        }
    });
}

#[test]
fn idle_workers_leave_after_keep_alive_and_busy_workers_stay() {
    within(LONG, || {
        let (gate, prefix) = (Gate::default(), unique_prefix());
        let (initializer, ended) = thread_ends();
        let threads = ThreadPoolExecutor::builder()
            .max_workers(2)
            .thread_name_prefix(&prefix)
            .keep_alive(Duration::from_millis(5))
            .initializer(initializer)
            .build()
            .unwrap();
        let busy = occupy_at(&threads, &gate);
        threads.spawn(|| ()).result().unwrap();
        assert_eq!(soon(&ended), format!("{prefix}-1"));
        assert_eq!((threads.stats().workers, threads.stats().idle), (1, 0));
        assert!(busy.is_running());
        gate.open();
        busy.result().unwrap();
        assert_eq!(soon(&ended), format!("{prefix}-0"));
        assert_eq!((threads.stats().workers, threads.stats().idle), (0, 0));
        assert_all_gone(&prefix);
        // The executor lives on.
        assert_eq!(threads.spawn(own_name).result().unwrap(), format!("{prefix}-2"));
    });
}

#[test]
fn workers_come_and_go_under_load_without_losing_a_task() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(4).keep_alive(Duration::from_nanos(1)).build().unwrap();
        for round in 0..500_u64 {
            let sum: u64 = threads.map(|n| n, 0..=round % 7).map(Result::unwrap).sum();
            assert_eq!(sum, (0..=round % 7).sum::<u64>());
        }
    });
}

thread_local! {
    static INITIALIZED: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn the_initializer_runs_once_on_each_thread_before_its_first_task() {
    within(LONG, || {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let initializer = move || {
            INITIALIZED.set(INITIALIZED.get() + 1);
            count.fetch_add(1, Ordering::SeqCst);
        };
        let threads = ThreadPoolExecutor::builder().max_workers(3).initializer(initializer).build().unwrap();
        let gate = Gate::default();
        let started: Vec<_> = (0..3).map(|_| occupy_at(&threads, &gate)).collect();
        gate.open();
        let _ = wait(started, None, ReturnWhen::AllCompleted);
        for outcome in threads.map(|_| INITIALIZED.get(), 0..100) {
            assert_eq!(outcome.unwrap(), 1);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn the_initializer_may_use_its_executor() {
    within(LONG, || {
        let (hand_over, handed_over) = channel::<Arc<ThreadPoolExecutor>>();
        let handed_over = std::sync::Mutex::new(handed_over);
        let (report, reported) = channel();
        let initializer = move || {
            let threads = handed_over.lock().unwrap().recv_timeout(LONG).unwrap();
            report.send(threads.spawn(|| 7).result()).unwrap();
        };
        let threads = Arc::new(ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap());
        let future = threads.spawn(|| 8);
        hand_over.send(Arc::clone(&threads)).unwrap();
        assert_eq!(future.result().unwrap(), 8);
        assert_eq!(soon(&reported).unwrap(), 7);
    });
}

#[track_caller]
fn assert_broken<T: std::fmt::Debug>(outcome: Result<T, Error>, says: &str) {
    let broken = broken(outcome);
    assert!(broken.cause().to_string().contains(says), "{broken}");
    assert!(Error::Broken(broken).to_string().contains(says));
}

#[test]
fn an_initializer_that_panics_breaks_the_executor() {
    within(LONG, || {
        let (gate, prefix) = (Gate::default(), unique_prefix());
        let hold = gate.clone();
        let initializer = move || {
            hold.pass();
            panic!("no database");
        };
        let threads = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix(&prefix)
            .initializer(initializer)
            .build()
            .unwrap();
        let drops = Drops::default();
        let pending: Vec<_> = (0..10)
            .map(|_| {
                let token = drops.token();
                threads.spawn(move || drop(token))
            })
            .collect();
        gate.open();
        for future in pending {
            assert_broken(future.result(), "no database");
        }
        assert_eq!(drops.alive(), 0);
        assert_broken(threads.spawn(|| 1).result(), "no database");
        assert_broken(threads.map(|n| n, [1, 2]).nth(1).unwrap(), "workers.rs");
        let limited = threads.with(TaskOptions::new().time_limit(LONG));
        assert_broken(limited.spawn(|| 1).result(), "no database");
        threads.shutdown();
        assert_broken(threads.spawn(|| 1).result(), "no database");
        assert_named(&prefix, 0);
        assert_eq!((threads.stats().workers, threads.stats().pending), (0, 0));
    });
}

#[test]
fn a_panic_of_a_later_initializer_spares_running_tasks() {
    within(LONG, || {
        let calls = AtomicUsize::new(0);
        let initializer = move || assert_eq!(calls.fetch_add(1, Ordering::SeqCst), 0, "one database only");
        let threads = ThreadPoolExecutor::builder().max_workers(2).initializer(initializer).build().unwrap();
        let (go_on, (started, wait_for_start)) = (Gate::default(), channel());
        let gate = go_on.clone();
        let running = threads.spawn(move || {
            started.send(()).unwrap();
            gate.pass();
            "finished"
        });
        soon(&wait_for_start);
        assert_broken(threads.spawn(|| 1).result(), "one database only");
        assert_broken(threads.spawn(|| 2).result(), "one database only");
        go_on.open();
        assert_eq!(running.result().unwrap(), "finished");
    });
}

#[test]
fn blocked_submitters_are_refused_when_the_initializer_panics() {
    within(LONG, || {
        let gate = Gate::default();
        let hold = gate.clone();
        let initializer = move || {
            hold.pass();
            panic!("no room for anybody");
        };
        let builder = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).initializer(initializer);
        let threads = Arc::new(builder.build().unwrap());
        let first = threads.spawn(|| ());
        let submitters: Vec<_> = (0..3)
            .map(|_| {
                let threads = Arc::clone(&threads);
                thread::spawn(move || threads.spawn(|| ()).result())
            })
            .collect();
        gate.open();
        assert_broken(first.result(), "no room for anybody");
        for submitter in submitters {
            assert_broken(submitter.join().unwrap(), "no room for anybody");
        }
    });
}

#[test]
fn a_worker_that_cannot_start_refuses_its_tasks_and_blocks_no_thread() {
    within(LONG, || {
        let drops = Drops::default();
        let threads = ThreadPoolExecutor::builder().max_workers(2).stack_size(NO_STACK).build().unwrap();
        for _ in 0..3 {
            // Each submit tries again.
            let token = drops.token();
            let future = threads.spawn(move || drop(token));
            assert_broken(future.result(), "no thread can be started: ");
        }
        let limited = threads.with(TaskOptions::new().time_limit(LONG));
        assert_broken(limited.spawn(|| ()).result(), "no thread can be started");
        for outcome in threads.map(|n| n, 0..10) {
            assert_broken(outcome, "no thread can be started");
        }
        threads.scope(|scope| assert_broken(scope.spawn(|| drops.alive()).result(), "no thread can be started"));
        assert_eq!((threads.stats().workers, threads.stats().pending, drops.alive()), (0, 0, 0));
        threads.shutdown();
        assert!(threads.join(None));
        assert!(matches!(threads.spawn(|| ()).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn submitters_to_workers_that_cannot_start_are_all_refused() {
    within(LONG, || {
        let builder = ThreadPoolExecutor::builder().max_workers(3).max_pending(1).stack_size(NO_STACK);
        let threads = Arc::new(builder.build().unwrap());
        let submitters: Vec<_> = (0..4)
            .map(|_| {
                let threads = Arc::clone(&threads);
                thread::spawn(move || (0..50).for_each(|_| assert_broken(threads.spawn(|| ()).result(), "started")))
            })
            .collect();
        for submitter in submitters {
            submitter.join().unwrap();
        }
        assert_eq!((threads.stats().workers, threads.stats().pending), (0, 0));
    });
}

#[test]
fn the_default_number_of_workers_is_that_of_python_or_every_cpu() {
    let cpus = num_cpus::get();
    assert_eq!(ThreadPoolExecutor::default().max_workers(), cpus.max((cpus + 4).min(32)));
    assert_eq!(ThreadPoolExecutor::builder().build().unwrap().max_workers(), cpus.max((cpus + 4).min(32)));
}

#[test]
fn invalid_settings_are_named() {
    let builder = ThreadPoolExecutor::builder;
    for (built, parameter) in [
        (builder().max_workers(0).build(), "max_workers"),
        (builder().thread_name_prefix("").build(), "thread_name_prefix"),
        (builder().thread_name_prefix("a\0b").build(), "thread_name_prefix"),
        (builder().keep_alive(Duration::ZERO).build(), "keep_alive"),
        (builder().stack_size(0).build(), "stack_size"),
        (builder().max_pending(0).build(), "max_pending"),
    ] {
        let error = built.unwrap_err();
        assert_eq!(error.parameter(), parameter);
        assert!(error.to_string().starts_with(&format!("{parameter} must be ")), "{error}");
    }
    let payload = panic::catch_unwind(|| ThreadPoolExecutor::new(0)).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "max_workers must be at least 1, not 0");
}

#[test]
fn each_worker_has_the_state_that_its_initializer_returned() {
    within(LONG, || {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let threads = ThreadPoolExecutor::builder()
            .max_workers(2)
            .initializer(move || Cell::new(100 * (1 + count.fetch_add(1, Ordering::SeqCst))))
            .build()
            .unwrap();
        let both = Arc::new(Barrier::new(2));
        let next = move || {
            both.wait();
            let state = task::worker_state::<Cell<usize>>().unwrap();
            state.set(state.get() + 1);
            assert!(task::worker_state::<Cell<u8>>().is_none(), "it has another type");
            state.get()
        };
        for round in 1..=3 {
            let tasks = [threads.spawn(next.clone()), threads.spawn(next.clone())];
            let mut seen = tasks.map(|task| task.result().unwrap());
            seen.sort_unstable();
            assert_eq!(seen, [100 + round, 200 + round]);
        }
        assert!(task::worker_state::<Cell<usize>>().is_none(), "this thread is no worker");
    });
}

#[test]
fn the_state_of_a_worker_is_dropped_when_its_thread_ends() {
    within(LONG, || {
        let drops = Drops::default();
        let tokens = drops.clone();
        let threads = ThreadPoolExecutor::builder().max_workers(1).initializer(move || tokens.token()).build().unwrap();
        threads.spawn(|| ()).result().unwrap();
        assert_eq!(drops.count(), 0);
        drop(threads);
        assert_eq!(drops.count(), 1);
    });
}
