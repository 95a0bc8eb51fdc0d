//! [`Bytes`]: bytes that are sent to another process fast.
//!
//! For other serialisers it is plain bytes. While this crate encodes a call for another process, an *out-of-band
//! channel* is set for the thread: it sends long bytes beside the encoding, which then holds only their number. So in
//! such an encoding a `Bytes` is a pair: 0 and the bytes, or the number plus one and the length.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use crate::sync::thread_local;

/// Bytes that are sent to another process fast.
///
/// In every format, serde writes a `Vec<u8>` as a sequence of small numbers, one by one, which takes a millisecond per
/// megabyte. A `Bytes` is written and read as a whole. One of 256 KiB or more goes to a worker process through shared
/// memory: the worker reads it in place, and what it sends back is copied once.
///
/// Derefs to `[u8]`. Converts from and into a `Vec<u8>` without a copy, except that bytes that were read in place are
/// copied. Clones share the bytes.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Bytes, Error, Executor, InlineExecutor};
///
/// fn count_zeros(picture: Bytes) -> usize {
///     picture.iter().filter(|byte| **byte == 0).count()
/// }
///
/// let picture = Bytes::from(vec![0, 1, 0]);
/// assert_eq!(InlineExecutor.submit(count_zeros, picture).result()?, 2);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Bytes(Repr);

#[derive(Clone)]
enum Repr {
    Owned(Arc<Vec<u8>>),
    /// In memory that is shared with another process, which no longer writes it.
    Mapped(Arc<dyn AsRef<[u8]> + Send + Sync>, usize),
}

impl Bytes {
    /// Returns the bytes, without a copy unless they are shared or were read in place.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Repr::Owned(bytes) => Arc::try_unwrap(bytes).unwrap_or_else(|bytes| bytes.to_vec()),
            Repr::Mapped(..) => self.to_vec(),
        }
    }

    /// Creates it from the first `length` bytes of memory that is no longer written.
    pub(crate) fn mapped(mapping: Arc<dyn AsRef<[u8]> + Send + Sync>, length: usize) -> Self {
        Self(Repr::Mapped(mapping, length))
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Owned(bytes) => bytes,
            Repr::Mapped(mapping, length) => &(**mapping).as_ref()[..*length],
        }
    }
}

impl Default for Bytes {
    /// Creates an empty one.
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(Arc::new(bytes)))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.into_vec()
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Self {
        Self::from(Vec::from(bytes))
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        Self::from(Vec::from_iter(bytes))
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl Eq for Bytes {}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<Bytes> for [u8] {
    fn eq(&self, other: &Bytes) -> bool {
        *self == **other
    }
}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    /// Compares byte by byte, as slices do.
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl IntoIterator for Bytes {
    type Item = u8;
    type IntoIter = std::vec::IntoIter<u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}

impl<'a> IntoIterator for &'a Bytes {
    type Item = &'a u8;
    type IntoIter = std::slice::Iter<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Bytes {
    /// Shows the length and the first few bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FEW: usize = 16;
        match self.split_at_checked(FEW) {
            Some((first, [_, ..])) => write!(f, "Bytes({} bytes, {first:?}..)", self.len()),
            _ => write!(f, "Bytes({:?})", &**self),
        }
    }
}

/// Sends long bytes beside an encoding.
pub(crate) trait OutOfBand: Send + Sync {
    /// Stores a copy and returns its number, or `None` if the bytes have to be written into the encoding.
    fn put(&self, bytes: &[u8]) -> Option<u32>;
    /// Releases the copies with these numbers, which are not needed after all.
    fn put_back(&self, numbers: &[u32]);
    /// Returns the bytes with this number.
    fn get(&self, number: u32, length: u64) -> Option<Bytes>;
}

#[derive(Default)]
struct Current {
    out_of_band: Option<Arc<dyn OutOfBand>>,
    taken: Vec<u32>,
}

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::new(Current { out_of_band: None, taken: Vec::new() });
}

/// Runs code that is unrelated to the encoding in progress on this thread, such as a callback, without an out-of-band
/// channel.
pub(crate) fn apart<R>(code: impl FnOnce() -> R) -> R {
    with(None, code)
}

/// Encodes or decodes with the out-of-band channel of another thread.
pub(crate) fn with<R>(out_of_band: Option<Arc<dyn OutOfBand>>, code: impl FnOnce() -> R) -> R {
    let _restore = RestoreChannel::replaced(out_of_band);
    code()
}

/// Restores the out-of-band channel of the thread when dropped.
struct RestoreChannel(Option<Arc<dyn OutOfBand>>);

impl RestoreChannel {
    fn replaced(by: Option<Arc<dyn OutOfBand>>) -> Self {
        let replace = |current: &RefCell<Current>| std::mem::replace(&mut current.borrow_mut().out_of_band, by);
        Self(CURRENT.try_with(replace).ok().flatten())
    }
}

impl Drop for RestoreChannel {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.borrow_mut().out_of_band = self.0.take());
    }
}

/// Encodes or decodes with an out-of-band channel, and also returns the numbers of the bytes that were stored.
pub(crate) fn with_out_of_band<R>(out_of_band: &Arc<dyn OutOfBand>, code: impl FnOnce() -> R) -> (R, Vec<u32>) {
    let mut restore = RestoreCurrent::lent(out_of_band);
    let result = code();
    (result, restore.swap())
}

/// Returns how many bytes the encoding in progress on this thread has stored so far. Each is one of the numbers that
/// [`with_out_of_band`] returns at the end, in this order.
pub(crate) fn stored() -> usize {
    CURRENT.try_with(|current| current.borrow().taken.len()).unwrap_or(0)
}

/// Restores the previous state of the thread.
struct RestoreCurrent(Option<Current>);

impl RestoreCurrent {
    fn lent(out_of_band: &Arc<dyn OutOfBand>) -> Self {
        let inner = Current { out_of_band: Some(Arc::clone(out_of_band)), taken: Vec::new() };
        Self(CURRENT.try_with(|current| current.replace(inner)).ok())
    }

    fn swap(&mut self) -> Vec<u32> {
        let Some(outer) = self.0.take() else { return Vec::new() };
        CURRENT.try_with(|current| current.replace(outer)).map_or_else(|_| Vec::new(), |inner| inner.taken)
    }
}

impl Drop for RestoreCurrent {
    fn drop(&mut self) {
        self.swap();
    }
}

/// Returns the out-of-band channel that this thread encodes or decodes with.
pub(crate) fn out_of_band() -> Option<Arc<dyn OutOfBand>> {
    CURRENT.try_with(|current| current.borrow().out_of_band.clone()).ok().flatten()
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(out_of_band) = out_of_band() else {
            return serializer.serialize_bytes(self);
        };
        let mut pair = serializer.serialize_tuple(2)?;
        match out_of_band.put(self) {
            Some(number) => {
                let _ = CURRENT.try_with(|current| current.borrow_mut().taken.push(number));
                pair.serialize_element(&(u64::from(number) + 1))?;
                pair.serialize_element(&(self.len() as u64))?;
            }
            None => {
                pair.serialize_element(&0_u64)?;
                pair.serialize_element(&Whole(self))?;
            }
        }
        pair.end()
    }
}

/// Written in one piece.
struct Whole<'a>(&'a [u8]);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match out_of_band() {
            None => deserializer.deserialize_byte_buf(WholeVisitor).map(Self::from),
            Some(out_of_band) => deserializer.deserialize_tuple(2, PairVisitor(out_of_band)),
        }
    }
}

/// Read in one piece.
struct Read(Vec<u8>);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(WholeVisitor).map(Self)
    }
}

struct WholeVisitor;

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }
    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Vec<u8>, S::Error> {
        // Human-readable formats have no bytes, and write numbers.
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

struct PairVisitor(Arc<dyn OutOfBand>);

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, or the number of what was taken along")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut pair: S) -> Result<Bytes, S::Error> {
        let missing = || de::Error::custom("bytes that are cut off");
        let token: u64 = pair.next_element()?.ok_or_else(missing)?;
        let Some(number) = token.checked_sub(1) else {
            let Read(bytes) = pair.next_element()?.ok_or_else(missing)?;
            return Ok(bytes.into());
        };
        let length = pair.next_element()?.ok_or_else(missing)?;
        let number = u32::try_from(number).ok();
        number.and_then(|number| self.0.get(number, length)).ok_or_else(|| {
            de::Error::custom("bytes that were taken along are not there, or there is no memory for them")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    struct Nobody;

    impl OutOfBand for Nobody {
        fn put(&self, _: &[u8]) -> Option<u32> {
            None
        }
        fn put_back(&self, _: &[u32]) {}
        fn get(&self, _: u32, _: u64) -> Option<Bytes> {
            None
        }
    }

    /// A type may panic as it is encoded, and a callback as well.
    #[test]
    fn a_panic_leaves_no_carrier_behind_and_takes_none_away() {
        let nobody: Arc<dyn OutOfBand> = Arc::new(Nobody);
        let boom = || -> () { resume_unwind(Box::new(())) };
        with_out_of_band(&nobody, || {
            assert!(catch_unwind(|| apart(boom)).is_err());
            assert!(out_of_band().is_some());
        });
        assert!(catch_unwind(AssertUnwindSafe(|| with_out_of_band(&nobody, boom))).is_err());
        assert!(out_of_band().is_none());
    }
}
