//! How arguments and results become bytes: postcard, a compact format with a written specification.
//!
//! The format is not self-describing: a type that asks serde what comes next (`#[serde(untagged)]`, `#[serde(tag)]`,
//! `#[serde(flatten)]`, `serde_json::Value`) can be written but not read, and says so in its error. A type that
//! leaves fields out is refused when it is written.
//!
//! A value may be nested as deeply as the stack has [room](room::Room) for; a value that is too deep for its thread is
//! read on a fresh stack. A deeper value is an error, in reading and in writing. Neither ever overflows a stack.
#![forbid(unsafe_code)]

mod byte_vec;
mod payload;
mod reading;
mod room;
mod strict;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bytes::Bytes;
use crate::error::{Decode, Encode, Error, Part};
use crate::held::{Held, is_large};
use crate::{blocking, bytes, panics, stack};
pub use payload::Payload;
use room::{Remainder, Room, Sink, Source};
use strict::{ErrorText, Strict};

pub(crate) fn encode<T: Serialize>(part: Part, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    write(part, value, &mut bytes)?;
    Ok(bytes)
}

/// Encodes like [`encode`], but turns a panic of the user's `Serialize` into an error.
pub(crate) fn encode_caught<T: Serialize + 'static>(part: Part, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let written = panics::catch(|| encode_onto(part, value, &mut bytes));
    written.map(|()| bytes).map_err(|error| unwritten(part, error))
}

/// Appends the value to `bytes`. Long bytes may go out of band, also those of a [`Vec<u8>`](byte_vec) that is the value
/// itself. If this fails or panics, a part of the value may have been appended.
pub(crate) fn encode_onto<T: Serialize + 'static>(part: Part, value: &T, bytes: &mut Vec<u8>) -> Result<(), Error> {
    match byte_vec::as_bytes(value) {
        Some(as_bytes) => write(part, &as_bytes, bytes),
        None => write(part, value, bytes),
    }
}

fn write<T: Serialize>(part: Part, value: &T, bytes: &mut Vec<u8>) -> Result<(), Error> {
    let room = Room::to_write(stack::left());
    let mut serializer = postcard::Serializer { output: Sink::new(bytes, room) };
    let text = ErrorText::default();
    let written = Strict(value, &text).serialize(&mut serializer);
    let message = match (written, serializer.output.refused) {
        (_, Some(room)) => format!(
            "to write it takes more than the {} KiB of stack that it may use here, so deeply is it nested: {FLAT}, or write it on a \
             thread with more stack (`std::thread::Builder::stack_size`; in workers, `RUST_MIN_STACK`)",
            room.size() >> 10
        ),
        (Ok(()), None) => return Ok(()),
        (Err(error), None) => text.take().unwrap_or_else(|| explained::<T>(&error)),
    };
    Err(Error::Encode(Encode::new(part, message)))
}

pub(crate) fn decode<T: DeserializeOwned + Send + 'static>(part: Part, bytes: &[u8]) -> Result<T, Error> {
    let value = if byte_vec::is_byte_vec::<T>() {
        read_held::<Bytes, Bytes>(bytes).map(byte_vec::from_bytes)
    } else if const { is_large::<T>() } {
        read_held::<T, Box<T>>(bytes).map(|boxed| *boxed)
    } else {
        read_held::<T, T>(bytes)
    };
    value.map_err(|unread| unread.into_error(part))
}

/// Decodes a `T` into a box, where it is read in place if it is large. Turns a panic of the user's `Deserialize` into an
/// error.
pub(crate) fn decode_boxed_caught<T>(part: Part, bytes: &[u8]) -> Result<Box<T>, Error>
where
    T: DeserializeOwned + Send + 'static,
{
    // serde reads a box as what is in it, and so knows nothing of what a `Vec<u8>` is written like.
    let read = || if byte_vec::is_byte_vec::<T>() { decode(part, bytes).map(Box::new) } else { decode(part, bytes) };
    panics::catch(read).map_err(|error| unread(part, error))
}

/// Reads on this stack, or on a fresh one if this does not suffice.
fn read_held<T: DeserializeOwned, H: Held<T> + Send>(bytes: &[u8]) -> Result<H, Unread> {
    let needed = needed::<T>(bytes);
    let has_room = needed == 0 || stack::has(needed);
    let room = Room::to_read(stack::left());
    let first = if has_room { read(bytes, room) } else { Err(Unread::TooDeep(room)) };
    match first {
        Err(Unread::TooDeep(room)) if room.size() < DEEPEST => read_on_fresh_stack(bytes),
        first => first,
    }
}

/// Returns how much stack a value takes at most without nesting: it is moved from frame to frame, without optimisation
/// a dozen times, and the [room](room::Room) is not checked in between.
fn needed<T>(bytes: &[u8]) -> usize {
    // The bytes may hold a large value in a box, which takes several times as much memory.
    const MANY: usize = 32 << 10;
    let in_boxes = if bytes.len() < MANY { 0 } else { 64 * bytes.len() };
    let whole = if const { is_large::<T>() } { (1 << 20) + 16 * size_of::<T>() } else { 0 };
    whole.max(in_boxes).min(DEEPEST)
}

/// How much stack reading the deepest value may take. With optimisation, dropping a value takes nearly as much as
/// reading it, so this is no more than a main thread usually has.
pub(crate) const DEEPEST: usize = if cfg!(debug_assertions) { 16 << 20 } else { 8 << 20 };

/// The size of a stack on which the deepest value can be read.
pub(crate) const READING_STACK: usize = DEEPEST + (2 << 20);

#[cold]
fn read_on_fresh_stack<T: DeserializeOwned, H: Held<T> + Send>(bytes: &[u8]) -> Result<H, Unread> {
    let (out_of_band, callbacks) = (bytes::out_of_band(), blocking::callbacks());
    let read = || {
        let read = || read(bytes, Room::to_read(stack::left()));
        blocking::inside(callbacks, || bytes::with(out_of_band, read))
    };
    let no_thread = |error| {
        Err(Unread::Because(format!(
            "to read it takes another stack of {} MiB, and no thread can be started that has one: {error}",
            READING_STACK >> 20
        )))
    };
    stack::on_fresh(READING_STACK, &mut Some(read)).unwrap_or_else(no_thread)
}

/// The advice for a value that is nested too deeply.
const FLAT: &str = "put the nested parts side by side in a `Vec`, with indices in place of boxes";

/// Why bytes could not be decoded.
enum Unread {
    TooDeep(Room),
    Because(String),
}

impl Unread {
    fn into_error(self, part: Part) -> Error {
        let message = match self {
            Self::Because(message) => message,
            Self::TooDeep(room) => format!(
                "to read it takes more than the {} KiB of stack that there are for it, so deeply is it nested: {FLAT}",
                room.size() >> 10
            ),
        };
        Error::Decode(Decode::new(part, message))
    }
}

/// Not inlined, so that its frame, with the values of the type's own code, is on the stack that has the room.
#[inline(never)]
fn read<T: DeserializeOwned, H: Held<T>>(bytes: &[u8], room: Room) -> Result<H, Unread> {
    let mut deserializer = postcard::Deserializer::from_flavor(Source::new(bytes, room));
    let value = T::deserialize(&mut deserializer);
    let remainder = deserializer.finalize();
    let message = match (value, remainder) {
        (_, Ok(Remainder { refused: Some(room), .. })) => return Err(Unread::TooDeep(room)),
        (Ok(value), Ok(Remainder { bytes: [], .. })) => return Ok(H::hold(|| value)),
        (Ok(_), Ok(Remainder { bytes, .. })) => format!("{} bytes are left over", bytes.len()),
        (Ok(_), Err(error)) => explained::<T>(&error),
        (Err(error @ (postcard::Error::WontImplement | postcard::Error::NotYetImplemented)), _) => {
            explained::<T>(&error)
        }
        (Err(error), _) => reading::message::<T>(bytes, room).unwrap_or_else(|| explained::<T>(&error)),
    };
    Err(Unread::Because(message))
}

/// Returns the message for an error of postcard, with what can be done about it.
fn explained<T: ?Sized>(error: &postcard::Error) -> String {
    let of = std::any::type_name::<T>();
    match error {
        postcard::Error::WontImplement | postcard::Error::NotYetImplemented => format!(
            "{of} asks what comes next, which a format that is not self-describing cannot tell: no `untagged`, `tag` or \
             `flatten`, and no `serde_json::Value`; send such a value as text"
        ),
        postcard::Error::SerializeSeqLengthUnknown => format!(
            "{of} has parts whose number is not known in advance, as with `flatten`; collect them first, or send it as text"
        ),
        error => error.to_string(),
    }
}

/// Converts a panic in the user's `Serialize` into the error of the task.
pub(crate) fn unwritten(part: Part, error: Error) -> Error {
    match error {
        Error::Panicked(panic) => Error::Encode(Encode::new(part, panic.to_string())),
        error => error,
    }
}

/// Converts a panic in the user's `Deserialize` into the error of the task.
pub(crate) fn unread(part: Part, error: Error) -> Error {
    match error {
        Error::Panicked(panic) => Error::Decode(Decode::new(part, panic.to_string())),
        error => error,
    }
}

#[cfg(test)]
mod fuzz;
