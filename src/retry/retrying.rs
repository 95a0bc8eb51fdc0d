//! [`Retrying`]: runs tasks that are tried again after an error.
//!
//! On threads, it also takes closures that capture. As for [`MapWith`](crate::MapWith), a type of its own, to which it
//! dereferences, has the methods for plain functions. They are the longer part of this file, which is an interface and
//! not a mechanism: [`attempts`](super::attempts) has that.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::attempts::{AttemptFactory, Attempts, CloningFactory};
use super::inline::attempt_inline;
use super::policy::{Policy, RetryOptions};
use crate::backend::{Backend, plain_task};
use crate::codec::Payload;
use crate::error::BoxError;
use crate::future::Future;
use crate::held::is_large;
use crate::map::{Map, MapUnordered, SharedItems, Submit};
use crate::options::MapOptions;
use crate::outcomes::Outcomes;
use crate::panics;
use crate::pauses::Pauses;
use crate::submitter::Submitter;
use crate::task::TaskHandle;
use crate::task::function::{Function, Infallible, TryFn, Unboxing};
use crate::with::{Options, With};

/// Submits tasks that are tried again after an error. Made by [`Executor::with`](crate::Executor::with) of
/// [`RetryOptions`].
///
/// Has the methods for what can run more than once: `submit`, `try_submit`, `bind`, `map`, `try_map`, `map_unordered` and
/// `try_map_unordered`. They are those of [`PlainRetrying`], which take plain functions, and on a
/// [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) those that also take closures that capture, with `spawn` and
/// `try_spawn`. The argument is cloned for each attempt but the last. `submit_after`, `submit_async` and `scope` are not
/// among them, because each of their calls uses up what it is given.
///
/// # Attempts
///
/// Each attempt is a task of the executor, with the [`TaskOptions`](crate::TaskOptions) of these options: it is queued
/// behind what is there, it is counted, it has an id of its own ([`task::current`](crate::task::current)), and a time limit
/// is the limit of one attempt. The future is that of all attempts. It is pending until the first one has started or
/// failed, then running until the last one has ended.
///
/// [`cancel`](Future::cancel) ends the task if its attempt is in the queue, or if it is in a pause, although the state
/// of the future is running then. If an attempt runs, `cancel` returns `false`, and no attempt follows that one.
/// [`abort`](Future::abort) ends the task in any case, and aborts the attempt that runs. A task in a pause counts in
/// [`Stats::pending`](crate::Stats::pending) of its pool, and [`cancel_pending`](Backend::cancel_pending) cancels it.
///
/// # Shutdown
///
/// Once a pool is closed, no further attempt is made: a task in a pause ends at once with its last error, in the thread
/// that closes the pool, and a task whose attempt fails later ends with that error. So `shutdown` waits for attempts, but
/// not for pauses. An executor of another kind refuses the next attempt when the pause is over, and the task ends with the
/// error of the one before.
///
/// # Executors that run tasks in the calling thread
///
/// On an [`InlineExecutor`](struct@crate::InlineExecutor), and on a backend without a
/// [`submitter`](Backend::submitter), the calling thread makes all attempts and sleeps in the pauses: `submit` returns
/// when the task has ended.
///
/// # Examples
///
/// See [`RetryOptions`]. On threads, closures that capture:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use concurrent_futures::{Executor, TaskOptions, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let persistent = threads.with(TaskOptions::new().retries(5).retry_if(|_| true));
/// let calls = Arc::new(AtomicU32::new(0));
/// let counted = Arc::clone(&calls);
/// let third = persistent.try_spawn(move || match counted.fetch_add(1, Ordering::Relaxed) {
///     2 => Ok("done"),
///     _ => Err("not yet"),
/// });
/// assert_eq!(third.result()?, "done");
/// assert_eq!(calls.load(Ordering::Relaxed), 3);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
///
/// What runs only once does not compile:
///
/// ```compile_fail,E0525
/// use concurrent_futures::{Executor, TaskOptions, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let persistent = threads.with(TaskOptions::new().retries(5).retry_if(|_| true));
/// let text = String::from("moved out by the first attempt");
/// let _ = persistent.spawn(move || text);
/// ```
pub struct Retrying<'e, B: ?Sized> {
    plain: PlainRetrying<'e, B>,
}

/// Submits plain functions that are tried again after an error. Part of every [`Retrying`].
pub struct PlainRetrying<'e, B: ?Sized> {
    /// The executor with the options of an attempt. They have no retries, so the executor does not retry by itself.
    pub(crate) executor: With<'e, B>,
    policy: Arc<Policy>,
    /// The way of further attempts to the executor, and the place of the pauses. `None` if the calling thread makes all
    /// attempts.
    later: Option<(Submitter, Arc<Pauses>)>,
    pub(crate) map_options: MapOptions,
}

impl<B: Backend + ?Sized> Retrying<'_, B> {
    /// Adds options to the maps of this executor. Options given here take precedence over those given before.
    ///
    /// Each item of a map that is tried again is a task of its own: [`chunk_size`](MapOptions::chunk_size) does not apply.
    pub fn with(&self, options: MapOptions) -> Self {
        let mut with = self.clone();
        with.plain.map_options = options.over(&self.plain.map_options);
        with
    }
}

impl<'e, B: Backend + ?Sized> PlainRetrying<'e, B> {
    /// Submits a task that is tried again. `make` makes a task of an argument, for each attempt.
    pub(crate) fn attempt<A, M, R>(&self, argument: A, make: M) -> Future<R>
    where
        A: Clone + Send + 'static,
        M: Fn(A) -> Arc<dyn TaskHandle<R>> + Send + 'static,
        R: Send + 'static,
    {
        panics::install_hook();
        let attempts: Box<dyn AttemptFactory<R>> = Box::new(CloningFactory { argument, make });
        let Some((submitter, pauses)) = &self.later else {
            let name = || format!("task {}", self.executor.options.get_name().unwrap_or("without a name"));
            return attempt_inline(&self.executor, attempts, &self.policy, &name);
        };
        let first = |job| self.executor.execute(job);
        Attempts::begin(attempts, &self.policy, &self.executor.options, (submitter, pauses), &first)
    }

    /// Submits a call of a plain function.
    pub(crate) fn call<A, R>(&self, function: impl Function<A, R> + 'static, argument: A) -> Future<R>
    where
        A: Payload + Clone,
        R: Payload,
    {
        if const { is_large::<A>() } {
            return self.call_boxed(function, Box::new(argument));
        }
        self.attempt(argument, move |argument| plain_task(function.clone(), argument))
    }

    fn call_boxed<A, R>(&self, function: impl Function<A, R> + 'static, argument: Box<A>) -> Future<R>
    where
        A: Payload + Clone,
        R: Payload,
    {
        self.attempt(argument, move |argument| plain_task(Unboxing(function.clone()), argument))
    }

    /// AttemptFactory `function` with `argument` on a worker, like [`Executor::submit`](crate::Executor::submit).
    pub fn submit<A: Payload + Clone, R: Payload>(&self, function: fn(A) -> R, argument: A) -> Future<R> {
        self.call(Infallible(function), argument)
    }

    /// AttemptFactory a function that returns `Result` on a worker, like [`Executor::try_submit`](crate::Executor::try_submit).
    pub fn try_submit<A: Payload + Clone, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(A) -> Result<R, E>,
        argument: A,
    ) -> Future<R> {
        self.call(TryFn(function), argument)
    }

    /// Returns a function that submits: each call of it is a task. Like [`Executor::bind`](crate::Executor::bind).
    pub fn bind<A: Payload + Clone, R: Payload>(
        &self,
        function: fn(A) -> R,
    ) -> impl Fn(A) -> Future<R> + Send + Sync + Clone + use<'e, A, R, B> {
        let retrying = self.clone();
        move |argument| retrying.submit(function, argument)
    }

    /// AttemptFactory `function` on every argument, and yields the outcomes in input order, like
    /// [`Executor::map`](crate::Executor::map). Each item is a task of its own.
    pub fn map<I, R: Payload>(&self, function: fn(I::Item) -> R, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        Map::new(self.items(Infallible(function)), &self.map_options, arguments)
    }

    /// AttemptFactory a function that returns `Result` on every argument, and yields the outcomes in input order, like
    /// [`Executor::try_map`](crate::Executor::try_map). Each item is a task of its own.
    pub fn try_map<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(I::Item) -> Result<R, E>,
        arguments: I,
    ) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        Map::new(self.items(TryFn(function)), &self.map_options, arguments)
    }

    /// AttemptFactory `function` on every argument, and yields `(input position, outcome)` as the items are done, like
    /// [`Executor::map_unordered`](crate::Executor::map_unordered). Each item is a task of its own.
    pub fn map_unordered<I, R: Payload>(
        &self,
        function: fn(I::Item) -> R,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        MapUnordered::new(self.items(Infallible(function)), &self.map_options, arguments)
    }

    /// AttemptFactory a function that returns `Result` on every argument, and yields `(input position, outcome)` as the items are
    /// done, like [`Executor::try_map_unordered`](crate::Executor::try_map_unordered). Each item is a task of its own.
    pub fn try_map_unordered<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(I::Item) -> Result<R, E>,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        MapUnordered::new(self.items(TryFn(function)), &self.map_options, arguments)
    }

    pub(crate) fn items<F>(&self, function: F) -> RetryingItems<Self, F> {
        RetryingItems { retrying: self.clone(), function }
    }
}

/// Submits each item of a map as a task that is tried again.
pub(crate) struct RetryingItems<E, F> {
    pub(crate) retrying: E,
    pub(crate) function: F,
}

/// Submits one item.
pub(crate) trait SubmitItem<A, R>: Send {
    fn submit_item(&self, argument: A) -> Future<R>;
    /// As `submit_item`, for an item that is [large](is_large).
    fn submit_boxed(&self, argument: Box<A>) -> Future<R>;
}

impl<B, F, A, R> SubmitItem<A, R> for RetryingItems<PlainRetrying<'_, B>, F>
where
    B: Backend + ?Sized,
    F: Function<A, R> + 'static,
    A: Payload + Clone,
    R: Payload,
{
    fn submit_item(&self, argument: A) -> Future<R> {
        self.retrying.call(self.function.clone(), argument)
    }

    fn submit_boxed(&self, argument: Box<A>) -> Future<R> {
        self.retrying.call_boxed(self.function.clone(), argument)
    }
}

impl<E, F, A, R> Submit<A, R> for RetryingItems<E, F>
where
    Self: SubmitItem<A, R>,
{
    fn one(&self, argument: A) -> Future<R> {
        self.submit_item(argument)
    }

    fn one_boxed(&self, argument: Box<A>) -> Future<R> {
        self.submit_boxed(argument)
    }

    fn many(&self, _: Vec<A>, _: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        unreachable!("each item is a task")
    }

    fn many_boxed(&self, _: Vec<Box<A>>, _: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        unreachable!("each item is a task")
    }

    fn shared_items(&self) -> Option<Arc<dyn SharedItems<A, R>>> {
        None
    }

    fn takes_only_tasks(&self) -> bool {
        true
    }
}

impl Options for RetryOptions {
    type With<'e, B: Backend + ?Sized + 'e> = Retrying<'e, B>;

    fn apply<B: Backend + ?Sized>(self, executor: With<'_, B>) -> Retrying<'_, B> {
        let retries = self.task.clone().over(&executor.options).get_retries();
        let policy = Arc::new(self.policy(retries));
        // The executor must not retry an attempt on its own.
        let executor = executor.with(self.task.retries(0));
        let submitter = executor.submitter().filter(|submitter| !submitter.runs_inside_submit());
        let later = submitter.map(|submitter| {
            let pauses = submitter.pauses();
            (submitter, pauses)
        });
        Retrying { plain: PlainRetrying { executor, policy, later, map_options: MapOptions::new() } }
    }
}

impl<'e, B: ?Sized> Deref for Retrying<'e, B> {
    type Target = PlainRetrying<'e, B>;

    fn deref(&self) -> &PlainRetrying<'e, B> {
        &self.plain
    }
}

impl<B: ?Sized> Clone for Retrying<'_, B> {
    fn clone(&self) -> Self {
        Self { plain: self.plain.clone() }
    }
}

impl<B: ?Sized> Clone for PlainRetrying<'_, B> {
    fn clone(&self) -> Self {
        Self {
            executor: self.executor.clone(),
            policy: Arc::clone(&self.policy),
            later: self.later.clone(),
            map_options: self.map_options.clone(),
        }
    }
}

impl<B: ?Sized> fmt::Debug for Retrying<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Retrying").field(&self.plain).finish()
    }
}

impl<B: ?Sized> fmt::Debug for PlainRetrying<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainRetrying")
            .field("executor", &self.executor)
            .field("map_options", &self.map_options)
            .finish_non_exhaustive()
    }
}
