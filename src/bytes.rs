//! [`Bytes`]: bytes that are sent to another process fast.
//!
//! For every serialiser it is plain bytes. While this crate encodes a call for another process, an *out-of-band channel*
//! is set for the thread: it sends long bytes beside the encoding, which then holds a reference to them instead. Only
//! this crate's own serialiser may do that, and not one that a type runs inside its `Serialize`. So a `Bytes` passes
//! itself on under [`NAME`], which this crate's serialiser knows, and any other writes as plain bytes.
//!
//! | in the encoding | means |
//! |---|---|
//! | [`MARK`], a number, a length | the bytes with this number, out of band |
//! | `MARK`, and bytes that begin with `MARK` | those bytes, without the first `MARK` |
//! | any other bytes | these bytes |
//!
//! The type and the channel need each other, so they are in one file.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::sync::thread_local;

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

/// Sends long bytes beside an encoding.
pub(crate) trait OutOfBand: Send + Sync {
    /// Stores a copy and returns its number, or `None` if the bytes have to be written into the encoding.
    fn put(&self, bytes: &[u8]) -> Option<u32>;
    /// Releases the copies with these numbers, which are not needed after all.
    fn put_back(&self, numbers: &[u32]);
    /// Returns the bytes with this number.
    fn get(&self, number: u32, length: u64) -> Option<Bytes>;
}

/// The name under which a `Bytes` passes itself to a serialiser while an out-of-band channel is set.
pub(crate) const NAME: &str = "$concurrent_futures::Bytes";

/// Begins what is not the bytes themselves. Drawn at random once.
const MARK: [u8; 16] = *b"\x9d\x3e\xf0\x6b\x51\xc7\x08\xa4\x2f\xd9\x74\x1c\xe8\x95\x4a\xb6";

/// The length of a reference: the mark, the number and the length.
const REFERENCE: usize = MARK.len() + 4 + 8;

/// The channels of a thread. [`Use`] says which of them is in use.
struct Current {
    /// The channel that was lent or passed on last.
    out_of_band: Option<Arc<dyn OutOfBand>>,
    /// The numbers of what was stored in the channel that is in use.
    taken: Vec<u32>,
    /// The channel that the thread [keeps](keep).
    kept: Option<Arc<dyn OutOfBand>>,
}

impl Current {
    const fn new(out_of_band: Option<Arc<dyn OutOfBand>>) -> Self {
        Self { out_of_band, taken: Vec::new(), kept: None }
    }
}

/// Which channel a thread uses. It is apart from [`Current`], because few values store anything out of band: to encode the
/// others with the kept channel, it is enough to change this, which takes a few instructions.
#[derive(Clone, Copy)]
struct Use {
    /// The address of the kept channel. 0 if there is none, or while the thread uses another channel or none.
    kept: usize,
    /// The kept channel is in use.
    uses_kept: bool,
    /// The length of `Current::taken`.
    stored: usize,
}

impl Use {
    const NONE: Self = Self { kept: 0, uses_kept: false, stored: 0 };
}

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::new(Current::new(None));
    static USE: Cell<Use> = Cell::new(Use::NONE);
    /// The next `Content` is written by this crate's serialiser.
    static IS_OWN: Cell<bool> = Cell::new(false);
}

/// Replaces the [`Use`] of this thread, and returns the one before. Has no effect once the thread-locals are gone.
#[inline]
fn replace_use(by: Use) -> Use {
    USE.try_with(|current| current.replace(by)).unwrap_or(Use::NONE)
}

#[inline]
fn current_use() -> Use {
    USE.try_with(Cell::get).unwrap_or(Use::NONE)
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
struct RestoreChannel(Option<Arc<dyn OutOfBand>>, Use);

impl RestoreChannel {
    fn replaced(by: Option<Arc<dyn OutOfBand>>) -> Self {
        let replace = |current: &RefCell<Current>| std::mem::replace(&mut current.borrow_mut().out_of_band, by);
        let outer = current_use();
        replace_use(Use { stored: outer.stored, ..Use::NONE });
        Self(CURRENT.try_with(replace).ok().flatten(), outer)
    }
}

impl Drop for RestoreChannel {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.borrow_mut().out_of_band = self.0.take());
        replace_use(Use { stored: current_use().stored, ..self.1 });
    }
}

/// Encodes or decodes with an out-of-band channel, and also returns the numbers of the bytes that were stored. If the code
/// panics, these are put back.
pub(crate) fn with_out_of_band<R>(out_of_band: &Arc<dyn OutOfBand>, code: impl FnOnce() -> R) -> (R, Vec<u32>) {
    let mut restore = RestoreCurrent::lent(out_of_band);
    let result = code();
    (result, restore.restore())
}

/// Returns how often the encoding in progress on this thread has stored bytes so far. Each time gives one of the numbers
/// that [`with_out_of_band`] returns at the end, in this order.
pub(crate) fn stored() -> usize {
    current_use().stored
}

/// Stores a channel on this thread until the thread ends, so that encoding with it only sets a flag.
#[cfg(feature = "process")]
pub(crate) fn keep(out_of_band: Arc<dyn OutOfBand>) {
    let kept = address(&out_of_band);
    let _ = CURRENT.try_with(|current| current.borrow_mut().kept = Some(out_of_band));
    replace_use(Use { kept, ..current_use() });
}

/// Returns the address by which a channel is recognised.
fn address(out_of_band: &Arc<dyn OutOfBand>) -> usize {
    Arc::as_ptr(out_of_band).addr()
}

/// Restores the channels of the thread, at the latest when dropped.
struct RestoreCurrent(Previous);

/// What a thread had in use before a channel was lent to it.
enum Previous {
    /// It used no channel, and was lent the one that it keeps.
    Nothing,
    /// The state to restore, which is `None` if the thread-locals are gone.
    Other(Option<Current>, Use),
    /// The state has been restored.
    Restored,
}

impl RestoreCurrent {
    #[inline]
    fn lent(out_of_band: &Arc<dyn OutOfBand>) -> Self {
        let current = current_use();
        if current.kept == address(out_of_band) && !current.uses_kept {
            replace_use(Use { uses_kept: true, stored: 0, ..current });
            return Self(Previous::Nothing);
        }
        let inner = Current::new(Some(Arc::clone(out_of_band)));
        let outer = CURRENT.try_with(|current| current.replace(inner)).ok();
        Self(Previous::Other(outer, replace_use(Use::NONE)))
    }

    /// Restores the channels of the thread, and returns the numbers of what was stored since.
    #[inline]
    fn restore(&mut self) -> Vec<u32> {
        match std::mem::replace(&mut self.0, Previous::Restored) {
            Previous::Nothing => {
                let current = current_use();
                replace_use(Use { uses_kept: false, stored: 0, ..current });
                if current.stored == 0 { Vec::new() } else { take_numbers() }
            }
            Previous::Other(outer, outer_use) => {
                replace_use(outer_use);
                let inner = outer.and_then(|outer| CURRENT.try_with(|current| current.replace(outer)).ok());
                inner.map(|inner| inner.taken).unwrap_or_default()
            }
            Previous::Restored => Vec::new(),
        }
    }
}

/// Takes out the numbers of what was stored.
#[cold]
fn take_numbers() -> Vec<u32> {
    CURRENT.try_with(|current| std::mem::take(&mut current.borrow_mut().taken)).unwrap_or_default()
}

impl Drop for RestoreCurrent {
    /// If the code has panicked, puts back what it stored, because nobody gets the numbers. Otherwise does nothing.
    fn drop(&mut self) {
        if matches!(self.0, Previous::Restored) {
            return;
        }
        let out_of_band = if stored() > 0 { out_of_band() } else { None };
        let taken = self.restore();
        if let Some(out_of_band) = out_of_band {
            out_of_band.put_back(&taken);
        }
    }
}

/// Returns the out-of-band channel that this thread encodes or decodes with.
pub(crate) fn out_of_band() -> Option<Arc<dyn OutOfBand>> {
    let uses_kept = current_use().uses_kept;
    let channel = |current: &RefCell<Current>| {
        let current = current.borrow();
        if uses_kept { current.kept.clone() } else { current.out_of_band.clone() }
    };
    CURRENT.try_with(channel).ok().flatten()
}

/// Returns `true` if this thread encodes or decodes with an out-of-band channel.
fn has_out_of_band() -> bool {
    current_use().uses_kept || CURRENT.try_with(|current| current.borrow().out_of_band.is_some()).unwrap_or(false)
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
        let number = out_of_band()?.put(self.0)?;
        let _ = CURRENT.try_with(|current| current.borrow_mut().taken.push(number));
        let current = current_use();
        replace_use(Use { stored: current.stored + 1, ..current });
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;
    use crate::codec::{decode, encode, encode_onto};
    use crate::error::Part;
    use crate::sync::Mutex;

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

    /// A type may panic while it is encoded, and so may a callback.
    #[test]
    fn a_panic_restores_the_out_of_band_of_its_thread() {
        let nobody: Arc<dyn OutOfBand> = Arc::new(Nobody);
        let boom = || -> () { resume_unwind(Box::new(())) };
        with_out_of_band(&nobody, || {
            assert!(catch_unwind(|| apart(boom)).is_err());
            assert!(out_of_band().is_some());
        });
        assert!(catch_unwind(AssertUnwindSafe(|| with_out_of_band(&nobody, boom))).is_err());
        assert!(out_of_band().is_none());
    }

    /// Stores everything, and counts what is put back.
    #[derive(Default)]
    struct Store(Mutex<Vec<Vec<u8>>>, Mutex<Vec<u32>>);

    impl OutOfBand for Store {
        fn put(&self, bytes: &[u8]) -> Option<u32> {
            let mut stored = self.0.lock();
            stored.push(bytes.to_vec());
            u32::try_from(stored.len() - 1).ok()
        }
        fn put_back(&self, numbers: &[u32]) {
            self.1.lock().extend(numbers);
        }
        fn get(&self, number: u32, length: u64) -> Option<Bytes> {
            let stored = self.0.lock();
            stored.get(number as usize).filter(|bytes| bytes.len() as u64 == length).map(|bytes| bytes[..].into())
        }
    }

    #[test]
    #[cfg(feature = "process")]
    fn a_kept_channel_is_in_use_only_where_it_was_lent() {
        let [kept, other] = [Arc::<Store>::default(), Arc::<Store>::default()];
        let channels: [Arc<dyn OutOfBand>; 2] = [Arc::clone(&kept) as _, Arc::clone(&other) as _];
        let put = || drop(written(&vec![7_u8; 9]));
        let count = || (kept.0.lock().len(), other.0.lock().len(), stored());
        let on_its_thread = || {
            keep(Arc::clone(&channels[0]));
            put();
            assert_eq!(count(), (0, 0, 0));
            let ((), taken) = with_out_of_band(&channels[0], || {
                put();
                apart(put);
                assert_eq!(count(), (1, 0, 1));
                let ((), taken) = with_out_of_band(&channels[1], put);
                assert_eq!((count(), taken), ((1, 1, 1), vec![0]));
                let ((), taken) = with_out_of_band(&channels[0], put);
                assert_eq!((count(), taken), ((2, 1, 1), vec![1]));
                apart(|| assert_eq!(with_out_of_band(&channels[0], put).1, [2]));
                put();
            });
            assert_eq!((count(), taken), ((4, 1, 0), vec![0, 3]));
            put();
            assert_eq!(count(), (4, 1, 0));
            assert!(out_of_band().is_none());
            for channel in [&channels[0], &channels[1]] {
                let put_and_panic = || -> () {
                    put();
                    resume_unwind(Box::new(()))
                };
                assert!(catch_unwind(AssertUnwindSafe(|| with_out_of_band(channel, put_and_panic))).is_err());
            }
            assert_eq!((&*kept.1.lock(), &*other.1.lock()), (&vec![4], &vec![1]), "what a panic has lost is put back");
            assert!(with_out_of_band(&channels[0], || ()).1.is_empty());
        };
        std::thread::scope(|scope| scope.spawn(on_its_thread).join().unwrap());
    }

    fn across(out_of_band: &Arc<dyn OutOfBand>, bytes: &Bytes) -> Bytes {
        let across = || decode::<Bytes>(Part::Result, &encode(Part::Result, bytes).unwrap()).unwrap();
        with_out_of_band(out_of_band, across).0
    }

    /// Bytes in a box are written as they are read, so those that begin with the mark are marked too.
    #[test]
    fn boxed_bytes_that_look_like_a_reference_are_not_one() {
        let channels: [Arc<dyn OutOfBand>; 2] = [Arc::new(Nobody), Arc::<Store>::default()];
        for channel in channels {
            for end in [&[][..], &[0; 12], &MARK, b"abc"] {
                let boxed = Box::new([&MARK, end].concat());
                let read = || decode::<Box<Vec<u8>>>(Part::Result, &written(&boxed));
                assert!(with_out_of_band(&channel, read).0.is_ok_and(|read| read == boxed), "{end:?}");
            }
        }
    }

    #[test]
    fn bytes_that_look_like_a_reference_are_not_one() {
        let channels: [Arc<dyn OutOfBand>; 2] = [Arc::new(Nobody), Arc::<Store>::default()];
        for channel in channels {
            for end in [&[][..], &[0; 12], &MARK, b"abc"] {
                let bytes = Bytes::from([&MARK, end].concat());
                assert_eq!(across(&channel, &bytes), bytes);
            }
        }
    }

    fn written<T: Serialize + 'static>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_onto(Part::Result, value, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_vec_that_is_the_whole_value_goes_out_of_band_like_bytes() {
        let store = Arc::<Store>::default();
        let channels: [Arc<dyn OutOfBand>; 2] = [Arc::new(Nobody), Arc::clone(&store) as _];
        for channel in channels {
            for bytes in [&[][..], &[0], &MARK, &[&MARK[..], &[0; 12]].concat(), &[&MARK[..], &MARK].concat()] {
                let bytes = bytes.to_vec();
                let written = || written(&bytes);
                let across = || {
                    let (one, other) = (decode::<Vec<u8>>(Part::Result, &written()), written());
                    (one.unwrap(), *decode::<Box<_>>(Part::Result, &other).unwrap())
                };
                assert_eq!(with_out_of_band(&channel, across).0, (bytes.clone(), bytes));
            }
        }
        assert_eq!(store.0.lock().len(), 10);
        let channel: Arc<dyn OutOfBand> = Arc::clone(&store) as _;
        with_out_of_band(&channel, || written(&vec![vec![7_u8]; 2]));
        assert_eq!(store.0.lock().len(), 10, "inside of another type, it is written as serde does it");
    }

    #[test]
    fn only_the_serialiser_of_this_crate_sends_bytes_out_of_band() {
        let store = Arc::<Store>::default();
        let channel: Arc<dyn OutOfBand> = Arc::clone(&store) as _;
        let bytes = Bytes::from([7; 9]);
        let (plain, taken) = with_out_of_band(&channel, || postcard::to_stdvec(&bytes).unwrap());
        assert_eq!((plain, taken), (postcard::to_stdvec(&bytes).unwrap(), Vec::new()));
        assert!(store.0.lock().is_empty());
        assert_eq!(across(&channel, &bytes), bytes);
        assert_eq!(store.0.lock().len(), 1);
    }

    #[test]
    fn a_reference_to_nothing_is_an_error() {
        let channel: Arc<dyn OutOfBand> = Arc::new(Nobody);
        for reference in [&MARK[..], &[&MARK[..], &[0; 12]].concat(), &[&MARK[..], &[0; 3]].concat()] {
            let bytes = postcard::to_stdvec(&Bytes::from(reference)).unwrap();
            let read = with_out_of_band(&channel, || decode::<Bytes>(Part::Result, &bytes)).0;
            assert!(read.unwrap_err().to_string().contains("are not there"));
        }
    }
}
