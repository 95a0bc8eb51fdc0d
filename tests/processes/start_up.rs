//! Workers that do not come up, and initializers.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use concurrent_futures::{Backend, Error, Executor, Future};
use rustix::process::{Signal, kill_process};
use serde::{Deserialize, Serialize, Serializer, ser};

use super::marked::*;
use super::support::*;
use crate::support::broken;

/// The cause that it is broken for.
#[track_caller]
fn cause<T: std::fmt::Debug>(future: Future<T>) -> String {
    broken(future.result()).cause().to_string()
}

/// Checks that these and every later task are told the cause.
#[track_caller]
fn assert_broken(pool: &Marked, futures: Vec<Future<u32>>, is_cause: impl Fn(&str) -> bool) {
    for future in futures {
        let cause = cause(future);
        assert!(is_cause(&cause), "{cause}");
    }
    let later = cause(pool.submit(pid, ()));
    assert!(is_cause(&later), "{later}");
    for outcome in pool.map(|n: u8| n, 0..5) {
        assert!(matches!(outcome, Err(Error::Broken(_))), "{outcome:?}");
    }
}

#[test]
fn workers_that_die_before_hello_break_the_pool() {
    // A library that the program needs, and that cannot be loaded.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("libgcc_s.so.1"), "").unwrap();
    for count in [1, 4] {
        let start = Instant::now();
        let builder = workers(count).env("LD_LIBRARY_PATH", directory.path());
        with_pool(builder, |pool| {
            let futures = (0..10).map(|_| pool.submit(pid, ())).collect();
            assert_broken(pool, futures, |cause| cause == "a worker process exited with code 127 before it said hello");
            assert_eq!(pool.stats().completed, 0);
        });
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

fn fail_as_told((how, tries): (String, PathBuf)) -> Result<(), String> {
    let mut tries = File::options().append(true).create(true).open(tries).expect("a file");
    tries.write_all(b".").expect("a file");
    match how.as_str() {
        "panic" => panic!("no flags today"),
        "exit" => std::process::exit(3),
        "kill" => die_by(Signal::KILL.as_raw()),
        _ => {}
    }
    Err("the disk is full".into())
}

#[test]
fn an_initializer_that_fails_breaks_the_pool_at_once() {
    let cases = [
        ("panic", "panicked", "no flags today"),
        ("fail", "the initializer failed: the disk is full", ""),
        ("exit", "the initializer ended its worker process, which exited with code 3", ""),
        ("kill", "the initializer ended its worker process, which was ended by SIGKILL", ""),
    ];
    for (how, first, then) in cases {
        for count in [1, 3] {
            let directory = tempfile::tempdir().unwrap();
            let tries = directory.path().join("tries");
            with_pool(workers(count).try_initializer(fail_as_told, (how.into(), tries.clone())), move |pool| {
                let futures = (0..5).map(|_| pool.submit(pid, ())).collect();
                assert_broken(pool, futures, |cause| cause.contains(first) && cause.contains(then));
                assert_eq!(pool.stats().respawned, 0);
                pool.shutdown();
                let after = cause(pool.submit(pid, ()));
                assert!(after.contains(first), "the first reason is reported: {after}");
            });
            let tried = fs::metadata(&tries).unwrap().len();
            assert!((1..=count as u64).contains(&tried), "no more workers are started: {tried} times for {count}");
        }
    }
}

#[test]
fn a_panic_of_the_initializer_has_its_location_and_worker() {
    with_pool(workers(1).initializer(|_: u8| panic!("no flags"), 1), |pool| {
        let cause = cause(pool.submit(pid, ()));
        assert!(cause.starts_with("the initializer of ProcessPoolExecutor-"), "{cause}");
        assert!(cause.contains("start_up.rs:") && cause.ends_with(": no flags"), "{cause}");
    });
}

static SET_UP: OnceLock<(String, u32)> = OnceLock::new();

#[test]
fn the_initializer_runs_before_every_task_of_its_worker() {
    fn set_up(text: String) {
        SET_UP.set((text, std::process::id())).expect("once a process");
    }
    with_pool(workers(2).initializer(set_up, "flags".into()).max_tasks_per_worker(3), |pool| {
        let tasks: Vec<_> = (0..20).map(|_| pool.submit(|()| (SET_UP.get().cloned(), pid(())), ())).collect();
        for task in tasks {
            let (set_up, pid) = task.result().unwrap();
            assert_eq!(set_up, Some(("flags".into(), pid)));
        }
        assert_eq!(SET_UP.get(), None, "not in this process");
    });
}

#[test]
fn an_initializers_argument_that_cannot_be_written_is_refused() {
    #[derive(Deserialize)]
    struct Unwritable(bool);
    impl Serialize for Unwritable {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            assert!(self.0, "it is mad");
            Err(ser::Error::custom("it will not"))
        }
    }
    for (value, text) in [(true, "it will not"), (false, "it is mad")] {
        let error = workers(1).initializer(|_: Unwritable| (), Unwritable(value)).build().unwrap_err();
        assert_eq!(error.parameter(), "initializer");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn an_initializers_argument_that_cannot_be_read_breaks_the_pool() {
    #[derive(Serialize)]
    struct Unreadable;
    impl<'de> Deserialize<'de> for Unreadable {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("it will not"))
        }
    }
    with_pool(workers(1).initializer(|_: Unreadable| (), Unreadable), |pool| {
        let futures = (0..3).map(|_| pool.submit(pid, ())).collect();
        assert_broken(pool, futures, |cause| {
            cause.contains("the initializer failed: ") && cause.contains("it will not")
        });
    });
}

#[test]
fn a_pool_may_be_shut_down_while_it_is_set_up() {
    let checkpoint = Checkpoint::new();
    with_pool(workers(1).initializer(stop_at, checkpoint.address()), move |pool| {
        let futures: Vec<_> = (0..3).map(|_| pool.submit(pid, ())).collect();
        let arrived = checkpoint.arrived();
        pool.close();
        assert_eq!(pool.cancel_pending(), 3);
        assert!(futures.iter().all(Future::is_cancelled));
        assert!(!pool.join(Some(Duration::from_millis(20))), "the initializer runs");
        drop(arrived);
        assert!(pool.join(None));
        assert_eq!(pool.processes(), []);
        assert!(matches!(pool.submit(pid, ()).result(), Err(Error::ShutDown)));
    });
    let checkpoint = Checkpoint::new();
    with_pool(workers(1).initializer(stop_at, checkpoint.address()), move |pool| {
        let future = pool.submit(pid, ());
        let arrived = checkpoint.arrived();
        pool.close();
        drop(arrived);
        pool.shutdown();
        future.result().expect("the queued task runs");
    });
}

#[test]
fn an_endless_initializer_does_not_delay_a_shutdown_without_tasks() {
    let checkpoint = Checkpoint::new();
    with_pool(workers(1).initializer(stop_at, checkpoint.address()), move |pool| {
        let future = pool.submit(pid, ());
        let arrived = checkpoint.arrived();
        assert!(future.cancel());
        pool.shutdown();
        assert_eq!(pool.processes(), []);
        drop(arrived);
    });
}

#[test]
fn a_worker_may_be_killed_while_it_is_set_up() {
    let checkpoint = Checkpoint::new();
    with_pool(workers(1).initializer(stop_at, checkpoint.address()), move |pool| {
        let future = pool.submit(pid, ());
        let first = checkpoint.arrived();
        pool.kill_workers();
        let second = checkpoint.arrived();
        drop((first, second));
        future.result().expect("another worker is set up");
        pool.works_with(1);
    });
}

#[test]
fn a_missing_directory_costs_the_pending_tasks_only() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("work");
    fs::create_dir(&place).unwrap();
    with_pool(workers(2).current_dir(&place), move |pool| {
        fs::remove_dir(&place).unwrap();
        for _ in 0..2 {
            let futures: Vec<_> = (0..3).map(|_| pool.submit(pid, ())).collect();
            for future in futures {
                let cause = cause(future);
                let names_it = cause.contains(place.to_str().unwrap());
                assert!(cause.starts_with("no worker process can be started: ") && names_it, "{cause}");
            }
        }
        fs::create_dir(&place).unwrap();
        let directory = |()| std::env::current_dir().unwrap().to_str().map(String::from);
        assert_eq!(pool.submit(directory, ()).result().unwrap().as_deref(), place.to_str());
        pool.works();
    });
}

#[test]
fn a_stack_that_no_thread_can_have_is_the_reason_of_a_broken_pool() {
    for has_initializer in [false, true] {
        let builder = workers(1).env("RUST_MIN_STACK", (1_u64 << 50).to_string());
        let builder = if has_initializer { builder.initializer(|()| (), ()) } else { builder };
        with_pool(builder, |pool| {
            let futures = (0..2).map(|_| pool.submit(pid, ())).collect();
            assert_broken(pool, futures, |cause| cause.contains("RUST_MIN_STACK"));
        });
    }
}

#[test]
fn workers_killed_while_they_start_cost_a_pool_that_has_served_no_task() {
    let checkpoint = Checkpoint::new();
    with_pool(workers(1).initializer(stop_at, checkpoint.address()), move |pool| {
        let first = pool.submit(pid, ());
        drop(checkpoint.arrived());
        let worker = first.result().unwrap();
        let witness = Witness::of(worker);
        signal(worker, Signal::KILL);
        witness.sees_the_end();
        let futures: Vec<_> = (0..3).map(|_| pool.submit(pid, ())).collect();
        for _ in 0..4 {
            let arrived = checkpoint.arrived();
            let starting = pool.processes();
            assert_eq!(starting.len(), 1);
            kill_process(starting[0], Signal::KILL).unwrap();
            drop(arrived);
        }
        drop(checkpoint.arrived());
        for future in futures {
            future.result().expect("it ran on the worker that came up");
        }
    });
}

#[test]
fn a_pool_ends_although_the_last_worker_was_killed_while_it_started() {
    let checkpoint = Checkpoint::new();
    with_pool(workers(1).initializer(stop_at, checkpoint.address()), move |pool| {
        let first = pool.submit(pid, ());
        drop(checkpoint.arrived());
        signal(first.result().unwrap(), Signal::KILL);
        let waiting = pool.submit(pid, ());
        for _ in 0..4 {
            let arrived = checkpoint.arrived();
            kill_process(pool.processes()[0], Signal::KILL).unwrap();
            drop(arrived);
        }
        // In a pause, or about to be.
        pool.close();
        assert!(waiting.cancel());
        assert!(pool.join(None));
    });
}

#[test]
fn a_map_ends_when_no_worker_can_be_started_for_its_items() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("work");
    fs::create_dir(&place).unwrap();
    with_pool(workers(1).current_dir(&place), move |pool| {
        let worker = pool.submit(pid, ()).result().unwrap();
        let witness = Witness::of(worker);
        fs::remove_dir(&place).unwrap();
        signal(worker, Signal::KILL);
        witness.sees_the_end();
        let outcomes: Vec<_> = pool.map(|n: u32| n, 0..2000).collect();
        assert_eq!(outcomes.len(), 2000);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Broken(_)))));
        fs::create_dir(&place).unwrap();
        pool.works();
    });
}
