//! Time limits, aborts, signals, shutdowns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Exit, Future, InlineExecutor, MapOptions, Outcome, ProcessPoolExecutor, State,
    TaskOptions, wait,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Deserializer, Serialize};

use super::support::*;
use crate::support::{Forwarding, within};

/// Long enough for a task that does nothing, on a machine that is busy.
const LIMIT: Duration = Duration::from_millis(300);

fn square(n: u64) -> u64 {
    n * n
}

#[track_caller]
fn limited<T: std::fmt::Debug>(outcome: Outcome<T>, limit: Duration) {
    match outcome {
        Err(Error::TimeLimit(late)) => assert_eq!(late.limit(), limit),
        other => panic!("not late: {other:?}"),
    }
}

/// Stops a worker, which is a child of this process.
fn stop(worker: u32) {
    signal(worker, Signal::STOP);
    let child = Pid::from_raw(worker as i32).unwrap();
    waitid(WaitId::Pid(child), WaitIdOptions::STOPPED).unwrap().expect("the worker has stopped");
}

#[test]
fn a_task_past_the_limit_of_the_pool_ends_alone() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).time_limit(LIMIT).build().unwrap();
        let door = Door::new();
        // Short ones, so that what follows is sent ahead.
        let before: Vec<_> = (0..200).map(|n| processes.submit(square, n)).collect();
        let late = processes.submit(pass, door.path());
        let behind: Vec<_> = (0..200).map(|n| processes.submit(square, n)).collect();
        let worker = door.arrived();
        assert_eq!(late.state(), State::Running);
        let witness = Witness::of(worker);
        late.wait();
        assert!(late.to_string().ends_with("state=finished raised TimeLimit>"), "{late}");
        assert_eq!(late.error().unwrap().to_string(), "the task ran past its time limit of 300ms");
        limited(late.result(), LIMIT);
        for (n, future) in (0..200).chain(0..200).zip(before.into_iter().chain(behind)) {
            assert_eq!(future.result().unwrap(), n * n);
        }
        witness.sees_the_end();
        assert_ne!(processes.submit(pid, ()).result().unwrap(), worker);
        assert_eq!(processes.stats().respawned, 1);
        processes.shutdown();
        assert_eq!((processes.stats().completed, processes.stats().failed), (401, 1));
    });
}

#[test]
fn the_limit_of_a_task_overrides_that_of_the_pool() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(2).time_limit(2 * LONG).build().unwrap();
        let door = Door::new();
        let unlimited = processes.submit(pass, door.path());
        let survivor = door.arrived();
        let hasty = processes.with(TaskOptions::new().time_limit(LIMIT));
        let late = hasty.submit(pass, door.path());
        assert_ne!(door.arrived(), survivor);
        limited(late.result(), LIMIT);
        assert_eq!(unlimited.state(), State::Running);
        door.open();
        assert_eq!(unlimited.result().unwrap(), survivor);
        assert_eq!(hasty.submit(square, 3).result().unwrap(), 9);
    });
}

#[test]
fn the_limit_of_the_pool_holds_for_every_kind_of_task() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(2).time_limit(LIMIT).build().unwrap();
        let door = Door::new();
        let patient = processes.with(TaskOptions::new().time_limit(2 * LONG));
        limited(patient.submit(pass, door.path()).result(), LIMIT);
        let chunked = processes.with(MapOptions::new().chunk_size(2));
        for map in [processes.map(pass, [door.path(), door.path()]), chunked.map(pass, [door.path(), door.path()])] {
            map.for_each(|outcome| limited(outcome, LIMIT));
        }
        let around = Forwarding(processes);
        limited(around.submit(pass, door.path()).result(), LIMIT);
        around.map(pass, [door.path(), door.path()]).for_each(|outcome| limited(outcome, LIMIT));
        assert_eq!(around.submit(square, 3).result().unwrap(), 9);
    });
}

#[test]
fn items_of_a_map_have_their_own_limits() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let hasty = processes.with(TaskOptions::new().time_limit(LIMIT)).with(MapOptions::new().chunk_size(4));
        let wait_or_not = |(n, door): (u64, Option<PathBuf>)| door.map_or(n, |door| u64::from(pass(door)));
        let door = Door::new();
        let items = (0..12).map(|n| (n, (n % 6 == 5).then(|| door.path())));
        for (n, outcome) in (0..).zip(hasty.map(wait_or_not, items)) {
            if n % 6 == 5 {
                limited(outcome, LIMIT);
            } else {
                assert_eq!(outcome.unwrap(), n);
            }
        }
    });
}

/// A task that leaves a process behind, says its id, and waits.
#[expect(clippy::zombie_processes, reason = "it is to be there when the task ends")]
fn have_a_child(door: PathBuf) -> u32 {
    let child = Command::new("sleep").arg("1000").spawn().expect("a child");
    say(&door, &child.id().to_string());
    pass(door)
}

#[test]
fn processes_started_by_a_task_end_with_its_worker() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let with_child = |options: TaskOptions| {
            let future = processes.with(options).submit(have_a_child, door.path());
            let child = Witness::of(door.arrived());
            (future, child, Witness::of(door.arrived()))
        };
        let (late, child, worker) = with_child(TaskOptions::new().time_limit(LIMIT));
        limited(late.result(), LIMIT);
        child.sees_the_end();
        worker.sees_the_end();
        let (aborted, child, worker) = with_child(TaskOptions::new());
        assert!(aborted.abort());
        child.sees_the_end();
        worker.sees_the_end();
        let (killed, child, worker) = with_child(TaskOptions::new());
        processes.kill_workers();
        died(killed.result());
        child.sees_the_end();
        worker.sees_the_end();
        let (terminated, child, worker) = with_child(TaskOptions::new());
        processes.terminate_workers();
        died(terminated.result());
        child.sees_the_end();
        worker.sees_the_end();
    });
}

#[test]
fn a_result_within_its_limit_wins_and_the_next_task_is_not_killed() {
    within(LONG, || {
        let limit = Duration::from_millis(5);
        let processes = ProcessPoolExecutor::new(1);
        let tight = processes.with(TaskOptions::new().time_limit(limit));
        let mut late = 0;
        for round in 0..100_u64 {
            // The work, which takes about as long as it may.
            let busy = |micros: u64| {
                thread::sleep(Duration::from_micros(micros));
                micros
            };
            let micros = 4000 + round * 15;
            let close = tight.submit(busy, micros);
            let next: Vec<_> = (0..3).map(|n| processes.submit(square, n)).collect();
            match close.result() {
                Ok(result) => assert_eq!(result, micros),
                outcome => {
                    limited(outcome, limit);
                    late += 1;
                }
            }
            for (n, future) in (0..3).zip(next) {
                assert_eq!(future.result().unwrap(), n * n);
            }
        }
        processes.shutdown();
        let stats = processes.stats();
        assert_eq!((stats.failed, stats.completed), (late, 400 - late));
    });
}

#[test]
fn the_limit_holds_for_a_worker_that_was_stopped() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let hasty = processes.with(TaskOptions::new().time_limit(LIMIT));
        // Idle: it never starts the task.
        let worker = processes.submit(pid, ()).result().unwrap();
        stop(worker);
        let witness = Witness::of(worker);
        let late = hasty.submit(pid, ());
        let behind = processes.submit(pid, ());
        limited(late.result(), LIMIT);
        witness.sees_the_end();
        let next = behind.result().unwrap();
        assert_ne!(next, worker);
        // Busy.
        let door = Door::new();
        let late = hasty.submit(pass, door.path());
        let behind = processes.submit(square, 3);
        assert_eq!(door.arrived(), next);
        stop(next);
        door.open();
        limited(late.result(), LIMIT);
        assert_eq!(behind.result().unwrap(), 9);
        assert_eq!(processes.stats().respawned, 2);
    });
}

#[test]
fn abort_ends_a_task_in_every_state() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let running = processes.submit(pass, door.path());
        let worker = door.arrived();
        let witness = Witness::of(worker);
        let queued = processes.submit(pass, door.path());
        let behind = processes.submit(square, 3);
        assert!(!running.cancel());
        assert_eq!(running.state(), State::Running);
        assert!(queued.abort());
        assert_eq!((queued.state(), running.state()), (State::Cancelled, State::Running));
        assert!(running.abort() && running.is_cancelled());
        assert!(running.abort(), "the future is still cancelled");
        assert!(matches!(running.result(), Err(Error::Cancelled)));
        assert!(matches!(queued.result(), Err(Error::Cancelled)));
        witness.sees_the_end();
        assert_eq!(behind.result().unwrap(), 9);
        let done = processes.submit(square, 4);
        done.wait();
        assert!(!done.abort() && !done.cancel());
        assert_eq!(done.result().unwrap(), 16);
        // Nobody came to the door but the first.
        door.open();
        assert_ne!(processes.submit(pass, door.path()).result().unwrap(), worker);
        assert_ne!(door.arrived(), worker);
        processes.shutdown();
        assert_eq!(processes.stats().failed, 0, "cancelled tasks are not counted");
    });
}

#[test]
fn the_result_of_cancel_is_exact() {
    const TASKS: u32 = 4000;
    within(LONG, || {
        for workers in [1, 3] {
            let processes = ProcessPoolExecutor::new(workers);
            let file = tempfile::NamedTempFile::new().unwrap();
            let futures: Vec<_> = (0..TASKS).map(|n| processes.submit(mark, (file.path().to_owned(), n))).collect();
            // From both ends, so that some are running, some sent ahead, and some in the queue.
            let (mut cancelled, mut ran) = (Vec::new(), Vec::new());
            for n in (0..TASKS / 2).flat_map(|n| [n, TASKS - 1 - n]).filter(|n| n % 3 != 0) {
                if futures[n as usize].cancel() {
                    assert_eq!(futures[n as usize].state(), State::Cancelled);
                    cancelled.push(n);
                }
            }
            for (n, future) in (0..).zip(futures) {
                match future.result() {
                    Ok(number) => assert_eq!(number, n),
                    Err(Error::Cancelled) => continue,
                    Err(other) => panic!("{other}"),
                }
                ran.push(n);
            }
            let mut marks = marks(file.path());
            marks.sort_unstable();
            assert_eq!(marks, ran, "each has run once, and no other");
            cancelled.sort_unstable();
            assert!(cancelled.iter().all(|n| !ran.contains(n)) && cancelled.len() + ran.len() == TASKS as usize);
        }
    });
}

#[test]
fn tasks_that_were_sent_ahead_can_be_cancelled() {
    within(LONG, || {
        // Some of these were at the worker when it came to the one that waits.
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let file = door.path().join("marks");
        let before: Vec<_> = (0..300).map(|n| processes.submit(mark, (file.clone(), n))).collect();
        let waiting = processes.submit(pass, door.path());
        let behind: Vec<_> = (300..400).map(|n| processes.submit(mark, (file.clone(), n))).collect();
        door.arrived();
        wait(&before, None, concurrent_futures::ReturnWhen::AllCompleted);
        assert!(behind.iter().all(|future| future.state() == State::Pending));
        assert!(behind.iter().step_by(2).all(Future::cancel));
        assert_eq!(processes.cancel_pending(), 50);
        assert_eq!(processes.stats().pending, 0);
        door.open();
        waiting.result().unwrap();
        assert!(behind.into_iter().all(|future| matches!(future.result(), Err(Error::Cancelled))));
        processes.shutdown();
        assert_eq!(marks(&file), (0..300).collect::<Vec<_>>());
    });
}

#[test]
fn signals_to_all_workers_cost_only_running_tasks() {
    within(LONG, || {
        type End = (fn(&ProcessPoolExecutor), &'static str);
        let ends: [End; 2] =
            [(ProcessPoolExecutor::terminate_workers, "SIGTERM"), (ProcessPoolExecutor::kill_workers, "SIGKILL")];
        for (end, name) in ends {
            let processes = ProcessPoolExecutor::new(2);
            end(&processes);
            let door = Door::new();
            let running = [(); 2].map(|()| processes.submit(pass, door.path()));
            let mut pids = [door.arrived(), door.arrived()];
            let queued: Vec<_> = (0..50).map(|n| processes.submit(square, n)).collect();
            end(&processes);
            let mut dead = running.map(|future| {
                let death = died(future.result());
                assert_eq!(death.exit(), &Exit::Signal(name.into()));
                death.pid().unwrap()
            });
            pids.sort_unstable();
            dead.sort_unstable();
            assert_eq!(pids, dead);
            for (n, future) in (0..50).zip(queued) {
                assert_eq!(future.result().unwrap(), n * n);
            }
            assert!(dead.into_iter().all(is_gone));
            processes.shutdown();
            assert_eq!((processes.stats().failed, processes.stats().completed), (2, 50));
        }
    });
}

#[test]
fn killed_workers_lose_one_short_task_each() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        for round in 0..10 {
            let file = tempfile::NamedTempFile::new().unwrap();
            let futures: Vec<_> = (0..600).map(|n| processes.submit(mark, (file.path().to_owned(), n))).collect();
            futures[30 * round].wait();
            processes.kill_workers();
            let outcomes: Vec<_> = futures.into_iter().map(Future::result).collect();
            let mut lost = Vec::new();
            for (n, outcome) in (0..).zip(outcomes) {
                match outcome {
                    Ok(number) => assert_eq!(number, n),
                    error => {
                        died(error);
                        lost.push(n);
                    }
                }
            }
            assert!(lost.len() <= 2, "{lost:?}");
            let mut marks = marks(file.path());
            marks.sort_unstable();
            assert!(marks.is_sorted_by(|a, b| a < b), "no task ran twice");
            assert!((0..600).all(|n| marks.contains(&n) || lost.contains(&n)));
        }
    });
}

/// A pool in the middle of everything that tasks can do, and how it is ended.
fn in_the_middle((file, how): (PathBuf, u32)) -> (usize, usize, Vec<String>) {
    fn count(directory: &str) -> usize {
        std::fs::read_dir(directory).expect("the files of a process").count()
    }
    // What the first pool of a process leaves for the others.
    drop(ProcessPoolExecutor::new(1).submit(square, 1).result());
    let before = (count("/proc/self/task"), count("/proc/self/fd"));
    let processes = ProcessPoolExecutor::builder().max_workers(3).build().expect("a pool");
    let limited = processes.with(TaskOptions::new().time_limit(LIMIT));
    let mut futures = Vec::new();
    for n in 0..6 {
        futures.push(processes.submit(
            |(_, n): (PathBuf, u32)| if n % 2 == 0 { std::process::exit(3) } else { std::process::abort() },
            (file.clone(), n),
        ));
        futures.push(limited.submit(
            |_: (PathBuf, u32)| loop {
                thread::park();
            },
            (file.clone(), n),
        ));
        futures.push(processes.submit(
            |_: (PathBuf, u32)| {
                let text = "x".repeat(1 << 16);
                for _ in 0..20 {
                    print!("{text}");
                    eprint!("{text}");
                }
                0_u32
            },
            (file.clone(), n),
        ));
        futures.push(processes.submit(mark, (file.clone(), n)));
    }
    futures[3].wait();
    match how {
        0 => drop(processes),
        1 => processes.shutdown(),
        2 => processes.shutdown_now(),
        3 => {
            processes.terminate_workers();
            drop(processes);
        }
        4 => {
            processes.kill_workers();
            processes.shutdown_now();
        }
        _ => {
            processes.close();
            processes.kill_workers();
            assert!(processes.join(None));
        }
    }
    assert!(futures.iter().all(Future::is_done), "not everything is done");
    let outcomes = futures.into_iter().map(|future| match future.result() {
        Ok(_) => "Ok".into(),
        Err(Error::WorkerDied(_)) => "WorkerDied".into(),
        Err(Error::TimeLimit(_)) => "TimeLimit".into(),
        Err(Error::Cancelled) => "Cancelled".into(),
        Err(other) => other.to_string(),
    });
    let outcomes = outcomes.collect();
    let after = (count("/proc/self/task"), count("/proc/self/fd"));
    (after.0 - before.0, after.1 - before.1, outcomes)
}

/// The processes whose parent is this one.
fn children_of(parent: u32) -> usize {
    let stats = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("stat"));
    let is_child = |stat: PathBuf| {
        let text = std::fs::read_to_string(stat).ok()?;
        let parent_of_it: u32 = text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        (parent_of_it == parent).then_some(())
    };
    stats.filter_map(is_child).count()
}

/// As `in_the_middle`, and what is left of the processes; its output goes nowhere.
fn ended(argument: (PathBuf, u32)) -> (usize, usize, usize, Vec<String>) {
    let (threads, descriptors, outcomes) = in_the_middle(argument);
    (children_of(std::process::id()), threads, descriptors, outcomes)
}

#[test]
#[ignore = "prints without end: run by the test below, in a process of its own"]
fn every_end_in_this_process() {
    // A worker of its own for each: nothing else happens there.
    let outer = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(1).build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for how in 0..6 {
        let file = directory.path().join(how.to_string());
        let (children, threads, descriptors, outcomes) = outer.submit(ended, (file.clone(), how)).result().unwrap();
        assert_eq!((children, threads, descriptors), (0, 0, 0), "end {how} has left something");
        assert_eq!(marks(&file).len(), outcomes.iter().skip(3).step_by(4).filter(|outcome| *outcome == "Ok").count());
        for task in outcomes.chunks(4) {
            let allowed: [&[&str]; 4] = match how {
                0 | 1 => [&["WorkerDied"], &["TimeLimit"], &["Ok"], &["Ok"]],
                2 => [
                    &["WorkerDied", "Cancelled"],
                    &["TimeLimit", "Cancelled"],
                    &["Ok", "Cancelled"],
                    &["Ok", "Cancelled"],
                ],
                3 | 5 => [&["WorkerDied"], &["TimeLimit", "WorkerDied"], &["Ok", "WorkerDied"], &["Ok", "WorkerDied"]],
                _ => [
                    &["WorkerDied", "Cancelled"],
                    &["TimeLimit", "WorkerDied", "Cancelled"],
                    &["Ok", "WorkerDied", "Cancelled"],
                    &["Ok", "WorkerDied", "Cancelled"],
                ],
            };
            for (outcome, allowed) in task.iter().zip(allowed) {
                assert!(allowed.contains(&outcome.as_str()), "end {how}: {task:?}");
            }
        }
    }
}

#[test]
fn a_pool_that_ends_in_any_way_leaves_nothing_behind() {
    within(LONG, || {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["--exact", "processes::stopping::every_end_in_this_process", "--ignored", "--nocapture"]);
        let output = command.output().unwrap();
        let tail = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&"x".repeat(64), "");
            text.chars().rev().take(2000).collect::<String>().chars().rev().collect::<String>()
        };
        assert!(output.status.success(), "{}\n{}", tail(&output.stdout), tail(&output.stderr));
        assert!(tail(&output.stdout).contains("1 passed"));
    });
}

#[test]
fn a_join_with_a_timeout_waits_for_one_worker_after_the_other() {
    within(LONG, || {
        for _ in 0..5 {
            let processes = ProcessPoolExecutor::new(4);
            let futures: Vec<_> = (0..20).map(|n| processes.submit(square, n)).collect();
            processes.close();
            assert!(processes.join(Some(LONG)));
            assert!(futures.iter().all(Future::is_done));
        }
    });
}

#[test]
fn a_detached_pool_runs_its_tasks() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let running = processes.submit(pass, door.path());
        let worker = door.arrived();
        let witness = Witness::of(worker);
        let queued: Vec<_> = (0..20).map(|n| processes.submit(square, n)).collect();
        processes.detach();
        assert_eq!(running.state(), State::Running);
        door.open();
        assert_eq!(running.result().unwrap(), worker);
        for (n, future) in (0..20).zip(queued) {
            assert_eq!(future.result().unwrap(), n * n);
        }
        witness.sees_the_end();
    });
}

#[test]
fn a_drop_while_unwinding_cancels_pending_tasks() {
    within(LONG, || {
        let (sender, receiver) = channel();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let processes = ProcessPoolExecutor::new(1);
            let door = Door::new();
            let running = processes.submit(pass, door.path());
            let worker = door.arrived();
            let queued = processes.submit(square, 3);
            // A cancelled task releases the other one.
            queued.add_done_callback(move |_| door.open());
            sender.send((running, queued, worker)).unwrap();
            panic!("the program fails");
        }));
        assert!(unwound.is_err());
        let (running, queued, worker) = receiver.recv().unwrap();
        assert!(running.is_done() && is_gone(worker));
        assert_eq!(running.result().unwrap(), worker);
        assert!(matches!(queued.result(), Err(Error::Cancelled)));
    });
}

#[test]
fn callbacks_may_submit_and_shut_down() {
    within(LONG, || {
        let processes = Arc::new(ProcessPoolExecutor::new(1));
        let (sender, receiver) = channel();
        let door = Door::new();
        let held = processes.submit(pass, door.path());
        door.arrived();
        let own = Arc::clone(&processes);
        held.add_done_callback(move |_| {
            sender.send(own.submit(square, 3)).unwrap();
            // It does not wait: it would for itself.
            own.shutdown();
            assert!(!own.join(None));
            sender.send(own.submit(square, 4)).unwrap();
        });
        door.open();
        held.result().unwrap();
        assert_eq!(receiver.recv().unwrap().result().unwrap(), 9);
        assert_eq!(receiver.recv().unwrap().result().unwrap(), 16, "a callback may go on submitting");
        assert!(matches!(processes.submit(square, 5).result(), Err(Error::ShutDown)));
        assert!(processes.join(None));
    });
}

#[test]
fn a_chunk_cancelled_before_its_start_does_not_count_as_ended() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let held = processes.submit(pass, door.path());
        door.arrived();
        let chunks = processes.with(MapOptions::new().chunk_size(2));
        let mut map = chunks.map(square, 0..4);
        assert_eq!(processes.cancel_pending(), 2);
        assert!(map.all(|outcome| matches!(outcome, Err(Error::Cancelled))));
        let stats = processes.stats();
        assert_eq!((stats.completed, stats.failed), (0, 0));
        door.open();
        held.result().unwrap();
    });
}

#[test]
fn a_callback_of_another_executor_does_not_wait_for_the_pool() {
    within(LONG, || {
        let processes = Arc::new(ProcessPoolExecutor::new(1));
        let door = Door::new();
        let held = processes.submit(pass, door.path());
        door.arrived();
        let (sender, receiver) = channel();
        let other = Arc::clone(&processes);
        InlineExecutor.submit(square, 2).add_done_callback(move |_| {
            other.shutdown();
            sender.send(other.join(None)).unwrap();
        });
        assert!(!receiver.recv().unwrap());
        door.open();
        held.result().unwrap();
        assert!(processes.join(None));
    });
}

/// A pool that is shut down when the next [`Last`] is decoded, and the channel that reports whether it had ended then.
static POOL: Mutex<Option<(Arc<ProcessPoolExecutor>, Sender<bool>)>> = Mutex::new(None);

#[derive(Serialize)]
struct Last(u32);

impl<'de> Deserialize<'de> for Last {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let worker = u32::deserialize(deserializer)?;
        if let Some((processes, sender)) = POOL.lock().unwrap().take() {
            processes.close();
            sender.send(processes.join(None)).unwrap();
        }
        Ok(Self(worker))
    }
}

#[test]
fn a_result_may_shut_down_its_pool_while_it_is_decoded() {
    within(LONG, || {
        let processes = Arc::new(ProcessPoolExecutor::new(1));
        let door = Door::new();
        let held = processes.submit(|door| Last(pass(door)), door.path());
        let worker = door.arrived();
        let (sender, receiver) = channel();
        *POOL.lock().unwrap() = Some((Arc::clone(&processes), sender));
        door.open();
        assert!(!receiver.recv().unwrap(), "the shutdown does not wait for the reading thread");
        assert_eq!(held.result().unwrap().0, worker);
        assert!(processes.join(None));
    });
}

#[test]
fn a_callback_may_drop_the_pool() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let held = processes.submit(pass, door.path());
        let worker = Witness::of(door.arrived());
        let queued = processes.submit(square, 3);
        let pool = Mutex::new(Some(processes));
        held.add_done_callback(move |_| drop(pool.lock().unwrap().take()));
        door.open();
        held.result().unwrap();
        assert_eq!(queued.result().unwrap(), 9);
        worker.sees_the_end();
    });
}

/// Leaves a mark; one item waits first.
fn mark_at_door((door, item, waits): (PathBuf, u32, bool)) -> u32 {
    if waits {
        enter(Path::new(&door));
    }
    mark((door.join("marks"), item))
}

#[test]
fn a_shutdown_cancels_the_rest_of_a_chunk() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let chunked = processes.with(MapOptions::new().chunk_size(100));
        let outcomes = chunked.map(mark_at_door, (0..300).map(|n| (door.path(), n, n == 30)));
        door.arrived();
        processes.close();
        assert_eq!(processes.cancel_pending(), 2, "the chunks behind");
        door.open();
        assert!(processes.join(None));
        for (n, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(number) => assert!(number == n && n <= 30, "{n}"),
                Err(Error::Cancelled) => assert!(n > 30, "{n}"),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(marks(&door.path().join("marks")), (0..=30).collect::<Vec<_>>());
    });
}

#[test]
fn a_dropped_map_takes_back_items_that_have_not_begun() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let door = Door::new();
        let chunked = processes.with(MapOptions::new().chunk_size(50));
        let outcomes = chunked.map(mark_at_door, (0..200).map(|n| (door.path(), n, n == 7)));
        door.arrived();
        drop(outcomes);
        door.open();
        assert_eq!(processes.submit(square, 3).result().unwrap(), 9);
        assert_eq!(marks(&door.path().join("marks")), (0..=7).collect::<Vec<_>>());
    });
}

#[test]
fn an_aborted_task_costs_its_own_worker_only() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let doors = [Door::new(), Door::new()];
        let [task, other] = [0, 1].map(|n| processes.submit(pass, doors[n].path()));
        let worker = Witness::of(doors[0].arrived());
        doors[1].arrived();
        assert!(task.abort());
        worker.sees_the_end();
        assert!(other.is_running());
        doors[1].open();
        assert!(other.result().is_ok());
    });
}

#[test]
fn a_dropped_pool_leaves_no_process() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(2);
        let doors = [Door::new(), Door::new()];
        let _tasks = [0, 1].map(|n| processes.submit(pass, doors[n].path()));
        let workers = [0, 1].map(|n| Witness::of(doors[n].arrived()));
        assert!(workers.iter().all(Witness::is_alive));
        doors.iter().for_each(Door::open);
        drop(processes);
        assert!(!workers.iter().any(Witness::is_alive));
    });
}
