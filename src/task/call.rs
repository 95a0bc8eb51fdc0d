//! The calls that a task can hold.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::encoded::{EncodedCall, Entry, ItemOffsets};
use super::function::{Function, caught, failed, outcome, read};
use crate::codec;
use crate::codec::Payload;
use crate::error::{Decode, Encode, Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::outcomes::Outcomes;
use crate::unwind;

/// One call, or several in a row, with a result of type `T`.
pub(crate) trait Call<T>: Send {
    /// Whether the executor's statistics count it as a task.
    const COUNTS: bool = true;
    /// Whether it can leave this process. If so, the methods for that run user code.
    const ENCODABLE: bool = false;
    /// Whether the `Err` that its function returns is the task's error.
    const IS_FALLIBLE: bool = false;
    /// A value that outlives the call: dropped once the outcome is stored or dropped.
    type Guard;
    fn guard(&mut self) -> Self::Guard;
    fn run(self) -> Outcome<T>;
    /// Returns the number of calls: 1, or that of a chunk's items.
    fn count(&self) -> usize {
        1
    }
    /// Passes the argument, or those of a chunk's items, to a writer. Runs user code.
    fn write<W: ArgumentWriter>(&self, _writer: W) -> Result<W::Written, Error> {
        Err(not_encodable())
    }
    /// Reads the result from one reply, or those of a chunk from one reply for each of its items. Runs user code, and
    /// catches its panics.
    ///
    /// If `expected`, the number of calls, is known, a call without a reply ends with an error of its own. If there are
    /// too many replies, the whole task fails: which reply belongs to which call is not known then.
    fn read<H: Held<Outcome<T>>>(_expected: Option<usize>, _replies: &mut impl Replies) -> H {
        failed(Error::Abandoned)
    }
    /// Decodes the result, or all those of a chunk. Runs user code.
    fn decode(_bytes: &[u8]) -> Outcome<T> {
        Err(Error::Abandoned)
    }
    /// Returns the addresses of its functions in this process, if it can leave it.
    fn entry(&self) -> Option<Entry> {
        None
    }
    /// Encodes the call for another process of this program. Runs user code.
    fn encode_call(&self) -> Result<EncodedCall, Error> {
        let entry = self.entry().ok_or_else(not_encodable)?;
        let (argument, items) = self.write(CallEncoder)?;
        Ok(EncodedCall { entry, argument, items })
    }
}

/// Writes the arguments of a task in one format. Its methods know their types.
pub(crate) trait ArgumentWriter {
    type Written;
    fn one<A: Serialize>(self, argument: &A) -> Result<Self::Written, Error>;
    fn chunk<A: Serialize>(self, arguments: &[A]) -> Result<Self::Written, Error>;
}

/// What came back for the calls of a task, in one format and in the order of the calls.
pub(crate) trait Replies {
    /// Reads the next reply. A panic of the type's own code is the error of this reply.
    fn next<R: Payload, H: Held<Outcome<R>>>(&mut self) -> Option<H>;
    /// Drops the next reply. Returns `true` if there was one.
    fn drop_next(&mut self) -> bool;
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
    /// The argument of a chunk is a sequence of this many arguments. Complete the chunk by
    /// [`Job::complete_items`](crate::Job::complete_items), with the encoding of one result for each of them, or by
    /// [`Job::complete`](crate::Job::complete), with the encoding of a sequence of as many `Result<R, String>`.
    pub fn items(&self) -> Option<usize> {
        self.items
    }
}

/// Writes arguments in postcard's format, those of a chunk as a sequence.
pub(crate) struct Encoder;

impl ArgumentWriter for Encoder {
    type Written = Encoded;
    fn one<A: Serialize>(self, argument: &A) -> Result<Encoded, Error> {
        Ok(Encoded { argument: codec::encode(Part::Argument, argument)?, items: None })
    }
    fn chunk<A: Serialize>(self, arguments: &[A]) -> Result<Encoded, Error> {
        Ok(Encoded { argument: codec::encode(Part::Argument, &arguments)?, items: Some(arguments.len()) })
    }
}

/// Writes arguments for another process of this program, those of a chunk one after another. An item that cannot be
/// written is refused alone.
struct CallEncoder;

impl ArgumentWriter for CallEncoder {
    type Written = (Vec<u8>, Option<ItemOffsets>);
    fn one<A: Serialize>(self, argument: &A) -> Result<Self::Written, Error> {
        Ok((codec::encode(Part::Argument, argument)?, None))
    }
    fn chunk<A: Serialize>(self, arguments: &[A]) -> Result<Self::Written, Error> {
        let (argument, offsets) = ItemOffsets::of(arguments);
        Ok((argument, Some(offsets)))
    }
}

/// Replies in postcard's format.
pub(crate) struct EncodedReplies<I>(pub(crate) I);

impl<'a, I: Iterator<Item = Result<&'a [u8], Error>>> Replies for EncodedReplies<I> {
    fn next<R: Payload, H: Held<Outcome<R>>>(&mut self) -> Option<H> {
        Some(match self.0.next()? {
            Ok(bytes) => read(|| result(bytes)),
            Err(error) => failed(error),
        })
    }
    fn drop_next(&mut self) -> bool {
        self.0.next().map(unwind::drop_caught).is_some()
    }
}

/// Reads one reply for each of `expected` calls, or all replies.
fn read_all<R: Payload, H: Held<Outcome<R>>>(
    expected: Option<usize>,
    replies: &mut impl Replies,
) -> Outcome<Outcomes<R>> {
    let mut outcomes = Outcomes::new();
    while expected.is_none_or(|expected| outcomes.len() < expected)
        && let Some(outcome) = replies.next::<R, H>()
    {
        outcomes.push(outcome);
    }
    let (Some(expected), came) = (expected, outcomes.len()) else { return Ok(outcomes) };
    if came < expected {
        let error = missing(came, expected);
        (came..expected).for_each(|_| outcomes.push(failed::<R, H>(error.clone())));
    } else if replies.drop_next() {
        return Err(surplus(expected));
    }
    Ok(outcomes)
}

#[cold]
fn missing(came: usize, expected: usize) -> Error {
    Error::Decode(Decode::new(
        Part::Result,
        format!("no reply came for it, only {came} of {expected}: pass one for each call of the task, in order"),
    ))
}

#[cold]
fn surplus(expected: usize) -> Error {
    Error::Decode(Decode::new(
        Part::Result,
        format!(
            "more replies came than the task has calls ({expected}), so it is not known which belongs to which: pass one for \
             each call, in order"
        ),
    ))
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
    const IS_FALLIBLE: bool = F::IS_FALLIBLE;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<R> {
        self.function.call(self.argument)
    }
    fn write<W: ArgumentWriter>(&self, writer: W) -> Result<W::Written, Error> {
        writer.one(&self.argument)
    }
    fn read<H: Held<Outcome<R>>>(_: Option<usize>, replies: &mut impl Replies) -> H {
        match replies.next::<R, H>() {
            None => failed(missing(0, 1)),
            Some(outcome) if replies.drop_next() => {
                unwind::drop_caught(outcome);
                failed(surplus(1))
            }
            Some(outcome) => outcome,
        }
    }
    fn decode(bytes: &[u8]) -> Outcome<R> {
        result(bytes)
    }
    fn entry(&self) -> Option<Entry> {
        Some(Entry::of(self.function))
    }
}

/// Decodes a result. Runs user code.
pub(crate) fn result<R: Payload>(bytes: &[u8]) -> Outcome<R> {
    if const { is_large::<R>() } {
        return codec::decode::<Box<R>>(Part::Result, bytes).map(|result| *result);
    }
    codec::decode(Part::Result, bytes)
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
    const IS_FALLIBLE: bool = F::IS_FALLIBLE;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<Outcomes<R>> {
        Ok(self.run(|function, argument| function.0.call(argument)))
    }
    fn count(&self) -> usize {
        self.arguments.len()
    }
    fn write<W: ArgumentWriter>(&self, writer: W) -> Result<W::Written, Error> {
        writer.chunk(&self.arguments)
    }
    fn read<H: Held<Outcome<Outcomes<R>>>>(expected: Option<usize>, replies: &mut impl Replies) -> H {
        if const { is_large::<R>() } {
            H::hold(|| read_all::<R, Box<Outcome<R>>>(expected, replies))
        } else {
            H::hold(|| read_all::<R, Outcome<R>>(expected, replies))
        }
    }
    fn decode(bytes: &[u8]) -> Outcome<Outcomes<R>> {
        let results: Vec<Result<R, String>> = codec::decode(Part::Result, bytes)?;
        Ok(results.into_iter().map(outcome).collect())
    }
    fn entry(&self) -> Option<Entry> {
        Some(Entry::of::<F, A, R>(self.function.0))
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
