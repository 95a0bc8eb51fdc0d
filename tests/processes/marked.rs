//! [`Marked`]: a pool whose processes can be found, so that a test can look that none is left.

use std::fs;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_futures::{Backend as _, Executor as _, ProcessPoolBuilder, ProcessPoolExecutor};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub(super) use crate::support::{Checkpoint, stop_at};
use crate::support::{LONG, within};

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

    /// Works as ever, with all of its workers.
    #[track_caller]
    pub(super) fn works(&self) {
        self.works_with(self.max_workers());
    }

    /// Works with so many workers at a time.
    #[track_caller]
    pub(super) fn works_with(&self, workers: usize) {
        let checkpoint = Checkpoint::new();
        let futures: Vec<_> = (0..workers).map(|_| self.submit(stop_at, checkpoint.address())).collect();
        let calls: Vec<_> = futures.iter().map(|_| checkpoint.arrived()).collect();
        drop(calls);
        futures.into_iter().for_each(|future| future.result().expect("the pool works"));
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
