//! How arguments and results become bytes: postcard, a compact format with a written specification.
//!
//! The format is not self-describing: a type that asks serde what comes next (`#[serde(untagged)]`, `#[serde(tag)]`,
//! `#[serde(flatten)]`, `serde_json::Value`) can be written but not read, and says so in its error. One that leaves fields
//! out is not written.
#![forbid(unsafe_code)]

#[macro_use]
mod model;
mod said;
mod strict;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Decode, Encode, Error, Part};
use crate::sync::with_room_for;
use strict::Strict;

pub(crate) fn encode<T: Serialize>(part: Part, value: &T) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(&Strict(value)).map_err(|error| unwritten(part, value, &error))
}

/// Appends the value to `bytes`.
#[cfg(processes)]
pub(crate) fn encode_onto<T: Serialize>(part: Part, value: &T, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    postcard::to_extend(&Strict(value), bytes).map_err(|error| unwritten(part, value, &error))
}

fn unwritten<T: Serialize>(part: Part, value: &T, error: &postcard::Error) -> Error {
    Error::Encode(Encode::new(part, said::in_writing(value).unwrap_or_else(|| explained::<T>(error))))
}

pub(crate) fn decode<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, Error> {
    // A value that one side could write is not to overflow the stack of the other.
    let decoded = with_room_for(bytes.len(), || read::<T>(bytes));
    decoded.map_err(|message| Error::Decode(Decode::new(part, message)))
}

/// Not inlined: what it has on the stack, the values of the type's own code among that, is on the one with the room.
#[inline(never)]
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(match error {
            postcard::Error::WontImplement | postcard::Error::NotYetImplemented => explained::<T>(&error),
            _ => said::in_reading::<T>(bytes).unwrap_or_else(|| explained::<T>(&error)),
        }),
    }
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
