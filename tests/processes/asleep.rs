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

/// Runs for so many nanoseconds: others that do not sleep run as well meanwhile.
fn run_for(nanoseconds: u64) {
    let me = Path::new("/proc/thread-self");
    let until = ran(me) + nanoseconds;
    while ran(me) < until {}
}

/// Waits until the thread that looks after a worker is asleep, and the worker.
fn assert_sleep(keeper: &Path, worker: u32) {
    let keeper = keeper.to_owned();
    within(LONG, move || {
        let both = || (ran(&keeper), all_ran(worker));
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
fn a_pool_that_waits_takes_no_time() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).keep_alive(LONG).build().unwrap();
    let door = Door::new();
    let pass_in = |options: TaskOptions| -> Future<u32> { pool.with(options).submit(pass, door.path()) };
    let first = pass_in(TaskOptions::new());
    let worker = door.arrived();
    let (sender, keeper) = channel();
    first.add_done_callback(move |_| {
        sender.send(fs::read_link("/proc/thread-self").expect("a thread")).expect("it is waited for");
    });
    door.let_in(1);
    let keeper = Path::new("/proc").join(keeper.recv().expect("a callback"));
    assert_sleep(&keeper, worker);
    // And while a task runs, whose time is kept.
    let second = pass_in(TaskOptions::new().time_limit(LONG));
    assert_eq!(door.arrived(), worker);
    assert_sleep(&keeper, worker);
    door.let_in(1);
    assert_eq!(second.result().unwrap(), worker);
}
