//! [`TaskOptions`], how tasks are to be run, [`MapOptions`], how maps are, and [`Stats`].
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

/// Says how tasks are to be run. Passed to an executor with [`Executor::with`](crate::Executor::with).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let limited = threads.with(TaskOptions::new().name("nap").time_limit(Duration::from_millis(1)));
/// let nap = limited.submit(std::thread::sleep, Duration::from_millis(50));
/// assert!(matches!(nap.result(), Err(Error::TimeLimit(_))));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are given to `Executor::with`"]
pub struct TaskOptions {
    name: Option<Arc<str>>,
    time_limit: Option<Duration>,
    retries: Option<u32>,
    refuse_when_full: bool,
}

impl TaskOptions {
    pub(crate) const NONE: &'static Self = &Self::new();

    /// Creates options that change nothing.
    pub const fn new() -> Self {
        Self { name: None, time_limit: None, retries: None, refuse_when_full: false }
    }

    /// Names the task. The name appears in logs and in the texts of its errors, and executors that look functions up by
    /// name use it.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Limits how long a task may run, counted from its start.
    ///
    /// A task that runs longer ends with [`Error::TimeLimit`](crate::Error::TimeLimit) at once. If the executor has a
    /// limit too, the shorter one applies. A task on a thread is then asked to stop
    /// ([`task::current`](crate::task::current)) and keeps its worker busy until it returns.
    ///
    /// Callbacks of an expired task do not delay the limits of other tasks on a thread pool: they run on a separate
    /// thread, or on the timer thread only if no other thread can be started. On a process pool, a slow callback delays
    /// the limit of the next task of the same worker, and of no other task.
    ///
    /// Each item of a map with a time limit is a task of its own: [`chunk_size`](MapOptions::chunk_size) does not apply.
    /// The executor enforces the limit. [`InlineExecutor`](struct@crate::InlineExecutor) ignores it, because the calling
    /// thread is busy with the task.
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

    /// Runs a task again, up to `count` times, if its worker process dies. The state of the future stays `Running`
    /// meanwhile.
    ///
    /// Threads do not die, so on an executor of threads this alone has no effect. [`retry_if`](TaskOptions::retry_if), which
    /// comes after it, chooses the errors instead, on every executor: a task whose worker died is then run again only if
    /// that function says so. [`back_off`](TaskOptions::back_off) adds pauses.
    pub fn retries(mut self, count: u32) -> Self {
        self.retries = Some(count);
        self
    }

    /// Refuses a task with [`Error::Full`](crate::Error::Full) if `submit` would otherwise wait for room in the queue.
    ///
    /// A task is in the queue until a worker has taken it, also if workers are idle or about to start: see `max_pending` of
    /// the builders.
    pub fn refuse_when_full(mut self) -> Self {
        self.refuse_when_full = true;
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

    /// Returns how many times a task is run again if its worker dies.
    pub fn get_retries(&self) -> u32 {
        self.retries.unwrap_or(0)
    }

    /// Returns the name of the task, without a copy of the text.
    pub(crate) fn shared_name(&self) -> Option<Arc<str>> {
        self.name.clone()
    }

    /// Returns `true` if the number of retries was set.
    pub(crate) fn has_retries(&self) -> bool {
        self.retries.is_some()
    }

    /// Returns `true` if a task is refused when `submit` would otherwise wait for room.
    pub fn get_refuse_when_full(&self) -> bool {
        self.refuse_when_full
    }

    /// Returns these options, with those of `outer` for what is not set here.
    pub(crate) fn over(self, outer: &Self) -> Self {
        Self {
            name: self.name.or_else(|| outer.name.clone()),
            time_limit: self.time_limit.or(outer.time_limit),
            retries: self.retries.or(outer.retries),
            refuse_when_full: self.refuse_when_full || outer.refuse_when_full,
        }
    }
}

/// Says how maps are to be run. Passed to an executor with [`Executor::with`](crate::Executor::with), which then
/// returns a [`MapWith`](crate::MapWith): it runs maps only, because none of these options applies to a single task.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Executor, MapOptions, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let eight_at_a_time = threads.with(MapOptions::new().buffer_size(8));
/// let squares: Vec<u64> = eight_at_a_time.map(|n: u64| n * n, 0..).take(3).collect::<Result<_, _>>()?;
/// assert_eq!(squares, [0, 1, 4]);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are given to `Executor::with`"]
pub struct MapOptions {
    chunk_size: Option<usize>,
    buffer_size: Option<usize>,
    timeout: Option<Duration>,
}

impl MapOptions {
    pub(crate) const NONE: &'static Self = &Self::new();

    /// Creates options that change nothing.
    pub const fn new() -> Self {
        Self { chunk_size: None, buffer_size: None, timeout: None }
    }

    /// Runs the items of a map in tasks of `items` items each. There is still one outcome for each item.
    ///
    /// Seldom needed: by default, the workers of a pool share the items as described at [`map`](crate::Executor::map),
    /// in pieces whose size depends on how long the items take. With 1, each item is a task. A task is submitted once
    /// all its items are pulled. If the executor is shut down before that, the items that were pulled before the
    /// shutdown are refused too.
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

    /// Keeps exactly `items` items of a map in flight: the next input is pulled when the awaited result is available.
    ///
    /// By default, a map submits all its input at once. Items that are pulled later run after tasks that were submitted
    /// in the meantime. A chunk has at most `items` items. Without a [`chunk_size`](MapOptions::chunk_size), each item
    /// is a task.
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

    /// Limits how long a map may take as a whole, counted from the call. To limit each item, use
    /// [`TaskOptions::time_limit`].
    ///
    /// When the time is up, the map yields one [`Error::Timeout`](crate::Error::Timeout), cancels the items that have
    /// not started, and ends. Items that are already running continue. Results that are available by then are still
    /// yielded, no matter how late `next` is called; an ordered map yields those before the first missing one.
    ///
    /// The call that makes the map still submits all its input, and so it may take longer: if it waits for room in a
    /// bounded queue, if the input is slow, or on an [`InlineExecutor`](struct@crate::InlineExecutor), which runs the items
    /// then. Input whose [`size_hint`](Iterator::size_hint) has no upper bound, such as `0..`, is no longer pulled when
    /// the time is up.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns how many items are in each task, if that was set.
    pub fn get_chunk_size(&self) -> Option<usize> {
        self.chunk_size
    }

    /// Returns how many items are in flight, if that was set.
    pub fn get_buffer_size(&self) -> Option<usize> {
        self.buffer_size
    }

    /// Returns how long a map may take as a whole, if that was set.
    pub fn get_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns `true` if the executor may decide how the items become tasks.
    pub(crate) fn leaves_ranges_open(&self) -> bool {
        self.chunk_size.is_none() && self.buffer_size.is_none()
    }

    /// Returns these options, with those of `outer` for what is not set here.
    pub(crate) fn over(self, outer: &Self) -> Self {
        Self {
            chunk_size: self.chunk_size.or(outer.chunk_size),
            buffer_size: self.buffer_size.or(outer.buffer_size),
            timeout: self.timeout.or(outer.timeout),
        }
    }
}

/// Counts what an executor is doing and has done.
///
/// All numbers are of the same moment. Only a task that its worker counts at that moment may be missing. A worker counts
/// a task when it comes for the next one, so a task may be counted a moment after its future is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Workers that exist. A worker process that has reached `max_tasks_per_worker` and its replacement count as one.
    pub workers: usize,
    /// Workers that are waiting for a task.
    pub idle: usize,
    /// Tasks that have not started, and items of maps that no worker has taken. This includes tasks that wait for
    /// others ([`submit_after`](crate::Executor::submit_after)), or for their next attempt
    /// ([`RetryOptions`](crate::RetryOptions)).
    pub pending: usize,
    /// Workers that are running a task. A worker counts once, even if its task runs others while it waits for them.
    pub running: usize,
    /// Tasks, and items of maps, that returned a value. A chunk of a given `chunk_size` counts as one task, whatever
    /// the outcomes of its items.
    pub completed: u64,
    /// Tasks that ended with an error other than a cancellation. Those that the executor refused, with
    /// [`Error::Full`](crate::Error::Full) or [`Error::ShutDown`](crate::Error::ShutDown), are not counted.
    pub failed: u64,
    /// Workers that were started to replace one that died.
    pub respawned: u64,
}

/// Returns the shorter of two time limits, of a task and of its executor.
pub(crate) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
