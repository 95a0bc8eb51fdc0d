//! A call in transit to another process of this program: the addresses of its functions, and its encoded argument.
//!
//! A call consists of two functions: the user's, and [`enter`] for its types, which decodes the argument, calls the
//! user's function and encodes the result. The sender of a call converts both addresses into a form that is valid in
//! the other process. A context that the function is bound to arrives on its own, before the first call that needs it.
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
use std::any::TypeId;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::ArgumentWriter;
use super::function::{Function, caught};
use super::shared_context::{AnyContext, ReceivedContext};
use crate::bytes::{self, OutOfBand, with_out_of_band};
use crate::codec::{self, unwritten};
use crate::error::{Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::panics;
use crate::unwind::drop_caught;

/// A call in the form in which another process of this program can make it.
pub(crate) struct EncodedCall {
    pub(crate) entry: Entry,
    /// The encoded argument, or the concatenated encoded arguments of a chunk.
    pub(crate) argument: Vec<u8>,
    /// Set for several calls of the function, such as the items of a map.
    pub(crate) items: Option<ItemOffsets>,
    /// The context that the function is bound to. It is sent once, and not with each call.
    pub(crate) context: Option<Arc<dyn AnyContext>>,
}

/// The layout of a chunk's argument: where each item's bytes end.
pub(crate) struct ItemOffsets {
    /// The offset in the argument at which each item ends.
    pub(crate) ends: Box<[usize]>,
    /// The positions, in order, of items that are not sent, and the reasons. They have no bytes.
    pub(crate) refused: Vec<(usize, Error)>,
    /// How many bytes were stored out of band up to the end of each item, for who measures the items. Empty if none
    /// were.
    pub(crate) stored: Box<[usize]>,
}

impl ItemOffsets {
    /// Encodes the arguments of a chunk. An argument that cannot be encoded has no bytes. Runs user code.
    pub(crate) fn of<A: Serialize + 'static>(items: &[A]) -> (Vec<u8>, Self) {
        let (mut argument, mut scratch) = (Vec::new(), Vec::new());
        let mut ends = Vec::with_capacity(items.len());
        let (mut refused, mut stored) = (Vec::new(), Vec::new());
        for (position, item) in items.iter().enumerate() {
            match panics::catch(|| codec::encode_onto(Part::Argument, item, std::mem::take(&mut scratch))) {
                Ok(encoded) => {
                    argument.extend_from_slice(&encoded);
                    scratch = encoded;
                    scratch.clear();
                }
                Err(error) => refused.push((position, unwritten(Part::Argument, error))),
            }
            ends.push(argument.len());
            let count = bytes::stored();
            if count > 0 {
                // The items before the first that stored any have none.
                stored.resize(position, 0);
                stored.push(count);
            }
        }
        (argument, Self { ends: ends.into(), refused, stored: stored.into() })
    }

    /// Copies some of a chunk's items, which were measured, into a chunk of their own.
    pub(crate) fn part(
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
        (argument, Self { ends, refused, stored: Box::default() })
    }
}

/// Writes arguments for another process of this program, those of a chunk one after another. An item that cannot be
/// written is refused alone.
pub(crate) struct CallEncoder;

impl ArgumentWriter for CallEncoder {
    type Written = (Vec<u8>, Option<ItemOffsets>);
    fn one<A: Serialize + 'static>(self, argument: &A) -> Result<Self::Written, Error> {
        Ok((codec::encode_onto(Part::Argument, argument, Vec::new())?, None))
    }
    fn chunk<A: Serialize + 'static>(self, arguments: &[A]) -> Result<Self::Written, Error> {
        let (argument, offsets) = ItemOffsets::of(arguments);
        Ok((argument, Some(offsets)))
    }
    fn one_with<C: Serialize, A: Serialize + 'static>(self, _: &C, argument: &A) -> Result<Self::Written, Error> {
        self.one(argument)
    }
    fn chunk_with<C: Serialize, A: Serialize + 'static>(self, _: &C, arguments: &[A]) -> Result<Self::Written, Error> {
        self.chunk(arguments)
    }
}

/// Identifies the two functions of a call by their addresses in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The address of [`enter`], as an [`Enter`].
    pub(crate) enter: usize,
    /// The address of the user's function.
    pub(crate) function: usize,
    /// The type of the user's function.
    pub(crate) signature: &'static str,
    #[cfg(feature = "remote")]
    pointer_type: TypeId,
}

/// Identifies a function: its type, as the type of a pointer, and its address in this process.
///
/// Only functions that are never inlined and never merged with others have exactly one. `#[task]` makes such functions.
#[cfg(feature = "remote")]
pub(crate) type FunctionKey = (TypeId, usize);

impl Entry {
    pub(crate) fn of<F, A, R>(function: &F) -> Self
    where
        F: Function<A, R>,
        A: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
    {
        // The first parameter of `enter` is passed the same way as that of an `Enter`.
        const { assert!(size_of::<F::Pointer>() == size_of::<fn()>()) };
        let enter: EnterOf<F::Pointer> = enter::<F, A, R>;
        Self {
            enter: enter as usize,
            function: function.address(),
            signature: F::signature(),
            #[cfg(feature = "remote")]
            pointer_type: F::pointer_type(),
        }
    }

    /// Returns the key of the user's function. Of one that returns `Result`, and whose `Err` is the task's error, the type
    /// in it has the result alone.
    #[cfg(feature = "remote")]
    pub(crate) fn key(&self) -> FunctionKey {
        (self.pointer_type, self.function)
    }
}

/// The type of an [`enter`] that is passed a `P`.
type EnterOf<P> = fn(
    pointer: P,
    context: Option<&ReceivedContext>,
    argument: &[u8],
    reply: Vec<u8>,
    out_of_band: &Arc<dyn OutOfBand>,
) -> Written;

/// The type of an [`enter`] without its types: all function pointers are passed the same way.
pub(crate) type Enter = EnterOf<fn()>;

/// The encoded result, and the numbers of its out-of-band parts.
pub(crate) type Written = Result<(Vec<u8>, Vec<u32>), Error>;

/// Decodes the argument, and the context unless an earlier call has done that. Then calls the function, and appends the
/// encoded result to `reply`.
pub(crate) fn enter<F, A, R>(
    pointer: F::Pointer,
    context: Option<&ReceivedContext>,
    argument: &[u8],
    reply: Vec<u8>,
    out_of_band: &Arc<dyn OutOfBand>,
) -> Written
where
    F: Function<A, R>,
    A: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
{
    let function = F::rebuild(pointer, context, out_of_band)?;
    let argument: A = with_out_of_band(out_of_band, || codec::decode_caught(Part::Argument, argument)).0?;
    if const { is_large::<R>() } {
        run::<F, A, R, Box<Outcome<R>>>(&function, argument, reply, out_of_band)
    } else {
        run::<F, A, R, Outcome<R>>(&function, argument, reply, out_of_band)
    }
}

/// Makes the call, holds its outcome in `H`, and encodes the result.
fn run<F, A, R, H>(function: &F, argument: A, reply: Vec<u8>, out_of_band: &Arc<dyn OutOfBand>) -> Written
where
    F: Function<A, R>,
    R: Serialize + 'static,
    H: Held<Outcome<R>>,
{
    let call = || function.call(argument);
    let outcome: H = caught(call);
    let result = match outcome.get() {
        Ok(result) => result,
        Err(error) => return Err(error.clone()),
    };
    let write = || panics::catch(|| codec::encode_onto(Part::Result, result, reply));
    let (encoded, taken) = with_out_of_band(out_of_band, write);
    drop_caught(outcome);
    if encoded.is_err() {
        out_of_band.put_back(&taken);
    }
    encoded.map(|encoded| (encoded, taken)).map_err(|error| unwritten(Part::Result, error))
}
