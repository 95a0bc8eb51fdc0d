//! [`Future::map`], [`Future::and_then`], [`Future::or_else`]: a future of what becomes of another one's outcome.
//!
//! Each is a task of its own, which is [held back](crate::task::after) until the first one is done.
#![forbid(unsafe_code)]

use super::Future;
use crate::error::{BoxError, Error, Outcome};
use crate::held::is_large;
use crate::panics;
use crate::task::after::{Decided, Input, Until, hold_back};
use crate::task::continuation;
use crate::task::function::outcome;
use crate::wait::sealed::Sealed;

impl<T: Send + 'static> Future<T> {
    /// Makes a future of what `function` makes of the value. No thread waits for that.
    ///
    /// `function` runs as a [callback](Future::add_done_callback) does: in the thread that completes this task, or at once
    /// in the calling thread if it is done, outside every lock. It must not block on a future. Long work belongs on an
    /// executor, by [`submit_after`](crate::Executor::submit_after).
    ///
    /// The new future is that of a new task, which is pending until this one is done. [`cancel`](Future::cancel) cancels
    /// both, but leaves this task alone if it is running. [`abort`](Future::abort) aborts both. Dropping the new future
    /// detaches both, so they still run. In a forked child of the process, the new future ends with [`Error::Broken`] if it
    /// was not done.
    ///
    /// In async code, these methods come before those of the same names that `futures::FutureExt` has.
    /// [`guide::chains`](crate::guide::chains) shows chains and graphs together.
    ///
    /// # Errors
    ///
    /// If this task ends with an error, or is cancelled, the new future ends likewise, and `function` does not run. If
    /// `function` panics, the new future ends with [`Error::Panicked`]; as it does if the outcome of this future was taken
    /// before, by polling a reference to it until it was ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(2);
    /// let sum = executor.submit(|n: u64| (1..=n).sum::<u64>(), 10_000);
    /// let text = sum.map(|sum| format!("the sum is {sum}"));
    /// assert_eq!(text.result()?, "the sum is 50005000");
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn map<U, F>(self, function: F) -> Future<U>
    where
        F: FnOnce(T) -> U + Send + 'static,
        U: Send + 'static,
    {
        self.chain(|source| source.take_apart(|value| Ok(function(value)), Err))
    }

    /// Makes a future of what `function`, which returns `Result`, makes of the value.
    ///
    /// Otherwise the same as [`map`](Future::map).
    ///
    /// # Errors
    ///
    /// As for [`map`](Future::map). An `Err` that `function` returns becomes [`Error::Failed`], or stays what it is if it is
    /// an [`Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(2);
    /// let line = executor.submit(|line: String| line.trim().to_owned(), " seven".into());
    /// let number = line.and_then(|text| text.parse::<u8>());
    /// assert_eq!(number.result().unwrap_err().to_string(), "invalid digit found in string");
    /// ```
    pub fn and_then<U, E, F>(self, function: F) -> Future<U>
    where
        F: FnOnce(T) -> Result<U, E> + Send + 'static,
        U: Send + 'static,
        E: Into<BoxError>,
    {
        self.chain(|source| source.take_apart(|value| outcome(function(value)), Err))
    }

    /// Makes a future of the value, or of what `function` makes of the error.
    ///
    /// If this task was cancelled through another handle, `function` gets [`Error::Cancelled`]. It does not run if the new
    /// future itself is cancelled. Otherwise the same as [`map`](Future::map).
    ///
    /// # Errors
    ///
    /// An `Err` that `function` returns becomes [`Error::Failed`], or stays what it is if it is an [`Error`]. If `function`
    /// panics, the new future ends with [`Error::Panicked`].
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::new(2);
    /// let port = executor
    ///     .try_submit(|text: String| text.parse::<u16>(), "http".into())
    ///     .or_else(|error| if matches!(error, Error::Failed(_)) { Ok(80) } else { Err(error) });
    /// assert_eq!(port.result()?, 80);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn or_else<E, F>(self, function: F) -> Future<T>
    where
        F: FnOnce(Error) -> Result<T, E> + Send + 'static,
        E: Into<BoxError>,
    {
        self.chain(|source| source.take_apart(Ok, |error| outcome(function(error))))
    }

    /// Makes a future of what `finish` makes of this one, once it is done.
    fn chain<U: Send + 'static>(self, finish: impl FnOnce(Self) -> Outcome<U> + Send + 'static) -> Future<U> {
        panics::install_hook();
        let inputs = vec![self.input()];
        let task = continuation(move || finish(self));
        let future = Future::new(task.clone());
        let _none = hold_back(task, inputs, Until::Outcomes, Decided::new(), None);
        future
    }

    /// Takes the outcome of a done task, and passes its value or its error on. A large value is moved straight out of its
    /// box.
    fn take_apart<U>(self, value: impl FnOnce(T) -> Outcome<U>, error: impl FnOnce(Error) -> Outcome<U>) -> Outcome<U> {
        if const { is_large::<T>() } {
            return match *self.take_boxed() {
                Ok(taken) => value(taken),
                Err(taken) => error(taken),
            };
        }
        match self.take() {
            Ok(taken) => value(taken),
            Err(taken) => error(taken),
        }
    }
}

impl<T> Future<T> {
    /// Returns the task, as that of a future which nobody else has.
    pub(crate) fn input(&self) -> Input {
        Input { task: self.runnable().0, is_owned: true }
    }
}
