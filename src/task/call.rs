//! The calls that a task can hold.
#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arguments::ArgumentWriter;
use super::encoded::{CallEncoder, EncodedCall, Entry};
use super::function::{Function, caught, failed, outcome};
use super::replies::{Replies, read_all, read_one, result};
use super::shared_context::AnyContext;
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
    /// Whether the task has a span.
    const IS_TRACED: bool = true;
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
    /// Returns the context that its function is bound to, if there is one and the call can leave this process.
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        None
    }
    /// Encodes the call for another process of this program. Runs user code.
    fn encode_call(&self) -> Result<EncodedCall, Error> {
        let entry = self.entry().ok_or_else(not_encodable)?;
        let (argument, items) = self.write(CallEncoder)?;
        Ok(EncodedCall { entry, argument, items, context: self.context() })
    }
}

fn not_encodable() -> Error {
    Error::Encode(Encode::new(
        Part::Argument,
        "the task is a closure of this process; only functions and closures that capture nothing can leave it",
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

/// The next link of a chain. It runs in the thread that ends its input, and is no task of an executor.
pub(crate) struct Continuation<F>(pub(crate) F);

impl<F, T> Call<T> for Continuation<F>
where
    F: FnOnce() -> Outcome<T> + Send,
{
    const IS_TRACED: bool = false;
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
        self.function.write_one(&self.argument, writer)
    }
    fn read<H: Held<Outcome<R>>>(_: Option<usize>, replies: &mut impl Replies) -> H {
        read_one(replies)
    }
    fn decode(bytes: &[u8]) -> Outcome<R> {
        result(bytes)
    }
    fn entry(&self) -> Option<Entry> {
        Some(Entry::of(&self.function))
    }
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        self.function.context()
    }
}

/// A call of a plain function whose argument is made when it is needed: of the outcomes of other tasks, which are done by
/// then.
pub(crate) struct LateCall<F, M, A> {
    function: F,
    /// `None` once it has made the argument. Runs user code.
    make: Cell<Option<M>>,
    argument: OnceCell<Outcome<A>>,
}

impl<F, M: FnOnce() -> Outcome<A>, A> LateCall<F, M, A> {
    pub(crate) fn new(function: F, make: M) -> Self {
        Self { function, make: Cell::new(Some(make)), argument: OnceCell::new() }
    }

    fn argument(&self) -> &Outcome<A> {
        // If the first attempt panicked, there is no other.
        self.argument.get_or_init(|| self.make.take().map_or(Err(Error::Abandoned), |make| make()))
    }
}

impl<F, M, A, R> Call<R> for LateCall<F, M, A>
where
    F: Function<A, R>,
    M: FnOnce() -> Outcome<A> + Send,
    A: Payload,
    R: Payload,
{
    const ENCODABLE: bool = true;
    const IS_FALLIBLE: bool = F::IS_FALLIBLE;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<R> {
        self.argument();
        self.function.call(self.argument.into_inner().unwrap_or(Err(Error::Abandoned))?)
    }
    fn write<W: ArgumentWriter>(&self, writer: W) -> Result<W::Written, Error> {
        self.function.write_one(self.argument().as_ref().map_err(Clone::clone)?, writer)
    }
    fn read<H: Held<Outcome<R>>>(_: Option<usize>, replies: &mut impl Replies) -> H {
        read_one(replies)
    }
    fn decode(bytes: &[u8]) -> Outcome<R> {
        result(bytes)
    }
    fn entry(&self) -> Option<Entry> {
        Some(Entry::of(&self.function))
    }
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        self.function.context()
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
        self.function.0.write_chunk(&self.arguments, writer)
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
        Some(Entry::of::<F, A, R>(&self.function.0))
    }
    fn context(&self) -> Option<Arc<dyn AnyContext>> {
        self.function.0.context()
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
