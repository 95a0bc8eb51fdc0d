//! [`ThreadPoolBuilder`]: sets and checks the settings of a thread pool.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::pool::Settings;
use crate::error::BuildError;
use crate::task::worker_state;

/// Returns `max(cpus, min(32, cpus + 4))`: Python's formula, changed to use all CPUs on large machines.
pub(super) fn default_workers() -> usize {
    let cpus = num_cpus::get();
    cpus.max((cpus + 4).min(32))
}

/// Configures a [`ThreadPoolExecutor`](crate::ThreadPoolExecutor). Created by
/// [`ThreadPoolExecutor::builder`](crate::ThreadPoolExecutor::builder).
#[must_use = "a builder does nothing until `build` is called"]
pub struct ThreadPoolBuilder {
    max_workers: Option<usize>,
    thread_name_prefix: Option<String>,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    stack_size: Option<usize>,
    keep_alive: Option<Duration>,
    max_pending: Option<usize>,
    time_limit: Option<Duration>,
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_workers: None,
            thread_name_prefix: None,
            initializer: None,
            stack_size: None,
            keep_alive: None,
            max_pending: None,
            time_limit: None,
        }
    }

    /// Sets how many tasks run at the same time. The default is that of
    /// [`ThreadPoolExecutor::default`](crate::ThreadPoolExecutor::default).
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = Some(workers);
        self
    }

    /// Names the threads `prefix-0`, `prefix-1` and so on. The default prefix is `ThreadPoolExecutor-N`, with its own
    /// `N` for each executor. Linux shows the first 15 bytes of a thread's name.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name_prefix = Some(prefix.into());
        self
    }

    /// Calls `initializer` on each thread before its first task. The tasks that the thread runs get what it returns by
    /// [`task::worker_state`](fn@crate::task::worker_state).
    ///
    /// If it panics, the executor breaks: its pending tasks and all later ones end with
    /// [`Error::Broken`](crate::Error::Broken), which contains the panic's message.
    pub fn initializer<S: 'static>(mut self, initializer: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(move || worker_state::set(initializer())));
        self
    }

    /// Sets the size of each thread's stack, in bytes. The default is that of `std::thread::Builder`: 2 MiB, or the
    /// value of `RUST_MIN_STACK`.
    ///
    /// A task that overflows its stack ends the program. A task that is run by the thread that waits for it has at
    /// least half of that thread's stack. [Large values](crate::ThreadPoolExecutor#large-values) that are passed by
    /// value need room for two copies.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Ends a thread that has been idle for this long. By default, threads stay until the executor ends.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.keep_alive = Some(idle);
        self
    }

    /// Bounds the queue to this many pending tasks: `submit` blocks until there is room.
    ///
    /// It never blocks on a thread of the executor: tasks submitted there may exceed the bound. A task that starts, is
    /// cancelled or is claimed by a waiter makes room at once. Until a thread has taken it, a task counts as pending, also if
    /// threads are idle: a burst of tasks may find the queue full before they wake.
    pub fn max_pending(mut self, tasks: usize) -> Self {
        self.max_pending = Some(tasks);
        self
    }

    /// Limits how long each task may run, counted from its start. If the task has its own
    /// [limit](crate::TaskOptions::time_limit), the shorter one applies.
    ///
    /// A task that runs longer ends with [`Error::TimeLimit`](crate::Error::TimeLimit) at once. It is asked to stop
    /// (see [`task::current`](crate::task::current)), and keeps its worker busy until it returns. Items of a map are
    /// tasks of their own, and a map's `chunk_size` does not apply.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Checks the settings and fills in the defaults.
    pub(super) fn settings(self) -> Result<Settings, BuildError> {
        let prefix = match self.thread_name_prefix {
            Some(prefix) if prefix.is_empty() || prefix.contains('\0') => {
                let requirement = "a text that is not empty and has no zero byte";
                return Err(BuildError::new("thread_name_prefix", requirement, prefix));
            }
            Some(prefix) => prefix,
            None => default_prefix(),
        };
        Ok(Settings {
            max_workers: BuildError::if_zero("max_workers", self.max_workers)?.unwrap_or_else(default_workers),
            prefix,
            initializer: self.initializer,
            stack_size: BuildError::if_zero("stack_size", self.stack_size)?,
            keep_alive: BuildError::if_no_time("keep_alive", self.keep_alive)?,
            max_pending: BuildError::if_zero("max_pending", self.max_pending)?,
            time_limit: BuildError::if_no_time("time_limit", self.time_limit)?,
        })
    }
}

fn default_prefix() -> String {
    static EXECUTORS: AtomicUsize = AtomicUsize::new(0);
    format!("ThreadPoolExecutor-{}", EXECUTORS.fetch_add(1, Ordering::Relaxed))
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.thread_name_prefix)
            .field("stack_size", &self.stack_size)
            .field("keep_alive", &self.keep_alive)
            .field("max_pending", &self.max_pending)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}
