//! [`Submitter`]: a handle on an executor that does not borrow it.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::job::Job;
use crate::pauses::Pauses;
use crate::task::Runnable;
use crate::upcoming::{HeldBackEntry, Upcoming};

/// Passes jobs to an executor without a borrow of it. Returned by [`Backend::submitter`](crate::Backend::submitter), for
/// tasks that are submitted once others are done, or once more after an error.
///
/// An executor may end while there are handles on it. It then refuses the jobs, as it does after `close`.
#[derive(Clone)]
pub struct Submitter {
    execute: Arc<dyn Fn(Job) + Send + Sync>,
    upcoming: Option<Arc<Upcoming>>,
    runs_inside_submit: bool,
}

impl Submitter {
    /// Makes a handle of a function that does with a job what [`Backend::execute`](crate::Backend::execute) does.
    ///
    /// It is called in the thread that completes the last input of a task. Like a callback, it must not block, not even for
    /// room in a queue: take the job although the queue is full, or fail it.
    ///
    /// A backend that passes its jobs to another executor uses [`map`](Submitter::map) instead.
    pub fn new(execute: impl Fn(Job) + Send + Sync + 'static) -> Self {
        Self { execute: Arc::new(execute), upcoming: None, runs_inside_submit: false }
    }

    /// Passes each job through `adapt` before the executor gets it, for a backend that passes its jobs to another executor
    /// and adds something to them.
    ///
    /// Tasks that wait for others, or are [tried again](crate::RetryOptions), still count as pending in the other
    /// executor, and end when it is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, Job, Submitter, TaskOptions, ThreadPoolExecutor};
    ///
    /// /// Names what it passes on.
    /// struct Named<B>(B);
    ///
    /// fn named(job: Job) -> Job {
    ///     job.with_options(TaskOptions::new().name("nightly"))
    /// }
    ///
    /// impl<B: Backend> Backend for Named<B> {
    ///     fn execute(&self, job: Job) {
    ///         self.0.execute(named(job));
    ///     }
    ///     fn submitter(&self) -> Option<Submitter> {
    ///         Some(self.0.submitter()?.map(named))
    ///     }
    ///     # fn max_workers(&self) -> usize { self.0.max_workers() }
    ///     # fn close(&self) { self.0.close() }
    ///     # fn join(&self, timeout: Option<Duration>) -> bool { self.0.join(timeout) }
    ///     // ...
    /// }
    ///
    /// let executor = Named(ThreadPoolExecutor::new(1));
    /// let seven = executor.submit(|n: u32| n, 7);
    /// assert_eq!(executor.submit_after(seven, |n: u32| n + 1).result()?, 8);
    /// # executor.shutdown();
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn map(self, adapt: impl Fn(Job) -> Job + Send + Sync + 'static) -> Self {
        let execute = Arc::clone(&self.execute);
        self.wrap(move |job| execute(adapt(job)))
    }

    /// Returns a submitter for an executor around the one of this submitter. It calls `execute` with each job. It is for
    /// executors that submit something else in place of a job; those that only change jobs use [`map`](Self::map).
    ///
    /// The executor inside counts, cancels and ends the tasks that come later together with its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// # use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, Job, Submitter, ThreadPoolExecutor};
    ///
    /// /// Counts the jobs that run.
    /// struct Counted {
    ///     pool: Arc<ThreadPoolExecutor>,
    ///     running: Arc<AtomicUsize>,
    /// }
    ///
    /// fn run(pool: &ThreadPoolExecutor, running: &Arc<AtomicUsize>, job: Job) {
    ///     let running = Arc::clone(running);
    ///     let counted = pool.spawn(move || {
    ///         running.fetch_add(1, Ordering::Relaxed);
    ///         job.run();
    ///         running.fetch_sub(1, Ordering::Relaxed);
    ///     });
    ///     counted.detach();
    /// }
    ///
    /// impl Backend for Counted {
    ///     fn execute(&self, job: Job) {
    ///         run(&self.pool, &self.running, job);
    ///     }
    ///     fn submitter(&self) -> Option<Submitter> {
    ///         let (pool, running) = (Arc::clone(&self.pool), Arc::clone(&self.running));
    ///         Some(self.pool.submitter()?.wrap(move |job| run(&pool, &running, job)))
    ///     }
    ///     # fn max_workers(&self) -> usize { self.pool.max_workers() }
    ///     # fn close(&self) { self.pool.close() }
    ///     # fn join(&self, timeout: Option<Duration>) -> bool { self.pool.join(timeout) }
    ///     // ...
    /// }
    ///
    /// let counted = Counted { pool: Arc::new(ThreadPoolExecutor::new(1)), running: Arc::default() };
    /// let seven = counted.submit(|n: u32| n, 7);
    /// assert_eq!(counted.submit_after(seven, |n: u32| n + 1).result()?, 8);
    /// # counted.shutdown();
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn wrap(self, execute: impl Fn(Job) + Send + Sync + 'static) -> Self {
        Self { execute: Arc::new(execute), ..self }
    }

    /// Sets where the executor keeps the tasks that it will get later.
    pub(crate) fn with_upcoming(self, upcoming: &Arc<Upcoming>) -> Self {
        Self { upcoming: Some(Arc::clone(upcoming)), ..self }
    }

    /// Declares that the executor runs a job in the thread that submits it.
    pub(crate) fn inside_submit(self) -> Self {
        Self { runs_inside_submit: true, ..self }
    }

    /// Passes a job to the executor, which accepts it or completes it with an error.
    pub fn submit(&self, job: Job) {
        (self.execute)(job);
    }

    /// Returns where the pauses between attempts are kept. If the executor keeps none itself, returns new ones, which
    /// its close does not end.
    pub(crate) fn pauses(&self) -> Arc<Pauses> {
        self.upcoming.as_ref().map_or_else(Pauses::new, |upcoming| Arc::clone(upcoming.pauses()))
    }

    /// Notes that a task is held back, until the returned value is dropped.
    pub(crate) fn hold_back(&self, task: &Arc<dyn Runnable>) -> Option<HeldBackEntry> {
        let task = Arc::downgrade(task);
        self.upcoming.as_ref()?.hold_back(move || task.upgrade().is_some_and(|task| task.cancel()))
    }

    /// Returns `true` if the executor runs a job in the thread that submits it.
    pub(crate) fn runs_inside_submit(&self) -> bool {
        self.runs_inside_submit
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").finish_non_exhaustive()
    }
}
