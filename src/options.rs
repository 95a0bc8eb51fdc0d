//! [`TaskOptions`], what a task may be told beside its function and argument, and [`Stats`].
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

/// Says how tasks are to be run; given to an executor by [`Executor::with`](crate::Executor::with).
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Executor, TaskOptions, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let eight_at_a_time = threads.with(TaskOptions::new().buffer_size(8));
/// let squares: Vec<u64> = eight_at_a_time
///     .map(|n: u64| n * n, 0..)
///     .take(3)
///     .collect::<Result<_, _>>()?;
/// assert_eq!(squares, [0, 1, 4]);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are given to `Executor::with`"]
pub struct TaskOptions {
    name: Option<Arc<str>>,
    time_limit: Option<Duration>,
    retries: Option<u32>,
    refuse_when_full: bool,
    chunk_size: Option<usize>,
    buffer_size: Option<usize>,
    timeout: Option<Duration>,
}

impl TaskOptions {
    pub(crate) const NONE: &'static Self = &Self::new();

    /// Creates options that change nothing.
    pub const fn new() -> Self {
        Self {
            name: None,
            time_limit: None,
            retries: None,
            refuse_when_full: false,
            chunk_size: None,
            buffer_size: None,
            timeout: None,
        }
    }

    /// Names the task: in logs, in the text of its errors, and for executors that look functions up by name.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Limits how long a task may run, counted from its start.
    ///
    /// A task that runs longer ends with [`Error::TimeLimit`](crate::Error::TimeLimit) at once. If the executor has a limit too, the
    /// shorter one applies. A task on a thread is
    /// asked to stop ([`task::current`](crate::task::current)) and keeps its worker busy until it returns.
    ///
    /// Callbacks of an expired task do not delay the limits of other tasks on a thread pool: they run on a separate thread, or on the timer
    /// thread only if no other thread can be started. On a process pool, a slow callback delays the limit of the next task of the same
    /// worker, and of no other task.
    ///
    /// Items of a map that have a time limit are tasks of their own: `chunk_size` does not apply.
    /// To enforce it is the executor's business: [`InlineExecutor`](crate::InlineExecutor), whose caller is busy running
    /// the task, ignores it.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    #[track_caller]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "time_limit must be longer than zero");
        self.time_limit = Some(limit);
        self
    }

    /// Runs a task again, up to `count` times, whose worker process died. It stays running meanwhile.
    ///
    /// A thread does not die, so an executor of threads has nothing to retry.
    pub fn retries(mut self, count: u32) -> Self {
        self.retries = Some(count);
        self
    }

    /// Refuses a task with [`Error::Full`](crate::Error::Full) where `submit` would wait for room in the queue.
    pub fn refuse_when_full(mut self) -> Self {
        self.refuse_when_full = true;
        self
    }

    /// Runs the items of a map in tasks of `items` items. Outcomes stay one per item.
    ///
    /// Seldom needed: without it, the workers of a pool share the items as
    /// [`map`](crate::Executor::map) says, in pieces that follow from how long they take. With 1, each item is a task.
    /// A task is submitted when all its items are pulled: after a shutdown meanwhile, those pulled before it are refused too.
    ///
    /// # Panics
    ///
    /// If `items` is 0.
    #[track_caller]
    pub fn chunk_size(mut self, items: usize) -> Self {
        assert!(items > 0, "chunk_size must be at least 1, not 0");
        self.chunk_size = Some(items);
        self
    }

    /// Keeps exactly `items` items of a map in flight: the next input is pulled when the awaited result is there.
    ///
    /// Without it a map submits all its input at once. Items that are pulled later run after tasks that were submitted in the meantime.
    /// Chunks never exceed it; without a
    /// [`chunk_size`](TaskOptions::chunk_size), each item is a task.
    ///
    /// # Panics
    ///
    /// If `items` is 0.
    #[track_caller]
    pub fn buffer_size(mut self, items: usize) -> Self {
        assert!(items > 0, "buffer_size must be at least 1, not 0");
        self.buffer_size = Some(items);
        self
    }

    /// Limits how long a map may take as a whole, counted from the call. It does not apply to submitted tasks: use
    /// [`time_limit`](TaskOptions::time_limit) to limit the task, or [`result_timeout`](crate::Future::result_timeout) to limit the wait.
    ///
    /// When it runs out, the map yields one [`Error::Timeout`](crate::Error::Timeout), cancels what has not started and ends.
    /// Items that run by then go on.
    /// Results that are there by then are yielded, however late they are asked for: of an ordered map those before the
    /// first that is not.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the name of the task.
    pub fn get_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the time limit of the task.
    pub fn get_time_limit(&self) -> Option<Duration> {
        self.time_limit
    }

    /// Returns how often a task whose worker died is run again.
    pub fn get_retries(&self) -> u32 {
        self.retries.unwrap_or(0)
    }

    /// Is a task to be refused where `submit` would wait for room?
    pub fn get_refuse_when_full(&self) -> bool {
        self.refuse_when_full
    }

    pub(crate) fn items_per_chunk(&self) -> usize {
        match self.time_limit {
            Some(_) => 1,
            None => self.chunk_size.unwrap_or(1),
        }
    }

    pub(crate) fn items_in_flight(&self) -> Option<usize> {
        self.buffer_size
    }

    /// Is it left to the executor how the items of a map become tasks?
    pub(crate) fn leaves_chunks_open(&self) -> bool {
        self.chunk_size.is_none() && self.time_limit.is_none() && self.buffer_size.is_none()
    }

    pub(crate) fn map_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// These options, and where they say nothing, those of `outer`.
    pub(crate) fn over(self, outer: &Self) -> Self {
        Self {
            name: self.name.or_else(|| outer.name.clone()),
            time_limit: self.time_limit.or(outer.time_limit),
            retries: self.retries.or(outer.retries),
            refuse_when_full: self.refuse_when_full || outer.refuse_when_full,
            chunk_size: self.chunk_size.or(outer.chunk_size),
            buffer_size: self.buffer_size.or(outer.buffer_size),
            timeout: self.timeout.or(outer.timeout),
        }
    }
}

/// Counts what an executor is doing and has done. A snapshot: the numbers belong to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Workers that exist. A worker process that has reached `max_tasks_per_worker` and its replacement count as one.
    pub workers: usize,
    /// Workers that wait for a task.
    pub idle: usize,
    /// Tasks that have not started, and items of maps that nobody has taken.
    pub pending: usize,
    /// Workers that run a task. A task that runs others while it waits for them counts once.
    pub running: usize,
    /// Tasks that returned a value, and items of maps that did. A chunk whose size was given is one task, whatever its
    /// items came to.
    pub completed: u64,
    /// Tasks that ended with an error, cancelled ones not counted.
    pub failed: u64,
    /// Workers that were started in place of one that died.
    pub respawned: u64,
}

/// The shorter of two time limits, of a task and its executor.
pub(crate) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
