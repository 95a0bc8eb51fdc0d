//! Methods of a thread pool that take capturing closures, and types that serde does not support.
//!
//! [`ThreadPoolExecutor`], [`With`] of one and, for maps, [`MapWith`] of one have them as inherent methods, which shadow
//! the methods for plain functions.
//!
//! This file is an interface: most lines are signatures and documentation.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::executor::ThreadPoolExecutor;
use super::pool::Pool;
use crate::backend::{Backend, submit_after};
use crate::error::{BoxError, Outcome};
use crate::future::Future;
use crate::held::is_large;
use crate::inputs::Inputs;
use crate::items::RangeExecutor;
use crate::map::{Map, MapUnordered, SharedItems, Submit, has_time_limit, on_threads};
use crate::map_with::MapWith;
use crate::options::{MapOptions, TaskOptions};
use crate::outcomes::Outcomes;
use crate::submitting::Submitting;
use crate::task::call::{Call, Chunk, LocalCall, Shared};
use crate::task::function::outcome;
use crate::task::owner_ref::OwnerRef;
use crate::task::{TaskHandle, local_task, new_task};
use crate::with::With;

/// Makes a task of the call and pushes it to the pool.
pub(super) fn queue<W, T>(pool: &Arc<Pool>, options: Option<Arc<TaskOptions>>, call: W) -> Future<T>
where
    W: Call<T> + 'static,
    T: Send + 'static,
{
    push(pool, new_task(Some(call), options, pool.as_owner()))
}

/// Pushes a task that is attached to the pool.
fn push<T>(pool: &Arc<Pool>, task: Arc<dyn TaskHandle<T>>) -> Future<T>
where
    T: Send + 'static,
{
    let future = Future::new(Arc::clone(&task));
    pool.push(task);
    future
}

/// Queues a call; boxes it first if it is large.
fn queue_call<C, T>(pool: &Arc<Pool>, options: Option<Arc<TaskOptions>>, call: C) -> Future<T>
where
    C: FnOnce() -> Outcome<T> + Send + 'static,
    T: Send + 'static,
{
    push(pool, local_task(call, options, pool.as_owner()))
}

/// Queues a call of a closure with the values of its inputs, once these are done.
fn submit_after_local<C, I, T>(backend: &impl Backend, inputs: I, call: C) -> Future<T>
where
    C: FnOnce(I::Values) -> Outcome<T> + Send + 'static,
    I: Inputs,
    T: Send + 'static,
{
    submit_after(backend, inputs, |inputs, decided| {
        local_task(move || call(inputs.values(decided.by())?), None, OwnerRef::NOBODY)
    })
}

/// A closure shared by the items of a map, with what is needed to submit it.
struct Closure<'e, F> {
    pool: &'e Arc<Pool>,
    options: Option<Arc<TaskOptions>>,
    function: Arc<F>,
}

impl<F, A, R> Submit<A, R> for Closure<'_, F>
where
    F: Fn(A) -> Outcome<R> + Send + Sync + 'static,
    A: Send + 'static,
    R: Send + 'static,
{
    fn one(&self, argument: A) -> Future<R> {
        let function = Arc::clone(&self.function);
        queue_call(self.pool, self.options.clone(), move || function(argument))
    }

    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        let function = Shared(Arc::clone(&self.function));
        queue(self.pool, self.options.clone(), Chunk { function, arguments, stop })
    }

    fn one_boxed(&self, argument: Box<A>) -> Future<R> {
        if const { !is_large::<A>() } {
            return self.one(*argument);
        }
        let function = Arc::clone(&self.function);
        queue(self.pool, self.options.clone(), LocalCall(move || function(*argument)))
    }

    fn many_boxed(&self, arguments: Vec<Box<A>>, stop: Arc<AtomicBool>) -> Future<Outcomes<R>> {
        if const { !is_large::<A>() } {
            return self.many(arguments.into_iter().map(|argument| *argument).collect(), stop);
        }
        let function = Arc::clone(&self.function);
        let function = Shared(Arc::new(move |argument: Box<A>| function(*argument)));
        queue(self.pool, self.options.clone(), Chunk { function, arguments, stop })
    }

    fn shared_items(&self) -> Option<Arc<dyn SharedItems<A, R>>> {
        let function = Arc::clone(&self.function);
        on_threads(Arc::clone(self.pool).threads()?, self.options.as_ref(), move |argument| function(argument))
    }

    fn takes_only_tasks(&self) -> bool {
        self.pool.takes_only_tasks() || has_time_limit(self.options.as_ref())
    }
}

impl ThreadPoolExecutor {
    fn executor(&self) -> &Self {
        self
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    fn options(&self) -> Option<&Arc<TaskOptions>> {
        None
    }

    fn map_options(&self) -> &MapOptions {
        MapOptions::NONE
    }
}

impl<'e> With<'e, ThreadPoolExecutor> {
    fn executor(&self) -> &'e ThreadPoolExecutor {
        self.backend
    }

    fn pool(&self) -> &'e Arc<Pool> {
        &self.backend.pool
    }

    fn options(&self) -> Option<&Arc<TaskOptions>> {
        Some(&self.options)
    }

    fn map_options(&self) -> &MapOptions {
        MapOptions::NONE
    }
}

impl<'e> MapWith<'e, ThreadPoolExecutor> {
    fn pool(&self) -> &'e Arc<Pool> {
        self.executor.pool()
    }

    fn options(&self) -> Option<&Arc<TaskOptions>> {
        self.executor.options()
    }

    fn map_options(&self) -> &MapOptions {
        &self.options
    }
}

/// The methods for single calls.
macro_rules! call_methods {
    ([$($generics:tt)*] $executor:ty, $e:lifetime) => {
        impl $($generics)* $executor {
            fn queue<C, T>(&self, call: C) -> Future<T>
            where
                C: FnOnce() -> Outcome<T> + Send + 'static,
                T: Send + 'static,
            {
                queue_call(self.pool(), self.options().cloned(), call)
            }

            fn queue_async<C, T>(&self, call: C) -> Submitting<$e, ThreadPoolExecutor, T>
            where
                C: FnOnce() -> Outcome<T> + Send + 'static,
                T: Send + 'static,
            {
                Submitting::new(self.executor(), local_task(call, None, OwnerRef::NOBODY), self.options().cloned())
            }

            /// Calls `function` with `argument` on a worker, like [`Executor::submit`](crate::Executor::submit), but
            /// for any closure and any type that is `Send`.
            ///
            /// Blocks only while a bounded queue is full, and never on a thread of this executor. Put a value of
            /// hundreds of kilobytes into a `Box`: see [large values](ThreadPoolExecutor#large-values).
            ///
            /// # Examples
            ///
            /// ```
            /// use concurrent_futures::ThreadPoolExecutor;
            ///
            /// let threads = ThreadPoolExecutor::new(1);
            /// let greeting = String::from("hello");
            /// let future = threads.submit(move |name: &str| format!("{greeting}, {name}"), "you");
            /// assert_eq!(future.result()?, "hello, you");
            /// # Ok::<(), concurrent_futures::Error>(())
            /// ```
            pub fn submit<F, A, R>(&self, function: F, argument: A) -> Future<R>
            where
                F: FnOnce(A) -> R + Send + 'static,
                A: Send + 'static,
                R: Send + 'static,
            {
                self.queue(move || Ok(function(argument)))
            }

            /// Calls a closure that returns `Result` with `argument` on a worker. Its `Err` becomes the future's
            /// [`Error::Failed`](crate::Error::Failed).
            ///
            /// # Examples
            ///
            /// ```
            /// use concurrent_futures::ThreadPoolExecutor;
            ///
            /// let threads = ThreadPoolExecutor::new(1);
            /// let future = threads.try_submit(std::fs::read, "/no/such/file");
            /// let error = future.result().unwrap_err();
            /// assert!(error.downcast_ref::<std::io::Error>().is_some());
            /// ```
            pub fn try_submit<F, A, R, E>(&self, function: F, argument: A) -> Future<R>
            where
                F: FnOnce(A) -> Result<R, E> + Send + 'static,
                A: Send + 'static,
                R: Send + 'static,
                E: Into<BoxError>,
            {
                self.queue(move || outcome(function(argument)))
            }

            /// Calls `function` with the values of other futures on a worker, once they are done, like
            /// [`Executor::submit_after`](crate::Executor::submit_after), but for any closure and any type that is `Send`.
            ///
            /// # Examples
            ///
            /// ```
            /// use concurrent_futures::ThreadPoolExecutor;
            ///
            /// let threads = ThreadPoolExecutor::new(2);
            /// let unit = String::from("km");
            /// let (there, back) = (threads.spawn(|| 7), threads.spawn(|| 8));
            /// let add = move |(there, back)| format!("{} {unit}", there + back);
            /// let way = threads.submit_after((there, back), add);
            /// assert_eq!(way.result()?, "15 km");
            /// # Ok::<(), concurrent_futures::Error>(())
            /// ```
            pub fn submit_after<I, F, R>(&self, inputs: I, function: F) -> Future<R>
            where
                I: Inputs,
                F: FnOnce(I::Values) -> R + Send + 'static,
                R: Send + 'static,
            {
                submit_after_local(self, inputs, move |values| Ok(function(values)))
            }

            /// Calls a closure that returns `Result` with the values of other futures on a worker, once they are done, like
            /// [`Executor::try_submit_after`](crate::Executor::try_submit_after).
            pub fn try_submit_after<I, F, R, E>(&self, inputs: I, function: F) -> Future<R>
            where
                I: Inputs,
                F: FnOnce(I::Values) -> Result<R, E> + Send + 'static,
                R: Send + 'static,
                E: Into<BoxError>,
            {
                submit_after_local(self, inputs, move |values| outcome(function(values)))
            }

            /// Calls `function` with `argument` on a worker, like
            /// [`Executor::submit_async`](crate::Executor::submit_async), but accepts any closure and any type that is
            /// `Send`.
            pub fn submit_async<F, A, R>(&self, function: F, argument: A) -> Submitting<$e, ThreadPoolExecutor, R>
            where
                F: FnOnce(A) -> R + Send + 'static,
                A: Send + 'static,
                R: Send + 'static,
            {
                self.queue_async(move || Ok(function(argument)))
            }

            /// Calls a closure that returns `Result` with `argument` on a worker, like
            /// [`Executor::try_submit_async`](crate::Executor::try_submit_async).
            pub fn try_submit_async<F, A, R, E>(&self, function: F, argument: A) -> Submitting<$e, ThreadPoolExecutor, R>
            where
                F: FnOnce(A) -> Result<R, E> + Send + 'static,
                A: Send + 'static,
                R: Send + 'static,
                E: Into<BoxError>,
            {
                self.queue_async(move || outcome(function(argument)))
            }

            /// Calls a closure without an argument on a worker.
            ///
            /// # Examples
            ///
            /// ```
            /// use concurrent_futures::ThreadPoolExecutor;
            ///
            /// let threads = ThreadPoolExecutor::new(1);
            /// let data = vec![3, 1, 2];
            /// assert_eq!(threads.spawn(move || data.into_iter().max()).result()?, Some(3));
            /// # Ok::<(), concurrent_futures::Error>(())
            /// ```
            pub fn spawn<F, R>(&self, function: F) -> Future<R>
            where
                F: FnOnce() -> R + Send + 'static,
                R: Send + 'static,
            {
                self.queue(move || Ok(function()))
            }

            /// Calls a closure without an argument on a worker. Its `Err` becomes the future's
            /// [`Error::Failed`](crate::Error::Failed).
            pub fn try_spawn<F, R, E>(&self, function: F) -> Future<R>
            where
                F: FnOnce() -> Result<R, E> + Send + 'static,
                R: Send + 'static,
                E: Into<BoxError>,
            {
                self.queue(move || outcome(function()))
            }

            /// Returns a function that submits a task at each call, like [`Executor::bind`](crate::Executor::bind).
            pub fn bind<F, A, R>(&self, function: F) -> impl Fn(A) -> Future<R> + Send + Sync + Clone
            where
                F: Fn(A) -> R + Send + Sync + 'static,
                A: Send + 'static,
                R: Send + 'static,
            {
                let function = Arc::new(function);
                move |argument| {
                    let function = Arc::clone(&function);
                    self.submit(move |argument| function(argument), argument)
                }
            }
        }
    };
}

/// The methods for maps. `$e` is their lifetime: that of the executor, even if the options are a temporary.
macro_rules! map_methods {
    ([$($generics:tt)*] $executor:ty, $e:lifetime) => {
        impl $($generics)* $executor {
            fn closure<F>(&self, function: F) -> Closure<$e, F> {
                let options = self.options().cloned();
                Closure { pool: self.pool(), options, function: Arc::new(function) }
            }

            /// Calls a closure on every argument, and yields the outcomes in input order, like
            /// [`Executor::map`](crate::Executor::map).
            ///
            /// # Examples
            ///
            /// ```
            /// use concurrent_futures::ThreadPoolExecutor;
            ///
            /// let threads = ThreadPoolExecutor::new(2);
            /// let factor = 10;
            /// let products: Vec<i32> = threads.map(move |n| n * factor, [1, 2, 3]).collect::<Result<_, _>>()?;
            /// assert_eq!(products, [10, 20, 30]);
            /// # Ok::<(), concurrent_futures::Error>(())
            /// ```
            pub fn map<I, F, R>(&self, function: F, arguments: I) -> Map<$e, I::IntoIter, R>
            where
                I: IntoIterator<Item: Send + 'static>,
                F: Fn(I::Item) -> R + Send + Sync + 'static,
                R: Send + 'static,
            {
                let closure = self.closure(move |argument| Ok(function(argument)));
                Map::new(closure, self.map_options(), arguments)
            }

            /// Calls a closure that returns `Result` on every argument, and yields the outcomes in input order.
            pub fn try_map<I, F, R, E>(&self, function: F, arguments: I) -> Map<$e, I::IntoIter, R>
            where
                I: IntoIterator<Item: Send + 'static>,
                F: Fn(I::Item) -> Result<R, E> + Send + Sync + 'static,
                R: Send + 'static,
                E: Into<BoxError>,
            {
                let closure = self.closure(move |argument| outcome(function(argument)));
                Map::new(closure, self.map_options(), arguments)
            }

            /// Calls a closure on every argument, and yields `(input position, outcome)` in order of completion, like
            /// [`Executor::map_unordered`](crate::Executor::map_unordered).
            pub fn map_unordered<I, F, R>(&self, function: F, arguments: I) -> MapUnordered<$e, I::IntoIter, R>
            where
                I: IntoIterator<Item: Send + 'static>,
                F: Fn(I::Item) -> R + Send + Sync + 'static,
                R: Send + 'static,
            {
                let closure = self.closure(move |argument| Ok(function(argument)));
                MapUnordered::new(closure, self.map_options(), arguments)
            }

            /// Calls a closure that returns `Result` on every argument, and yields `(input position, outcome)` in order of
            /// completion, like [`Executor::try_map_unordered`](crate::Executor::try_map_unordered).
            pub fn try_map_unordered<I, F, R, E>(&self, function: F, arguments: I) -> MapUnordered<$e, I::IntoIter, R>
            where
                I: IntoIterator<Item: Send + 'static>,
                F: Fn(I::Item) -> Result<R, E> + Send + Sync + 'static,
                R: Send + 'static,
                E: Into<BoxError>,
            {
                let closure = self.closure(move |argument| outcome(function(argument)));
                MapUnordered::new(closure, self.map_options(), arguments)
            }
        }
    };
}

call_methods!([] ThreadPoolExecutor, '_);
call_methods!([<'e>] With<'e, ThreadPoolExecutor>, 'e);
map_methods!([] ThreadPoolExecutor, '_);
map_methods!([<'e>] With<'e, ThreadPoolExecutor>, 'e);
map_methods!([<'e>] MapWith<'e, ThreadPoolExecutor>, 'e);
