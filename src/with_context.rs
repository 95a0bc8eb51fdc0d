//! [`WithContext`]: submits functions that share a context. [`MapWithContext`]: the same for maps with options.
//! [`RetryingWithContext`]: the same for what is tried again.
//!
//! As with [`MapWith`](crate::MapWith), the methods for plain functions belong to types that these dereference to. So
//! on threads the compiler finds the methods for closures first, which have the same names:
//!
//! ```text
//! WithContext ─────> PlainWithContext ──┐  single calls
//! MapWithContext ───────────────────────┴> PlainMapWithContext   maps
//! RetryingWithContext ─────────────────> PlainRetryingWithContext   both, with attempts
//! ```
//!
//! Here a function is [bound](crate::task::bound::Bound) to the context. The layers below call it like one without a
//! context. They treat the context separately only where calls leave the process.
#![forbid(unsafe_code)]

mod maps;
pub(crate) mod options;
mod retrying;

use std::fmt;
use std::ops::Deref;

use crate::backend::{Backend, dispatch, dispatch_after, plain_task};
use crate::codec::Payload;
use crate::error::BoxError;
use crate::future::Future;
use crate::inputs::Inputs;
use crate::options::MapOptions;
use crate::submitting::Submitting;
use crate::task::bound::{ContextFunction, InContext, TryInContext};
use crate::task::shared_context::SharedContext;
use crate::with::With;

pub use retrying::{PlainRetryingWithContext, RetryingWithContext};

/// Submits functions that share a context to an executor. Made by
/// [`Executor::with_context`](crate::Executor::with_context).
///
/// A function has the context as its first parameter, by reference. The methods are those of [`PlainWithContext`], which
/// take plain functions, and on a [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) methods of the same names that also
/// take closures that capture, and types without serde's traits.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, InlineExecutor, MapOptions, TaskOptions};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Prices(Vec<u32>);
///
/// fn price(prices: &Prices, item: usize) -> Option<u32> {
///     prices.0.get(item).copied()
/// }
///
/// fn prices(executor: &impl Executor) -> Result<Vec<Option<u32>>, Error> {
///     let shop = executor.with_context(Prices(vec![3, 5, 8]));
///     let named = shop.with(TaskOptions::new().name("price"));
///     named.with(MapOptions::new().buffer_size(8)).map(price, [2, 0, 7]).collect()
/// }
///
/// assert_eq!(prices(&InlineExecutor)?, [Some(8), Some(3), None]);
/// # Ok::<(), Error>(())
/// ```
pub struct WithContext<'e, B: ?Sized, C> {
    plain: PlainWithContext<'e, B, C>,
}

/// Submits plain functions that share a context. Part of every [`WithContext`].
///
/// Its methods for single tasks are `submit`, `try_submit`, `submit_async`, `try_submit_async`, `submit_after`,
/// `try_submit_after` and `bind`; those for maps are those of [`PlainMapWithContext`]. All of them do what the methods of the same names of
/// [`Executor`](crate::Executor) do.
pub struct PlainWithContext<'e, B: ?Sized, C> {
    maps: PlainMapWithContext<'e, B, C>,
}

/// Runs maps with [`MapOptions`], whose functions share a context. Made by adding both to an executor, in any order.
///
/// Has the methods of [`PlainMapWithContext`], and on a [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) those that also
/// take closures that capture.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Executor, InlineExecutor, MapOptions};
///
/// let in_pairs = MapOptions::new().chunk_size(2);
/// let above = |limit: &u32, n: u32| n > *limit;
/// let first = InlineExecutor.with_context(3).with(in_pairs.clone());
/// let second = InlineExecutor.with(in_pairs).with_context(3);
/// for either in [first, second] {
///     let above: Vec<bool> = either.map(above, [2, 4]).collect::<Result<_, _>>()?;
///     assert_eq!(above, [false, true]);
/// }
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
pub struct MapWithContext<'e, B: ?Sized, C> {
    plain: PlainMapWithContext<'e, B, C>,
}

/// Runs maps of plain functions that share a context. Part of every [`WithContext`] and [`MapWithContext`].
pub struct PlainMapWithContext<'e, B: ?Sized, C> {
    pub(crate) executor: With<'e, B>,
    pub(crate) options: MapOptions,
    pub(crate) context: SharedContext<C>,
}

impl<'e, B: Backend + ?Sized, C: Send + Sync + 'static> PlainWithContext<'e, B, C> {
    /// Calls `function` with the context and `argument` on a worker, like [`Executor::submit`](crate::Executor::submit).
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Executor, InlineExecutor};
    ///
    /// let greet = |greeting: &String, name: String| format!("{greeting}, {name}");
    /// let polite = InlineExecutor.with_context(String::from("hello"));
    /// assert_eq!(polite.submit(greet, "you".into()).result()?, "hello, you");
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn submit<A: Payload, R: Payload>(&self, function: fn(&C, A) -> R, argument: A) -> Future<R>
    where
        C: Payload,
    {
        dispatch(&self.executor, self.context.bind(InContext(function)), argument)
    }

    /// Calls a function that returns `Result` with the context and `argument` on a worker, like
    /// [`Executor::try_submit`](crate::Executor::try_submit).
    pub fn try_submit<A: Payload, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, A) -> Result<R, E>,
        argument: A,
    ) -> Future<R>
    where
        C: Payload,
    {
        dispatch(&self.executor, self.context.bind(TryInContext(function)), argument)
    }

    /// Calls `function` with the context and `argument` on a worker, and waits for room in a bounded queue without
    /// blocking, like [`Executor::submit_async`](crate::Executor::submit_async).
    pub fn submit_async<A: Payload, R: Payload>(&self, function: fn(&C, A) -> R, argument: A) -> Submitting<'e, B, R>
    where
        C: Payload,
    {
        self.submitting(InContext(function), argument)
    }

    /// Calls a function that returns `Result` with the context and `argument` on a worker, like
    /// [`Executor::try_submit_async`](crate::Executor::try_submit_async).
    pub fn try_submit_async<A: Payload, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, A) -> Result<R, E>,
        argument: A,
    ) -> Submitting<'e, B, R>
    where
        C: Payload,
    {
        self.submitting(TryInContext(function), argument)
    }

    fn submitting<A: Payload, R: Payload>(
        &self,
        function: impl ContextFunction<C, A, R> + 'static,
        argument: A,
    ) -> Submitting<'e, B, R>
    where
        C: Payload,
    {
        let With { backend, options } = self.executor.clone();
        Submitting::new(backend, plain_task(self.context.bind(function), argument), Some(options))
    }

    /// Calls `function` with the context and the values of other futures on a worker, once they are done, like
    /// [`Executor::submit_after`](crate::Executor::submit_after).
    pub fn submit_after<I: Inputs<Values: Payload>, R: Payload>(
        &self,
        inputs: I,
        function: fn(&C, I::Values) -> R,
    ) -> Future<R>
    where
        C: Payload,
    {
        dispatch_after(&self.executor, inputs, self.context.bind(InContext(function)))
    }

    /// Calls a function that returns `Result` with the context and the values of other futures on a worker, once they are
    /// done, like [`Executor::try_submit_after`](crate::Executor::try_submit_after).
    pub fn try_submit_after<I: Inputs<Values: Payload>, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        inputs: I,
        function: fn(&C, I::Values) -> Result<R, E>,
    ) -> Future<R>
    where
        C: Payload,
    {
        dispatch_after(&self.executor, inputs, self.context.bind(TryInContext(function)))
    }

    /// Returns a function that submits, with the context: each call of it is a task.
    pub fn bind<A: Payload, R: Payload>(
        &self,
        function: fn(&C, A) -> R,
    ) -> impl Fn(A) -> Future<R> + Send + Sync + Clone + use<'e, B, C, A, R>
    where
        C: Payload,
    {
        let (executor, bound) = (self.executor.clone(), self.context.bind(InContext(function)));
        move |argument| dispatch(&executor, bound.clone(), argument)
    }
}

/// Implements what these types have in common: `Deref` to the part with more methods, `Clone` and `Debug`.
macro_rules! views {
    ($($name:ident { $part:ident: $target:ident }),*) => {$(
        impl<'e, B: ?Sized, C> Deref for $name<'e, B, C> {
            type Target = $target<'e, B, C>;

            fn deref(&self) -> &$target<'e, B, C> {
                &self.$part
            }
        }

        impl<B: ?Sized, C> Clone for $name<'_, B, C> {
            fn clone(&self) -> Self {
                Self { $part: self.$part.clone() }
            }
        }

        impl<B: ?Sized, C> fmt::Debug for $name<'_, B, C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.$part).finish()
            }
        }
    )*};
}

views! {
    WithContext { plain: PlainWithContext },
    PlainWithContext { maps: PlainMapWithContext },
    MapWithContext { plain: PlainMapWithContext },
    RetryingWithContext { plain: PlainRetryingWithContext }
}

impl<B: ?Sized, C> Clone for PlainMapWithContext<'_, B, C> {
    fn clone(&self) -> Self {
        Self { executor: self.executor.clone(), options: self.options.clone(), context: self.context.clone() }
    }
}

impl<B: ?Sized, C> fmt::Debug for PlainMapWithContext<'_, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("PlainMapWithContext");
        text.field("executor", &self.executor).field("options", &self.options).finish_non_exhaustive()
    }
}
