//! What the code that [`task`](macro@crate::task) makes refers to. No part of the interface.
#![forbid(unsafe_code)]

use std::any::TypeId;

use super::erased_function::ErasedFunction;
use crate::codec::Payload;
use crate::error::BoxError;
use crate::task::bound::{InContext, TryInContext};
use crate::task::function::{Infallible, TryFn};

pub use inventory;

/// The entry of a function in the list that the linker puts together.
#[expect(missing_debug_implementations, reason = "it is passed on and not looked at")]
pub struct Entry {
    /// The name, perhaps with `::` in place of dots.
    pub(super) name: &'static str,
    /// File and line.
    pub(super) place: &'static str,
    pub(super) function: fn() -> ErasedFunction,
}

impl Entry {
    pub const fn new(name: &'static str, place: &'static str, function: fn() -> ErasedFunction) -> Self {
        Self { name, place, function }
    }
}

inventory::collect!(Entry);

/// Makes the function that begins with it unlike all others.
#[inline(always)]
pub const fn own(name: &'static str) {
    std::hint::black_box(name);
}

/// Finds out, by the type of a function, whether its `Err` is the task's error: of the two traits, a method call
/// finds the one that needs one reference less.
#[expect(missing_debug_implementations, reason = "it is passed on and not looked at")]
pub struct Probe<F>(F);

impl<F: 'static> Probe<F> {
    fn pointer(&self) -> TypeId {
        TypeId::of::<F>()
    }
}

pub fn probe<A: Payload, R>(function: fn(A) -> R) -> Probe<fn(A) -> R> {
    Probe(function)
}

pub fn probe_in_context<C: Payload + Sync, A: Payload, R>(function: fn(&C, A) -> R) -> Probe<fn(&C, A) -> R> {
    Probe(function)
}

pub trait ViaFallible {
    fn erase(&self) -> ErasedFunction;
}

impl<A: Payload, R: Payload, E: Into<BoxError> + 'static> ViaFallible for Probe<fn(A) -> Result<R, E>> {
    fn erase(&self) -> ErasedFunction {
        ErasedFunction::of(TryFn(self.0), self.pointer())
    }
}

impl<C, A, R, E> ViaFallible for Probe<fn(&C, A) -> Result<R, E>>
where
    C: Payload + Sync,
    A: Payload,
    R: Payload,
    E: Into<BoxError> + 'static,
{
    fn erase(&self) -> ErasedFunction {
        ErasedFunction::in_context(TryInContext(self.0), self.pointer())
    }
}

pub trait ViaPlain {
    type Result;
    /// The bound stands here, so that the compiler says which type it is that cannot be carried.
    fn erase(&self) -> ErasedFunction
    where
        Self::Result: Payload;
}

impl<A: Payload, R> ViaPlain for &Probe<fn(A) -> R> {
    type Result = R;
    fn erase(&self) -> ErasedFunction
    where
        R: Payload,
    {
        ErasedFunction::of(Infallible(self.0), self.pointer())
    }
}

impl<C: Payload + Sync, A: Payload, R> ViaPlain for &Probe<fn(&C, A) -> R> {
    type Result = R;
    fn erase(&self) -> ErasedFunction
    where
        R: Payload,
    {
        ErasedFunction::in_context(InContext(self.0), self.pointer())
    }
}
