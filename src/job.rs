//! [`Job`]: a task with its types erased, as an executor gets it.
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
mod formats;
mod hooks;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Broken, Error};
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::task::arguments::Encoded;
use crate::task::nested::if_room;
use crate::task::owner::in_callback;
use crate::task::remote::Remote;
use crate::task::roles::TaskOwner;
use crate::task::trace::TaskSpan;
use crate::task::{Ran, Runnable};
use crate::unwind::{catch_and_log, drop_caught};

/// One task, to be run in this process or encoded for another. Passed to [`Backend::execute`](crate::Backend::execute).
///
/// There are two ways to handle a job. Either [`run`](Job::run) it, which calls the function in this thread. Or send its
/// argument away, have the function called elsewhere, call [`start`](Job::start) when that begins, and complete the job
/// with what came back. Either way, the future is completed exactly once: a job that is dropped ends with
/// [`Error::Abandoned`].
///
/// | to send in | the argument | the result | that of each item of a chunk |
/// |---|---|---|---|
/// | postcard's format | [`encode`](Job::encode) | [`complete`](Job::complete) | [`complete_items`](Job::complete_items) |
/// | any format of serde, with the feature `remote` | `show` | `read` | `read` |
///
/// # Examples
///
/// A minimal executor that runs every job on a thread of its own. It never refuses a job, and never waits for one:
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
///         false // its threads may still be running
///     }
/// }
///
/// assert_eq!(FreshThreads.submit(|n: u32| n + 1, 1).result()?, 2);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[must_use = "a job that is dropped ends with `Error::Abandoned`"]
pub struct Job {
    /// `None` once a method that consumes the job has taken it.
    task: Option<Arc<dyn Runnable>>,
    /// Options that backends added on the way. They are stored in the task when it is used.
    options: Option<Arc<TaskOptions>>,
    /// Makes the job not `Sync`: no other thread may access the argument while one encodes it.
    not_sync: PhantomData<Cell<()>>,
}

impl Job {
    pub(crate) fn new(task: Arc<dyn Runnable>) -> Self {
        Self { task: Some(task), options: None, not_sync: PhantomData }
    }

    /// Returns the task without applying the options of the job, so that executors on the way may still add some.
    fn bare(&self) -> &Arc<dyn Runnable> {
        self.task.as_ref().expect("only the methods that consume a job take its task")
    }

    /// Applies the options of the job to the task, and returns it.
    fn task(&self) -> &Arc<dyn Runnable> {
        let task = self.bare();
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
        self.bare().id()
    }

    /// Returns the name that the caller gave the task in [`TaskOptions::name`].
    pub fn name(&self) -> Option<&str> {
        self.options().get_name()
    }

    /// Returns `true` if the `Err` that the function returns is the task's error, as for `try_submit` and `try_map`. For
    /// `submit` and `map`, a `Result` is a value like any other.
    pub fn is_fallible(&self) -> bool {
        self.bare().is_fallible()
    }

    /// Returns the options that the caller set.
    pub fn options(&self) -> &TaskOptions {
        self.options.as_deref().unwrap_or(TaskOptions::NONE)
    }

    /// Adds options, for a backend that passes its jobs on. Options that the job already has take precedence.
    ///
    /// Maps that go through [`item_executor`](crate::Backend::item_executor) make no jobs. To add the options to their
    /// items too, return `self.inner.with(options).item_executor()` there.
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
        let error = match if_room(|| task.run(Arc::clone(&task), None)) {
            // Its call is elsewhere, or the task has ended, and this has no effect.
            Ok(Ran::Skipped) => Error::Abandoned,
            Ok(_) => return,
            Err(error) => {
                let cause =
                    format!("no thread can be started for a task that is nested too deeply for this stack: {error}");
                Error::Broken(Broken::new(cause))
            }
        };
        task.fail(error);
    }

    /// Runs the task like [`run`](Job::run), and names the kind of executor for its span.
    pub(crate) fn run_on(self, kind: &'static str) {
        if TaskSpan::are_wanted() {
            self.bare().note_executor(kind);
        }
        self.run();
    }

    /// Marks the task as running. Returns `false` if it was cancelled; then do not run it.
    ///
    /// The job may still be passed on to another executor. It runs for its caller from now on, so it cannot be
    /// cancelled while it is in a queue there; an abort ends it, and so does a refusal.
    pub fn start(&self) -> bool {
        self.task().start()
    }

    /// Ends the task with an error. Has no effect if it was cancelled.
    pub fn fail(self, error: Error) {
        self.into_task().fail(error);
    }

    /// Encodes the argument. The task keeps the argument until it is done.
    ///
    /// If the function has a [context](crate::Executor::with_context), what is encoded is the pair of the context and the
    /// argument; for each item of a chunk, such a pair.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the argument cannot be serialised, or if the task is a closure that captures;
    /// [`Error::Cancelled`] if the task was cancelled.
    pub fn encode(&self) -> Result<Encoded, Error> {
        self.task().encode()
    }

    /// Completes the future with an encoded result, in postcard's format, or with an error.
    ///
    /// The result of a chunk, as [`Encoded::items`] tells, is the encoding of a sequence of `Result<R, String>`. A result that cannot be decoded ends the task with [`Error::Decode`]. Has no effect if the task was cancelled.
    pub fn complete(self, result: Result<&[u8], Error>) {
        self.into_task().complete(result);
    }

    /// Completes the future with one encoded result for each call of the task, in postcard's format, or with an error for
    /// each: a chunk, as [`Encoded::items`] tells, with one for each item, any other task with exactly one.
    ///
    /// The replies are in the order of the arguments. An error among them becomes that of its item, unchanged. A result
    /// that cannot be decoded ends its item with [`Error::Decode`], as does the want of one if there are too few. If there
    /// are too many, every item ends with it, because it is not known which reply belongs to which item. Has no effect if
    /// the task was cancelled.
    ///
    /// # Panics
    ///
    /// If the iterator panics. The future is then completed with [`Error::Abandoned`].
    #[expect(single_use_lifetimes, reason = "an anonymous one is not stable here")]
    pub fn complete_items<'a>(self, replies: impl IntoIterator<Item = Result<&'a [u8], Error>>) {
        // It stays a job until then: should the iterator panic, its drop ends the task.
        self.task().complete_items(&mut replies.into_iter(), None);
    }

    /// Makes the task ask `remote` from now on whether it may be cancelled or aborted. Returns `false` if it has
    /// already ended.
    ///
    /// The task can still be [encoded](Job::encode) and [run](Job::run) here.
    pub fn entrust(&self, remote: Arc<dyn Remote>) -> bool {
        self.task().entrust(Arc::new(Entrusted { id: self.id(), remote: Some(remote) }))
    }

    /// Calls `hook` if the task is aborted while it runs, or at once if it was aborted already.
    ///
    /// The hook runs in the aborting thread, after the future is done. A job has one hook: a later one replaces it.
    pub fn on_abort(&self, hook: impl FnOnce() + Send + 'static) {
        self.bare().on_abort(Box::new(hook));
    }
}

/// Makes a [`Remote`] the owner of one task.
///
/// The `Remote` is a user's type. What it is told while the task ends, and its drop, run as callbacks do: they must not
/// block, and a panic is logged, because the task has to end nevertheless.
struct Entrusted {
    id: FutureId,
    /// `None` only while this is dropped.
    remote: Option<Arc<dyn Remote>>,
}

impl Entrusted {
    fn tell(&self, what: impl FnOnce(&dyn Remote)) {
        if let Some(remote) = &self.remote {
            catch_and_log("a method of a `Remote`", || in_callback(|| what(&**remote)));
        }
    }
}

impl TaskOwner for Entrusted {
    fn cancelled(&self, _aborted: bool) {
        self.tell(|remote| remote.left(self.id));
    }
    fn refused(&self) {
        self.tell(|remote| remote.left(self.id));
    }
    fn ended(&self, failed: bool) {
        self.tell(|remote| remote.ended(self.id, failed));
    }
    fn remote(&self) -> Option<&dyn Remote> {
        self.remote.as_deref()
    }
}

impl Drop for Entrusted {
    fn drop(&mut self) {
        in_callback(|| drop_caught(self.remote.take()));
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
