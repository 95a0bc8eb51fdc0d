//! Writers and readers of formats that only the author of an executor knows.
#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;
use serde::ser::{Error as _, Serialize, Serializer};

use crate::codec::Payload;
use crate::error::{Decode, Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::panics;
use crate::task::arguments::ArgumentWriter;
use crate::task::encoded::Entry;
use crate::task::function::{failed, read};
use crate::task::replies::Replies;
use crate::unwind::drop_caught;

/// What came back for one call: a deserialiser that has the result, in any format, or the task's error.
///
/// See [`Job::read`](crate::Job::read).
pub type Reply<'a> = Result<Box<dyn erased_serde::Deserializer<'a> + 'a>, Error>;

/// Gets an argument, to be written by a serialiser of any format.
pub(crate) type Visit<'v> = dyn FnMut(&dyn erased_serde::Serialize) + 'v;

/// A task as seen by any format.
pub(crate) trait AnyFormat {
    /// Shows the argument, or those of a chunk's items one by one.
    fn show(&self, visit: &mut Visit<'_>) -> Result<(), Error>;
    /// Returns the addresses of its functions, if it still has its call.
    fn entry(&self) -> Option<Entry>;
    /// Completes the task with one reply for each of its calls. Returns `false` if it was done.
    fn read(&self, replies: &mut dyn Iterator<Item = Reply<'_>>) -> bool;
}

/// Passes arguments on with their types erased.
pub(crate) struct Visitor<'v, 'f>(pub(crate) &'v mut Visit<'f>);

impl ArgumentWriter for Visitor<'_, '_> {
    type Written = ();
    fn one<A: Serialize>(self, argument: &A) -> Result<(), Error> {
        (self.0)(&Caught(argument));
        Ok(())
    }
    fn chunk<A: Serialize>(self, arguments: &[A]) -> Result<(), Error> {
        arguments.iter().for_each(|argument| (self.0)(&Caught(argument)));
        Ok(())
    }
    fn one_with<C: Serialize, A: Serialize>(self, context: &C, argument: &A) -> Result<(), Error> {
        (self.0)(&Caught(&(context, argument)));
        Ok(())
    }
    fn chunk_with<C: Serialize, A: Serialize>(self, context: &C, arguments: &[A]) -> Result<(), Error> {
        arguments.iter().for_each(|argument| (self.0)(&Caught(&(context, argument))));
        Ok(())
    }
}

/// A value whose panic, while it is written, is an error of the format.
pub(crate) struct Caught<'a, A>(pub(crate) &'a A);

impl<A: Serialize> Serialize for Caught<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        panics::catch_or(|| self.0.serialize(serializer), |panicked| Err(S::Error::custom(panicked)))
    }
}

/// Reads a result. Runs user code.
fn result<R: Payload>(reply: &mut dyn erased_serde::Deserializer<'_>) -> Outcome<R> {
    if const { is_large::<R>() } {
        return value::<Box<R>>(reply).map(|result| *result);
    }
    value(reply)
}

fn value<R: DeserializeOwned>(reply: &mut dyn erased_serde::Deserializer<'_>) -> Outcome<R> {
    erased_serde::deserialize(reply).map_err(|error| Error::Decode(Decode::new(Part::Result, error.to_string())))
}

/// Replies whose formats are erased.
pub(crate) struct FormattedReplies<'r, 'a>(pub(crate) &'r mut dyn Iterator<Item = Reply<'a>>);

impl Replies for FormattedReplies<'_, '_> {
    fn next<R: Payload, H: Held<Outcome<R>>>(&mut self) -> Option<H> {
        Some(match self.0.next()? {
            Ok(mut reply) => {
                let outcome = read(|| result(&mut *reply));
                drop_caught(reply);
                outcome
            }
            Err(error) => failed(error),
        })
    }
    fn drop_next(&mut self) -> bool {
        self.0.next().map(drop_caught).is_some()
    }
}
