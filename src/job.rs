//! [`Job`]: a task with its types erased, as an executor gets it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::Error;
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::panics::catch_and_log;
use crate::sync::with_room;
use crate::task::Runnable;
use crate::task::call::Encoded;

/// Runs one task here, or encodes it for elsewhere; what [`Backend::execute`](crate::Backend::execute) gets.
///
/// Two ways to treat one: [`run`](Job::run) calls the function in this thread; or [`encode`](Job::encode) the
/// argument, have the function called somewhere else, say [`start`](Job::start) when that begins, and
/// [`complete`](Job::complete) the job with the encoded result. In either way the future is completed exactly once:
/// a job that is dropped ends with [`Error::Abandoned`].
///
/// # Examples
///
/// A minimal executor, which runs every job on a thread of its own and never refuses one:
///
/// ```
/// use std::time::Duration;
/// use concurrent_futures::{Backend, Executor, Job};
///
/// struct FreshThreads;
///
/// impl Backend for FreshThreads {
///     fn execute(&self, job: Job) {
///         std::thread::spawn(move || job.run());
///     }
///     fn max_workers(&self) -> usize {
///         usize::MAX
///     }
///     fn close(&self) {}
///     fn join(&self, _: Option<Duration>) -> bool {
///         true
///     }
/// }
///
/// assert_eq!(FreshThreads.submit(|n: u32| n + 1, 1).result()?, 2);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[must_use = "a job that is dropped ends with `Error::Abandoned`"]
pub struct Job {
    /// `None` once it was handed on.
    task: Option<Arc<dyn Runnable>>,
    /// Not `Sync`: while one thread encodes, no other looks for the argument.
    not_sync: PhantomData<Cell<()>>,
}

impl Job {
    pub(crate) fn new(task: Arc<dyn Runnable>) -> Self {
        Self { task: Some(task), not_sync: PhantomData }
    }

    fn task(&self) -> &Arc<dyn Runnable> {
        self.task.as_ref().expect("only the methods that consume a job take its task")
    }

    pub(crate) fn into_task(mut self) -> Arc<dyn Runnable> {
        self.task.take().expect("only the methods that consume a job take its task")
    }

    /// Returns the id of the job's future.
    pub fn id(&self) -> FutureId {
        self.task().id()
    }

    /// Returns the name its caller gave it in [`TaskOptions::name`].
    pub fn name(&self) -> Option<&str> {
        self.options().get_name()
    }

    /// Returns what its caller asked for.
    pub fn options(&self) -> &TaskOptions {
        self.task().options()
    }

    /// Calls the function in this thread, unless the future was cancelled, and completes the future.
    ///
    /// Catches panics. Callbacks run in this thread.
    pub fn run(self) {
        let task = self.into_task();
        let me = Arc::clone(&task);
        catch_and_log("a task without memory for its stack", || {
            with_room(|| task.run(me));
        });
        // Changes nothing if it ran.
        task.fail(Error::Abandoned);
    }

    /// Marks the task as running. `false`: it was cancelled, do not run it.
    pub fn start(&self) -> bool {
        self.task().start()
    }

    /// Ends the task with an error. Without effect if it was cancelled.
    pub fn fail(self, error: Error) {
        self.into_task().fail(error);
    }

    /// Encodes the argument. The task keeps it until it is done.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the argument cannot be serialised, or if the task is a closure that captures;
    /// [`Error::Cancelled`] if it was cancelled.
    pub fn encode(&self) -> Result<Encoded, Error> {
        self.task().encode()
    }

    /// Completes the future with an encoded result, in postcard's format, or with an error.
    ///
    /// A result that cannot be decoded ends the task with [`Error::Decode`]. Without effect if it was cancelled.
    pub fn complete(self, result: Result<&[u8], Error>) {
        self.into_task().complete(result);
    }

    /// Calls `hook` if the task is aborted while it runs; at once, if it was already.
    ///
    /// Called in the aborting thread after the future is done. There is one hook a job: a later one replaces it.
    pub fn on_abort(&self, hook: impl FnOnce() + Send + 'static) {
        self.task().on_abort(Box::new(hook));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.fail(Error::Abandoned);
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
