//! [`Bound`]: a function of two parameters with its context, which is a [`Function`] of one.
//!
//! So a task, a chunk or a map calls it like any other function. The context is treated in three ways:
//!
//! | call | context |
//! |---|---|
//! | in this process | the function gets a reference to it |
//! | with an argument in some format ([`ArgumentWriter::one_with`]) | it is written with each argument, as `(context, argument)` |
//! | in another process of this program | it is sent there once: see [`ReceivedContext`] |
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
use std::any::TypeId;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::ArgumentWriter;
use super::function::{Function, Pointer, Transferable, outcome, pointers};
use super::shared_context::{AnyContext, ReceivedContext, SharedContext, missing};
use crate::bytes::OutOfBand;
use crate::codec::Payload;
use crate::error::{BoxError, Error, Outcome};

/// A function that is bound to its context.
pub(crate) struct Bound<F, C> {
    pub(crate) function: F,
    pub(crate) context: SharedContext<C>,
}

impl<C> SharedContext<C> {
    /// Binds a function to this context.
    pub(crate) fn bind<F>(&self, function: F) -> Bound<F, C> {
        Bound { function, context: self.clone() }
    }
}

/// A function pointer with a context as its first parameter, and the conversion of its return value into an outcome.
pub(crate) trait ContextFunction<C, A, R>: Pointer {
    const IS_FALLIBLE: bool;
    fn call(self, context: &C, argument: A) -> Outcome<R>;
}

/// A function whose return value is the result.
#[repr(transparent)]
pub(crate) struct InContext<C, A, R>(pub(crate) fn(&C, A) -> R);

/// A function whose `Err` is the task's error.
#[repr(transparent)]
pub(crate) struct TryInContext<C, A, R, E>(pub(crate) fn(&C, A) -> Result<R, E>);

pointers!(InContext<C, A, R>, TryInContext<C, A, R, E>);

impl<C, A, R> ContextFunction<C, A, R> for InContext<C, A, R> {
    const IS_FALLIBLE: bool = false;
    fn call(self, context: &C, argument: A) -> Outcome<R> {
        Ok((self.0)(context, argument))
    }
}

impl<C, A, R, E: Into<BoxError>> ContextFunction<C, A, R> for TryInContext<C, A, R, E> {
    const IS_FALLIBLE: bool = true;
    fn call(self, context: &C, argument: A) -> Outcome<R> {
        outcome((self.0)(context, argument))
    }
}

impl<F: Copy, C> Clone for Bound<F, C> {
    fn clone(&self) -> Self {
        Self { function: self.function, context: self.context.clone() }
    }
}

impl<F: Pointer, C: Payload + Sync> Transferable for Bound<F, C> {
    type Pointer = F;
    fn address(&self) -> usize {
        self.function.address()
    }
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        Some(self.context.of_any_type())
    }
    fn rebuild(
        function: F,
        context: Option<&ReceivedContext>,
        out_of_band: &Arc<dyn OutOfBand>,
    ) -> Result<Self, Error> {
        Ok(Self { function, context: context.ok_or_else(missing)?.get(out_of_band)? })
    }
    fn write_one<W: ArgumentWriter>(
        &self,
        argument: &(impl Serialize + 'static),
        writer: W,
    ) -> Result<W::Written, Error> {
        writer.one_with(&*self.context, argument)
    }
    fn write_chunk<W: ArgumentWriter>(
        &self,
        arguments: &[impl Serialize + 'static],
        writer: W,
    ) -> Result<W::Written, Error> {
        writer.chunk_with(&*self.context, arguments)
    }
}

impl<F: ContextFunction<C, A, R>, C: Payload + Sync, A, R> Function<A, R> for Bound<F, C> {
    const IS_FALLIBLE: bool = F::IS_FALLIBLE;
    fn call(&self, argument: A) -> Outcome<R> {
        self.function.call(&self.context, argument)
    }
    fn signature() -> &'static str {
        std::any::type_name::<fn(&C, A) -> R>()
    }
    #[cfg(feature = "remote")]
    fn pointer_type() -> TypeId
    where
        A: 'static,
        R: 'static,
    {
        TypeId::of::<fn(&C, A) -> R>()
    }
}
