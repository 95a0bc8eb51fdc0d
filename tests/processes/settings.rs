//! What the builder is told.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Exit, MapOptions, ProcessPoolBuilder, ProcessPoolExecutor, ReturnWhen, State,
    TaskOptions, task, wait,
};

use serde::{Deserialize, Serialize};

use super::support::*;
use crate::support::{panic_text, within};

fn square(n: u64) -> u64 {
    n * n
}

fn builder(max_workers: usize) -> ProcessPoolBuilder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

#[test]
fn workers_start_on_demand_and_idle_ones_are_reused() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(3);
        assert_eq!((processes.max_workers(), processes.stats().workers), (3, 0));
        let only = processes.submit(pid, ()).result().unwrap();
        for n in 2..30 {
            assert_eq!(processes.submit(pid, ()).result().unwrap(), only);
            assert_eq!(processes.submit(calls, ()).result().unwrap(), n - 1, "statics stay");
        }
        assert_eq!((processes.stats().workers, processes.stats().idle), (1, 1));
        let door = Door::new();
        for expected in 1..=3 {
            processes.submit(pass, door.path()).detach();
            door.arrived();
            let stats = processes.stats();
            assert_eq!((stats.workers, stats.running, stats.idle, stats.pending), (expected, expected, 0, 0));
        }
        let waiting = processes.submit(pass, door.path());
        assert_eq!((processes.stats().workers, processes.stats().pending), (3, 1));
        assert_eq!(waiting.state(), State::Pending);
        door.open();
        waiting.result().unwrap();
        processes.shutdown();
        let stats = processes.stats();
        assert_eq!((stats.workers, stats.idle, stats.running, stats.respawned), (0, 0, 0, 0));
    });
}

#[test]
fn idle_workers_leave_after_keep_alive() {
    within(LONG, || {
        let processes = builder(2).keep_alive(Duration::from_millis(50)).build().unwrap();
        for _ in 0..3 {
            let door = Door::new();
            let both = [(); 2].map(|()| processes.submit(pass, door.path()));
            let workers = [door.arrived(), door.arrived()];
            let witnesses = workers.map(Witness::of);
            door.open();
            for future in both {
                future.result().unwrap();
            }
            for witness in &witnesses {
                witness.sees_the_end();
            }
            let next = processes.submit(pid, ()).result().unwrap();
            assert!(!workers.contains(&next));
            Witness::of(next).sees_the_end();
        }
        assert_eq!(processes.stats().respawned, 0, "no worker died");
        let processes = builder(1).keep_alive(2 * LONG).build().unwrap();
        let only = processes.submit(pid, ()).result().unwrap();
        assert_eq!(processes.submit(pid, ()).result().unwrap(), only);
    });
}

#[test]
fn workers_that_leave_lose_no_task() {
    within(LONG, || {
        // Tasks come just when idle workers go.
        let keep = Duration::from_millis(2);
        let processes = builder(2).keep_alive(keep).build().unwrap();
        for round in 0..100 {
            let futures: Vec<_> = (0..3).map(|n| processes.submit(square, n)).collect();
            for (n, future) in (0..3).zip(futures) {
                assert_eq!(future.result().unwrap(), n * n);
            }
            thread::sleep(keep * (round % 3) / 2);
        }
        assert_eq!(processes.stats().failed, 0);
    });
}

#[test]
fn a_worker_has_no_more_tasks_than_its_limit() {
    within(LONG, || {
        for most in [1, 3] {
            let processes = builder(2).max_tasks_per_worker(most).build().unwrap();
            let tasks = if most == 1 { 150 } else { 400 };
            let futures: Vec<_> =
                (0..tasks).map(|n| (n, processes.submit(|n: usize| (n * n, std::process::id()), n))).collect();
            let mut counts = HashMap::new();
            for (n, future) in futures {
                let (result, worker) = future.result().unwrap();
                assert_eq!(result, n * n);
                *counts.entry(worker).or_insert(0) += 1;
            }
            assert!(counts.values().all(|count| *count <= most), "{counts:?}");
            let fewest = tasks.div_ceil(most);
            assert!((fewest..=fewest + 2).contains(&counts.len()), "{} workers for {tasks} tasks", counts.len());
            processes.shutdown();
            assert!(counts.into_keys().all(is_gone));
            assert_eq!((processes.stats().completed, processes.stats().respawned), (tasks as u64, 0));
        }
    });
}

#[test]
fn a_worker_has_no_more_single_tasks_than_its_limit() {
    within(LONG, || {
        let processes = builder(1).max_tasks_per_worker(3).build().unwrap();
        let pids: Vec<u32> = (0..30).map(|_| processes.submit(pid, ()).result().unwrap()).collect();
        for three in pids.chunks(3) {
            assert!(three.iter().all(|worker| *worker == three[0]), "{pids:?}");
        }
        assert_eq!(pids.iter().collect::<HashSet<_>>().len(), 10);
    });
}

#[test]
fn a_chunk_counts_as_one_task() {
    within(LONG, || {
        let processes = builder(1).max_tasks_per_worker(2).build().unwrap();
        let chunked = processes.with(MapOptions::new().chunk_size(10));
        let mut pids: Vec<u32> = chunked.map(|_: u8| std::process::id(), 0..60).map(Result::unwrap).collect();
        assert_eq!(pids.len(), 60);
        pids.dedup();
        assert_eq!(pids.len(), 3);
    });
}

#[test]
fn the_number_of_workers_never_falls_below_the_maximum_while_tasks_wait() {
    within(LONG, || {
        let processes = builder(3).max_tasks_per_worker(1).build().unwrap();
        let door = Door::new();
        let futures: Vec<_> = (0..30).map(|_| processes.submit(pass, door.path())).collect();
        for _ in 0..10 {
            // Nobody goes on before three are there.
            let workers: HashSet<u32> = (0..3).map(|_| door.arrived()).collect();
            assert_eq!(workers.len(), 3);
            door.let_in(3);
        }
        let pids: HashSet<u32> = futures.into_iter().map(|future| future.result().unwrap()).collect();
        assert_eq!(pids.len(), 30);
    });
}

#[test]
fn a_replacement_is_started_after_the_exit_of_the_old_worker() {
    within(LONG, || {
        let start = Door::new();
        let processes =
            builder(1).max_tasks_per_worker(1).initializer(|door: PathBuf| enter(&door), start.path()).build();
        let processes = processes.unwrap();
        let futures: Vec<_> = (0..4).map(|_| processes.submit(pid, ())).collect();
        let mut last = None;
        for future in futures {
            let worker = start.arrived();
            assert!(last.is_none_or(is_gone), "two workers run where one may");
            start.let_in(1);
            assert_eq!(future.result().unwrap(), worker);
            last = Some(worker);
        }
        processes.shutdown();
        assert!(last.is_some_and(is_gone));
        assert_eq!((processes.stats().failed, processes.stats().respawned), (0, 0));
    });
}

#[test]
fn a_worker_above_its_memory_limit_costs_its_task() {
    within(LONG, || {
        let processes = builder(1).memory_limit(256 << 20).build().unwrap();
        let allocate = |bytes: usize| std::hint::black_box(vec![1_u8; bytes]).len();
        for _ in 0..3 {
            assert_eq!(processes.submit(allocate, 128 << 20).result().unwrap(), 128 << 20);
            let behind = processes.submit(allocate, 1 << 30);
            let next = processes.submit(square, 3);
            let death = died(behind.result());
            assert_eq!(death.exit(), &Exit::Signal("SIGABRT".into()));
            assert_eq!(death.hint(), Some("perhaps out of memory: its memory_limit is 268435456 bytes"));
            assert_eq!(next.result().unwrap(), 9);
        }
        let exit = |code: i32| -> u8 { std::process::exit(code) };
        assert_eq!(died(processes.submit(exit, 3).result()).hint(), None);
        // Nothing says that these did.
        let abort = |()| -> u8 { std::process::abort() };
        assert_eq!(died(processes.submit(abort, ()).result()).hint(), None);
        assert_eq!(died(processes.submit(exit, 74).result()).hint(), None);
        let signal = |()| -> u8 {
            std::process::Command::new("kill").args(["-ABRT", &std::process::id().to_string()]).status().unwrap();
            loop {
                std::thread::park();
            }
        };
        let death = died(processes.submit(signal, ()).result());
        assert_eq!((death.exit(), death.hint()), (&Exit::Signal("SIGABRT".into()), None));
        // Who can do with less goes on.
        let tried = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_err();
        assert!(processes.submit(tried, 1 << 30).result().unwrap());
        processes.shutdown();
        assert_eq!((processes.stats().failed, processes.stats().completed), (7, 7));
    });
}

#[test]
fn an_argument_above_the_memory_limit_costs_its_task() {
    within(LONG, || {
        let processes = builder(1).memory_limit(32 << 20).build().unwrap();
        let long = processes.submit(|text: String| text.len(), "x".repeat(64 << 20));
        let next = processes.submit(square, 3);
        let death = died(long.result());
        assert!(death.hint().is_some_and(|hint| hint.ends_with("its memory_limit is 33554432 bytes")), "{death}");
        assert_eq!(next.result().unwrap(), 9);
    });
}

#[test]
fn decoding_an_argument_leaves_the_memory_limit_to_the_task() {
    #[derive(Serialize, Deserialize)]
    struct Nested(Option<Box<Nested>>);
    type Large = [[[u64; 32]; 32]; 8];
    within(LONG, || {
        let processes = builder(1).memory_limit(4 << 20).build().unwrap();
        assert_eq!(processes.submit(|text: String| text.len(), "x".repeat(100 << 10)).result().unwrap(), 100 << 10);
        assert_eq!(processes.submit(|large: Large| large[7][31][31], [[[1; 32]; 32]; 8]).result().unwrap(), 1);
        let nested = (0..2000).fold(Nested(None), |inner, _| Nested(Some(Box::new(inner))));
        assert!(processes.submit(|nested: Nested| nested.0.is_some(), nested).result().unwrap());
        assert_eq!(processes.stats().respawned, 0);
    });
}

#[test]
fn environment_and_directory_are_those_of_the_builder() {
    within(LONG, || {
        let directory = tempfile::tempdir().unwrap();
        let processes = builder(1)
            .env("CF_TEST_A", "one")
            .env("CF_TEST_A", "two")
            .env("CF_TEST_B", "a = b")
            .current_dir(directory.path())
            .build()
            .unwrap();
        let variable = |name: String| std::env::var(name).ok();
        let read = |name: &str| processes.submit(variable, name.into()).result().unwrap();
        assert_eq!(read("CF_TEST_A").as_deref(), Some("two"));
        assert_eq!(read("CF_TEST_B").as_deref(), Some("a = b"));
        assert_eq!(read("PATH"), std::env::var("PATH").ok());
        assert_eq!(read("CONCURRENT_FUTURES_WORKER"), None, "the mark is not inherited by children");
        assert_eq!(std::env::var_os("CF_TEST_A"), None);
        let place = |()| std::env::current_dir().unwrap();
        assert_eq!(processes.submit(place, ()).result().unwrap(), directory.path().canonicalize().unwrap());
        let plain = ProcessPoolExecutor::new(1);
        assert_eq!(plain.submit(place, ()).result().unwrap(), std::env::current_dir().unwrap());
        // Workers that come later start there as well.
        processes.submit(|()| -> () { std::process::exit(1) }, ()).wait();
        assert_eq!(processes.submit(place, ()).result().unwrap(), directory.path().canonicalize().unwrap());
    });
}

fn too_large<T: std::fmt::Debug>(outcome: Result<T, Error>) -> (u64, u64) {
    match outcome {
        Err(Error::TooLarge(large)) => (large.size(), large.limit()),
        other => panic!("not too large: {other:?}"),
    }
}

#[test]
fn a_message_above_the_size_limit_is_too_large() {
    within(LONG, || {
        for limit in [1000_u64, 100_000, 3 << 20] {
            let processes = builder(1).max_message_size(limit).build().unwrap();
            let worker = processes.submit(pid, ()).result().unwrap();
            // The length goes before the bytes, in two to four bytes.
            let longest = limit as usize
                - if limit < 1 << 14 {
                    2
                } else if limit < 1 << 21 {
                    3
                } else {
                    4
                };
            let count = |bytes: Vec<u8>| bytes.len();
            let make = |length: usize| vec![7_u8; length];
            assert_eq!(processes.submit(count, vec![7; longest]).result().unwrap(), longest);
            let argument = processes.submit(count, vec![7; longest + 1]);
            assert_eq!(argument.state(), State::Finished);
            let text = argument.error().unwrap().to_string();
            assert_eq!(
                text,
                format!("a message of {} bytes exceeds `max_message_size`, which is {limit} bytes", limit + 1)
            );
            assert_eq!(too_large(argument.result()), (limit + 1, limit));
            assert_eq!(processes.submit(make, longest).result().unwrap().len(), longest);
            assert_eq!(too_large(processes.submit(make, longest + 1).result()), (limit + 1, limit));
            // The items of a chunk are on their own.
            let chunked = processes.with(MapOptions::new().chunk_size(3));
            let lengths = [longest, longest + 1, longest, 10, longest, longest + 1];
            for (length, outcome) in lengths.into_iter().zip(chunked.map(make, lengths)) {
                match length > longest {
                    true => assert_eq!(too_large(outcome), (limit + 1, limit)),
                    false => assert_eq!(outcome.unwrap().len(), length),
                }
            }
            assert_eq!(processes.stats().failed, 2, "an argument and a result, and no chunk");
            assert_eq!(processes.submit(pid, ()).result().unwrap(), worker, "no worker died");
        }
    });
}

#[test]
fn a_chunk_of_many_items_fits_if_its_arguments_do() {
    within(LONG, || {
        let processes = builder(1).max_message_size(1000).build().unwrap();
        for items in [8, 9, 100, 500] {
            // As many bytes as a frame may have, in items of one length.
            let length = 1000 / items - 1;
            let chunked = processes.with(MapOptions::new().chunk_size(items));
            let lengths: Vec<usize> =
                chunked.map(|bytes: Vec<u8>| bytes.len(), vec![vec![0; length]; items]).map(Result::unwrap).collect();
            assert_eq!(lengths, vec![length; items]);
        }
        assert_eq!(processes.stats().respawned, 0);
    });
}

#[test]
fn refused_tasks_are_not_counted_as_failed() {
    within(LONG, || {
        let processes = builder(1).max_pending(1).build().unwrap();
        let door = Door::new();
        let running = processes.submit(pass, door.path());
        door.arrived();
        let pending = processes.submit(square, 1);
        let refused = processes.with(TaskOptions::new().refuse_when_full()).submit(square, 2);
        assert!(matches!(refused.result(), Err(Error::Full(_))));
        door.open();
        running.result().unwrap();
        pending.result().unwrap();
        processes.shutdown();
        assert!(matches!(processes.submit(square, 3).result(), Err(Error::ShutDown)));
        assert_eq!((processes.stats().completed, processes.stats().failed), (2, 0));
    });
}

#[test]
fn submit_waits_for_room() {
    within(LONG, || {
        let processes = Arc::new(builder(1).max_pending(2).build().unwrap());
        let door = Door::new();
        let running = processes.submit(pass, door.path());
        door.arrived();
        let (first, second) = (processes.submit(square, 1), processes.submit(square, 2));
        let refused = processes.with(TaskOptions::new().refuse_when_full()).submit(square, 9);
        match refused.result() {
            Err(Error::Full(full)) => assert_eq!(full.limit(), 2),
            other => panic!("there is room: {other:?}"),
        }
        let submitter = |n| {
            let (sender, receiver) = channel();
            let pool = Arc::clone(&processes);
            let thread = thread::spawn(move || {
                sender.send(()).unwrap();
                let future = pool.submit(square, n);
                sender.send(()).unwrap();
                future
            });
            receiver.recv().unwrap();
            // Nothing tells that it waits: so it may only be seen not to.
            assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "the submit does not wait");
            (thread, receiver)
        };
        // A task that is cancelled makes room.
        let (third, submitted) = submitter(3);
        assert!(second.cancel());
        submitted.recv().unwrap();
        let third = third.join().unwrap();
        assert_eq!(third.state(), State::Pending);
        // And one that starts.
        let (fourth, submitted) = submitter(4);
        assert!(matches!(submitted.try_recv(), Err(TryRecvError::Empty)));
        door.open();
        submitted.recv().unwrap();
        running.result().unwrap();
        let results = [first, third, fourth.join().unwrap()].map(|future| future.result().unwrap());
        assert_eq!(results, [1, 9, 16]);
        // A shutdown leaves no submitter blocked.
        let door = Door::new();
        let running = processes.submit(pass, door.path());
        door.arrived();
        let waiting = [5, 6].map(|n| processes.submit(square, n));
        let (seventh, submitted) = submitter(7);
        processes.close();
        submitted.recv().unwrap();
        assert!(matches!(seventh.join().unwrap().result(), Err(Error::ShutDown)));
        door.open();
        running.result().unwrap();
        assert_eq!(waiting.map(|future| future.result().unwrap()), [25, 36]);
    });
}

#[test]
fn callbacks_never_wait_for_room() {
    within(LONG, || {
        let processes = Arc::new(builder(1).max_pending(1).build().unwrap());
        let door = Door::new();
        let held = processes.submit(pass, door.path());
        door.arrived();
        let (own, (sender, receiver)) = (Arc::clone(&processes), channel());
        held.add_done_callback(move |_| {
            sender.send((0..20).map(|n| own.submit(square, n)).collect::<Vec<_>>()).unwrap();
        });
        door.open();
        for (n, future) in (0..20).zip(receiver.recv().unwrap()) {
            assert_eq!(future.result().unwrap(), n * n);
        }
    });
}

#[test]
fn a_bounded_queue_runs_everything() {
    within(LONG, || {
        let processes = builder(2).max_pending(3).build().unwrap();
        let futures: Vec<_> = (0..500).map(|n| processes.submit(square, n)).collect();
        wait(&futures, None, ReturnWhen::AllCompleted);
        for (n, future) in (0..500).zip(futures) {
            assert_eq!(future.result().unwrap(), n * n);
        }
        let chunked = processes.with(MapOptions::new().chunk_size(7));
        assert!(chunked.map(square, 0..500).map(Result::unwrap).eq((0..500).map(square)));
    });
}

#[test]
fn invalid_settings_are_named() {
    let refused = |builder: ProcessPoolBuilder| {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().starts_with(error.parameter()));
        error.to_string()
    };
    let any = ProcessPoolExecutor::builder;
    assert_eq!(refused(any().max_workers(0)), "max_workers must be at least 1, not 0");
    assert_eq!(refused(any().max_tasks_per_worker(0)), "max_tasks_per_worker must be at least 1, not 0");
    assert_eq!(refused(any().memory_limit(0)), "memory_limit must be at least 1, not 0");
    assert_eq!(refused(any().max_pending(0)), "max_pending must be at least 1, not 0");
    assert_eq!(refused(any().max_message_size(0)), "max_message_size must be at least 1, not 0");
    assert_eq!(refused(any().time_limit(Duration::ZERO)), "time_limit must be longer than zero, not 0ns");
    assert_eq!(refused(any().keep_alive(Duration::ZERO)), "keep_alive must be longer than zero, not 0ns");
    assert_eq!(
        refused(any().current_dir("/no/such/place")),
        "current_dir must be a directory that is there, not \"/no/such/place\""
    );
    for (key, value) in [("", "x"), ("a=b", "x"), ("a\0b", "x"), ("a", "x\0y")] {
        let text = refused(any().env(key, value));
        assert!(text.starts_with("env must be a name without `=` that is not empty, and no zero byte"), "{text}");
    }
    fn fails_to_encode(_: Unwritable) {}
    let text = refused(any().initializer(fails_to_encode, Unwritable));
    assert!(text.starts_with("initializer must be a function of this program") && text.contains("not today"), "{text}");
    let text = panic_text(|| ProcessPoolExecutor::new(0));
    assert_eq!(text, "max_workers must be at least 1, not 0");
}

#[derive(serde::Deserialize)]
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

#[test]
fn builders_and_executors_can_be_printed() {
    within(LONG, || {
        let builder = builder(2).time_limit(Duration::from_secs(1)).max_message_size(9).env("SECRET", "hidden");
        assert_eq!(
            format!("{builder:?}"),
            "ProcessPoolBuilder { max_workers: Some(2), max_tasks_per_worker: None, memory_limit: None, \
             time_limit: Some(1s), keep_alive: None, max_pending: None, max_message_size: Some(9), current_dir: None, .. }"
        );
        let processes = builder.build().unwrap();
        processes.submit(square, 1).result().unwrap();
        processes.shutdown();
        assert_eq!(
            format!("{processes:?}"),
            "ProcessPoolExecutor { max_workers: 2, stats: Stats { workers: 0, idle: 0, pending: 0, running: 0, \
             completed: 1, failed: 0, respawned: 0 } }"
        );
        assert_eq!(ProcessPoolExecutor::default().max_workers(), num_cpus::get());
    });
}

/// Cannot cross to another process, and is made where it is used.
struct Table(std::cell::RefCell<Vec<u32>>);

fn make_table(first: u32) -> Table {
    Table(vec![first].into())
}

fn try_make_table(first: u32) -> Result<Table, String> {
    if first == 0 { Err("a table begins with more than 0".into()) } else { Ok(make_table(first)) }
}

fn append(n: u32) -> Vec<u32> {
    let table = task::worker_state::<Table>().expect("the initializer returned one");
    table.0.borrow_mut().push(n);
    table.0.borrow().clone()
}

#[test]
fn the_tasks_of_a_worker_share_what_its_initializer_returned() {
    within(LONG, || {
        let builder = || ProcessPoolExecutor::builder().max_workers(1);
        for processes in [builder().initializer(make_table, 7), builder().try_initializer(try_make_table, 7)] {
            let processes = processes.build().unwrap();
            assert_eq!(processes.submit(append, 1).result().unwrap(), [7, 1]);
            assert_eq!(processes.map(append, [2, 3]).map(Result::unwrap).last().unwrap(), [7, 1, 2, 3]);
        }
        let broken = builder().try_initializer(try_make_table, 0).build().unwrap();
        let error = broken.submit(append, 1).error().unwrap();
        assert!(matches!(error, Error::Broken(_)) && error.to_string().contains("begins with more than 0"), "{error}");
    });
}
