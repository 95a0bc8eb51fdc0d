//! How arguments and results become bytes: postcard, a compact format with a written specification.
//!
//! The format is not self-describing: a type that asks serde what comes next (`#[serde(untagged)]`,
//! `#[serde(flatten)]`, `serde_json::Value`) can be written but not read, and says so in its error.
#![forbid(unsafe_code)]

mod said;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Decode, Encode, Error, Part};

pub(crate) fn encode<T: Serialize>(part: Part, value: &T) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(value).map_err(|error| unwritten(part, value, &error))
}

/// Appends the value to `bytes`.
#[cfg(processes)]
pub(crate) fn encode_onto<T: Serialize>(part: Part, value: &T, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    postcard::to_extend(value, bytes).map_err(|error| unwritten(part, value, &error))
}

fn unwritten<T: Serialize>(part: Part, value: &T, error: &postcard::Error) -> Error {
    let said = said::in_writing(value);
    Error::Encode(Encode::new(part, said.unwrap_or_else(|| error.to_string())))
}

pub(crate) fn decode<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, Error> {
    let message = match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => return Ok(value),
        Ok((_, rest)) => format!("{} bytes are left over", rest.len()),
        Err(error) => said::in_reading::<T>(bytes).unwrap_or_else(|| error.to_string()),
    };
    Err(Error::Decode(Decode::new(part, message)))
}
