//! What several tests of processes need.
#![allow(dead_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_futures::{Error, Outcome, WorkerDied};
use rustix::process::{Signal, getpid, kill_process};

/// Ends the worker by the signal of this number.
pub(super) fn die_by(signal: i32) {
    let signal = Signal::from_named_raw(signal).expect("the number of a signal");
    kill_process(getpid(), signal).expect("a process may signal itself");
}

/// The id of the process this runs in.
pub(super) fn pid(_: ()) -> u32 {
    std::process::id()
}

/// Counts the calls in this process.
pub(super) fn calls(_: ()) -> usize {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

pub(super) fn died<T>(outcome: Outcome<T>) -> WorkerDied {
    match outcome {
        Err(Error::WorkerDied(died)) => died,
        Err(other) => panic!("not a death: {other}"),
        Ok(_) => panic!("it lives"),
    }
}
