//! A call in transit to another process of this program: the addresses of its functions, and its encoded argument.
//!
//! A call consists of two functions: the user's, and [`enter`] for its types, which decodes the argument, calls the
//! user's function and encodes the result. The sender of a call converts both addresses into a form that is valid in
//! the other process. A context that the function is bound to arrives on its own, before the first call that needs it.
#![forbid(unsafe_code)]

#[cfg(feature = "remote")]
use std::any::TypeId;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::ArgumentWriter;
use super::context::current_name;
use super::function::Function;
use super::shared_context::{AnyContext, ReceivedContext};
use crate::bytes::{self, OutOfBand, with_out_of_band};
use crate::codec::{self, unread, unwritten};
use crate::error::{Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::panics;
use crate::unwind::Caught;

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
    /// How often bytes were stored out of band up to the end of each item, by which the pool measures each item with its
    /// own. Empty if none were.
    pub(crate) stored: Box<[usize]>,
}

impl ItemOffsets {
    /// Encodes the arguments of a chunk. An argument that cannot be encoded has no bytes. Runs user code.
    pub(crate) fn of<A: Serialize + 'static>(items: &[A]) -> (Vec<u8>, Self) {
        let mut written = WrittenItems { ends: Vec::with_capacity(items.len()), ..WrittenItems::default() };
        let write = |written: &mut WrittenItems| {
            let Some(item) = items.get(written.ends.len()) else { return false };
            let end = codec::encode_onto(Part::Argument, item, &mut written.argument);
            written.end_item(end);
            true
        };
        panics::catch_each(&mut written, write, |written, panicked| written.end_item(Err(panicked)));
        let WrittenItems { argument, ends, refused, stored } = written;
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

/// The items of a chunk that were written so far. Its fields are those of [`ItemOffsets`], which it becomes.
#[derive(Default)]
struct WrittenItems {
    argument: Vec<u8>,
    ends: Vec<usize>,
    refused: Vec<(usize, Error)>,
    stored: Vec<usize>,
}

impl WrittenItems {
    /// Ends the item whose bytes were appended last, or takes its bytes away if it could not be written.
    #[inline]
    fn end_item(&mut self, written: Result<(), Error>) {
        let position = self.ends.len();
        if let Err(error) = written {
            self.argument.truncate(self.ends.last().copied().unwrap_or(0));
            self.refused.push((position, unwritten(Part::Argument, error)));
        }
        self.ends.push(self.argument.len());
        let count = bytes::stored();
        if count > 0 {
            // This item may be the first with any: those before it have none.
            self.stored.resize(position, 0);
            self.stored.push(count);
        }
    }
}

/// Writes arguments for another process of this program, those of a chunk one after another. An item that cannot be
/// written is refused alone.
pub(crate) struct CallEncoder;

impl ArgumentWriter for CallEncoder {
    type Written = (Vec<u8>, Option<ItemOffsets>);
    fn one<A: Serialize + 'static>(self, argument: &A) -> Result<Self::Written, Error> {
        let mut bytes = Vec::new();
        codec::encode_onto(Part::Argument, argument, &mut bytes)?;
        Ok((bytes, None))
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
    reply: &mut Vec<u8>,
    out_of_band: &Arc<dyn OutOfBand>,
) -> Written;

/// The type of an [`enter`] without its types: all function pointers are passed the same way.
pub(crate) type Enter = EnterOf<fn()>;

/// The numbers of the out-of-band parts of an encoded result.
pub(crate) type Written = Result<Vec<u32>, Error>;

/// Decodes the argument, and the context unless an earlier call has done that. Then calls the function, and appends the
/// encoded result to `reply`. If this fails, `reply` may hold a part of a result.
pub(crate) fn enter<F, A, R>(
    pointer: F::Pointer,
    context: Option<&ReceivedContext>,
    argument: &[u8],
    reply: &mut Vec<u8>,
    out_of_band: &Arc<dyn OutOfBand>,
) -> Written
where
    F: Function<A, R>,
    A: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
{
    let function = F::rebuild(pointer, context, out_of_band)?;
    if const { is_large::<R>() } {
        run::<F, A, R, Box<Outcome<R>>>(&function, argument, reply, out_of_band)
    } else {
        run::<F, A, R, Outcome<R>>(&function, argument, reply, out_of_band)
    }
}

/// What a call is doing. This decides which error a panic becomes.
#[derive(Clone, Copy)]
enum Step {
    Decode,
    Call,
    Encode,
}

/// Makes the call, whose outcome is held in `H`. There is one guard against panics for all its steps, because each guard
/// costs as much as a short call.
fn run<F, A, R, H>(function: &F, argument: &[u8], reply: &mut Vec<u8>, out_of_band: &Arc<dyn OutOfBand>) -> Written
where
    F: Function<A, R>,
    A: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
    H: Held<Outcome<R>>,
{
    let step = Cell::new(Step::Decode);
    let call = || {
        let (argument, _) = with_out_of_band(out_of_band, || codec::decode(Part::Argument, argument));
        let argument: A = argument?;
        step.set(Step::Call);
        // Its drop may panic, also while a panic of its `Serialize` unwinds.
        let outcome: Caught<H> = Caught::new(H::hold(|| function.call(argument)));
        let result = H::get(&outcome).as_ref().map_err(Error::clone)?;
        step.set(Step::Encode);
        let (written, taken) = with_out_of_band(out_of_band, || codec::encode_onto(Part::Result, result, reply));
        if written.is_err() {
            out_of_band.put_back(&taken);
        }
        written.map(|()| taken)
    };
    panics::catch_or(call, |panicked| {
        Err(match step.get() {
            Step::Decode => unread(Part::Argument, panicked),
            Step::Call => panicked.named(current_name().as_deref()),
            Step::Encode => unwritten(Part::Result, panicked),
        })
    })
}
