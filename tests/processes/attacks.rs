//! What an attack on the pool of processes found.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, MapOptions, ProcessPoolExecutor, TaskOptions};
use rustix::process::{Signal, getpid, kill_process};

use super::support::{signal, stop};
use crate::support::{Door, LONG, enter, mark, marks, pass, pid, within};

fn square(n: u64) -> u64 {
    n * n
}

/// Leaves a mark when it begins and one when it ends, and takes a while in between.
fn work((file, begin, end): (PathBuf, u32, u32)) {
    mark((file.clone(), begin));
    thread::sleep(Duration::from_millis(20));
    mark((file, end));
}

#[test]
fn replaced_workers_leave_no_gap_in_the_number_of_running_tasks() {
    const BEGIN: u32 = 1;
    const END: u32 = 2;
    within(LONG, || {
        for (max_workers, tasks) in [(1, 1), (2, 1), (2, 3)] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("marks");
            let processes =
                ProcessPoolExecutor::builder().max_workers(max_workers).max_tasks_per_worker(tasks).build().unwrap();
            processes.map(work, vec![(file.clone(), BEGIN, END); 12]).for_each(Result::unwrap);
            let mut running = 0;
            for mark in marks(&file) {
                running = if mark == BEGIN { running + 1 } else { running - 1 };
                assert!(running <= max_workers, "{running} at a time on {max_workers} workers");
            }
            assert_eq!(marks(&file).len(), 24);
        }
    });
}

/// Leaves a mark, comes to the door, and dies.
fn die_at((file, door, item): (PathBuf, PathBuf, u32)) {
    mark((file, item));
    enter(&door);
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        thread::park();
    }
}

#[test]
fn unwanted_items_do_not_run_when_the_first_item_is_retried() {
    within(LONG, || {
        let door = Door::new();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("marks");
        let processes = ProcessPoolExecutor::new(1);
        let chunks = processes.with(TaskOptions::new().retries(1)).with(MapOptions::new().chunk_size(5));
        let map = chunks.map(die_at, (0..5).map(|item| (file.clone(), door.path(), item)));
        door.arrived();
        drop(map);
        door.let_in(1);
        processes.shutdown();
        assert_eq!(marks(&file), [0]);
    });
}

#[test]
fn a_task_sent_ahead_does_not_wait_for_callbacks_of_an_aborted_task() {
    within(LONG, || {
        let door = Door::new();
        let processes = ProcessPoolExecutor::new(1);
        processes.map(square, 0..20).for_each(|outcome| {
            outcome.unwrap();
        });
        // Its limit lets the pool look at the worker, and send it what comes next.
        let running = processes.with(TaskOptions::new().time_limit(LONG)).submit(pass, door.path());
        let next = processes.submit(square, 3);
        door.arrived();
        let (sender, receiver) = channel();
        running.add_done_callback(move |_| receiver.recv().expect("the next one is done"));
        thread::scope(|scope| {
            scope.spawn(|| assert!(running.abort()));
            assert_eq!(next.result().unwrap(), 9);
            sender.send(()).unwrap();
        });
    });
}

#[test]
fn a_task_behind_one_that_expired_before_its_start_is_not_killed() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        processes.map(square, 0..20).for_each(|outcome| {
            outcome.unwrap();
        });
        let worker = processes.submit(pid, ()).result().unwrap();
        stop(worker);
        let late = processes.with(TaskOptions::new().time_limit(Duration::from_millis(50))).submit(square, 2);
        // The worker would go on with the next.
        late.add_done_callback(move |_| signal(worker, Signal::CONT));
        let next = processes.submit(square, 3);
        assert!(matches!(late.result(), Err(Error::TimeLimit(_))));
        assert_eq!(next.result().unwrap(), 9);
    });
}

/// Leaves a mark; the first to do so comes to the door, and dies.
fn die_at_first((file, door): (PathBuf, PathBuf)) {
    mark((file.clone(), 0));
    if marks(&file).len() == 1 {
        die_at((file, door, 0));
    }
}

#[test]
fn a_cancel_before_a_retry_comes_too_late_and_loses_no_result() {
    within(LONG, || {
        let door = Door::new();
        let processes = ProcessPoolExecutor::new(1);
        let twice = processes.with(TaskOptions::new().retries(1));
        for n in 0..300 {
            let file = door.path().join(n.to_string());
            let future = twice.submit(die_at_first, (file, door.path()));
            door.arrived();
            thread::scope(|scope| {
                // As often as can be, to be there in the very moment.
                scope.spawn(|| while !future.is_done() && !future.cancel() {});
                door.let_in(1);
                future.wait();
            });
            future.result().expect("it has begun");
        }
    });
}
