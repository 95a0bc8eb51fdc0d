//! Who waits sleeps: neither a pool nor its workers take any processor time.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use concurrent_futures::{Executor, Future, ProcessPoolExecutor, TaskOptions};

use super::support::*;
use crate::support::within;

/// How many nanoseconds a thread has run.
fn ran(thread: &Path) -> u64 {
    let text = fs::read_to_string(thread.join("schedstat")).expect("its times");
    text.split(' ').next().and_then(|time| time.parse().ok()).expect("a number")
}

/// All threads of a process.
fn all_ran(process: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process is there");
    threads.map(|thread| ran(&thread.expect("a thread").path())).sum()
}

/// Uses the CPU for this many nanoseconds. Threads that do not sleep run meanwhile.
fn run_for(nanoseconds: u64) {
    let own = Path::new("/proc/thread-self");
    let until = ran(own) + nanoseconds;
    while ran(own) < until {}
}

/// Waits until the worker and its monitor sleep.
fn assert_sleep(monitor: &Path, worker: u32) {
    let monitor = monitor.to_owned();
    within(LONG, move || {
        let both = || (ran(&monitor), all_ran(worker));
        loop {
            let before = both();
            run_for(20_000_000);
            if both() == before {
                return;
            }
        }
    });
}

#[test]
fn an_idle_pool_uses_no_cpu_time() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).keep_alive(LONG).build().unwrap();
    let door = Door::new();
    let pass_in = |options: TaskOptions| -> Future<u32> { pool.with(options).submit(pass, door.path()) };
    let first = pass_in(TaskOptions::new());
    let worker = door.arrived();
    let (sender, receiver) = channel();
    first.add_done_callback(move |_| {
        sender.send(fs::read_link("/proc/thread-self").expect("a thread")).expect("it is waited for");
    });
    door.let_in(1);
    let monitor = Path::new("/proc").join(receiver.recv().expect("a callback"));
    assert_sleep(&monitor, worker);
    // They also sleep while a task with a time limit runs.
    let second = pass_in(TaskOptions::new().time_limit(LONG));
    assert_eq!(door.arrived(), worker);
    assert_sleep(&monitor, worker);
    door.let_in(1);
    assert_eq!(second.result().unwrap(), worker);
}
