//! The settings of a pool, at random.

use std::path::Path;
use std::time::Duration;

use concurrent_futures::ProcessPoolExecutor;
use fastrand::Rng;

use crate::tasks::{NOTES, be_quiet};

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_workers: usize,
    pub(crate) max_tasks_per_worker: Option<usize>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) max_pending: Option<usize>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) max_message_size: Option<u64>,
    pub(crate) initializer: bool,
}

impl Settings {
    pub(crate) fn random(random: &mut Rng) -> Self {
        let mut sometimes = |one_in: u32| random.u32(..one_in) == 0;
        let (tasks, idle, pending) = (sometimes(3), sometimes(3), sometimes(3));
        let (memory, time, frame) = (sometimes(4), sometimes(3), sometimes(4));
        let initializer = !sometimes(3);
        Self {
            max_workers: random.usize(1..=4),
            max_tasks_per_worker: tasks.then(|| random.usize(1..=20)),
            keep_alive: idle.then(|| Duration::from_millis(random.u64(1..=20))),
            max_pending: pending.then(|| random.usize(1..=20)),
            memory_limit: memory.then_some(4 << 30),
            // Longer than an innocent task takes on a machine that is busy.
            time_limit: time.then_some(Duration::from_secs(4)),
            max_message_size: frame.then_some(1 << 20),
            initializer,
        }
    }

    pub(crate) fn build(&self, notes: &Path) -> ProcessPoolExecutor {
        let mut builder =
            ProcessPoolExecutor::builder().max_workers(self.max_workers).env(NOTES, notes).env("RUST_BACKTRACE", "0");
        if let Some(tasks) = self.max_tasks_per_worker {
            builder = builder.max_tasks_per_worker(tasks);
        }
        if let Some(idle) = self.keep_alive {
            builder = builder.keep_alive(idle);
        }
        if let Some(tasks) = self.max_pending {
            builder = builder.max_pending(tasks);
        }
        if let Some(bytes) = self.memory_limit {
            builder = builder.memory_limit(bytes);
        }
        if let Some(limit) = self.time_limit {
            builder = builder.time_limit(limit);
        }
        if let Some(bytes) = self.max_message_size {
            builder = builder.max_message_size(bytes);
        }
        if self.initializer {
            builder = builder.initializer(be_quiet, ());
        }
        builder.build().expect("the settings are good")
    }
}
