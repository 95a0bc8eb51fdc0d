//! How a call crosses to another process of this program: its functions as places in the program, its argument as bytes.
//!
//! Two functions make a call: the user's, and [`enter`] for its types, which knows how to read the argument, make
//! the call and write the result. Both processes run the same build of the same program, which is checked when a worker says
//! hello, so a function lies at the same offset in both. A function of a shared library may not: it is refused.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::image::image;
use super::symbol;
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec;
use crate::error::{Decode, Encode, Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::panics;
use crate::task::call::{Function, Infallible, TryFn, Unboxing};
use crate::task::runner::unwritten;

/// A call as bytes and numbers.
pub(crate) struct EncodedCall {
    pub(crate) call: FunctionAddress,
    /// The encoded argument; of a chunk, the encoded arguments one after the other.
    pub(crate) argument: Vec<u8>,
    pub(crate) chunk: Option<ItemOffsets>,
}

/// How the argument of a chunk is made of those of its items.
pub(crate) struct ItemOffsets {
    /// Where in the argument each item ends.
    pub(crate) ends: Box<[usize]>,
    /// Items that are not sent, in order, and why. They have no bytes.
    pub(crate) refused: Vec<(usize, Error)>,
}

impl ItemOffsets {
    /// Encodes the arguments of a chunk. Those that cannot be have no bytes. Runs user code.
    pub(crate) fn of<A: Serialize>(items: &[A]) -> (Vec<u8>, Self) {
        let (mut argument, mut scratch) = (Vec::new(), Vec::new());
        let mut ends = Vec::with_capacity(items.len());
        let mut refused = Vec::new();
        for (position, item) in items.iter().enumerate() {
            match panics::catch(|| codec::encode_onto(Part::Argument, item, std::mem::take(&mut scratch))) {
                Ok(encoded) => {
                    argument.extend_from_slice(&encoded);
                    scratch = encoded;
                    scratch.clear();
                }
                Err(error) => refused.push((position, unwritten(error))),
            }
            ends.push(argument.len());
        }
        (argument, Self { ends: ends.into(), refused })
    }

    /// Copies some of the items of a chunk, as one of their own.
    pub(in crate::process) fn part(
        argument: &[u8],
        ends: &[usize],
        refused: &[(usize, Error)],
        items: Range<usize>,
    ) -> (Vec<u8>, Self) {
        let start = if items.start == 0 { 0 } else { ends[items.start - 1] };
        let ends: Box<[usize]> = ends[items.clone()].iter().map(|end| end - start).collect();
        let argument = argument[start..start + ends.last().copied().unwrap_or(0)].to_vec();
        let refused = refused.iter().filter(|(position, _)| items.contains(position));
        let refused = refused.map(|(position, error)| (position - items.start, error.clone())).collect();
        (argument, Self { ends, refused })
    }
}

/// The functions of a call, as offsets in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FunctionAddress {
    pub(in crate::process) enter: u64,
    pub(in crate::process) function: u64,
    signature: &'static str,
}

/// Reads the argument, calls the function at the address, and appends the result to the bytes. What an out-of-band channel took along
/// of the result has numbers.
type Enter = fn(function: *const (), argument: &[u8], reply: Vec<u8>, out_of_band: &Arc<dyn OutOfBand>) -> Made;

pub(in crate::process) type Made = Result<(Vec<u8>, Vec<u32>), Error>;

/// What is a function pointer inside.
pub(crate) trait Addressed: Sized {
    fn address(self) -> *const ();
    /// Makes it again from its address.
    ///
    /// # Safety
    ///
    /// The address must be what [`address`](Addressed::address) of the same type returned, in a process that has the
    /// same program at the same place.
    unsafe fn at(address: *const ()) -> Self;
}

impl<A, R> Addressed for Infallible<A, R> {
    fn address(self) -> *const () {
        self.0 as *const ()
    }
    unsafe fn at(address: *const ()) -> Self {
        // SAFETY: by the caller's word this is the address of a function of this very type.
        Self(unsafe { std::mem::transmute::<*const (), fn(A) -> R>(address) })
    }
}

impl<A, R, E> Addressed for TryFn<A, R, E> {
    fn address(self) -> *const () {
        self.0 as *const ()
    }
    unsafe fn at(address: *const ()) -> Self {
        // SAFETY: by the caller's word this is the address of a function of this very type.
        Self(unsafe { std::mem::transmute::<*const (), fn(A) -> Result<R, E>>(address) })
    }
}

impl<F: Addressed> Addressed for Unboxing<F> {
    fn address(self) -> *const () {
        self.0.address()
    }
    unsafe fn at(address: *const ()) -> Self {
        // SAFETY: the caller's word is the one that is asked for.
        Self(unsafe { F::at(address) })
    }
}

fn enter<F, A, R>(function: *const (), argument: &[u8], reply: Vec<u8>, out_of_band: &Arc<dyn OutOfBand>) -> Made
where
    F: Function<A, R>,
    A: DeserializeOwned + Send,
    R: Serialize,
{
    // SAFETY: `Call::of` pairs this instance of `enter` with the address of an `F`, and `Call::make` checks both.
    let function = unsafe { F::at(function) };
    let read = || panics::catch(|| codec::decode(Part::Argument, argument));
    let argument: A = with_out_of_band(out_of_band, read).0.map_err(|error| match error {
        Error::Panicked(panic) => Error::Decode(Decode::new(Part::Argument, panic.to_string())),
        error => error,
    })?;
    if const { is_large::<R>() } {
        run::<F, A, R, Box<Outcome<R>>>(function, argument, reply, out_of_band)
    } else {
        run::<F, A, R, Outcome<R>>(function, argument, reply, out_of_band)
    }
}

/// Makes the call, holds its outcome in `H`, and writes the result.
fn run<F, A, R, H>(function: F, argument: A, reply: Vec<u8>, out_of_band: &Arc<dyn OutOfBand>) -> Made
where
    F: Function<A, R>,
    R: Serialize,
    H: Held<Outcome<R>>,
{
    let call = || H::hold(|| function.call(argument));
    let outcome = panics::catch_or(call, |panicked| H::hold(|| Err(panicked)));
    let result = match outcome.get() {
        Ok(result) => result,
        Err(error) => return Err(error.clone()),
    };
    let write = || panics::catch(|| codec::encode_onto(Part::Result, result, reply));
    let (encoded, taken) = with_out_of_band(out_of_band, write);
    panics::drop_caught(outcome);
    if encoded.is_err() {
        out_of_band.put_back(&taken);
    }
    match encoded {
        Ok(encoded) => Ok((encoded, taken)),
        Err(Error::Panicked(panic)) => Err(Error::Encode(Encode::new(Part::Result, panic.to_string()))),
        Err(error) => Err(error),
    }
}

impl FunctionAddress {
    pub(crate) fn of<F, A, R>(function: F) -> Result<Self, Error>
    where
        F: Function<A, R>,
        A: DeserializeOwned + Send,
        R: Serialize,
    {
        let enter = enter::<F, A, R> as Enter as *const ();
        let signature = std::any::type_name::<fn(A) -> R>();
        let (Some(enter), Some(function)) = (offset_of(enter), offset_of(function.address())) else {
            return Err(Error::Encode(Encode::new(
                Part::Function,
                format!(
                    "a function of type {signature} is not part of the main program but of a shared library, whose place \
                     in another process is unknown; call it from a function of the program, and submit that"
                ),
            )));
        };
        Ok(Self { enter, function, signature })
    }

    /// Makes the call in this process. `None`: there are no such functions in this program.
    pub(in crate::process) fn make(
        enter: u64,
        function: u64,
        argument: &[u8],
        reply: Vec<u8>,
        out_of_band: &Arc<dyn OutOfBand>,
    ) -> Option<Made> {
        let enter = address_of(enter)?;
        let function = address_of(function)?;
        // SAFETY: both are functions of the main program, sent by a process of the same build that had them from
        // `Call::of`, so this one is an `Enter`.
        let enter = unsafe { std::mem::transmute::<*const (), Enter>(enter) };
        Some(enter(function, argument, reply, out_of_band))
    }

    /// The name of the user's function, or its type if the program was stripped of names.
    pub(in crate::process) fn name(&self) -> Cow<'static, str> {
        let name = address_of(self.function).and_then(|address| symbol::name_of(address.addr()));
        name.map_or_else(|| Cow::Owned(format!("a function of type {}", self.signature)), Cow::Owned)
    }
}

fn offset_of(address: *const ()) -> Option<u64> {
    image().offset_of(address.expose_provenance())
}

fn address_of(offset: u64) -> Option<*const ()> {
    image().address_of(offset).map(std::ptr::with_exposed_provenance)
}
