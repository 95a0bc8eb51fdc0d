//! How a [`Bytes`] is written and read: as plain bytes, or as a reference to bytes that are sent out of band.
//!
//! Only this crate's own serialiser may send bytes out of band, and not one that a type runs inside its `Serialize`. So a
//! `Bytes` passes itself on under [`NAME`], which this crate's serialiser knows, and any other writes as plain bytes.
//!
//! | in the encoding | means |
//! |---|---|
//! | [`MARK`], a number, a length | the bytes with this number, out of band |
//! | `MARK`, and bytes that begin with `MARK` | those bytes, without the first `MARK` |
//! | any other bytes | these bytes |
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::channel::{has_out_of_band, out_of_band, store};
use super::value::Bytes;
use crate::sync::thread_local;

/// The name under which a `Bytes` passes itself to a serialiser while an out-of-band channel is set.
pub(crate) const NAME: &str = "$concurrent_futures::Bytes";

/// Begins what is not the bytes themselves. Drawn at random once.
pub(super) const MARK: [u8; 16] = *b"\x9d\x3e\xf0\x6b\x51\xc7\x08\xa4\x2f\xd9\x74\x1c\xe8\x95\x4a\xb6";

/// The length of a reference: the mark, the number and the length.
const REFERENCE: usize = MARK.len() + 4 + 8;

thread_local! {
    /// The next `Content` is written by this crate's serialiser.
    static IS_OWN: Cell<bool> = Cell::new(false);
}

/// Lets the `Bytes` that `write` passes on, under [`NAME`], use the out-of-band channel.
pub(crate) fn as_own<R>(write: impl FnOnce() -> R) -> R {
    let _ = IS_OWN.try_with(|is_own| is_own.set(true));
    let result = write();
    let _ = IS_OWN.try_with(|is_own| is_own.set(false));
    result
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AsBytes(self).serialize(serializer)
    }
}

/// Bytes that are written like a [`Bytes`] which holds them.
pub(crate) struct AsBytes<'a>(pub(crate) &'a [u8]);

impl Serialize for AsBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !has_out_of_band() {
            return serializer.serialize_bytes(self.0);
        }
        serializer.serialize_newtype_struct(NAME, &Content(self.0))
    }
}

/// What a `Bytes` writes under [`NAME`].
struct Content<'a>(&'a [u8]);

/// Returns by how much an encoding would be longer if it held `length` bytes in place of the reference to them. Only bytes
/// that are longer than a reference are stored.
pub(crate) fn longer_in_place(length: usize) -> u64 {
    encoded_length(length) - encoded_length(REFERENCE)
}

/// Returns the length of the encoding of `length` bytes: their number, seven bits to a byte, and the bytes.
fn encoded_length(length: usize) -> u64 {
    u64::from((length | 1).ilog2() / 7 + 1) + length as u64
}

impl Content<'_> {
    /// Stores the bytes out of band, and returns the reference to them, or `None` if they have to be written.
    fn put(&self) -> Option<[u8; REFERENCE]> {
        let number = store(self.0)?;
        let mut reference = [0; REFERENCE];
        let (mark, rest) = reference.split_at_mut(MARK.len());
        mark.copy_from_slice(&MARK);
        rest[..4].copy_from_slice(&number.to_le_bytes());
        rest[4..].copy_from_slice(&(self.0.len() as u64).to_le_bytes());
        Some(reference)
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !IS_OWN.try_with(|is_own| is_own.replace(false)).unwrap_or(false) {
            return serializer.serialize_bytes(self.0);
        }
        match self.put() {
            Some(reference) => serializer.serialize_bytes(&reference),
            None if self.0.starts_with(&MARK) => serializer.serialize_bytes(&[&MARK, self.0].concat()),
            None => serializer.serialize_bytes(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }
    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        let Some(marked) = bytes.strip_prefix(&MARK) else { return Ok(bytes.into()) };
        let Some(out_of_band) = out_of_band() else { return Ok(bytes.into()) };
        if marked.starts_with(&MARK) {
            return Ok(marked.into());
        }
        let (number, length) = marked.split_at_checked(4).unwrap_or_default();
        let (number, length) = (number.try_into().map(u32::from_le_bytes), length.try_into().map(u64::from_le_bytes));
        let bytes = number.ok().zip(length.ok()).and_then(|(number, length)| out_of_band.get(number, length));
        bytes.ok_or_else(|| {
            E::custom("bytes that were sent beside the value are not there, or there is no memory for them")
        })
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(text.as_bytes().into())
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Bytes, S::Error> {
        // Human-readable formats have no bytes, and write numbers.
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}
