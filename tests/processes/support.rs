//! What several tests of processes need.
#![allow(dead_code)]

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_futures::{Error, Outcome, WorkerDied};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, waitid};

pub(super) use crate::support::{Door, LONG, enter, mark, marks, pass, pid, say, wait_for_entry};

/// Ends the worker by the signal of this number.
pub(super) fn die_by(signal: i32) -> ! {
    let signal = Signal::from_named_raw(signal).expect("the number of a signal");
    kill_process(getpid(), signal).expect("a process may signal itself");
    loop {
        // Another thread may be the one that it is delivered to, in its own time.
        std::thread::park();
    }
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

/// Sends a signal to another process.
pub(super) fn signal(pid: u32, signal: Signal) {
    kill_process(to_pid(pid), signal).expect("the process is there");
}

/// Stops a child of this process, and waits until it does nothing any more.
pub(super) fn stop(pid: u32) {
    signal(pid, Signal::STOP);
    let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    retry_on_intr(|| waitid(WaitId::Pid(to_pid(pid)), stopped)).expect("a child that is stopped");
}

fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("an id")).expect("an id")
}

/// Watches a process that is not the test's to wait for.
pub(super) struct Witness(OwnedFd);

impl Witness {
    /// The process must be there still.
    pub(super) fn of(pid: u32) -> Self {
        Self(pidfd_open(to_pid(pid), PidfdFlags::empty()).expect("the process is there"))
    }

    fn ends_within(&self, seconds: u64) -> bool {
        let limit = Timespec { tv_sec: seconds as i64, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit)).expect("a poll") == 1
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.ends_within(0)
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(super) fn sees_the_end(&self) {
        assert!(self.ends_within(LONG.as_secs()), "the process lives on");
    }
}

/// Has the process ended, and was it reaped?
pub(super) fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}
