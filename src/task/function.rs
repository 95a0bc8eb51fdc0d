//! Functions that a task may call, and the outcomes of their calls.
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
use std::any::TypeId;

use super::context::current_name;
use super::worker_state;
use crate::codec::unread;
use crate::error::{BoxError, Error, Outcome};
use crate::held::Held;
use crate::panics;

/// A function pointer, and the conversion of its return value into an outcome.
///
/// Invariant: the implementing type is a transparent wrapper of a function pointer, so that
/// [`Enter`](super::encoded::Enter) can pass it.
pub(crate) trait Function<A, R>: Copy + Send + Sync {
    /// Whether the `Err` that it returns is the task's error.
    const IS_FALLIBLE: bool;
    fn call(self, argument: A) -> Outcome<R>;
    /// Returns the address of the function in this process.
    fn address(self) -> usize;
    /// Returns the type of the pointer to the function; if its `Err` is the task's error, with the result alone.
    #[cfg(feature = "remote")]
    fn pointer_type(self) -> TypeId
    where
        A: 'static,
        R: 'static,
    {
        TypeId::of::<fn(A) -> R>()
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

/// A function whose argument arrives in a [box](crate::held), and is moved out of it at the call.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Unboxing<F>(pub(crate) F);

impl<A, R> Clone for Infallible<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, R> Copy for Infallible<A, R> {}
impl<A, R, E> Clone for TryFn<A, R, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, R, E> Copy for TryFn<A, R, E> {}

impl<A, S> Clone for Initializer<A, S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, S> Copy for Initializer<A, S> {}
impl<A, S, E> Clone for TryInitializer<A, S, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, S, E> Copy for TryInitializer<A, S, E> {}

impl<A, S: 'static> Function<A, ()> for Initializer<A, S> {
    const IS_FALLIBLE: bool = false;
    fn call(self, argument: A) -> Outcome<()> {
        worker_state::set((self.0)(argument));
        Ok(())
    }
    fn address(self) -> usize {
        self.0 as usize
    }
}

impl<A, S: 'static, E: Into<BoxError>> Function<A, ()> for TryInitializer<A, S, E> {
    const IS_FALLIBLE: bool = true;
    fn call(self, argument: A) -> Outcome<()> {
        outcome((self.0)(argument)).map(worker_state::set)
    }
    fn address(self) -> usize {
        self.0 as usize
    }
}

impl<A, R> Function<A, R> for Infallible<A, R> {
    const IS_FALLIBLE: bool = false;
    fn call(self, argument: A) -> Outcome<R> {
        Ok((self.0)(argument))
    }
    fn address(self) -> usize {
        self.0 as usize
    }
}

impl<A, R, E: Into<BoxError>> Function<A, R> for TryFn<A, R, E> {
    const IS_FALLIBLE: bool = true;
    fn call(self, argument: A) -> Outcome<R> {
        outcome((self.0)(argument))
    }
    fn address(self) -> usize {
        self.0 as usize
    }
}

impl<F: Function<A, R>, A, R> Function<Box<A>, R> for Unboxing<F> {
    const IS_FALLIBLE: bool = F::IS_FALLIBLE;
    fn call(self, argument: Box<A>) -> Outcome<R> {
        self.0.call(*argument)
    }
    fn address(self) -> usize {
        self.0.address()
    }
    #[cfg(feature = "remote")]
    fn pointer_type(self) -> TypeId
    where
        Box<A>: 'static,
        R: 'static,
    {
        self.0.pointer_type()
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
    panics::catch_or(|| H::hold(decode), |panicked| failed(unread(panicked)))
}

/// Returns `error` as an outcome.
pub(crate) fn failed<T, H: Held<Outcome<T>>>(error: Error) -> H {
    H::hold(|| Err(error))
}
