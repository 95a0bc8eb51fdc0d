//! [`ThreadPoolExecutor`]: tasks on threads of this process.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::builder::{ThreadPoolBuilder, default_workers};
use super::pool::Pool;
use crate::backend::{Backend, shut_down_dropped};
use crate::condition::{Room, Waiting};
use crate::error::BuildError;
use crate::items::ItemExecutor;
use crate::job::Job;
use crate::options::Stats;
use crate::submitter::Submitter;

/// Runs tasks on a fixed number of threads, which start on demand and are reused.
///
/// It is a [`Backend`], so all methods of [`Executor`](crate::Executor) work on it. Those take plain functions and
/// serialisable types; the methods here of the same names take capturing closures and any type that is `Send`.
///
#[doc = include_str!("../executor/methods.md")]
///
/// For closures that capture, and without serde, this type has methods of its own. They are found first:
/// [`submit`](ThreadPoolExecutor::submit), [`try_submit`](ThreadPoolExecutor::try_submit),
/// [`submit_after`](ThreadPoolExecutor::submit_after), [`try_submit_after`](ThreadPoolExecutor::try_submit_after),
/// [`submit_async`](ThreadPoolExecutor::submit_async), [`try_submit_async`](ThreadPoolExecutor::try_submit_async),
/// [`bind`](ThreadPoolExecutor::bind), [`map`](ThreadPoolExecutor::map), [`try_map`](ThreadPoolExecutor::try_map),
/// [`map_unordered`](ThreadPoolExecutor::map_unordered), [`try_map_unordered`](ThreadPoolExecutor::try_map_unordered).
/// Only threads have [`spawn`](ThreadPoolExecutor::spawn) and
/// [`try_spawn`](ThreadPoolExecutor::try_spawn), for closures without an argument, and
/// [`scope`](ThreadPoolExecutor::scope), for closures that borrow.
///
/// # Waiting in a task
///
/// A task may submit to its own executor and wait for the result, at any depth and on any number of workers, without a
/// deadlock. If the awaited task has not started, and half of the waiting thread's stack is left, the waiting thread
/// runs it. Otherwise the thread sleeps, as it does if the task or the wait has a time limit, or any one of several futures
/// ends the wait. A spare worker keeps the executor going meanwhile, and first runs the tasks in its queue that sleeping
/// threads wait for. So ten thousand levels of tasks that take a kilobyte of stack each take about ten threads, and so do
/// ten thousand queued tasks that each wait for a short task of their own, unless that one is to follow others. If no thread can be started, the tasks end with
/// [`Error::Broken`](crate::Error::Broken).
///
/// # Dropping it
///
/// Dropping the executor is [`shutdown`](crate::Executor::shutdown): queued tasks run, then the workers end. While the
/// dropping thread unwinds, it is [`shutdown_now`](crate::Executor::shutdown_now). Neither waits if it is called on one
/// of the executor's own threads or in a callback. In async code, the drop blocks a thread of the runtime: await
/// [`shutdown_async`](crate::Executor::shutdown_async) before, or [`detach`](ThreadPoolExecutor::detach) the executor.
///
/// # Large values
///
/// Closures, arguments and results are passed by value. The pool boxes a value of more than 4 KiB on arrival, so that
/// at most two copies of it are on a thread's stack at a time ([`share`](crate::Future::share) needs three). With a
/// stack of 2 MiB, values of up to 900 KiB fit in an optimised build, and of up to 320 KiB on a worker in an
/// unoptimised one. Copies that the called function makes come on top. A stack overflow ends the program, so put larger
/// values into a `Box`, `Vec` or `Arc`, or set a larger [`stack_size`](ThreadPoolBuilder::stack_size). Each large item
/// of a map is a task of its own.
///
/// # Hangs
///
/// A task hangs if it needs something that its waiter does only after the wait. This program never ends, because the
/// drop at the end of the block waits for a task that waits for a message sent after the block:
///
/// ```no_run
/// use concurrent_futures::ThreadPoolExecutor;
///
/// let (sender, receiver) = std::sync::mpsc::channel::<()>();
/// {
///     let threads = ThreadPoolExecutor::new(1);
///     let _ = threads.spawn(move || receiver.recv());
/// } // waits for the task
/// sender.send(()).unwrap(); // never reached
/// ```
///
/// The same holds for two executors whose tasks wait for each other, and for a task that waits for a lock, channel or
/// promise that another queued task has to provide.
///
/// If the system refuses to start another thread, queued tasks wait until a worker is free. So if the running tasks
/// wait for queued ones by such means, they hang, although the pool has fewer than `max_workers` threads. A task that
/// is submitted later makes the pool try again.
///
/// # Forks
///
/// The pool's threads do not exist in a forked child. In the child, every task that is submitted to the pool, and every
/// future that was not done at the time of the fork, ends with [`Error::Broken`](crate::Error::Broken). `close`,
/// `shutdown`, drops and the end of a scope return without waiting. The child may create its own executor. A
/// [`promise`](crate::promise()), or a task of a user-defined [`Backend`], is not affected: waiting for it may hang.
///
/// # Examples
///
/// ```
/// use concurrent_futures::ThreadPoolExecutor;
///
/// let threads = ThreadPoolExecutor::new(3);
/// let prefix = String::from("flag");
/// let length = threads.submit(move |n: usize| prefix.len() + n, 3).result()?;
/// assert_eq!(length, 7);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
///
/// A task must own what it captures (to borrow, use [`scope`](ThreadPoolExecutor::scope), or an `Arc`), and be able to
/// send it to another thread:
///
/// ```compile_fail,E0373
/// let threads = concurrent_futures::ThreadPoolExecutor::new(1);
/// let data = vec![1, 2, 3];
/// let _ = threads.spawn(|| data.len());
/// ```
///
/// ```compile_fail,E0277
/// let threads = concurrent_futures::ThreadPoolExecutor::new(1);
/// let data = std::rc::Rc::new(1);
/// let _ = threads.spawn(move || *data);
/// ```
pub struct ThreadPoolExecutor {
    pub(super) pool: Arc<Pool>,
    detached: bool,
}

impl ThreadPoolExecutor {
    /// Creates an executor that runs up to `max_workers` tasks at a time. Starts no thread yet.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0; [`builder`](ThreadPoolExecutor::builder) returns an error instead.
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        match Self::builder().max_workers(max_workers).build() {
            Ok(executor) => executor,
            Err(error) => panic!("{error}"),
        }
    }

    /// Configures an executor.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::builder()
    ///     .max_workers(20)
    ///     .thread_name_prefix("download")
    ///     .keep_alive(Duration::from_secs(10))
    ///     .max_pending(1000)
    ///     .build()?;
    /// let name = threads.spawn(|| std::thread::current().name().map(String::from)).result()?;
    /// assert_eq!(name.as_deref(), Some("download-0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    /// Closes the executor without waiting: queued tasks run, and the workers end when the queue is empty.
    ///
    /// Like every detached thread, the workers do not keep the process from ending. It takes the executor itself: the last
    /// owner of an `Arc` of it gets it by `Arc::into_inner`.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(1);
    /// let future = threads.spawn(|| 1);
    /// threads.detach();
    /// assert_eq!(future.result()?, 1);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn detach(mut self) {
        self.detached = true;
        self.pool.close();
    }
}

impl ThreadPoolBuilder {
    /// Creates the executor. Starts no thread yet.
    ///
    /// # Errors
    ///
    /// Returns a [`BuildError`] that names the invalid setting and its requirement.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let error = ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert_eq!(error.to_string(), "max_workers must be at least 1, not 0");
    /// ```
    pub fn build(self) -> Result<ThreadPoolExecutor, BuildError> {
        Ok(ThreadPoolExecutor { pool: Pool::new(self.settings()?), detached: false })
    }
}

impl Default for ThreadPoolExecutor {
    /// Creates an executor with `max(cpus, min(32, cpus + 4))` workers, which suits tasks that mostly wait: as many as
    /// in Python, but never fewer than there are CPUs.
    fn default() -> Self {
        Self::new(default_workers())
    }
}

impl Backend for ThreadPoolExecutor {
    fn execute(&self, job: Job) {
        self.pool.execute(job.into_task(), Room::NotReserved);
    }

    fn submitter(&self) -> Option<Submitter> {
        let pool = Arc::clone(&self.pool);
        let submitter = Submitter::new(move |job| pool.execute(job.into_task(), Room::Exempt));
        Some(submitter.with_upcoming(&self.pool.upcoming))
    }

    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        let Some(room) = self.pool.reserve(job.options(), waiting) else { return Err(job) };
        self.pool.execute(job.into_task(), room);
        Ok(())
    }

    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.pool.poll_join(waiting)
    }

    fn item_executor(&self) -> ItemExecutor {
        ItemExecutor::new(Arc::clone(&self.pool) as _)
    }

    fn max_workers(&self) -> usize {
        self.pool.max_workers()
    }

    fn close(&self) {
        self.pool.close();
    }

    fn join(&self, timeout: Option<Duration>) -> bool {
        self.pool.join(timeout)
    }

    fn cancel_pending(&self) -> usize {
        self.pool.cancel_pending()
    }

    fn stats(&self) -> Stats {
        self.pool.stats()
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        if !self.detached {
            shut_down_dropped(self, "ThreadPoolExecutor");
        }
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &self.max_workers())
            .field("stats", &self.stats())
            .finish()
    }
}
