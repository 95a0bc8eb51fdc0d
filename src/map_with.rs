//! [`MapWith`]: runs maps with options.
//!
//! On threads, a map also takes closures that capture. An inherent method for closures and one of the same name for
//! plain functions cannot both be defined for one type, so the latter are methods of [`PlainMapWith`], to which
//! [`MapWith`] dereferences: a method for closures is found first where there is one.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;

use crate::backend::Backend;
use crate::codec::Payload;
use crate::error::BoxError;
use crate::map::{Map, MapUnordered, Via};
use crate::options::MapOptions;
use crate::task::function::{Infallible, TryFn};
use crate::with::{Options, With};

/// Runs maps on an executor with [`MapOptions`]. Made by [`Executor::with`](crate::Executor::with).
///
/// Has the methods `map`, `try_map`, `map_unordered` and `try_map_unordered`: those of [`PlainMapWith`], which take plain functions, and on
/// a [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) those that also take closures that capture.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Executor, InlineExecutor, MapOptions};
///
/// let two_at_a_time = InlineExecutor.with(MapOptions::new().buffer_size(2));
/// let words = ["to", "wait"].map(String::from);
/// let lengths: Vec<usize> =
///     two_at_a_time.map(|word: String| word.len(), words).collect::<Result<_, _>>()?;
/// assert_eq!(lengths, [2, 4]);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
pub struct MapWith<'e, B: ?Sized> {
    plain: PlainMapWith<'e, B>,
}

/// Runs maps of plain functions on an executor with [`MapOptions`]. Part of every [`MapWith`].
pub struct PlainMapWith<'e, B: ?Sized> {
    pub(crate) executor: With<'e, B>,
    pub(crate) options: MapOptions,
}

impl<'e, B: Backend + ?Sized> MapWith<'e, B> {
    /// Adds more options. Options given here take precedence over those given before.
    ///
    /// Options of tasks come first: `executor.with(task_options).with(map_options)`.
    pub fn with(&self, options: MapOptions) -> MapWith<'e, B> {
        Self::new(self.executor.clone(), options.over(&self.options))
    }
}

impl<'e, B: Backend + ?Sized> PlainMapWith<'e, B> {
    /// Calls `function` on every argument, and yields the outcomes in input order, like
    /// [`Executor::map`](crate::Executor::map).
    pub fn map<I, R: Payload>(&self, function: fn(I::Item) -> R, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        Map::new(self.via(Infallible(function)), &self.options, arguments)
    }

    /// Calls a function that returns `Result` on every argument, and yields the outcomes in input order, like
    /// [`Executor::try_map`](crate::Executor::try_map).
    pub fn try_map<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(I::Item) -> Result<R, E>,
        arguments: I,
    ) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        Map::new(self.via(TryFn(function)), &self.options, arguments)
    }

    /// Calls `function` on every argument, and yields `(input position, outcome)` as the items are done, like
    /// [`Executor::map_unordered`](crate::Executor::map_unordered).
    pub fn map_unordered<I, R: Payload>(
        &self,
        function: fn(I::Item) -> R,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        MapUnordered::new(self.via(Infallible(function)), &self.options, arguments)
    }

    /// Calls a function that returns `Result` on every argument, and yields `(input position, outcome)` as the items are
    /// done, like [`Executor::try_map_unordered`](crate::Executor::try_map_unordered).
    pub fn try_map_unordered<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(I::Item) -> Result<R, E>,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
    {
        MapUnordered::new(self.via(TryFn(function)), &self.options, arguments)
    }

    fn via<F>(&self, function: F) -> Via<With<'e, B>, F> {
        Via::new(self.executor.clone(), function)
    }
}

impl<'e, B: ?Sized> MapWith<'e, B> {
    pub(crate) fn new(executor: With<'e, B>, options: MapOptions) -> Self {
        Self { plain: PlainMapWith { executor, options } }
    }
}

impl Options for MapOptions {
    type With<'e, B: Backend + ?Sized + 'e> = MapWith<'e, B>;

    fn apply<B: Backend + ?Sized>(self, executor: With<'_, B>) -> MapWith<'_, B> {
        MapWith::new(executor, self)
    }
}

impl<'e, B: ?Sized> Deref for MapWith<'e, B> {
    type Target = PlainMapWith<'e, B>;

    fn deref(&self) -> &PlainMapWith<'e, B> {
        &self.plain
    }
}

impl<B: ?Sized> Clone for MapWith<'_, B> {
    fn clone(&self) -> Self {
        Self::new(self.plain.executor.clone(), self.plain.options.clone())
    }
}

impl<B: ?Sized> fmt::Debug for MapWith<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapWith").field(&self.plain).finish()
    }
}

impl<B: ?Sized> fmt::Debug for PlainMapWith<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainMapWith").field("executor", &self.executor).field("options", &self.options).finish()
    }
}
