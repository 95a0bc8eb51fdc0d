//! [`Bytes`]: the type, without its serialisation.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Bytes that are sent to another process fast.
///
/// In every format, serde writes a `Vec<u8>` as a sequence of small numbers, one by one, which takes a millisecond per
/// megabyte. A `Bytes` is written and read as a whole. One of 256 KiB or more goes to a worker process through shared
/// memory: the worker reads it in place, and what it sends back is copied once.
///
/// A `Vec<u8>` that is itself the argument, the result or the context of a task on a process, or an item of a map there,
/// is sent like a `Bytes`, but it is copied once more where it arrives. So a `Bytes` is for bytes within another type,
/// such as a tuple, and for functions that only read them.
///
/// The first transfers of a length take longer, until both processes have mapped the memory for it.
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
