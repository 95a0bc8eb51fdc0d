//! Functions that a task may call, and what a call of one comes to.
#![forbid(unsafe_code)]

use super::context::current_name;
use crate::codec::unread;
use crate::error::{BoxError, Error, Outcome};
use crate::held::Held;
use crate::panics;

/// A function pointer, and how what it returns becomes an outcome.
///
/// Invariant: the implementing type is a transparent wrapper of a function pointer, so that
/// [`Enter`](super::encoded::Enter) can pass it.
pub(crate) trait Function<A, R>: Copy + Send + Sync {
    fn call(self, argument: A) -> Outcome<R>;
    /// Where the function is in this process.
    fn address(self) -> usize;
}

/// A function whose return value is the result.
#[repr(transparent)]
pub(crate) struct Infallible<A, R>(pub(crate) fn(A) -> R);

/// A function whose `Err` is the task's error.
#[repr(transparent)]
pub(crate) struct TryFn<A, R, E>(pub(crate) fn(A) -> Result<R, E>);

/// A function whose argument comes in a [box](crate::held), and is taken out at the call.
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

impl<A, R> Function<A, R> for Infallible<A, R> {
    fn call(self, argument: A) -> Outcome<R> {
        Ok((self.0)(argument))
    }
    fn address(self) -> usize {
        self.0 as usize
    }
}

impl<A, R, E: Into<BoxError>> Function<A, R> for TryFn<A, R, E> {
    fn call(self, argument: A) -> Outcome<R> {
        outcome((self.0)(argument))
    }
    fn address(self) -> usize {
        self.0 as usize
    }
}

impl<F: Function<A, R>, A, R> Function<Box<A>, R> for Unboxing<F> {
    fn call(self, argument: Box<A>) -> Outcome<R> {
        self.0.call(*argument)
    }
    fn address(self) -> usize {
        self.0.address()
    }
}

/// What a `try_` function returned, as the outcome of its task.
#[inline(always)]
pub(crate) fn outcome<R, E: Into<BoxError>>(result: Result<R, E>) -> Outcome<R> {
    result.map_err(Error::of)
}

/// What a call comes to, a panic included.
pub(crate) fn caught<T, H: Held<Outcome<T>>>(call: impl FnOnce() -> Outcome<T>) -> H {
    let named = |panicked: Error| panicked.named(current_name().as_deref());
    panics::catch_or(|| H::hold(call), |panicked| failed(named(panicked)))
}

/// What a result comes to that the user's `Deserialize` reads.
pub(crate) fn read<T, H: Held<Outcome<T>>>(decode: impl FnOnce() -> Outcome<T>) -> H {
    panics::catch_or(|| H::hold(decode), |panicked| failed(unread(panicked)))
}

/// An outcome that is an error.
pub(crate) fn failed<T, H: Held<Outcome<T>>>(error: Error) -> H {
    H::hold(|| Err(error))
}
