//! Methods of a [`Retrying`] thread pool that take closures which capture, and types that serde does not support. They
//! shadow those for plain functions, as in [`closures`](super::closures).
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::executor::ThreadPoolExecutor;
use crate::error::{BoxError, Outcome};
use crate::future::Future;
use crate::held::is_large;
use crate::map::{Map, MapUnordered};
use crate::retry::{PlainRetrying, Retrying, RetryingItems, SubmitItem};
use crate::task::function::outcome;
use crate::task::local_task;
use crate::task::owner_ref::OwnerRef;

/// Submits calls of a closure that the attempts share. The closure's type comes first, because the span of an attempt is
/// named by the first type of its call.
fn call<F, A, R>(retrying: &PlainRetrying<'_, ThreadPoolExecutor>, function: Arc<F>, argument: A) -> Future<R>
where
    A: Clone + Send + 'static,
    R: Send + 'static,
    F: Fn(A) -> Outcome<R> + Send + Sync + 'static,
{
    if const { is_large::<A>() } {
        return call_boxed(retrying, function, Box::new(argument));
    }
    retrying.attempt(argument, move |argument| {
        let function = Arc::clone(&function);
        local_task(move || function(argument), None, OwnerRef::NOBODY)
    })
}

fn call_boxed<F, A, R>(
    retrying: &PlainRetrying<'_, ThreadPoolExecutor>,
    function: Arc<F>,
    argument: Box<A>,
) -> Future<R>
where
    A: Clone + Send + 'static,
    R: Send + 'static,
    F: Fn(A) -> Outcome<R> + Send + Sync + 'static,
{
    retrying.attempt(argument, move |argument| {
        let function = Arc::clone(&function);
        local_task(move || function(*argument), None, OwnerRef::NOBODY)
    })
}

impl<F, A, R> SubmitItem<A, R> for RetryingItems<Retrying<'_, ThreadPoolExecutor>, Arc<F>>
where
    A: Clone + Send + 'static,
    R: Send + 'static,
    F: Fn(A) -> Outcome<R> + Send + Sync + 'static,
{
    fn submit_item(&self, argument: A) -> Future<R> {
        call(&self.retrying, Arc::clone(&self.function), argument)
    }

    fn submit_boxed(&self, argument: Box<A>) -> Future<R> {
        call_boxed(&self.retrying, Arc::clone(&self.function), argument)
    }
}

impl<'e> Retrying<'e, ThreadPoolExecutor> {
    fn items<F>(&self, function: F) -> RetryingItems<Self, Arc<F>> {
        RetryingItems { retrying: self.clone(), function: Arc::new(function) }
    }

    /// Calls a closure with `argument` on a worker.
    pub fn submit<F, A, R>(&self, function: F, argument: A) -> Future<R>
    where
        F: Fn(A) -> R + Send + Sync + 'static,
        A: Clone + Send + 'static,
        R: Send + 'static,
    {
        call(self, Arc::new(move |argument| Ok(function(argument))), argument)
    }

    /// Calls a closure that returns `Result` with `argument` on a worker. Its `Err` becomes an
    /// [`Error::Failed`](crate::Error::Failed).
    pub fn try_submit<F, A, R, E>(&self, function: F, argument: A) -> Future<R>
    where
        F: Fn(A) -> Result<R, E> + Send + Sync + 'static,
        A: Clone + Send + 'static,
        R: Send + 'static,
        E: Into<BoxError>,
    {
        call(self, Arc::new(move |argument| outcome(function(argument))), argument)
    }

    /// Calls a closure without an argument on a worker.
    pub fn spawn<F, R>(&self, function: F) -> Future<R>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.submit(move |()| function(), ())
    }

    /// Calls a closure without an argument, which returns `Result`, on a worker. Its `Err` becomes an
    /// [`Error::Failed`](crate::Error::Failed).
    pub fn try_spawn<F, R, E>(&self, function: F) -> Future<R>
    where
        F: Fn() -> Result<R, E> + Send + Sync + 'static,
        R: Send + 'static,
        E: Into<BoxError>,
    {
        self.try_submit(move |()| function(), ())
    }

    /// Returns a function that submits: each call of it is a task.
    pub fn bind<F, A, R>(&self, function: F) -> impl Fn(A) -> Future<R> + Send + Sync + Clone + use<'e, F, A, R>
    where
        F: Fn(A) -> R + Send + Sync + 'static,
        A: Clone + Send + 'static,
        R: Send + 'static,
    {
        let (retrying, function) = (self.clone(), Arc::new(move |argument| Ok(function(argument))));
        move |argument| call(&retrying, Arc::clone(&function), argument)
    }

    /// Calls a closure on every argument, and yields the outcomes in input order. Each item is a task of its own.
    pub fn map<I, F, R>(&self, function: F, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Clone + Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        Map::new(self.items(move |argument| Ok(function(argument))), &self.map_options, arguments)
    }

    /// Calls a closure that returns `Result` on every argument, and yields the outcomes in input order. Each item is a task
    /// of its own.
    pub fn try_map<I, F, R, E>(&self, function: F, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Clone + Send + 'static>,
        F: Fn(I::Item) -> Result<R, E> + Send + Sync + 'static,
        R: Send + 'static,
        E: Into<BoxError>,
    {
        Map::new(self.items(move |argument| outcome(function(argument))), &self.map_options, arguments)
    }

    /// Calls a closure on every argument, and yields `(input position, outcome)` as the items are done. Each item is a task
    /// of its own.
    pub fn map_unordered<I, F, R>(&self, function: F, arguments: I) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Clone + Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        MapUnordered::new(self.items(move |argument| Ok(function(argument))), &self.map_options, arguments)
    }

    /// Calls a closure that returns `Result` on every argument, and yields `(input position, outcome)` as the items are
    /// done. Each item is a task of its own.
    pub fn try_map_unordered<I, F, R, E>(&self, function: F, arguments: I) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Clone + Send + 'static>,
        F: Fn(I::Item) -> Result<R, E> + Send + Sync + 'static,
        R: Send + 'static,
        E: Into<BoxError>,
    {
        MapUnordered::new(self.items(move |argument| outcome(function(argument))), &self.map_options, arguments)
    }
}
