//! What several tests of processes need.
#![allow(dead_code)]

use std::fs;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_futures::{Error, Executor as _, Outcome, ProcessPoolBuilder, ProcessPoolExecutor, WorkerDied};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

use crate::support::{LONG, within};

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

/// A pool whose processes, and what they started, can be found and counted.
pub(super) struct Marked {
    pool: ProcessPoolExecutor,
    mark: String,
}

/// Runs `body` with a pool, within a time, and looks that no process of it is left.
#[track_caller]
pub(super) fn with_pool(builder: ProcessPoolBuilder, body: impl FnOnce(&Marked) + Send + 'static) {
    let pool = Marked::build(builder);
    within(LONG, move || {
        body(&pool);
        pool.end();
    });
}

impl Marked {
    pub(super) fn build(builder: ProcessPoolBuilder) -> Self {
        const NAME: &str = "CONCURRENT_FUTURES_TEST_POOL";
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let value = format!("{}-{number}", std::process::id());
        let pool = builder.env(NAME, &value).build().expect("settings that can be");
        Self { pool, mark: format!("{NAME}={value}") }
    }

    /// All processes of the pool, and what they started.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let is_marked = |pid: &Pid| {
            let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == self.mark.as_bytes())
        };
        let names = fs::read_dir("/proc").expect("a list of processes").flatten().map(|entry| entry.file_name());
        let pids = names.filter_map(|name| Pid::from_raw(name.to_str()?.parse().ok()?));
        pids.filter(is_marked).collect()
    }

    /// Drops the pool: its workers have gone then, and what they started goes.
    #[track_caller]
    pub(super) fn end(self) {
        let processes = self.processes();
        let Self { pool, mark } = self;
        drop(pool);
        let ours = format!("\nPPid:\t{}\n", std::process::id());
        for pid in processes {
            let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
            assert!(!status.contains(&ours), "a worker is left: {status}");
            // It was killed, which takes its time.
            gone(pid, &mark);
        }
    }

    /// Works as ever, with both of its workers.
    #[track_caller]
    pub(super) fn works(&self) {
        let echoed: Vec<u32> = self.map(|n: u32| n + 1, 0..20).collect::<Result<_, _>>().expect("the pool works");
        assert!(echoed.into_iter().eq(1..=20));
    }
}

/// Waits until a process has gone that had this in its environment.
#[track_caller]
fn gone(pid: Pid, mark: &str) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    if environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()) {
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)), Ok(1), "{pid:?} is left of {mark}");
    }
}

impl Deref for Marked {
    type Target = ProcessPoolExecutor;
    fn deref(&self) -> &ProcessPoolExecutor {
        &self.pool
    }
}

/// A builder for so many workers.
pub(super) fn workers(count: usize) -> ProcessPoolBuilder {
    ProcessPoolExecutor::builder().max_workers(count)
}
