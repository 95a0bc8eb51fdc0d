//! [`With`]: an executor that adds options to every task. [`Options`]: what can be added to an executor.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::condition::Waiting;
use crate::items::ItemExecutor;
use crate::job::Job;
use crate::options::{Stats, TaskOptions};
use crate::submitter::Submitter;

/// Options that [`Executor::with`](crate::Executor::with) adds to an executor: [`TaskOptions`],
/// [`MapOptions`](crate::MapOptions) or [`RetryOptions`](crate::RetryOptions).
///
/// Implement it for a type of your own to give a set of options a name.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use concurrent_futures::{Backend, Executor, InlineExecutor, Options, TaskOptions, With};
///
/// /// How this program downloads.
/// struct Download;
///
/// impl Options for Download {
///     type With<'e, B: Backend + ?Sized + 'e> = With<'e, B>;
///
///     fn apply<B: Backend + ?Sized>(self, executor: With<'_, B>) -> With<'_, B> {
///         executor.with(TaskOptions::new().name("download").time_limit(Duration::from_secs(30)))
///     }
/// }
///
/// assert_eq!(InlineExecutor.with(Download).submit(|n: u8| n, 7).result()?, 7);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of options",
    label = "expected `TaskOptions`, `MapOptions` or `RetryOptions`"
)]
pub trait Options {
    /// An executor with these options.
    type With<'e, B: Backend + ?Sized + 'e>;

    /// Adds these options to an executor, which may have others. These take precedence.
    fn apply<B: Backend + ?Sized>(self, executor: With<'_, B>) -> Self::With<'_, B>;
}

impl Options for TaskOptions {
    type With<'e, B: Backend + ?Sized + 'e> = With<'e, B>;

    fn apply<B: Backend + ?Sized>(self, executor: With<'_, B>) -> With<'_, B> {
        With { backend: executor.backend, options: Arc::new(self.over(&executor.options)) }
    }
}

/// Submits to an executor with [`TaskOptions`] on every task. Made by [`Executor::with`](crate::Executor::with).
///
/// Everything else is passed to the executor: closing this closes the executor.
///
#[doc = include_str!("executor/methods.md")]
///
/// Around a [`ThreadPoolExecutor`](crate::ThreadPoolExecutor), it has that executor's methods for closures that capture
/// as well; they are listed below.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let named = threads.with(TaskOptions::new().name("greeting"));
/// let limited = named.with(TaskOptions::new().time_limit(Duration::from_secs(60)));
/// let name = String::from("BR");
/// assert_eq!(limited.spawn(move || format!("hello, {name}")).result()?, "hello, BR");
/// # Ok::<(), Error>(())
/// ```
pub struct With<'e, B: ?Sized> {
    pub(crate) backend: &'e B,
    pub(crate) options: Arc<TaskOptions>,
}

impl<'e, B: Backend + ?Sized> With<'e, B> {
    /// Adds no options to those that the backend has.
    pub(crate) fn new(backend: &'e B) -> Self {
        let options = backend.item_executor().options().cloned();
        Self { backend, options: options.unwrap_or_default() }
    }

    /// Adds more options. Options given here take precedence over those given before.
    pub fn with<O: Options>(&self, options: O) -> O::With<'e, B> {
        options.apply(self.clone())
    }
}

impl<B: Backend + ?Sized> Backend for With<'_, B> {
    fn execute(&self, job: Job) {
        self.backend.execute(job.with_options(Arc::clone(&self.options)));
    }
    fn max_workers(&self) -> usize {
        self.backend.max_workers()
    }
    fn close(&self) {
        self.backend.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.backend.join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.backend.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.backend.stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.backend.try_execute(job.with_options(Arc::clone(&self.options)), waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        let options = Arc::clone(&self.options);
        Some(self.backend.submitter()?.map(move |job| job.with_options(Arc::clone(&options))))
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.backend.poll_join(waiting)
    }
    fn item_executor(&self) -> ItemExecutor {
        self.backend.item_executor().with_options(Arc::clone(&self.options))
    }
}

impl<B: ?Sized> Clone for With<'_, B> {
    fn clone(&self) -> Self {
        Self { backend: self.backend, options: Arc::clone(&self.options) }
    }
}

impl<B: ?Sized> fmt::Debug for With<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("With").field("options", &self.options).finish_non_exhaustive()
    }
}
