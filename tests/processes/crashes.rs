//! What costs the task that did it, and nothing else.

use std::path::PathBuf;
use std::sync::mpsc::channel;

use concurrent_futures::{Backend, Error, Executor, Exit, Future, MapOptions, ProcessPoolExecutor, State, TaskOptions};
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};

use super::support::*;
use crate::support::within;

fn segfault(_: ()) {
    die_by(libc_number::SIGSEGV);
}

fn abort(_: ()) {
    std::process::abort();
}

fn overflow_the_stack(_: ()) {
    fn deeper(n: u64) -> u64 {
        std::hint::black_box([n; 64])[0] + if n == 0 { 0 } else { deeper(std::hint::black_box(n + 1)) }
    }
    std::hint::black_box(deeper(1));
}

fn exit_quietly(_: ()) {
    std::process::exit(0);
}

fn exit_with_3(_: ()) {
    std::process::exit(3);
}

fn be_killed(_: ()) {
    die_by(libc_number::SIGKILL);
}

fn be_terminated(_: ()) {
    die_by(libc_number::SIGTERM);
}

/// The numbers of signals, as far as they are the same everywhere.
mod libc_number {
    pub(super) const SIGKILL: i32 = 9;
    pub(super) const SIGSEGV: i32 = 11;
    pub(super) const SIGTERM: i32 = 15;
}

/// A crash, its name, and how the worker ends.
type Crash = (fn(()), &'static str, Exit);

fn ended_by(signal: &str) -> Exit {
    Exit::Signal(signal.into())
}

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn a_crash_costs_its_task_and_names_the_worker_function_and_exit() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let crashes: [Crash; 7] = [
            (segfault, "segfault", ended_by("SIGSEGV")),
            (abort, "abort", ended_by("SIGABRT")),
            (overflow_the_stack, "overflow_the_stack", ended_by("SIGSEGV")),
            (exit_quietly, "exit_quietly", Exit::Code(0)),
            (exit_with_3, "exit_with_3", Exit::Code(3)),
            (be_killed, "be_killed", ended_by("SIGKILL")),
            (be_terminated, "be_terminated", ended_by("SIGTERM")),
        ];
        for (round, (crash, name, exit)) in (1..).zip(crashes) {
            let before = processes.submit(pid, ()).result().unwrap();
            let crashed = processes.submit(crash, ());
            let behind = processes.submit(pid, ());
            crashed.wait();
            assert!(crashed.to_string().ends_with("state=finished raised WorkerDied>"), "{crashed}");
            let error = crashed.error().unwrap();
            let death = died(crashed.result());
            assert_eq!((death.pid().unwrap(), death.exit()), (before, &exit), "{name}");
            let function = format!("{}::{name}", module_path!());
            assert_eq!(death.function(), Some(&*function));
            assert_eq!(error.to_string(), format!("the worker process {before} {exit} while it ran {function}"));
            assert_ne!(behind.result().unwrap(), before, "behind {name}");
            assert!(is_gone(before), "{name}");
            assert_eq!(processes.stats().respawned, round);
        }
        processes.shutdown();
        let stats = processes.stats();
        assert_eq!((stats.completed, stats.failed, stats.workers), (14, 7, 0));
    });
}

#[test]
fn an_idle_worker_that_is_killed_costs_nothing() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let mut before = processes.submit(pid, ()).result().unwrap();
        for round in 0..30_u64 {
            let witness = Witness::of(before);
            signal(before, if round % 2 == 0 { Signal::KILL } else { Signal::TERM });
            // At once, or when the pool may know already.
            if round % 3 == 0 {
                witness.sees_the_end();
            }
            let after = processes.submit(pid, ()).result().unwrap();
            assert_ne!(after, before);
            assert_eq!(processes.stats().respawned, round + 1);
            before = after;
        }
        assert_eq!(processes.stats().failed, 0);
    });
}

#[test]
fn a_busy_worker_that_is_killed_costs_its_task() {
    within(LONG, || {
        for (number, name) in [(Signal::KILL, "SIGKILL"), (Signal::TERM, "SIGTERM")] {
            let processes = ProcessPoolExecutor::new(2);
            let door = Door::new();
            let first = processes.submit(pass, door.path());
            let worker = door.arrived();
            let second = processes.submit(pass, door.path());
            let survivor = door.arrived();
            let queued: Vec<_> = (0..20).map(|n| processes.submit(square, n)).collect();
            signal(worker, number);
            let death = died(first.result());
            assert_eq!((death.pid().unwrap(), death.exit()), (worker, &ended_by(name)));
            assert_eq!(death.function().unwrap(), "concurrent_futures_conformance::support::door::pass");
            assert_eq!(second.state(), State::Running);
            let results: Vec<u64> = queued.into_iter().map(|future| future.result().unwrap()).collect();
            assert_eq!(results, (0..20).map(square).collect::<Vec<_>>());
            door.open();
            assert_eq!(second.result().unwrap(), survivor);
        }
    });
}

#[test]
fn ten_crashes_in_a_row_spare_the_other_tasks() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let crashes: [fn(()); 5] = [segfault, abort, exit_quietly, exit_with_3, be_killed];
        let mut bad = Vec::new();
        let mut good = Vec::new();
        for n in 0..10_usize {
            good.extend((0..4).map(|m| (m, processes.submit(square, m))));
            bad.push(processes.submit(crashes[n % 5], ()));
        }
        for future in bad {
            died(future.result());
        }
        for (n, future) in good {
            assert_eq!(future.result().unwrap(), n * n);
        }
        // Two at a time again.
        let door = Door::new();
        let both = [(); 2].map(|()| processes.submit(pass, door.path()));
        assert_ne!(door.arrived(), door.arrived());
        assert_eq!(processes.stats().respawned, 10);
        door.open();
        for future in both {
            future.result().unwrap();
        }
        processes.shutdown();
        assert_eq!((processes.stats().completed, processes.stats().failed), (42, 10));
    });
}

#[test]
fn a_crash_loses_no_finished_result() {
    within(LONG, || {
        for workers in [1, 2] {
            let processes = ProcessPoolExecutor::new(workers);
            for crash in [be_killed as fn(()), segfault, exit_quietly] {
                let file = tempfile::NamedTempFile::new().unwrap();
                let mut bad = Vec::new();
                let mut good = Vec::new();
                for n in 0..1000 {
                    good.push(processes.submit(mark, (file.path().to_owned(), n)));
                    if n % 200 == 199 {
                        bad.push(processes.submit(crash, ()));
                    }
                }
                for future in bad {
                    died(future.result());
                }
                for (n, future) in (0..).zip(good) {
                    assert_eq!(future.result().unwrap(), n);
                }
                let mut marks = marks(file.path());
                marks.sort_unstable();
                assert_eq!(marks, (0..1000).collect::<Vec<_>>(), "each ran once");
            }
        }
    });
}

/// Its argument, many times; it crashes at those that are marked.
fn repeat((byte, length, crashes): (u8, usize, bool)) -> Vec<u8> {
    if crashes {
        die_by(libc_number::SIGKILL);
    }
    vec![byte; length]
}

#[test]
fn one_item_of_a_chunk_crashes_alone() {
    const ITEMS: u8 = 40;
    within(LONG, || {
        // The journal holds many results, a few, one, or not even one.
        for length in [1, 30_000, 61_436, 200_000] {
            let processes = ProcessPoolExecutor::new(2);
            for (chunk, bad) in [(10, vec![0, 9, 10, 25, 39]), (40, vec![0, 1, 2, 20, 39]), (7, vec![6, 7, 8])] {
                let chunked = processes.with(MapOptions::new().chunk_size(chunk));
                let items = (0..ITEMS).map(|n| (n, length, bad.contains(&n)));
                for (n, outcome) in (0..).zip(chunked.map(repeat, items)) {
                    if bad.contains(&n) {
                        let death = died(outcome);
                        assert_eq!(death.exit(), &ended_by("SIGKILL"));
                        assert_eq!(death.function(), Some("it::processes::crashes::repeat"));
                    } else {
                        let result = outcome.unwrap_or_else(|error| panic!("item {n} of {length}: {error}"));
                        assert!(result.len() == length && result.iter().all(|byte| *byte == n), "item {n}");
                    }
                }
            }
        }
    });
}

#[test]
fn every_item_of_a_chunk_may_crash() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let chunked = processes.with(MapOptions::new().chunk_size(5));
        let mut pids: Vec<u32> =
            chunked.map(repeat, (0..10).map(|n| (n, 1, true))).map(|outcome| died(outcome).pid().unwrap()).collect();
        pids.dedup();
        assert_eq!(pids.len(), 10, "a worker for each");
        assert_eq!(chunked.map(square, 0..10).map(Result::unwrap).sum::<u64>(), 285);
    });
}

/// Leaves a mark, and crashes as long as there are no more than so many.
fn crash_at_first((file, times): (PathBuf, usize)) -> usize {
    mark((file.clone(), 0));
    let tries = marks(&file).len();
    if tries <= times {
        die_by(libc_number::SIGKILL);
    }
    tries
}

#[test]
fn a_task_is_retried_as_often_as_its_option_allows() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let directory = tempfile::tempdir().unwrap();
        for (crashes, retries) in [(0, 0), (1, 1), (1, 5), (3, 3), (1, 0), (4, 3)] {
            let file = directory.path().join(format!("{crashes} {retries}"));
            let before = processes.stats();
            let task =
                processes.with(TaskOptions::new().retries(retries)).submit(crash_at_first, (file.clone(), crashes));
            let behind = processes.submit(square, 3);
            let tries = (crashes + 1).min(retries as usize + 1);
            match task.result() {
                Ok(number) => assert!(number == tries && crashes <= retries as usize),
                error => {
                    assert!(crashes > retries as usize);
                    let death = died(error);
                    assert_eq!(death.function(), Some("it::processes::crashes::crash_at_first"));
                }
            }
            assert_eq!(behind.result().unwrap(), 9);
            assert_eq!(marks(&file).len(), tries);
            let after = processes.stats();
            assert_eq!(after.respawned - before.respawned, crashes.min(tries) as u64);
        }
        processes.shutdown();
        assert_eq!((processes.stats().completed, processes.stats().failed), (10, 2));
    });
}

#[test]
fn a_retried_task_stays_running() {
    within(LONG, || {
        let (start, work) = (Door::new(), Door::new());
        let processes =
            ProcessPoolExecutor::builder().max_workers(1).initializer(|door: PathBuf| enter(&door), start.path());
        let processes = processes.build().unwrap();
        let future = processes.with(TaskOptions::new().retries(1)).submit(pass, work.path());
        let behind = processes.submit(square, 2);
        let first = start.arrived();
        assert_eq!(future.state(), State::Pending);
        start.let_in(1);
        assert_eq!(work.arrived(), first);
        assert_eq!(future.state(), State::Running);
        signal(first, Signal::KILL);
        // The next worker is there, and is not let in: the task is nowhere.
        let second = start.arrived();
        assert_eq!((future.state(), behind.state()), (State::Running, State::Pending));
        assert!(!future.cancel() && future.is_running() && !future.is_done());
        assert!(behind.cancel());
        assert_eq!(processes.cancel_pending(), 0);
        start.open();
        assert_eq!(work.arrived(), second);
        assert_eq!(future.state(), State::Running);
        work.open();
        assert_eq!(future.result().unwrap(), second);
    });
}

#[test]
fn a_task_between_two_tries_can_be_aborted() {
    within(LONG, || {
        let (start, work) = (Door::new(), Door::new());
        let processes =
            ProcessPoolExecutor::builder().max_workers(1).initializer(|door: PathBuf| enter(&door), start.path());
        let processes = processes.build().unwrap();
        let future = processes.with(TaskOptions::new().retries(1)).submit(pass, work.path());
        start.let_in(1);
        let first = work.arrived();
        assert_eq!(start.arrived(), first);
        signal(first, Signal::KILL);
        start.arrived();
        assert!(future.abort());
        assert!(matches!(future.result(), Err(Error::Cancelled)));
        start.open();
        assert_eq!(processes.submit(square, 3).result().unwrap(), 9);
    });
}

#[test]
fn a_chunk_between_two_tries_can_be_cancelled() {
    within(LONG, || {
        let start = Door::new();
        let processes =
            ProcessPoolExecutor::builder().max_workers(1).initializer(|door: PathBuf| enter(&door), start.path());
        let processes = processes.build().unwrap();
        let chunked = processes.with(TaskOptions::new().retries(9)).with(MapOptions::new().chunk_size(3));
        let file = start.path().join("marks");
        let outcomes = chunked.map(crash_at_first, [(); 3].map(|()| (file.clone(), 1)));
        start.let_in(1);
        let first = start.arrived();
        assert_ne!(start.arrived(), first, "the first has died of it");
        processes.close();
        assert_eq!(processes.cancel_pending(), 1);
        start.open();
        let mut outcomes = outcomes;
        // It has run, so it was not cancelled.
        died(outcomes.next().unwrap());
        for outcome in outcomes {
            assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
        }
        assert_eq!(marks(&file), [0]);
    });
}

/// As `crash_at_first`, for the items of a chunk.
fn flaky((directory, item, times): (PathBuf, u32, usize)) -> u32 {
    crash_at_first((directory.join(item.to_string()), times));
    item
}

#[test]
fn only_lost_items_of_a_chunk_are_retried() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let directory = tempfile::tempdir().unwrap();
        // Item 4 crashes once more than it may.
        let crashes = [2, 0, 0, 1, 3, 2, 0, 0, 0, 2];
        let chunked = processes.with(TaskOptions::new().retries(2)).with(MapOptions::new().chunk_size(10));
        let items = (0..).zip(crashes).map(|(item, times)| (directory.path().to_owned(), item, times));
        let outcomes: Vec<_> = chunked.map(flaky, items).collect();
        for ((item, crashes), outcome) in (0..).zip(crashes).zip(outcomes) {
            let tries = marks(&directory.path().join(item.to_string())).len();
            match crashes {
                3 => assert!(died(outcome).function().unwrap().ends_with("::flaky") && tries == 3),
                _ => assert_eq!((outcome.unwrap(), tries), (item, crashes + 1)),
            }
        }
    });
}

#[test]
fn a_worker_that_dies_with_half_an_argument_costs_nothing() {
    within(LONG, || {
        const LENGTH: usize = 50 << 20;
        let processes = ProcessPoolExecutor::new(1);
        let worker = processes.submit(pid, ()).result().unwrap();
        // It takes no more than the socket holds.
        stop(worker);
        let child = rustix::process::Pid::from_raw(worker as i32).unwrap();
        waitid(WaitId::Pid(child), WaitIdOptions::STOPPED).unwrap().expect("the worker has stopped");
        // These go through the socket. A `Vec<u8>` would go through shared memory.
        let future = processes.submit(|numbers: Vec<i8>| (std::process::id(), numbers.len()), vec![7; LENGTH]);
        let behind = processes.submit(square, 3);
        assert_eq!(future.state(), State::Pending, "the worker cannot have the whole argument");
        signal(worker, Signal::KILL);
        let (other, length) = future.result().unwrap();
        assert!(other != worker && length == LENGTH);
        assert_eq!(behind.result().unwrap(), 9);
        assert_eq!(processes.stats().respawned, 1);
    });
}

/// Kills its process while the result is on its way to a caller that does not read it. The result goes through the socket,
/// where a `Vec<u8>` would go through shared memory.
fn die_while_answering(door: PathBuf) -> Vec<i8> {
    let thread = std::fs::read_link("/proc/thread-self").expect("the files of a thread");
    std::thread::spawn(move || {
        wait_for_entry(&door);
        // Nothing tells when another thread sleeps in `send`: the one thing it can sleep in.
        let stat = std::path::Path::new("/proc").join(thread).join("stat");
        while !std::fs::read_to_string(&stat).expect("the state of a thread").contains(") S ") {
            std::thread::yield_now();
        }
        die_by(libc_number::SIGKILL);
    });
    vec![7; 50 << 20]
}

#[test]
fn a_worker_that_dies_with_half_a_result_costs_its_task() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let (entered, wait_for_callback) = channel();
        let (leave, wait_for_leave) = channel::<()>();
        let held = processes.submit(pass, door.path());
        // The thread that receives results stands here.
        held.add_done_callback(move |_| {
            entered.send(()).unwrap();
            wait_for_leave.recv().unwrap();
        });
        let answering = Door::new();
        let half: Future<Vec<i8>> = processes.submit(die_while_answering, answering.path());
        let behind: Vec<_> = (0..10).map(|n| processes.submit(square, n)).collect();
        let worker = Witness::of(door.arrived());
        door.open();
        wait_for_callback.recv().unwrap();
        // What is left of the result stays in the worker.
        answering.open();
        worker.sees_the_end();
        leave.send(()).unwrap();
        let death = died(half.result());
        assert_eq!(death.exit(), &ended_by("SIGKILL"));
        assert!(death.function().unwrap().ends_with("::die_while_answering"));
        for (n, future) in (0..).zip(behind) {
            assert_eq!(future.result().unwrap(), n * n);
        }
        held.result().unwrap();
    });
}

#[test]
fn a_death_names_the_task() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let named = processes.with(TaskOptions::new().name("resize"));
        let exit = |code: i32| -> u8 { std::process::exit(code) };
        let death = died(named.submit(exit, 3).result());
        let function = death.function().unwrap();
        assert_eq!(death.task_name(), Some("resize"));
        assert!(death.to_string().ends_with(&format!("code 3 while it ran \"resize\" ({function})")), "{death}");
        for outcome in named.map(exit, [4, 5]) {
            assert_eq!(died(outcome).task_name(), Some("resize"));
        }
        assert_eq!(died(processes.submit(exit, 3).result()).task_name(), None);
    });
}
