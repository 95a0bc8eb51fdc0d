//! The maps of executors with a context.
#![forbid(unsafe_code)]

use super::PlainMapWithContext;
use crate::backend::Backend;
use crate::codec::Payload;
use crate::error::BoxError;
use crate::map::{Map, MapUnordered, Via};
use crate::task::bound::{Bound, InContext, TryInContext};
use crate::with::With;

impl<'e, B: Backend + ?Sized, C: Send + Sync + 'static> PlainMapWithContext<'e, B, C> {
    /// Calls `function` with the context and each argument, and yields the outcomes in input order, like
    /// [`Executor::map`](crate::Executor::map).
    pub fn map<I, R: Payload>(&self, function: fn(&C, I::Item) -> R, arguments: I) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
        C: Payload,
    {
        Map::new(self.via(InContext(function)), &self.options, arguments)
    }

    /// Calls a function that returns `Result` with the context and each argument, and yields the outcomes in input
    /// order, like [`Executor::try_map`](crate::Executor::try_map).
    pub fn try_map<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, I::Item) -> Result<R, E>,
        arguments: I,
    ) -> Map<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
        C: Payload,
    {
        Map::new(self.via(TryInContext(function)), &self.options, arguments)
    }

    /// Calls `function` with the context and each argument, and yields `(input position, outcome)` as the items are
    /// done, like [`Executor::map_unordered`](crate::Executor::map_unordered).
    pub fn map_unordered<I, R: Payload>(
        &self,
        function: fn(&C, I::Item) -> R,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
        C: Payload,
    {
        MapUnordered::new(self.via(InContext(function)), &self.options, arguments)
    }

    /// Calls a function that returns `Result` with the context and each argument, and yields `(input position, outcome)`
    /// as the items are done, like [`Executor::try_map_unordered`](crate::Executor::try_map_unordered).
    pub fn try_map_unordered<I, R: Payload, E: Into<BoxError> + 'static>(
        &self,
        function: fn(&C, I::Item) -> Result<R, E>,
        arguments: I,
    ) -> MapUnordered<'e, I::IntoIter, R>
    where
        I: IntoIterator<Item: Payload>,
        C: Payload,
    {
        MapUnordered::new(self.via(TryInContext(function)), &self.options, arguments)
    }

    fn via<F>(&self, function: F) -> Via<With<'e, B>, Bound<F, C>> {
        Via::new(self.executor.clone(), self.context.bind(function))
    }
}
