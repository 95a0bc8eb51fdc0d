//! Functions that a task may call, and the outcomes of their calls.
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
use std::any::TypeId;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::ArgumentWriter;
use super::context::current_name;
use super::shared_context::{AnyContext, ReceivedContext};
use super::worker_state;
use crate::bytes::OutOfBand;
use crate::codec::unread;
use crate::error::{BoxError, Error, Outcome, Part};
use crate::held::Held;
use crate::panics;

/// A function that a task calls, and the conversion of its return value into an outcome.
pub(crate) trait Function<A, R>: Transferable {
    /// Whether the `Err` that it returns is the task's error.
    const IS_FALLIBLE: bool;
    fn call(&self, argument: A) -> Outcome<R>;
    /// Returns the name of the function's type.
    fn signature() -> &'static str {
        std::any::type_name::<fn(A) -> R>()
    }
    /// Returns the type of the pointer to the function; if its `Err` is the task's error, with the result alone.
    #[cfg(feature = "remote")]
    fn pointer_type() -> TypeId
    where
        A: 'static,
        R: 'static,
    {
        TypeId::of::<fn(A) -> R>()
    }
}

/// A function that can be sent to another process of this program: as a function pointer. If it is
/// [bound](super::bound::Bound) to a context, the other process has received that before.
pub(crate) trait Transferable: Clone + Send + Sync {
    /// The function pointer that is sent.
    type Pointer: Pointer;
    /// Returns the address of the function in this process.
    fn address(&self) -> usize;
    /// Returns the context that the function is bound to, if there is one.
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        None
    }
    /// Makes the function from what has been sent, in the other process. Decodes the context if no call has done that
    /// before, which runs user code.
    fn rebuild(
        pointer: Self::Pointer,
        context: Option<&ReceivedContext>,
        out_of_band: &Arc<dyn OutOfBand>,
    ) -> Result<Self, Error>;
    /// Writes the argument of a call, with [its context](ArgumentWriter::one_with) if it is bound to one. Runs user code.
    fn write_one<W: ArgumentWriter>(
        &self,
        argument: &(impl Serialize + 'static),
        writer: W,
    ) -> Result<W::Written, Error> {
        writer.one(argument)
    }
    /// As `write_one`, for the arguments of a chunk.
    fn write_chunk<W: ArgumentWriter>(
        &self,
        arguments: &[impl Serialize + 'static],
        writer: W,
    ) -> Result<W::Written, Error> {
        writer.chunk(arguments)
    }
}

/// A function pointer, whatever its type.
///
/// Invariant: the implementing type is a transparent wrapper of a function pointer, so that
/// [`Enter`](super::encoded::Enter) can pass it.
pub(crate) trait Pointer: Copy + Send + Sync {
    /// Returns the address of the function in this process.
    fn address(self) -> usize;
}

impl<P: Pointer> Transferable for P {
    type Pointer = Self;
    fn address(&self) -> usize {
        Pointer::address(*self)
    }
    fn rebuild(pointer: Self, _: Option<&ReceivedContext>, _: &Arc<dyn OutOfBand>) -> Result<Self, Error> {
        Ok(pointer)
    }
}

/// A function whose return value is the result.
#[repr(transparent)]
pub(crate) struct Infallible<A, R>(pub(crate) fn(A) -> R);

/// A function whose `Err` is the task's error.
#[repr(transparent)]
pub(crate) struct TryFn<A, R, E>(pub(crate) fn(A) -> Result<R, E>);

/// An initializer, whose return value becomes the state of the worker that calls it.
#[repr(transparent)]
pub(crate) struct Initializer<A, S>(pub(crate) fn(A) -> S);

/// An initializer whose `Err` is its error.
#[repr(transparent)]
pub(crate) struct TryInitializer<A, S, E>(pub(crate) fn(A) -> Result<S, E>);

/// Implements [`Pointer`] for transparent wrappers of function pointers. A derived `Clone` would ask for it of their
/// types.
macro_rules! pointers {
    ($($name:ident<$($parameter:ident),*>),*) => {$(
        impl<$($parameter),*> Clone for $name<$($parameter),*> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<$($parameter),*> Copy for $name<$($parameter),*> {}
        impl<$($parameter),*> $crate::task::function::Pointer for $name<$($parameter),*> {
            fn address(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
pub(super) use pointers;

pointers!(Infallible<A, R>, TryFn<A, R, E>, Initializer<A, S>, TryInitializer<A, S, E>);

impl<A, S: 'static> Function<A, ()> for Initializer<A, S> {
    const IS_FALLIBLE: bool = false;
    fn call(&self, argument: A) -> Outcome<()> {
        worker_state::set((self.0)(argument));
        Ok(())
    }
}

impl<A, S: 'static, E: Into<BoxError>> Function<A, ()> for TryInitializer<A, S, E> {
    const IS_FALLIBLE: bool = true;
    fn call(&self, argument: A) -> Outcome<()> {
        outcome((self.0)(argument)).map(worker_state::set)
    }
}

impl<A, R> Function<A, R> for Infallible<A, R> {
    const IS_FALLIBLE: bool = false;
    fn call(&self, argument: A) -> Outcome<R> {
        Ok((self.0)(argument))
    }
}

impl<A, R, E: Into<BoxError>> Function<A, R> for TryFn<A, R, E> {
    const IS_FALLIBLE: bool = true;
    fn call(&self, argument: A) -> Outcome<R> {
        outcome((self.0)(argument))
    }
}

/// A function whose argument arrives in a [box](crate::held), and is moved out of it at the call.
#[derive(Clone, Copy)]
pub(crate) struct Unboxing<F>(pub(crate) F);

impl<F: Transferable> Transferable for Unboxing<F> {
    type Pointer = F::Pointer;
    fn address(&self) -> usize {
        self.0.address()
    }
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        self.0.context()
    }
    fn rebuild(
        pointer: F::Pointer,
        context: Option<&ReceivedContext>,
        out_of_band: &Arc<dyn OutOfBand>,
    ) -> Result<Self, Error> {
        F::rebuild(pointer, context, out_of_band).map(Self)
    }
    fn write_one<W: ArgumentWriter>(
        &self,
        argument: &(impl Serialize + 'static),
        writer: W,
    ) -> Result<W::Written, Error> {
        self.0.write_one(argument, writer)
    }
    fn write_chunk<W: ArgumentWriter>(
        &self,
        arguments: &[impl Serialize + 'static],
        writer: W,
    ) -> Result<W::Written, Error> {
        self.0.write_chunk(arguments, writer)
    }
}

impl<F: Function<A, R>, A, R> Function<Box<A>, R> for Unboxing<F> {
    const IS_FALLIBLE: bool = F::IS_FALLIBLE;
    fn call(&self, argument: Box<A>) -> Outcome<R> {
        self.0.call(*argument)
    }
    #[cfg(feature = "remote")]
    fn pointer_type() -> TypeId
    where
        Box<A>: 'static,
        R: 'static,
    {
        F::pointer_type()
    }
}

/// Converts the return value of a `try_` function into an outcome.
#[inline(always)]
pub(crate) fn outcome<R, E: Into<BoxError>>(result: Result<R, E>) -> Outcome<R> {
    result.map_err(Error::of)
}

/// Makes the call, and returns its outcome. A panic becomes an error.
pub(crate) fn caught<T, H: Held<Outcome<T>>>(call: impl FnOnce() -> Outcome<T>) -> H {
    let named = |panicked: Error| panicked.named(current_name().as_deref());
    panics::catch_or(|| H::hold(call), |panicked| failed(named(panicked)))
}

/// Decodes a result with the user's `Deserialize`. A panic becomes an error.
pub(crate) fn read<T, H: Held<Outcome<T>>>(decode: impl FnOnce() -> Outcome<T>) -> H {
    panics::catch_or(|| H::hold(decode), |panicked| failed(unread(Part::Result, panicked)))
}

/// Returns `error` as an outcome.
pub(crate) fn failed<T, H: Held<Outcome<T>>>(error: Error) -> H {
    H::hold(|| Err(error))
}
