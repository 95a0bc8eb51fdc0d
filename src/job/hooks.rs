//! The hooks that executors on the way of a [`Job`] add to it, and its place in a trace.
#![forbid(unsafe_code)]

use super::Job;
use crate::error::Error;
use crate::task::times::Times;
#[cfg(feature = "tracing")]
use crate::task::trace::identity;

impl Job {
    /// Calls `hook` when the task starts, or at once if it is running already. For executors that pass a job on.
    ///
    /// Any number of executors on the way of a job may add hooks, which are called in the order in which they were
    /// added, each once. A hook of a task that never starts, because it is cancelled or refused, is dropped. A task that
    /// is retried starts once.
    ///
    /// The hook runs in the thread that marks the task as running: the worker thread, the thread that calls
    /// [`start`](Job::start), or, for a task on another process of a `ProcessPoolExecutor`, the thread that looks after
    /// that worker. An abort may end the task while the hook still runs. Like a callback, it must not block on a future,
    /// and a panic is logged.
    ///
    /// A job that its executor hands back for want of room ([`Backend::try_execute`](crate::Backend::try_execute)) loses
    /// its hooks: the executors on its way add theirs again at the next attempt.
    ///
    /// # Examples
    ///
    /// An executor that prints how long each task was in the queue:
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, Job, ThreadPoolExecutor};
    ///
    /// struct Timed(ThreadPoolExecutor);
    ///
    /// impl Backend for Timed {
    ///     fn execute(&self, job: Job) {
    ///         let id = job.id();
    ///         job.on_start(move |times| println!("task {id} waited for {:?}", times.queued()));
    ///         self.0.execute(job);
    ///     }
    ///     fn max_workers(&self) -> usize {
    ///         self.0.max_workers()
    ///     }
    ///     fn close(&self) {
    ///         self.0.close();
    ///     }
    ///     fn join(&self, timeout: Option<Duration>) -> bool {
    ///         self.0.join(timeout)
    ///     }
    /// }
    ///
    /// let timed = Timed(ThreadPoolExecutor::new(1));
    /// assert_eq!(timed.submit(|n: u32| n + 1, 1).result()?, 2);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn on_start(&self, hook: impl FnOnce(&Times) + Send + 'static) {
        self.bare().on_start(Box::new(hook));
    }

    /// Calls `hook` when the task ends, in whatever way, or at once if it has ended already. For executors that pass a
    /// job on.
    ///
    /// The hook is called exactly once, before the future is done and before its callbacks, in the thread that ends the
    /// task. It gets the error of the task, if it has one, and its [`Times`]. Hooks are called in the order in which
    /// they were added. Like a callback, a hook must not block on a future, and a panic is logged. An error that only
    /// hooks have seen is still logged when its last handle is dropped.
    ///
    /// A chunk ([`MapOptions::chunk_size`](crate::MapOptions::chunk_size)) is one job, which has an error only if all its
    /// items have that one. Items that the workers of a pool share are no jobs and have no hooks: to see every item, do
    /// not pass [`Backend::item_executor`](crate::Backend::item_executor) on.
    ///
    /// As with [`on_start`](Job::on_start), a job that is handed back for want of room loses its hooks.
    ///
    /// # Examples
    ///
    /// [`guide::writing_a_backend`](crate::guide::writing_a_backend) has an executor that logs every task.
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, InlineExecutor, Job};
    ///
    /// struct Reporting;
    ///
    /// impl Backend for Reporting {
    ///     fn execute(&self, job: Job) {
    ///         job.on_done(|outcome, times| match outcome {
    ///             Ok(()) => println!("done in {:?}", times.ran()),
    ///             Err(error) => println!("failed on {:?}: {error}", times.worker_name()),
    ///         });
    ///         InlineExecutor.execute(job);
    ///     }
    ///     fn max_workers(&self) -> usize {
    ///         1
    ///     }
    ///     fn close(&self) {}
    ///     fn join(&self, _: Option<Duration>) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// assert_eq!(Reporting.submit(|n: u32| n + 1, 1).result()?, 2);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn on_done(&self, hook: impl FnOnce(Result<(), &Error>, &Times) + Send + 'static) {
        self.bare().on_done(Box::new(hook));
    }

    /// Drops the hooks, because the executor has handed the job back.
    pub(crate) fn drop_hooks(&self) {
        self.bare().drop_hooks();
    }

    /// Returns the `traceparent` of the task, by which a program on the other side links its spans to that of this
    /// task.
    ///
    /// It has the form of the W3C's recommendation "Trace Context", and is made of the trace id of this program and the
    /// id of the task. The span of the task has it as a field. The trace id is that of `TRACEPARENT` in the
    /// environment, or random.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, Job};
    ///
    /// struct Sending;
    ///
    /// impl Backend for Sending {
    ///     fn execute(&self, job: Job) {
    ///         let header = job.traceparent();
    ///         assert_eq!((header.len(), header.split('-').count()), (55, 4));
    ///         job.run();
    ///     }
    ///     fn max_workers(&self) -> usize {
    ///         1
    ///     }
    ///     fn close(&self) {}
    ///     fn join(&self, _: Option<Duration>) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// assert_eq!(Sending.submit(|n: u8| n, 1).result()?, 1);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn traceparent(&self) -> String {
        identity::traceparent(self.id())
    }
}
