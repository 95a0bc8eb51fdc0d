//! The calls that a task can hold.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::encoded::{EncodedCall, Entry, ItemOffsets};
use super::function::{Function, caught, outcome, read};
use crate::codec;
use crate::codec::Payload;
use crate::error::{Encode, Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::outcomes::Outcomes;
use crate::unwind;

/// One call, or several in a row, with a result of type `T`.
pub(crate) trait Call<T>: Send {
    /// Whether the executor's statistics count it as a task.
    const COUNTS: bool = true;
    /// Whether it can leave this process. If so, the methods for that run user code.
    const ENCODABLE: bool = false;
    /// A value that outlives the call: dropped once the outcome is stored or dropped.
    type Guard;
    fn guard(&mut self) -> Self::Guard;
    fn run(self) -> Outcome<T>;
    /// Encodes the argument. Runs user code.
    fn encode(&self) -> Result<Encoded, Error> {
        Err(not_encodable())
    }
    /// Decodes the result. Runs user code.
    fn decode(_bytes: &[u8]) -> Outcome<T> {
        Err(Error::Abandoned)
    }
    /// Encodes the call for another process of this program. Runs user code.
    fn encode_call(&self) -> Result<EncodedCall, Error> {
        Err(not_encodable())
    }
    /// Decodes the results of a chunk; `replies` has the bytes or the error of each. Runs user code.
    fn decode_items(_replies: Vec<Result<&[u8], Error>>) -> Outcome<T> {
        Err(Error::Abandoned)
    }
}

fn not_encodable() -> Error {
    Error::Encode(Encode::new(
        Part::Argument,
        "the task is a closure of this process; only functions and closures that capture nothing can leave it",
    ))
}

/// The argument of a task as bytes, in postcard's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub(crate) argument: Vec<u8>,
    pub(crate) items: Option<usize>,
}

impl Encoded {
    /// Returns the encoded argument.
    pub fn argument(&self) -> &[u8] {
        &self.argument
    }

    /// Converts into the encoded argument without a copy.
    pub fn into_argument(self) -> Vec<u8> {
        self.argument
    }

    /// Returns how many calls the task consists of, if it is a chunk of a map.
    ///
    /// The argument of a chunk is a sequence of this many arguments. Its reply must be the encoding of a sequence of as
    /// many `Result<R, String>`.
    pub fn items(&self) -> Option<usize> {
        self.items
    }
}

/// A call of any closure, in this process.
pub(crate) struct LocalCall<F>(pub(crate) F);

impl<F, T> Call<T> for LocalCall<F>
where
    F: FnOnce() -> Outcome<T> + Send,
{
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<T> {
        (self.0)()
    }
}

/// A call that can run in any process: a plain function and an argument that serde can encode.
pub(crate) struct EncodableCall<F, A> {
    pub(crate) function: F,
    pub(crate) argument: A,
}

impl<F, A, R> Call<R> for EncodableCall<F, A>
where
    F: Function<A, R>,
    A: Payload,
    R: Payload,
{
    const ENCODABLE: bool = true;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<R> {
        self.function.call(self.argument)
    }
    fn encode(&self) -> Result<Encoded, Error> {
        let argument = codec::encode(Part::Argument, &self.argument)?;
        Ok(Encoded { argument, items: None })
    }
    fn decode(bytes: &[u8]) -> Outcome<R> {
        result(bytes)
    }
    fn encode_call(&self) -> Result<EncodedCall, Error> {
        let argument = codec::encode(Part::Argument, &self.argument)?;
        Ok(EncodedCall { entry: Entry::of(self.function), argument, items: None })
    }
}

/// Decodes a result. Runs user code.
pub(crate) fn result<R: Payload>(bytes: &[u8]) -> Outcome<R> {
    if const { is_large::<R>() } {
        return codec::decode::<Box<R>>(Part::Result, bytes).map(|result| *result);
    }
    codec::decode(Part::Result, bytes)
}

fn read_reply<R: Payload, H: Held<Outcome<R>>>(reply: Result<&[u8], Error>) -> H {
    match reply {
        Ok(bytes) => read(|| result(bytes)),
        Err(error) => H::hold(|| Err(error)),
    }
}

/// Several calls of one function, each with an outcome of its own.
pub(crate) struct Chunk<C, A> {
    pub(crate) function: C,
    pub(crate) arguments: Vec<A>,
    /// Set by the map when no more outcomes are wanted; the remaining calls are then cancelled.
    pub(crate) stop: Arc<AtomicBool>,
}

impl<C, A> Chunk<C, A> {
    fn run<R>(mut self, call: impl Fn(&C, A) -> Outcome<R>) -> Outcomes<R> {
        if const { is_large::<R>() } {
            self.run_held::<R, Box<Outcome<R>>>(call)
        } else {
            self.run_held::<R, Outcome<R>>(call)
        }
    }

    fn run_held<R, H: Held<Outcome<R>>>(&mut self, call: impl Fn(&C, A) -> Outcome<R>) -> Outcomes<R> {
        let arguments = std::mem::take(&mut self.arguments);
        let one = |argument| {
            if self.stop.load(Ordering::Relaxed) {
                unwind::drop_caught(argument);
                return H::hold(|| Err(Error::Cancelled));
            }
            caught(|| call(&self.function, argument))
        };
        arguments.into_iter().map(one).collect()
    }
}

impl<C, A> Drop for Chunk<C, A> {
    fn drop(&mut self) {
        // One by one: two drops that panic together would end the process.
        for argument in std::mem::take(&mut self.arguments) {
            unwind::drop_caught(argument);
        }
    }
}

/// A closure of this process that the items of a map share.
pub(crate) struct Shared<F>(pub(crate) Arc<F>);

impl<F, A, R> Call<Outcomes<R>> for Chunk<Shared<F>, A>
where
    F: Fn(A) -> Outcome<R> + Send + Sync,
    A: Send,
{
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<Outcomes<R>> {
        Ok(self.run(|function, argument| (function.0)(argument)))
    }
}

impl<F, A, R> Call<Outcomes<R>> for Chunk<Everywhere<F>, A>
where
    F: Function<A, R>,
    A: Payload,
    R: Payload,
{
    const ENCODABLE: bool = true;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<Outcomes<R>> {
        Ok(self.run(|function, argument| function.0.call(argument)))
    }
    fn encode(&self) -> Result<Encoded, Error> {
        let argument = codec::encode(Part::Argument, &self.arguments)?;
        Ok(Encoded { argument, items: Some(self.arguments.len()) })
    }
    fn decode(bytes: &[u8]) -> Outcome<Outcomes<R>> {
        let results: Vec<Result<R, String>> = codec::decode(Part::Result, bytes)?;
        Ok(results.into_iter().map(outcome).collect())
    }
    fn encode_call(&self) -> Result<EncodedCall, Error> {
        let entry = Entry::of::<F, A, R>(self.function.0);
        let (argument, offsets) = ItemOffsets::of(&self.arguments);
        Ok(EncodedCall { entry, argument, items: Some(offsets) })
    }
    fn decode_items(replies: Vec<Result<&[u8], Error>>) -> Outcome<Outcomes<R>> {
        if const { is_large::<R>() } {
            Ok(replies.into_iter().map(read_reply::<R, Box<Outcome<R>>>).collect())
        } else {
            Ok(replies.into_iter().map(read_reply::<R, Outcome<R>>).collect())
        }
    }
}

/// A plain function, callable in this process or another.
pub(crate) struct Everywhere<F>(pub(crate) F);

/// The call type of a promise, which has no call.
pub(crate) enum NoCall {}

impl<T> Call<T> for NoCall {
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<T> {
        match self {}
    }
}
