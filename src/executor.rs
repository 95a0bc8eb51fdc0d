//! [`Executor`]: the methods that callers use, on every backend.
//!
//! The trait is one item, and most lines are the documentation of its methods, so they are in one file.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::backend::{Backend, dispatch, dispatch_after, plain_task, shut_down};
use crate::codec::Payload;
use crate::completed::{AsCompleted, as_completed};
use crate::error::BoxError;
use crate::future::Future;
use crate::inputs::Inputs;
use crate::map::{Map, MapUnordered, Via};
use crate::options::MapOptions;
use crate::shutting_down::ShuttingDown;
use crate::submitting::Submitting;
use crate::task::function::{Infallible, TryFn};
use crate::wait::{ReturnWhen, Waitable, Waited, wait};
use crate::with::{Options, With};
use crate::with_context::WithContext;

/// Runs functions on workers. Implemented for every [`Backend`].
///
/// A parameter of type `fn(A) -> R` accepts any function, method or closure that captures nothing: exactly those can be
/// sent to another process of the program. Another program needs a name for the function, too: see
/// [`guide::other_machines`](crate::guide::other_machines). Pass two arguments as a tuple. The `try_` methods take
/// functions that return `Result`; an `Err` becomes the future's error. [`ThreadPoolExecutor`](crate::ThreadPoolExecutor)
/// has methods of the same names that also take closures that capture, and types without serde's traits.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, InlineExecutor, ThreadPoolExecutor};
///
/// fn products(executor: &impl Executor) -> Result<Vec<i32>, Error> {
///     executor.map(|(a, b)| a * b, [(1, 2), (3, 4)]).collect()
/// }
///
/// assert_eq!(products(&InlineExecutor)?, [2, 12]);
/// assert_eq!(products(&ThreadPoolExecutor::new(2))?, [2, 12]);
/// # Ok::<(), Error>(())
/// ```
///
/// A closure that captures variables does not compile where a plain function is required:
///
/// ```compile_fail,E0308
/// use concurrent_futures::{Executor, InlineExecutor};
///
/// let offset = 3;
/// let _ = InlineExecutor.submit(|n: i32| n + offset, 1);
/// ```
///
/// # What each executor promises
///
/// A call site that is to run on all of them relies on the last column. "Cluster" is `CeleryExecutor` of the crate
/// `concurrent-futures-celery`, whose README has the exceptions.
///
/// | | [`InlineExecutor`](struct@crate::InlineExecutor) | [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) | `ProcessPoolExecutor` | cluster |
/// |---|---|---|---|---|
/// | a future is completed | once | once | once | once, if a worker reads the queue or the task has a time limit |
/// | a task runs | exactly once | at most once | at most once; again after the death of its worker if [`retries`](crate::TaskOptions::retries) says so | as on processes; twice if a connection breaks between a message and its confirmation |
/// | tasks begin | in the order of submission | in the order of submission, but first what a worker waits for | in the order of submission | as the broker delivers them |
/// | [`cancel`](crate::Future::cancel) before the start | never before it: `submit` has run it | the task never runs | the task never runs | the task never runs if it waits in this program; otherwise `false`, and a worker may still skip it |
/// | [`abort`](crate::Future::abort) of a running task | does not apply | ends the future, and asks the task to stop | kills the task | kills the task, if the worker has processes |
/// | a time limit | is ignored | ends the future, and asks the task to stop | kills the task | kills the task, if the worker has processes |
/// | a panic of a task | costs the task | costs the task | costs the task | costs the task |
/// | a crash of a task | ends the program | ends the program | costs the task | costs the task, if the worker has processes |
/// | a task waits for tasks of its executor | at any depth | at any depth, [but for a few hangs](crate::ThreadPoolExecutor#hangs) | its process has other executors: [Nesting](crate::ProcessPoolExecutor#nesting) | may wait for ever when all slots do: [`submit_after`](Self::submit_after) waits in none |
/// | functions | any that captures nothing | any; closures by its own methods | any that captures nothing, of the same program | those with `#[task]` |
///
/// # What the compiler says
///
/// | message | cause | remedy |
/// |---|---|---|
/// | expected fn pointer, found closure | the closure captures variables | pass them in the argument, or use the methods of `ThreadPoolExecutor` itself |
/// | incorrect number of function parameters; is expected to take 1 argument | the function has two | <code>\|(a, b)\| add(a, b)</code>, with a tuple as its argument |
/// | implementation of `Deserialize` is not general enough | the argument or result borrows, like a `&str` | take a `String`: <code>\|text: String\| length(&text)</code> |
/// | cannot be carried to another process; the trait bound `T: Serialize` is not satisfied | the type, or one inside it, does not implement serde's traits | `#[derive(Serialize, Deserialize)]`, or the methods of `ThreadPoolExecutor` itself |
/// | the trait bound `E: Serialize` is not satisfied; required for `Result<_, E>` | the function returns `Result`, and its `Err` would have to be carried as a value | a `try_` method |
/// | the trait `Executor` is not dyn compatible | `&dyn Executor` | `&dyn Backend`, which has all methods of `Executor` |
/// | is not an executor | `&pool`, where `pool` is an `Arc` or `Box` | `&*pool` |
///
/// ```
/// use concurrent_futures::{Backend, Executor, InlineExecutor};
///
/// fn add(a: u32, b: u32) -> u32 {
///     a + b
/// }
///
/// fn length(text: &str) -> usize {
///     text.len()
/// }
///
/// fn both(executor: &dyn Backend) -> Result<usize, concurrent_futures::Error> {
///     let sum = executor.submit(|(a, b)| add(a, b), (1, 2)).result()?;
///     Ok(sum as usize + executor.submit(|text: String| length(&text), "three".into()).result()?)
/// }
///
/// assert_eq!(both(&InlineExecutor)?, 8);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an executor",
    label = "not an executor",
    note = "a pointer to a concrete executor is not one itself: pass what it points to, as in `totals(&*pool)`"
)]
pub trait Executor: Backend {
    /// Calls `function` with `argument` on a worker.
    ///
    /// Never fails and never panics: if the task is refused, the returned future has already ended with the reason.
    /// Blocks only while a bounded queue is full, and never on a thread that belongs to the executor.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// fn sum_to(n: u64) -> u64 {
    ///     (1..=n).sum()
    /// }
    ///
    /// let executor = ThreadPoolExecutor::new(2);
    /// assert_eq!(executor.submit(sum_to, 10_000).result()?, 50_005_000);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    fn submit<A: Payload, R: Payload>(&self, function: fn(A) -> R, argument: A) -> Future<R> {
        dispatch(self, Infallible(function), argument)
    }

    /// Calls a function that returns `Result` on a worker: its `Err` becomes the future's [`Error::Failed`].
    ///
    /// If that `Err` is itself an [`Error`], for example of a future that the function waited for, the future ends with
    /// that error unchanged (except a timeout, see [`Error::Failed`]).
    ///
    /// [`Error`]: crate::Error
    /// [`Error::Failed`]: crate::Error::Failed
    ///
    /// # Examples
    ///
    /// A closure that uses `?` has to name its error type:
    ///
    /// ```
    /// use concurrent_futures::{Executor, InlineExecutor};
    ///
    /// let future = InlineExecutor.try_submit(
    ///     |text: String| {
    ///         let number: i32 = text.trim().parse()?;
    ///         Ok::<_, std::num::ParseIntError>(number * 2)
    ///     },
    ///     "twenty".into(),
    /// );
    /// assert_eq!(future.result().unwrap_err().to_string(), "invalid digit found in string");
    /// ```
    fn try_submit<A: Payload, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(A) -> Result<R, E>,
        argument: A,
    ) -> Future<R> {
        dispatch(self, TryFn(function), argument)
    }

    /// Calls `function` with `argument` on a worker, like [`submit`](Executor::submit), but for async code: `.await` waits
    /// for room in a bounded queue without blocking, and gives the task's future.
    ///
    /// The task is submitted when the returned value is polled; dropping that before it is ready cancels the task. Those
    /// that wait for room get it in the order in which they began to wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
    /// # fn block_on<F: Future>(future: F) -> F::Output { smol::block_on(future) }
    ///
    /// async fn total(executor: &impl Executor) -> Result<u64, Error> {
    ///     let first = executor.submit_async(|n: u64| (1..=n).sum::<u64>(), 10).await;
    ///     let second = executor.submit_async(|n: u64| (1..=n).sum::<u64>(), 100).await;
    ///     Ok(first.await? + second.await?)
    /// }
    ///
    /// let threads = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build()?;
    /// assert_eq!(block_on(total(&threads))?, 55 + 5050);
    /// # Ok::<(), Error>(())
    /// ```
    fn submit_async<A: Payload, R: Payload>(&self, function: fn(A) -> R, argument: A) -> Submitting<'_, Self, R> {
        Submitting::new(self, plain_task(Infallible(function), argument), None)
    }

    /// Calls a function that returns `Result` on a worker, like [`try_submit`](Executor::try_submit), but for async code:
    /// see [`submit_async`](Executor::submit_async).
    fn try_submit_async<A: Payload, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(A) -> Result<R, E>,
        argument: A,
    ) -> Submitting<'_, Self, R> {
        Submitting::new(self, plain_task(TryFn(function), argument), None)
    }

    /// Calls `function` with the values of other futures on a worker, once they are done. No thread waits for them.
    ///
    /// `inputs` is a future, a tuple of two to four, an array or a `Vec`: see [`Inputs`]. So a graph of tasks runs where a
    /// task cannot wait for a task, as on processes: [`guide::chains`](crate::guide::chains) has one. The futures may belong
    /// to several executors.
    ///
    /// The task is pending until its inputs are done. The thread that completes the last of them then passes it to this
    /// executor, behind what is queued there. It does not wait for room in a bounded queue: the task enters although the
    /// queue is full (or ends with [`Error::Full`](crate::Error::Full), if it has
    /// [`refuse_when_full`](crate::TaskOptions::refuse_when_full)). If all inputs are done, this is the same as
    /// [`submit`](Executor::submit). A time limit counts from the start of the task.
    ///
    /// To [`cancel`](Future::cancel) it also cancels the inputs that have not started, and to [`abort`](Future::abort) it
    /// aborts those that have: nobody else needs them. It leaves the tasks of [shared](Future::share) futures alone.
    /// The task has not started, so [`Stats::pending`](crate::Stats::pending) of its pool counts it, and the pool's
    /// [`cancel_pending`](Backend::cancel_pending) and [`shutdown_now`](Executor::shutdown_now) cancel it. Dropping the
    /// future detaches all of them. On a backend without a [`submitter`](crate::Backend::submitter), the call blocks
    /// until the inputs are done.
    ///
    /// # Errors
    ///
    /// The first input that ends with an error, or is cancelled, ends the task likewise, at once: `function` does not run,
    /// and inputs that have not started are cancelled. If the executor has been shut down when the inputs are done, the
    /// task ends with [`Error::ShutDown`](crate::Error::ShutDown), unless the last input was a task of the same executor,
    /// which still ran.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
    ///
    /// fn area((width, height): (u32, u32)) -> u32 {
    ///     width * height
    /// }
    ///
    /// fn volume(executor: &impl Executor) -> Result<u32, Error> {
    ///     let (width, height) = (executor.submit(|n: u32| n, 3), executor.submit(|n: u32| n, 4));
    ///     let base = executor.submit_after((width, height), area);
    ///     let depth = executor.submit(|n: u32| n, 5);
    ///     executor.submit_after([base, depth], |[base, depth]| base * depth).result()
    /// }
    ///
    /// assert_eq!(volume(&ThreadPoolExecutor::new(2))?, 60);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// An input that several tasks need is shared:
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(2);
    /// let text = executor.submit(|text: String| text.trim().to_owned(), " seven ".into()).share();
    /// let length = executor.submit_after(text.clone(), |text: String| text.len());
    /// let first = executor.submit_after(text, |text: String| text.chars().next());
    /// assert_eq!((length.result()?, first.result()?), (5, Some('s')));
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    fn submit_after<I: Inputs<Values: Payload>, R: Payload>(
        &self,
        inputs: I,
        function: fn(I::Values) -> R,
    ) -> Future<R> {
        dispatch_after(self, inputs, Infallible(function))
    }

    /// Calls a function that returns `Result` with the values of other futures on a worker, once they are done: its `Err`
    /// becomes the future's [`Error::Failed`](crate::Error::Failed).
    ///
    /// Otherwise the same as [`submit_after`](Executor::submit_after).
    fn try_submit_after<I: Inputs<Values: Payload>, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        inputs: I,
        function: fn(I::Values) -> Result<R, E>,
    ) -> Future<R> {
        dispatch_after(self, inputs, TryFn(function))
    }

    /// Calls `function` on every argument, and yields the outcomes in input order.
    ///
    /// Pulls all input before it returns, unless [`buffer_size`](MapOptions::buffer_size) limits that, or the executor
    /// refuses an item because it was shut down or is broken; input after that one is pulled only as results are taken.
    /// Items run while later ones are still being pulled, so the input iterator may be slow and may wait for results of
    /// earlier items. An item that fails yields an `Err`; the others still run. Dropping the iterator cancels the items
    /// that have not started. Items that are pulled after a shutdown each yield
    /// [`Error::ShutDown`](crate::Error::ShutDown), so a loop over infinite input has to check for it.
    ///
    /// A pool starts tasks in the order of submission. A pool of threads makes one exception: it first runs what a worker
    /// of its own waits for. An item counts as submitted when it is pulled from the input, so all items that a map pulled
    /// before it returned run before tasks that are submitted afterwards. Items that are pulled later, because of a
    /// `buffer_size` or because another thread is still inside `map`, run after tasks that were submitted in the meantime.
    /// So a map with infinite input does not starve other tasks.
    ///
    /// The workers of a pool share the items. Trivial items cost tens of nanoseconds each on threads and somewhat more
    /// on processes, and no item waits behind a slow one while a worker is idle. On threads, an outcome is available as
    /// soon as its item is done, before its worker begins another one. On processes, it may become available only
    /// together with the outcomes of the items that were sent with it: as many as are expected to take a fraction of a
    /// millisecond. With a time limit, a `buffer_size`, or in a pool that counts tasks (`max_pending`,
    /// `max_tasks_per_worker`), each item is a task of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(2);
    /// let words = ["to", "wait"].map(String::from);
    /// let lengths: Vec<usize> =
    ///     executor.map(|word: String| word.len(), words).collect::<Result<_, _>>()?;
    /// assert_eq!(lengths, [2, 4]);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    fn map<'e, I, R: Payload>(&'e self, function: fn(I::Item) -> R, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        Map::new(Via::new(self, Infallible(function)), MapOptions::NONE, arguments)
    }

    /// Calls a function that returns `Result` on every argument, and yields the outcomes in input order.
    ///
    /// Otherwise the same as [`map`](Executor::map).
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, InlineExecutor};
    ///
    /// let numbers = InlineExecutor.try_map(|text: String| text.parse::<u8>(), ["1".into(), "one".into()]);
    /// let texts: Vec<String> = numbers
    ///     .map(|number| number.map_or_else(|error| error.to_string(), |n| n.to_string()))
    ///     .collect();
    /// assert_eq!(texts, ["1", "invalid digit found in string"]);
    /// ```
    fn try_map<'e, I, R: Payload, E: Into<BoxError> + 'static>(
        &'e self,
        function: fn(I::Item) -> Result<R, E>,
        arguments: I,
    ) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        Map::new(Via::new(self, TryFn(function)), MapOptions::NONE, arguments)
    }

    /// Calls `function` on every argument, and yields `(input position, outcome)` as the items are done.
    ///
    /// Otherwise the same as [`map`](Executor::map).
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let words = ["to", "wait", "for"].map(String::from);
    /// let executor = ThreadPoolExecutor::new(2);
    /// for (position, length) in executor.map_unordered(|word: String| word.len(), words.clone()) {
    ///     assert_eq!(length?, words[position].len());
    /// }
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    fn map_unordered<'e, I, R: Payload>(
        &'e self,
        function: fn(I::Item) -> R,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        MapUnordered::new(Via::new(self, Infallible(function)), MapOptions::NONE, arguments)
    }

    /// Calls a function that returns `Result` on every argument, and yields `(input position, outcome)` as the items are
    /// done.
    ///
    /// Otherwise the same as [`map`](Executor::map).
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let words = ["1", "one"];
    /// let executor = ThreadPoolExecutor::new(2);
    /// let parse = |text: String| text.parse::<u8>();
    /// let numbers = executor.try_map_unordered(parse, words.map(String::from));
    /// for (position, number) in numbers {
    ///     assert_eq!(number.is_ok(), position == 0);
    /// }
    /// ```
    fn try_map_unordered<'e, I, R: Payload, E: Into<BoxError> + 'static>(
        &'e self,
        function: fn(I::Item) -> Result<R, E>,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        MapUnordered::new(Via::new(self, TryFn(function)), MapOptions::NONE, arguments)
    }

    /// Returns a function that submits: each call of it is a task.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, InlineExecutor};
    ///
    /// let double = InlineExecutor.bind(|n: i32| 2 * n);
    /// assert_eq!(double(21).result()?, 42);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    fn bind<A: Payload, R: Payload>(&self, function: fn(A) -> R) -> impl Fn(A) -> Future<R> + Send + Sync + Clone {
        move |argument| self.submit(function, argument)
    }

    /// Adds options to what is submitted to this executor.
    ///
    /// With [`TaskOptions`](crate::TaskOptions), returns a [`With`]: a backend that adds them to every
    /// task, items of maps included. With [`MapOptions`], returns a [`MapWith`](crate::MapWith), which runs maps only. With
    /// [`RetryOptions`](crate::RetryOptions), returns a [`Retrying`](crate::Retrying), which runs what can be run again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{Executor, MapOptions, TaskOptions, ThreadPoolExecutor};
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let limited = threads.with(TaskOptions::new().time_limit(Duration::from_secs(60)));
    /// assert_eq!(limited.submit(|n: u8| n, 7).result()?, 7);
    ///
    /// let eight_at_a_time = limited.with(MapOptions::new().buffer_size(8));
    /// let doubled: Vec<u64> = eight_at_a_time.map(|n: u64| 2 * n, 0..).take(3).collect::<Result<_, _>>()?;
    /// assert_eq!(doubled, [0, 2, 4]);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    ///
    /// An option of maps does not compile where a task is submitted:
    ///
    /// ```compile_fail,E0599
    /// use concurrent_futures::{Executor, InlineExecutor, MapOptions};
    ///
    /// InlineExecutor.with(MapOptions::new().buffer_size(8)).submit(|n: u8| n, 7);
    /// ```
    fn with<O: Options>(&self, options: O) -> O::With<'_, Self> {
        options.apply(With::new(self))
    }

    /// Adds a context to what is submitted to this executor: a value that each function gets as its first parameter, by
    /// reference.
    ///
    /// The context goes to each worker once, and not with each task:
    ///
    /// | on | the context |
    /// |---|---|
    /// | threads, and inline | is shared, as in an `Arc` |
    /// | processes | is encoded by the first call that submits, which takes that much longer; sent to each worker ahead of the first task there that needs it, decoded by that task, and kept; a worker that replaces another one gets it again |
    /// | an executor of your own whose [`Job`](crate::Job)s leave this process | is sent with each task, and with each item of a chunk: the argument is the pair `(context, argument)` |
    ///
    /// It is dropped when the returned value, its clones, and the tasks and maps that need it are gone; a worker process
    /// drops its copy then as well. A long [`Bytes`](crate::Bytes) in it goes to worker processes through shared memory,
    /// which all of them read in place.
    ///
    /// For what only a worker can make, such as a connection to a database, see
    /// [`task::worker_state()`](crate::task::worker_state()).
    ///
    /// # Errors
    ///
    /// A task whose context cannot be encoded, cannot be decoded, or exceeds `max_message_size` ends with
    /// [`Error::Encode`], [`Error::Decode`] or [`Error::TooLarge`], whose `part` is [`Part::Context`]. So does a task
    /// if encoding or decoding the context panics.
    ///
    /// [`Error::Encode`]: crate::Error::Encode
    /// [`Error::Decode`]: crate::Error::Decode
    /// [`Error::TooLarge`]: crate::Error::TooLarge
    /// [`Part::Context`]: crate::Part::Context
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
    ///
    /// type Words = BTreeSet<String>;
    ///
    /// fn count(words: &Words, text: String) -> usize {
    ///     text.split_whitespace().filter(|word| words.contains(*word)).count()
    /// }
    ///
    /// fn counts(executor: &impl Executor, words: Words) -> Result<Vec<usize>, Error> {
    ///     let counter = executor.with_context(words);
    ///     assert_eq!(counter.submit(count, "to be or not to be".into()).result()?, 4);
    ///     counter.map(count, ["to do".into(), "as you do".into()]).collect()
    /// }
    ///
    /// let words = Words::from(["to", "be"].map(String::from));
    /// assert_eq!(counts(&ThreadPoolExecutor::new(2), words)?, [1, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    fn with_context<C: Send + Sync + 'static>(&self, context: C) -> WithContext<'_, Self, C> {
        With::new(self).with_context(context)
    }

    /// Blocks until futures are done. Same as the function [`wait`](fn@crate::wait).
    #[track_caller]
    fn wait<W: Waitable>(
        &self,
        futures: impl IntoIterator<Item = W>,
        timeout: impl Into<Option<Duration>>,
        return_when: ReturnWhen,
    ) -> Waited<W> {
        wait(futures, timeout, return_when)
    }

    /// Yields futures as they become done. Same as the function [`as_completed`].
    fn as_completed<W: Waitable>(&self, futures: impl IntoIterator<Item = W>) -> AsCompleted<W> {
        as_completed(futures)
    }

    /// Closes the executor, and blocks until the queued tasks have run and the workers have ended.
    ///
    /// On a thread that belongs to the executor, and in a callback, closes it and returns without waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(1);
    /// let before = executor.submit(|n: u8| n, 1);
    /// executor.shutdown();
    /// assert!(before.is_done());
    /// assert!(matches!(executor.submit(|n: u8| n, 2).result(), Err(Error::ShutDown)));
    /// ```
    fn shutdown(&self) {
        shut_down(self, false);
    }

    /// Closes the executor, and waits without blocking until the queued tasks have run and the workers have ended.
    ///
    /// The executor is closed when the returned value is polled. It can be dropped without blocking then.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    /// # fn block_on<F: Future>(future: F) -> F::Output { smol::block_on(future) }
    ///
    /// let executor = ThreadPoolExecutor::new(1);
    /// let before = executor.submit(|n: u8| n, 1);
    /// block_on(executor.shutdown_async());
    /// assert!(before.is_done());
    /// ```
    fn shutdown_async(&self) -> ShuttingDown<'_, Self> {
        ShuttingDown::new(self)
    }

    /// Closes the executor, cancels the pending tasks and blocks until the running ones are done.
    ///
    /// Tasks that a running task submits to the executor after that are cancelled as well.
    ///
    /// On a thread that belongs to the executor, and in a callback, returns without waiting. To limit the wait, call
    /// [`close`](Backend::close), [`cancel_pending`](Backend::cancel_pending) and [`join`](Backend::join) yourself, and
    /// detach the executor if it is still busy then, because its drop would wait. To end running tasks of a process pool
    /// too, for example after Ctrl-C, call `close`, `cancel_pending` and then `ProcessPoolExecutor::kill_workers`.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(1);
    /// let futures: Vec<_> = (0..1000_u64).map(|n| executor.submit(|n| (0..n).sum::<u64>(), n)).collect();
    /// executor.shutdown_now();
    /// assert!(futures.iter().all(|future| future.is_done()));
    /// ```
    fn shutdown_now(&self) {
        shut_down(self, true);
    }
}

impl<B: Backend + ?Sized> Executor for B {}
