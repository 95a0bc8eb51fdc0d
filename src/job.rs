//! [`Job`]: a task with its types erased, as an executor gets it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Broken, Error};
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::task::Runnable;
use crate::task::call::Encoded;
use crate::task::nested::if_room;
use crate::task::remote::Remote;
use crate::task::roles::TaskOwner;

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
    /// What was added on its way; the task gets it when it is used.
    options: Option<Arc<TaskOptions>>,
    /// Not `Sync`: while one thread encodes, no other looks for the argument.
    not_sync: PhantomData<Cell<()>>,
}

impl Job {
    pub(crate) fn new(task: Arc<dyn Runnable>) -> Self {
        Self { task: Some(task), options: None, not_sync: PhantomData }
    }

    fn task(&self) -> &Arc<dyn Runnable> {
        let task = self.task.as_ref().expect("only the methods that consume a job take its task");
        if let Some(options) = &self.options {
            task.set_options(options);
        }
        task
    }

    pub(crate) fn into_task(mut self) -> Arc<dyn Runnable> {
        self.task();
        self.task.take().expect("only the methods that consume a job take its task")
    }

    /// Returns the id of the job's future.
    pub fn id(&self) -> FutureId {
        self.task.as_ref().expect("only the methods that consume a job take its task").id()
    }

    /// Returns the name its caller gave it in [`TaskOptions::name`].
    pub fn name(&self) -> Option<&str> {
        self.options().get_name()
    }

    /// Returns what its caller asked for.
    pub fn options(&self) -> &TaskOptions {
        self.options.as_deref().unwrap_or(TaskOptions::NONE)
    }

    /// Adds options, for a backend that passes its jobs on. Options that the job has already win over these.
    ///
    /// Has no effect after the job was started, encoded or entrusted.
    pub fn with_options(mut self, options: impl Into<Arc<TaskOptions>>) -> Self {
        let options = options.into();
        self.options = Some(match self.options.take() {
            Some(own) => Arc::new(Arc::unwrap_or_clone(own).over(&options)),
            None => options,
        });
        self
    }

    /// Calls the function in this thread, unless the future was cancelled, and completes the future.
    ///
    /// Catches panics. Callbacks run in this thread.
    pub fn run(self) {
        let task = self.into_task();
        match if_room(|| task.run(Arc::clone(&task))) {
            // Changes nothing if it ran.
            Ok(_) => task.fail(Error::Abandoned),
            Err(error) => {
                let cause =
                    format!("no thread can be started for a task that is nested too deeply for this stack: {error}");
                task.fail(Error::Broken(Broken::new(cause)))
            }
        };
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

    /// Has `remote` asked from now on whether the task may be cancelled or aborted. Returns `false` if the task is over already.
    ///
    /// The task can still be [encoded](Job::encode) and [run](Job::run) here.
    pub fn entrust(&self, remote: Arc<dyn Remote>) -> bool {
        self.task().entrust(Arc::new(Entrusted { id: self.id(), remote }))
    }

    /// Calls `hook` if the task is aborted while it runs; at once, if it was already.
    ///
    /// Called in the aborting thread after the future is done. There is one hook a job: a later one replaces it.
    pub fn on_abort(&self, hook: impl FnOnce() + Send + 'static) {
        self.task().on_abort(Box::new(hook));
    }
}

/// Makes a [`Remote`] the owner of one task.
struct Entrusted {
    id: FutureId,
    remote: Arc<dyn Remote>,
}

impl TaskOwner for Entrusted {
    fn cancelled(&self) {
        self.remote.left(self.id);
    }
    fn refused(&self) {
        self.remote.left(self.id);
    }
    fn ended(&self, failed: bool) {
        self.remote.ended(self.id, failed);
    }
    fn remote(&self) -> Option<&dyn Remote> {
        Some(&*self.remote)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.task.is_some() {
            self.task().fail(Error::Abandoned);
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
