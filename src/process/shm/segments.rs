//! Segments: shared memory that carries long bytes from one process to another, beside the socket.
//!
//! A segment belongs to the side that created it, and only that side writes it. Its descriptor is sent to the other
//! side once; from then on the segment is known by its number. The size of its memory is sealed where the system can do
//! that, so that neither side can make the other access memory that does not exist.
//!
//! - **To a worker**: the submitter copies the bytes into a free segment and the worker reads them in place. The
//!   segment is free again when the task is over, unless the worker reports that the task kept some of the bytes: then
//!   it is never used again.
//! - **From a worker**: the worker copies the bytes into a free segment. The pool copies them out before user code sees
//!   them, and reports that by raising a counter in the task table. It does not trust the worker not to write
//!   meanwhile.
//!
//! The two owners and the two readers of segments mirror each other, so they are in one file; `mapping` has the memory.

mod mapping;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::mm::ProtFlags;

use crate::bytes::{Bytes, OutOfBand, longer_in_place};
use crate::process::os::Memory;
use crate::sync::Mutex;
pub(in crate::process) use mapping::Mapping;

/// The length from which bytes go through a segment. A single transfer is faster through a segment from 32 KiB on (1 MB
/// there and back takes a quarter of the time), but if hundreds are in flight at once, short ones lose more by touching
/// memory that was not used before.
pub(in crate::process) const LONG: usize = 256 << 10;

/// How many segments an owner has at most, as each one is a descriptor. Further bytes go through the socket.
const MOST: usize = 64;

/// How many segments of the other side are mapped at most: it may have dropped some and report that later. A side that
/// sends more is damaged, and would use up all the mappings that a process may have.
const MOST_KNOWN: usize = 4 * MOST;

/// How many bytes of free segments an owner keeps.
const KEPT: usize = 128 << 20;

/// A segment that this side owns.
struct Segment {
    number: u32,
    mapping: Arc<Mapping>,
    memory: Arc<OwnedFd>,
    use_: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Free,
    /// It holds this many bytes for the other side.
    Full(usize),
    /// Of a worker: free once the pool has copied out this many segments.
    Until(u64),
}

/// A segment that was given out: all that the other side needs to read it.
#[derive(Clone)]
pub(in crate::process) struct SegmentRef {
    pub(in crate::process) number: u32,
    pub(in crate::process) length: usize,
    pub(in crate::process) memory: Arc<OwnedFd>,
}

/// Returns the length that an encoding would have if it held the bytes of these segments itself. This is what is compared
/// with `max_message_size`, so that the limit is the same however bytes are sent.
pub(in crate::process) fn message_size(encoding: usize, segments: &[SegmentRef]) -> u64 {
    encoding as u64 + segments.iter().map(|segment| longer_in_place(segment.length)).sum::<u64>()
}

/// The segments that one side owns.
#[derive(Default)]
pub(in crate::process) struct SegmentPool(Mutex<Owned>);

#[derive(Default)]
struct Owned {
    segments: Vec<Segment>,
    /// How many segments are being made, outside the lock. They count towards the limit.
    in_making: usize,
    next: u32,
    /// Of a worker: how many segments the pool has copied out, as last reported.
    collected: u64,
    /// Numbers of dropped segments that the other side has not been told about.
    gone: Vec<u32>,
}

impl Segment {
    fn is_free(&self, collected: u64) -> bool {
        match self.use_ {
            Use::Free => true,
            Use::Full(_) => false,
            Use::Until(count) => count <= collected,
        }
    }
}

impl SegmentPool {
    /// Returns the filled segments with these numbers.
    pub(in crate::process) fn references(&self, numbers: &[u32]) -> Vec<SegmentRef> {
        let owned = self.0.lock();
        let segment = |number: &u32| {
            let segment = owned.segments.iter().find(|segment| segment.number == *number)?;
            let Use::Full(length) = segment.use_ else { return None };
            Some(SegmentRef { number: *number, length, memory: Arc::clone(&segment.memory) })
        };
        numbers.iter().filter_map(segment).collect()
    }

    /// Takes segments back. If `kept`, the other side has kept bytes of them, and they are not used again.
    pub(in crate::process) fn release(&self, segments: &[SegmentRef], kept: bool) {
        self.release_numbers(segments.iter().map(|segment| segment.number), kept);
    }

    pub(in crate::process) fn release_numbers(&self, numbers: impl Iterator<Item = u32>, kept: bool) {
        let mut dropped = Vec::new();
        let mut owned = self.0.lock();
        for number in numbers {
            let Some(at) = owned.segments.iter().position(|segment| segment.number == number) else {
                continue;
            };
            owned.segments[at].use_ = Use::Free;
            if kept {
                dropped.push(owned.segments.remove(at));
                owned.gone.push(number);
            }
        }
        owned.trim(&mut dropped);
        drop(owned);
        // Giving memory back takes time, so that is not done under the lock.
        drop(dropped);
    }

    /// Drops free segments above the limit. Returns the numbers of all dropped segments that the other side has to
    /// forget.
    pub(in crate::process) fn trim(&self) -> Vec<u32> {
        let mut dropped = Vec::new();
        let mut owned = self.0.lock();
        owned.trim(&mut dropped);
        let gone = std::mem::take(&mut owned.gone);
        drop(owned);
        drop(dropped);
        gone
    }

    /// Of a worker: marks segments that went out with a reply; they are free once the pool has copied out `until`
    /// segments.
    pub(in crate::process) fn hand_over(&self, numbers: &[u32], until: u64) {
        for segment in &mut self.0.lock().segments {
            if numbers.contains(&segment.number) {
                segment.use_ = Use::Until(until);
            }
        }
    }

    /// Of a worker: stores how many segments the pool has copied out.
    pub(in crate::process) fn collected(&self, count: u64) {
        self.0.lock().collected = count;
    }

    /// Finds a free segment for `length` bytes, or makes one. Making one takes as long as the system needs to provide
    /// the memory, so only its place is reserved under the lock: meanwhile others find and release segments.
    fn take(&self, length: usize) -> io::Result<(u32, Arc<Mapping>)> {
        let mut owned = self.0.lock();
        if let Some(found) = owned.find(length) {
            return Ok(found);
        }
        let dropped = owned.reserve()?;
        drop(owned);
        drop(dropped);
        let made = make(length);
        let mut owned = self.0.lock();
        owned.in_making -= 1;
        let (mapping, memory) = made?;
        let number = owned.next;
        owned.next += 1;
        owned.segments.push(Segment { number, mapping: Arc::clone(&mapping), memory, use_: Use::Full(length) });
        Ok((number, mapping))
    }
}

/// Makes the memory of a segment for `length` bytes.
fn make(length: usize) -> io::Result<(Arc<Mapping>, Arc<OwnedFd>)> {
    #[cfg(test)]
    tests::note_making();
    // Rounded up, so that it also fits the next bytes if they are a little longer.
    let size = length.checked_next_multiple_of(LONG).ok_or(io::ErrorKind::OutOfMemory)?;
    let memory = Memory::new(size)?;
    let mapping = Arc::new(Mapping::map(&memory, size, ProtFlags::READ | ProtFlags::WRITE)?);
    mapping.back(length)?;
    Ok((mapping, Arc::new(memory.for_reading()?)))
}

impl Owned {
    /// Finds a free segment for `length` bytes that is at most twice as long.
    fn find(&mut self, length: usize) -> Option<(u32, Arc<Mapping>)> {
        let collected = self.collected;
        let fits = |segment: &Segment| (length..=length.saturating_mul(2)).contains(&segment.mapping.length);
        let found = self.segments.iter_mut().filter(|segment| segment.is_free(collected) && fits(segment));
        let segment = found.min_by_key(|segment| segment.mapping.length)?;
        segment.use_ = Use::Full(length);
        Some((segment.number, Arc::clone(&segment.mapping)))
    }

    /// Reserves the place of one more segment. If the limit is reached, returns a free segment to be dropped for it, or
    /// fails if none is free.
    fn reserve(&mut self) -> io::Result<Option<Segment>> {
        let mut dropped = None;
        if self.segments.len() + self.in_making >= MOST {
            let collected = self.collected;
            let free = self.segments.iter().position(|segment| segment.is_free(collected));
            let segment = self.segments.swap_remove(free.ok_or(io::ErrorKind::QuotaExceeded)?);
            self.gone.push(segment.number);
            dropped = Some(segment);
        }
        self.in_making += 1;
        Ok(dropped)
    }

    /// Takes out free segments above the limit, for the caller to drop.
    fn trim(&mut self, dropped: &mut Vec<Segment>) {
        let Self { segments, collected, gone, .. } = self;
        let mut free = 0;
        let is_too_much = |segment: &mut Segment| {
            let is_free = segment.is_free(*collected);
            free += if is_free { segment.mapping.length } else { 0 };
            is_free && free > KEPT
        };
        for segment in segments.extract_if(.., is_too_much) {
            gone.push(segment.number);
            dropped.push(segment);
        }
    }
}

impl OutOfBand for SegmentPool {
    fn put(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() < LONG {
            return None;
        }
        // If there is no memory or descriptor for it, the bytes go through the socket.
        let (number, mapping) = self.take(bytes.len()).ok()?;
        mapping.fill(bytes);
        Some(number)
    }

    fn put_back(&self, numbers: &[u32]) {
        self.release_numbers(numbers.iter().copied(), false);
    }

    fn get(&self, _number: u32, _length: u64) -> Option<Bytes> {
        None
    }
}

/// The segments of the other side that are known here.
#[derive(Default)]
pub(in crate::process) struct PeerSegments(Mutex<HashMap<u32, Arc<Mapping>>>);

impl PeerSegments {
    pub(in crate::process) fn add(&self, number: u32, mapping: Mapping) {
        self.0.lock().insert(number, Arc::new(mapping));
    }

    /// Returns `true` if no more segments may be added.
    pub(in crate::process) fn is_full(&self) -> bool {
        self.0.lock().len() >= MOST_KNOWN
    }

    pub(in crate::process) fn forget(&self, number: u32) {
        let forgotten = self.0.lock().remove(&number);
        drop(forgotten);
    }

    /// Returns `true` if a `Bytes` of one of these segments is still alive. If so, all of them are forgotten here; each
    /// mapping lives as long as its `Bytes`.
    pub(in crate::process) fn are_kept(&self, numbers: &[u32]) -> bool {
        let mut known = self.0.lock();
        let kept = numbers.iter().any(|number| known.get(number).is_some_and(|mapping| Arc::strong_count(mapping) > 1));
        if kept {
            known.retain(|number, _| !numbers.contains(number));
        }
        kept
    }

    fn find(&self, number: u32) -> Option<Arc<Mapping>> {
        self.0.lock().get(&number).cloned()
    }
}

/// The out-of-band side of a worker: it reads the pool's segments in place and writes its own.
#[derive(Default)]
pub(in crate::process) struct WorkerOutOfBand {
    pub(in crate::process) store: SegmentPool,
    pub(in crate::process) known: PeerSegments,
    /// Segments of the pool that could not be mapped when they came, for lack of memory.
    unmapped: Mutex<HashMap<u32, OwnedFd>>,
    /// Numbers of the segments that the running task has read.
    pub(in crate::process) read: Mutex<Vec<u32>>,
    /// How many more segments this result may use: a reply counts them in one byte.
    pub(in crate::process) room: AtomicU8,
}

impl WorkerOutOfBand {
    /// Adds a segment of the pool. If it cannot be mapped, only the task that needs it fails.
    pub(in crate::process) fn learn(&self, number: u32, memory: OwnedFd) {
        self.unmapped.lock().insert(number, memory);
        self.map(number);
    }

    pub(in crate::process) fn forget(&self, number: u32) {
        let forgotten = self.unmapped.lock().remove(&number);
        drop(forgotten);
        self.known.forget(number);
    }

    fn map(&self, number: u32) -> Option<Arc<Mapping>> {
        let mut unmapped = self.unmapped.lock();
        self.known.add(number, Mapping::of_peer(unmapped.get(&number)?).ok()?);
        unmapped.remove(&number);
        self.known.find(number)
    }
}

impl OutOfBand for WorkerOutOfBand {
    fn put(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() < LONG || self.room.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.room.fetch_sub(1, Ordering::Relaxed);
        self.store.put(bytes)
    }

    fn put_back(&self, numbers: &[u32]) {
        self.store.put_back(numbers);
    }

    fn get(&self, number: u32, length: u64) -> Option<Bytes> {
        let mapping = self.known.find(number).or_else(|| self.map(number))?;
        let length = usize::try_from(length).ok().filter(|length| *length <= mapping.length)?;
        self.read.lock().push(number);
        Some(Bytes::mapped(mapping, length))
    }
}

/// The out-of-band side of a pool: it copies the bytes of a worker out.
impl OutOfBand for PeerSegments {
    fn put(&self, _bytes: &[u8]) -> Option<u32> {
        None
    }

    fn put_back(&self, _numbers: &[u32]) {}

    fn get(&self, number: u32, length: u64) -> Option<Bytes> {
        let mapping = self.find(number)?;
        mapping.copy(usize::try_from(length).ok()?).map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rustix::fs::ftruncate;

    use super::*;

    thread_local! {
        /// Called when this thread makes a segment.
        static WHILE_MAKING: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
    }

    pub(super) fn note_making() {
        WHILE_MAKING.with_borrow(|call| call.iter().for_each(|call| call()));
    }

    #[test]
    fn a_segment_is_made_while_others_are_used_and_released() {
        let store = Arc::<SegmentPool>::default();
        let long = vec![7; LONG];
        let first = store.put(&long).unwrap();
        let (other, seen) = (Arc::clone(&store), Arc::new(Mutex::new(None)));
        let used = Arc::clone(&seen);
        WHILE_MAKING.set(Some(Box::new(move || {
            if let Some(owned) = other.0.try_lock() {
                drop(owned);
                other.put_back(&[first]);
                *used.lock() = other.put(&[7; LONG]);
            }
        })));
        let second = store.put(&vec![7; 3 * LONG]);
        WHILE_MAKING.set(None);
        assert!(second.is_some_and(|second| second != first));
        assert_eq!(*seen.lock(), Some(first), "one that was released meanwhile is used");
    }

    #[test]
    fn no_more_segments_are_made_at_the_same_time_than_the_limit_allows() {
        let store = Arc::<SegmentPool>::default();
        let numbers: Vec<_> = (1..MOST).map(|_| store.put(&[7; LONG]).unwrap()).collect();
        let (other, one_more) = (Arc::clone(&store), Arc::new(Mutex::new(None)));
        let refused = Arc::clone(&one_more);
        WHILE_MAKING.set(Some(Box::new(move || *refused.lock() = Some(other.put(&[7; LONG])))));
        assert!(store.put(&[7; LONG]).is_some_and(|number| !numbers.contains(&number)));
        WHILE_MAKING.set(None);
        assert_eq!(*one_more.lock(), Some(None));
        assert_eq!(store.0.lock().segments.len(), MOST);
    }

    #[test]
    fn a_segment_is_used_again_once_it_is_free() {
        let store = SegmentPool::default();
        let long = vec![7; LONG];
        let first = store.put(&long).unwrap();
        let second = store.put(&long).unwrap();
        assert_ne!(first, second, "the first is still in use");
        let segments = store.references(&[first]);
        assert_eq!(segments[0].length, LONG);
        store.release(&segments, false);
        assert!(store.trim().is_empty());
        assert_eq!(store.put(&long), Some(first));
        let segments = store.references(&[first]);
        store.release(&segments, true);
        assert_eq!(store.trim(), [first], "a segment kept by the worker is never used again");
        assert_ne!(store.put(&long), Some(first));
        assert_eq!(store.put(&long[1..]), None, "short bytes stay where they are");
    }

    #[test]
    fn a_free_segment_is_replaced_by_one_of_another_length() {
        let store = SegmentPool::default();
        let long = vec![7; LONG];
        let numbers: Vec<_> = (0..MOST).map(|_| store.put(&long).unwrap()).collect();
        assert_eq!(store.put(&long), None, "every segment is in use, and no more are allowed");
        store.put_back(&numbers[3..5]);
        let longer = vec![7; 2 * LONG + 1];
        assert!(store.put(&longer).is_some_and(|number| !numbers.contains(&number)));
        assert_eq!(store.trim(), [numbers[3]], "the worker has to forget the removed segment");
        assert_eq!(store.put(&long), Some(numbers[4]), "no other segment is removed");
    }

    #[test]
    fn the_other_side_reads_and_cannot_write() {
        let store = SegmentPool::default();
        let number = store.put(&vec![7; LONG + 1]).unwrap();
        let memory = Arc::clone(&store.references(&[number])[0].memory);
        let peer = Mapping::of_peer(&*memory).unwrap();
        assert!(peer.as_ref()[..LONG + 1].iter().all(|byte| *byte == 7));
        assert_eq!(peer.copy(2), Some(vec![7, 7]));
        assert_eq!(peer.copy(usize::MAX), None);
        assert!(Mapping::map(&*memory, LONG, ProtFlags::READ | ProtFlags::WRITE).is_err());
        assert!(ftruncate(&*memory, 0).is_err());
    }

    #[cfg(all(target_os = "linux", not(portable)))]
    #[test]
    fn a_segment_that_could_shrink_is_refused() {
        use rustix::fs::{MemfdFlags, memfd_create};
        let unsealed = memfd_create("unsealed", MemfdFlags::CLOEXEC).unwrap();
        assert!(Mapping::of_peer(&unsealed).is_err());
    }

    #[test]
    fn segments_kept_by_a_task_are_reported() {
        let store = SegmentPool::default();
        let number = store.put(&vec![7; LONG]).unwrap();
        let worker = WorkerOutOfBand::default();
        let memory = Arc::clone(&store.references(&[number])[0].memory);
        worker.known.add(number, Mapping::of_peer(&*memory).unwrap());
        let bytes = worker.get(number, LONG as u64).unwrap();
        assert_eq!((bytes.len(), bytes[LONG - 1]), (LONG, 7));
        assert!(worker.get(number, LONG as u64 + 1).is_none());
        assert!(worker.known.are_kept(&[number]));
        assert!(worker.get(number, 1).is_none(), "forgotten");
        assert_eq!(bytes[0], 7, "but not gone");
    }
}
