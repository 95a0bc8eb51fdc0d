//! Methods of a thread pool with a context that take capturing closures, and types that serde does not support.
//!
//! [`WithContext`], [`MapWithContext`] and [`RetryingWithContext`] of a [`ThreadPoolExecutor`] have them as inherent methods,
//! which shadow the methods for plain functions. Each calls that of [`With`], [`MapWith`] or [`Retrying`] with a closure that
//! holds the context.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::executor::ThreadPoolExecutor;
use crate::error::BoxError;
use crate::future::Future;
use crate::inputs::Inputs;
use crate::map::{Map, MapUnordered};
use crate::map_with::MapWith;
use crate::retry::Retrying;
use crate::submitting::Submitting;
use crate::with::With;
use crate::with_context::{MapWithContext, RetryingWithContext, WithContext};

impl<'e, C: Send + Sync + 'static> WithContext<'e, ThreadPoolExecutor, C> {
    fn threads(&self) -> &With<'e, ThreadPoolExecutor> {
        &self.executor
    }

    fn maps(&self) -> MapWith<'e, ThreadPoolExecutor> {
        MapWith::new(self.executor.clone(), self.options.clone())
    }

    /// Returns a closure that calls `function` with the context.
    fn once<F, A, R>(&self, function: F) -> impl FnOnce(A) -> R + Send + 'static + use<F, A, R, C>
    where
        F: FnOnce(&C, A) -> R + Send + 'static,
    {
        let context = self.context.clone();
        move |argument| function(&context, argument)
    }

    /// Calls `function` with the context and `argument` on a worker, like [`Executor::submit`](crate::Executor::submit),
    /// but for any closure and any type that is `Send`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use concurrent_futures::{Executor, ThreadPoolExecutor};
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let log = threads.with_context(Mutex::new(Vec::new()));
    /// let prefix = String::from("task");
    /// let noted = log.submit(
    ///     move |log, number: u32| {
    ///         let mut log = log.lock().unwrap();
    ///         log.push(format!("{prefix} {number}"));
    ///         log.len()
    ///     },
    ///     7,
    /// );
    /// assert_eq!(noted.result()?, 1);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn submit<F, A, R>(&self, function: F, argument: A) -> Future<R>
    where
        F: FnOnce(&C, A) -> R + Send + 'static,
        A: Send + 'static,
        R: Send + 'static,
    {
        self.threads().submit(self.once(function), argument)
    }

    /// Calls a closure that returns `Result` with the context and `argument` on a worker. Its `Err` becomes the future's
    /// [`Error::Failed`](crate::Error::Failed).
    pub fn try_submit<F, A, R, E>(&self, function: F, argument: A) -> Future<R>
    where
        F: FnOnce(&C, A) -> Result<R, E> + Send + 'static,
        A: Send + 'static,
        R: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.threads().try_submit(self.once(function), argument)
    }

    /// Calls `function` with the context and `argument` on a worker, like
    /// [`Executor::submit_async`](crate::Executor::submit_async), but accepts any closure and any type that is `Send`.
    pub fn submit_async<F, A, R>(&self, function: F, argument: A) -> Submitting<'e, ThreadPoolExecutor, R>
    where
        F: FnOnce(&C, A) -> R + Send + 'static,
        A: Send + 'static,
        R: Send + 'static,
    {
        self.threads().submit_async(self.once(function), argument)
    }

    /// Calls a closure that returns `Result` with the context and `argument` on a worker, like
    /// [`Executor::try_submit_async`](crate::Executor::try_submit_async).
    pub fn try_submit_async<F, A, R, E>(&self, function: F, argument: A) -> Submitting<'e, ThreadPoolExecutor, R>
    where
        F: FnOnce(&C, A) -> Result<R, E> + Send + 'static,
        A: Send + 'static,
        R: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.threads().try_submit_async(self.once(function), argument)
    }

    /// Calls `function` with the context and the values of other futures on a worker, once they are done, like
    /// [`Executor::submit_after`](crate::Executor::submit_after), but for any closure and any type that is `Send`.
    pub fn submit_after<I, F, R>(&self, inputs: I, function: F) -> Future<R>
    where
        I: Inputs,
        F: FnOnce(&C, I::Values) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.threads().submit_after(inputs, self.once(function))
    }

    /// Calls a closure that returns `Result` with the context and the values of other futures on a worker, once they are
    /// done, like [`Executor::try_submit_after`](crate::Executor::try_submit_after).
    pub fn try_submit_after<I, F, R, E>(&self, inputs: I, function: F) -> Future<R>
    where
        I: Inputs,
        F: FnOnce(&C, I::Values) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.threads().try_submit_after(inputs, self.once(function))
    }

    /// Calls a closure with the context on a worker.
    pub fn spawn<F, R>(&self, function: F) -> Future<R>
    where
        F: FnOnce(&C) -> R + Send + 'static,
        R: Send + 'static,
    {
        let context = self.context.clone();
        self.threads().spawn(move || function(&context))
    }

    /// Calls a closure that returns `Result` with the context on a worker. Its `Err` becomes the future's
    /// [`Error::Failed`](crate::Error::Failed).
    pub fn try_spawn<F, R, E>(&self, function: F) -> Future<R>
    where
        F: FnOnce(&C) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let context = self.context.clone();
        self.threads().try_spawn(move || function(&context))
    }

    /// Returns a function that submits a task at each call, with the context, like
    /// [`Executor::bind`](crate::Executor::bind).
    pub fn bind<F, A, R>(&self, function: F) -> impl Fn(A) -> Future<R> + Send + Sync + Clone + use<'e, F, A, R, C>
    where
        F: Fn(&C, A) -> R + Send + Sync + 'static,
        A: Send + 'static,
        R: Send + 'static,
    {
        let (threads, function) = (self.clone(), Arc::new(function));
        move |argument| {
            let function = Arc::clone(&function);
            threads.submit(move |context, argument| function(context, argument), argument)
        }
    }
}

impl<'e, C: Send + Sync + 'static> MapWithContext<'e, ThreadPoolExecutor, C> {
    fn maps(&self) -> MapWith<'e, ThreadPoolExecutor> {
        MapWith::new(self.executor.clone(), self.options.clone())
    }
}

impl<'e, C: Send + Sync + 'static> RetryingWithContext<'e, ThreadPoolExecutor, C> {
    fn maps(&self) -> &Retrying<'e, ThreadPoolExecutor> {
        &self.retrying
    }

    /// Calls a closure with the context and `argument` on a worker.
    pub fn submit<F, A, R>(&self, function: F, argument: A) -> Future<R>
    where
        F: Fn(&C, A) -> R + Send + Sync + 'static,
        A: Clone + Send + 'static,
        R: Send + 'static,
    {
        self.retrying.submit(self.with_each(function), argument)
    }

    /// Calls a closure that returns `Result` with the context and `argument` on a worker. Its `Err` becomes an
    /// [`Error::Failed`](crate::Error::Failed).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use concurrent_futures::{Executor, TaskOptions, ThreadPoolExecutor};
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let persistent = threads.with(TaskOptions::new().retries(5).retry_if(|_| true));
    /// let (log, enough) = (persistent.with_context(Mutex::new(Vec::new())), 3);
    /// let noted = log.try_submit(
    ///     move |log, word: String| {
    ///         let mut log = log.lock().unwrap();
    ///         log.push(word);
    ///         if log.len() < enough { Err("not yet") } else { Ok(log.join(" ")) }
    ///     },
    ///     "again".into(),
    /// );
    /// assert_eq!(noted.result()?, "again again again");
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn try_submit<F, A, R, E>(&self, function: F, argument: A) -> Future<R>
    where
        F: Fn(&C, A) -> Result<R, E> + Send + Sync + 'static,
        A: Clone + Send + 'static,
        R: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.retrying.try_submit(self.with_each(function), argument)
    }

    /// Calls a closure with the context on a worker.
    pub fn spawn<F, R>(&self, function: F) -> Future<R>
    where
        F: Fn(&C) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.submit(move |context, ()| function(context), ())
    }

    /// Calls a closure that returns `Result` with the context on a worker. Its `Err` becomes an
    /// [`Error::Failed`](crate::Error::Failed).
    pub fn try_spawn<F, R, E>(&self, function: F) -> Future<R>
    where
        F: Fn(&C) -> Result<R, E> + Send + Sync + 'static,
        R: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.try_submit(move |context, ()| function(context), ())
    }

    /// Returns a function that submits, with the context: each call of it is a task.
    pub fn bind<F, A, R>(&self, function: F) -> impl Fn(A) -> Future<R> + Send + Sync + Clone + use<'e, F, A, R, C>
    where
        F: Fn(&C, A) -> R + Send + Sync + 'static,
        A: Clone + Send + 'static,
        R: Send + 'static,
    {
        self.retrying.bind(self.with_each(function))
    }
}

/// The methods for maps, and what an item must be beyond what crosses to a thread.
macro_rules! map_methods {
    ($executor:ident $(, $clone:ident)?) => {
        impl<'e, C: Send + Sync + 'static> $executor<'e, ThreadPoolExecutor, C> {
            fn with_each<F, A, R>(&self, function: F) -> impl Fn(A) -> R + Send + Sync + 'static + use<F, A, R, C>
            where
                F: Fn(&C, A) -> R + Send + Sync + 'static,
            {
                let context = self.context.clone();
                move |argument| function(&context, argument)
            }

            /// Calls a closure with the context and each argument, and yields the outcomes in input order, like
            /// [`Executor::map`](crate::Executor::map).
            ///
            /// # Examples
            ///
            /// ```
            /// use concurrent_futures::{Executor, ThreadPoolExecutor};
            ///
            /// let threads = ThreadPoolExecutor::new(2);
            /// let (names, offset) = (threads.with_context(vec!["zero", "one", "two"]), 1);
            /// let named: Vec<&str> =
            ///     names.map(move |names, n: usize| names[n + offset], [0, 1]).collect::<Result<_, _>>()?;
            /// assert_eq!(named, ["one", "two"]);
            /// # Ok::<(), concurrent_futures::Error>(())
            /// ```
            pub fn map<I, F, R>(&self, function: F, arguments: I) -> Map<'e, I::IntoIter, R>
            where
                I: IntoIterator<Item: $($clone +)? Send + 'static>,
                F: Fn(&C, I::Item) -> R + Send + Sync + 'static,
                R: Send + 'static,
            {
                self.maps().map(self.with_each(function), arguments)
            }

            /// Calls a closure that returns `Result` with the context and each argument, and yields the outcomes in input
            /// order.
            pub fn try_map<I, F, R, E>(&self, function: F, arguments: I) -> Map<'e, I::IntoIter, R>
            where
                I: IntoIterator<Item: $($clone +)? Send + 'static>,
                F: Fn(&C, I::Item) -> Result<R, E> + Send + Sync + 'static,
                R: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                self.maps().try_map(self.with_each(function), arguments)
            }

            /// Calls a closure with the context and each argument, and yields `(input position, outcome)` in order of
            /// completion, like [`Executor::map_unordered`](crate::Executor::map_unordered).
            pub fn map_unordered<I, F, R>(&self, function: F, arguments: I) -> MapUnordered<'e, I::IntoIter, R>
            where
                I: IntoIterator<Item: $($clone +)? Send + 'static>,
                F: Fn(&C, I::Item) -> R + Send + Sync + 'static,
                R: Send + 'static,
            {
                self.maps().map_unordered(self.with_each(function), arguments)
            }

            /// Calls a closure that returns `Result` with the context and each argument, and yields
            /// `(input position, outcome)` in order of completion, like
            /// [`Executor::try_map_unordered`](crate::Executor::try_map_unordered).
            pub fn try_map_unordered<I, F, R, E>(&self, function: F, arguments: I) -> MapUnordered<'e, I::IntoIter, R>
            where
                I: IntoIterator<Item: $($clone +)? Send + 'static>,
                F: Fn(&C, I::Item) -> Result<R, E> + Send + Sync + 'static,
                R: Send + 'static,
                E: Into<BoxError> + 'static,
            {
                self.maps().try_map_unordered(self.with_each(function), arguments)
            }
        }
    };
}

map_methods!(WithContext);
map_methods!(MapWithContext);
map_methods!(RetryingWithContext, Clone);
