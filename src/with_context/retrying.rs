//! [`RetryingWithContext`]: submits functions that share a context, and tries them again after an error.
//!
//! It is a [`Retrying`] executor and a context. As everywhere, the methods for plain functions are those of a type that it
//! dereferences to. A function is [bound](crate::task::bound::Bound) to the context, and every attempt calls the same bound
//! function.
#![forbid(unsafe_code)]

use std::fmt;

use crate::backend::Backend;
use crate::codec::Payload;
use crate::error::BoxError;
use crate::future::Future;
use crate::map::{Map, MapUnordered};
use crate::options::MapOptions;
use crate::retry::Retrying;
use crate::task::bound::{InContext, TryInContext};
use crate::task::shared_context::SharedContext;

/// Submits functions that share a context, and tries them again after an error. Made by adding a context and
/// [`RetryOptions`](crate::RetryOptions) to an executor, in any order.
///
/// Has the methods of [`Retrying`], for functions with the context as their first parameter, by reference. They are those of
/// [`PlainRetryingWithContext`], which take plain functions, and on a [`ThreadPoolExecutor`](crate::ThreadPoolExecutor)
/// those that also take closures that capture, with `spawn` and `try_spawn`. All attempts of all tasks read the same
/// context; only the argument is cloned for each attempt but the last.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, InlineExecutor, TaskOptions};
///
/// fn price(prices: &Vec<u32>, item: usize) -> Result<u32, String> {
///     prices.get(item).copied().ok_or_else(|| format!("there is no item {item}"))
/// }
///
/// let persistent = TaskOptions::new().retries(2).retry_if(|error| matches!(error, Error::Failed(_)));
/// let first = InlineExecutor.with_context(vec![3, 5]).with(persistent.clone());
/// let second = InlineExecutor.with(persistent).with_context(vec![3, 5]);
/// for shop in [first, second] {
///     let prices: Vec<u32> = shop.try_map(price, [1, 0]).collect::<Result<_, _>>()?;
///     assert_eq!(prices, [5, 3]);
///     assert_eq!(shop.try_submit(price, 7).result().unwrap_err().to_string(), "there is no item 7");
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct RetryingWithContext<'e, B: ?Sized, C> {
    pub(super) plain: PlainRetryingWithContext<'e, B, C>,
}

/// Submits plain functions that share a context, and tries them again after an error. Part of every
/// [`RetryingWithContext`].
pub struct PlainRetryingWithContext<'e, B: ?Sized, C> {
    pub(crate) retrying: Retrying<'e, B>,
    pub(crate) context: SharedContext<C>,
}

impl<B: Backend + ?Sized, C: Send + Sync + 'static> RetryingWithContext<'_, B, C> {
    /// Adds options to the maps of this, like [`Retrying::with`]. Options given here take precedence over those given
    /// before.
    pub fn with(&self, options: MapOptions) -> Self {
        let (retrying, context) = (self.retrying.with(options), self.context.clone());
        Self { plain: PlainRetryingWithContext { retrying, context } }
    }
}

impl<'e, B: Backend + ?Sized, C: Payload + Sync> PlainRetryingWithContext<'e, B, C> {
    /// Calls `function` with the context and `argument` on a worker, like [`Executor::submit`](crate::Executor::submit).
    pub fn submit<A: Payload + Clone, R: Payload>(&self, function: fn(&C, A) -> R, argument: A) -> Future<R> {
        self.retrying.call(self.context.bind(InContext(function)), argument)
    }

    /// Calls a function that returns `Result` with the context and `argument` on a worker, like
    /// [`Executor::try_submit`](crate::Executor::try_submit).
    pub fn try_submit<A: Payload + Clone, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, A) -> Result<R, E>,
        argument: A,
    ) -> Future<R> {
        self.retrying.call(self.context.bind(TryInContext(function)), argument)
    }

    /// Returns a function that submits, with the context: each call of it is a task.
    pub fn bind<A: Payload + Clone, R: Payload>(
        &self,
        function: fn(&C, A) -> R,
    ) -> impl Fn(A) -> Future<R> + Send + Sync + Clone + use<'e, B, C, A, R> {
        let (retrying, bound) = (self.retrying.clone(), self.context.bind(InContext(function)));
        move |argument| retrying.call(bound.clone(), argument)
    }

    /// Calls `function` with the context and each argument, and yields the outcomes in input order, like
    /// [`Executor::map`](crate::Executor::map). Each item is a task of its own.
    pub fn map<I, R: Payload>(&self, function: fn(&C, I::Item) -> R, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        Map::new(self.retrying.items(self.context.bind(InContext(function))), &self.retrying.map_options, arguments)
    }

    /// Calls a function that returns `Result` with the context and each argument, and yields the outcomes in input
    /// order, like [`Executor::try_map`](crate::Executor::try_map). Each item is a task of its own.
    pub fn try_map<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, I::Item) -> Result<R, E>,
        arguments: I,
    ) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        Map::new(self.retrying.items(self.context.bind(TryInContext(function))), &self.retrying.map_options, arguments)
    }

    /// Calls `function` with the context and each argument, and yields `(input position, outcome)` as the items are
    /// done, like [`Executor::map_unordered`](crate::Executor::map_unordered). Each item is a task of its own.
    pub fn map_unordered<I, R: Payload>(
        &self,
        function: fn(&C, I::Item) -> R,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        let items = self.retrying.items(self.context.bind(InContext(function)));
        MapUnordered::new(items, &self.retrying.map_options, arguments)
    }

    /// Calls a function that returns `Result` with the context and each argument, and yields `(input position, outcome)`
    /// as the items are done, like [`Executor::try_map_unordered`](crate::Executor::try_map_unordered). Each item is a
    /// task of its own.
    pub fn try_map_unordered<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, I::Item) -> Result<R, E>,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload + Clone>,
    {
        let items = self.retrying.items(self.context.bind(TryInContext(function)));
        MapUnordered::new(items, &self.retrying.map_options, arguments)
    }
}

impl<B: ?Sized, C> Clone for PlainRetryingWithContext<'_, B, C> {
    fn clone(&self) -> Self {
        Self { retrying: self.retrying.clone(), context: self.context.clone() }
    }
}

impl<B: ?Sized, C> fmt::Debug for PlainRetryingWithContext<'_, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainRetryingWithContext").field("retrying", &self.retrying).finish_non_exhaustive()
    }
}
