//! How arguments and results become bytes: postcard, a compact format with a written specification.
//!
//! The format is not self-describing: a type that asks serde what comes next (`#[serde(untagged)]`, `#[serde(tag)]`,
//! `#[serde(flatten)]`, `serde_json::Value`) can be written but not read, and says so in its error. One that leaves fields
//! out is not written.
//!
//! A value may be nested as deeply as the stack has [room](room::Room) for, and the deepest have one of their own to be read on. What is
//! deeper is an error, in reading and in writing; nothing here overflows a stack.
#![forbid(unsafe_code)]

mod reading;
mod room;
mod strict;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Decode, Encode, Error, Part};
use crate::held::is_large;
use crate::sync::{DEEPEST, on_deepest_stack, stack_left};
use room::{Remainder, Room, Sink, Source};
use strict::{Said, Strict};

/// What serde calls a type, a field or a variant by.
type Name = &'static str;

pub(crate) fn encode<T: Serialize>(part: Part, value: &T) -> Result<Vec<u8>, Error> {
    encode_onto(part, value, Vec::new())
}

/// Appends the value to `bytes`.
pub(crate) fn encode_onto<T: Serialize>(part: Part, value: &T, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let room = Room::to_write(stack_left().unwrap_or(usize::MAX));
    let mut serializer = postcard::Serializer { output: Sink::new(bytes, room) };
    let said = Said::default();
    let written = Strict(value, &said).serialize(&mut serializer);
    let message = match written {
        _ if serializer.output.refused => format!(
            "to write it takes more than the {} KiB of stack that it may use here, so deeply is it nested: {FLAT}, or write it on a \
             thread with more stack (`std::thread::Builder::stack_size`; in workers, `RUST_MIN_STACK`)",
            room.size() >> 10
        ),
        Ok(()) => return Ok(serializer.output.into_bytes()),
        Err(error) => said.take().unwrap_or_else(|| explained::<T>(&error)),
    };
    Err(Error::Encode(Encode::new(part, message)))
}

pub(crate) fn decode<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, Error> {
    // From so many bytes on a new stack costs little beside reading them.
    const MANY: usize = 32 << 10;
    // Where nobody knows how much is left, it is a stack of which that is known.
    let room = Room::to_read(stack_left().unwrap_or(0));
    let read_deeply = || read::<T>(bytes, Room::to_read(stack_left().unwrap_or(usize::MAX)));
    if const { is_large::<T>() } {
        // It is moved from frame to frame, and no look at the stack comes in between.
        return match on_deepest_stack(|| read_deeply().map(Box::new).map_err(|unread| unread.into_error(part))) {
            Ok(boxed) => Ok(*boxed),
            Err(error) => Err(error),
        };
    }
    // Many bytes may be those of something large in a box.
    let first =
        if bytes.len() < MANY || room.size() >= DEEPEST { read(bytes, room) } else { Err(Unread::TooDeep(room)) };
    let read = match first {
        Err(Unread::TooDeep(_)) if room.size() < DEEPEST => on_deepest_stack(read_deeply),
        read => read,
    };
    read.map_err(|unread| unread.into_error(part))
}

/// What to do about a value that is nested too deeply.
const FLAT: &str = "put the nested parts side by side in a `Vec`, with indices in place of boxes";

/// Why bytes are no value.
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

/// Not inlined: what it has on the stack, the values of the type's own code among that, is on the one with the room.
#[inline(never)]
fn read<T: DeserializeOwned>(bytes: &[u8], room: Room) -> Result<T, Unread> {
    let mut deserializer = postcard::Deserializer::from_flavor(Source::new(bytes, room));
    let value = T::deserialize(&mut deserializer);
    let remainder = deserializer.finalize();
    let message = match (value, remainder) {
        (_, Ok(Remainder { refused: true, .. })) => return Err(Unread::TooDeep(room)),
        (Ok(value), Ok(Remainder { bytes: [], .. })) => return Ok(value),
        (Ok(_), Ok(Remainder { bytes, .. })) => format!("{} bytes are left over", bytes.len()),
        (Ok(_), Err(error)) => explained::<T>(&error),
        (Err(error @ (postcard::Error::WontImplement | postcard::Error::NotYetImplemented)), _) => {
            explained::<T>(&error)
        }
        (Err(error), _) => reading::said::<T>(bytes, room).unwrap_or_else(|| explained::<T>(&error)),
    };
    Err(Unread::Because(message))
}

/// What postcard says, in terms of what can be done about it.
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

#[cfg(test)]
mod fuzz;
