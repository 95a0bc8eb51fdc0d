//! Adds a context and options to an executor, in any order.
#![forbid(unsafe_code)]

use super::{
    MapWithContext, PlainMapWithContext, PlainRetryingWithContext, PlainWithContext, RetryingWithContext, WithContext,
};
use crate::backend::Backend;
use crate::map_with::MapWith;
use crate::options::MapOptions;
use crate::retry::Retrying;
use crate::task::shared_context::SharedContext;
use crate::with::{Options, With};

impl<'e, B: Backend + ?Sized, C: Send + Sync + 'static> WithContext<'e, B, C> {
    /// Adds options. Those given here take precedence over those that the executor has.
    ///
    /// With [`TaskOptions`](crate::TaskOptions), returns a [`WithContext`]; with [`MapOptions`], a [`MapWithContext`];
    /// with [`RetryOptions`](crate::RetryOptions), a [`RetryingWithContext`]. The context stays the same: it is not sent
    /// again.
    pub fn with<O: Options>(&self, options: O) -> <O::With<'e, B> as TakesContext>::WithContext<C>
    where
        O::With<'e, B>: TakesContext,
    {
        options.apply(self.executor.clone()).take(Shares(self.context.clone()))
    }
}

impl<B: Backend + ?Sized, C: Send + Sync + 'static> MapWithContext<'_, B, C> {
    /// Adds more options. Options given here take precedence over those given before.
    pub fn with(&self, options: MapOptions) -> Self {
        let PlainMapWithContext { executor, options: own, context } = self.plain.clone();
        Self { plain: PlainMapWithContext { executor, options: options.over(&own), context } }
    }
}

impl<'e, B: Backend + ?Sized> With<'e, B> {
    /// Adds a context to what is submitted to this executor, like
    /// [`Executor::with_context`](crate::Executor::with_context). The returned value borrows the executor only, so
    /// these options may be a temporary.
    pub fn with_context<C: Send + Sync + 'static>(&self, context: C) -> WithContext<'e, B, C> {
        self.clone().take(Shares(SharedContext::new(context)))
    }
}

impl<'e, B: Backend + ?Sized> MapWith<'e, B> {
    /// Adds a context to the maps of this executor, like [`Executor::with_context`](crate::Executor::with_context).
    pub fn with_context<C: Send + Sync + 'static>(&self, context: C) -> MapWithContext<'e, B, C> {
        self.clone().take(Shares(SharedContext::new(context)))
    }
}

impl<'e, B: Backend + ?Sized> Retrying<'e, B> {
    /// Adds a context to what is submitted to this executor, like
    /// [`Executor::with_context`](crate::Executor::with_context).
    pub fn with_context<C: Send + Sync + 'static>(&self, context: C) -> RetryingWithContext<'e, B, C> {
        self.clone().take(Shares(SharedContext::new(context)))
    }
}

/// An executor with options that can have a context: [`With`], [`MapWith`] or [`Retrying`]. Sealed.
pub trait TakesContext: sealed::Sealed {
    /// The executor with the context.
    type WithContext<C>;

    #[doc(hidden)]
    fn take<C: Send + Sync + 'static>(self, context: Shares<C>) -> Self::WithContext<C>;
}

mod sealed {
    pub trait Sealed {}
}

/// A counted reference to a context.
#[expect(missing_debug_implementations, reason = "cannot be named outside")]
pub struct Shares<C>(SharedContext<C>);

impl<B: Backend + ?Sized> sealed::Sealed for With<'_, B> {}
impl<'e, B: Backend + ?Sized> TakesContext for With<'e, B> {
    type WithContext<C> = WithContext<'e, B, C>;

    fn take<C: Send + Sync + 'static>(self, context: Shares<C>) -> WithContext<'e, B, C> {
        let maps = PlainMapWithContext { executor: self, options: MapOptions::new(), context: context.0 };
        WithContext { plain: PlainWithContext { maps } }
    }
}

impl<B: Backend + ?Sized> sealed::Sealed for MapWith<'_, B> {}
impl<'e, B: Backend + ?Sized> TakesContext for MapWith<'e, B> {
    type WithContext<C> = MapWithContext<'e, B, C>;

    fn take<C: Send + Sync + 'static>(self, context: Shares<C>) -> MapWithContext<'e, B, C> {
        let (executor, options) = (self.executor.clone(), self.options.clone());
        MapWithContext { plain: PlainMapWithContext { executor, options, context: context.0 } }
    }
}

impl<B: Backend + ?Sized> sealed::Sealed for Retrying<'_, B> {}
impl<'e, B: Backend + ?Sized> TakesContext for Retrying<'e, B> {
    type WithContext<C> = RetryingWithContext<'e, B, C>;

    fn take<C: Send + Sync + 'static>(self, context: Shares<C>) -> RetryingWithContext<'e, B, C> {
        RetryingWithContext { plain: PlainRetryingWithContext { retrying: self, context: context.0 } }
    }
}
