//! [`Replies`]: what came back for the calls of a task, one for each, in whichever format.
#![forbid(unsafe_code)]

use super::function::{failed, read};
use crate::codec::{self, Payload};
use crate::error::{Decode, Error, Outcome, Part};
use crate::held::{Held, is_large};
use crate::outcomes::Outcomes;
use crate::unwind::drop_caught;

/// What came back for the calls of a task, in one format and in the order of the calls.
pub(crate) trait Replies {
    /// Reads the next reply. A panic of the type's own code is the error of this reply.
    fn next<R: Payload, H: Held<Outcome<R>>>(&mut self) -> Option<H>;
    /// Drops the next reply. Returns `true` if there was one.
    fn drop_next(&mut self) -> bool;
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
        self.0.next().map(drop_caught).is_some()
    }
}

/// Reads the reply of the only call.
pub(crate) fn read_one<R: Payload, H: Held<Outcome<R>>>(replies: &mut impl Replies) -> H {
    match replies.next::<R, H>() {
        None => failed(missing(0, 1)),
        Some(outcome) if replies.drop_next() => {
            drop_caught(outcome);
            failed(surplus(1))
        }
        Some(outcome) => outcome,
    }
}

/// Reads one reply for each of `expected` calls, or all replies.
pub(crate) fn read_all<R: Payload, H: Held<Outcome<R>>>(
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

/// Decodes a result. Runs user code.
pub(crate) fn result<R: Payload>(bytes: &[u8]) -> Outcome<R> {
    if const { is_large::<R>() } {
        return codec::decode::<Box<R>>(Part::Result, bytes).map(|result| *result);
    }
    codec::decode(Part::Result, bytes)
}
