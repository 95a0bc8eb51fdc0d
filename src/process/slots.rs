//! The page that a pool shares with one worker: which task is at what point, decided by compare-and-swap.
//!
//! A task that was sent to a worker is in one of 64 slots. Its word is `sequence << 3 | state`; no two tasks of a pool have
//! the same sequence number, so a swap that was meant for a task before it fails.
//!
//! | from | to | who | when |
//! |---|---|---|---|
//! | anything | `READY` | pool | before it sends the frame |
//! | `READY` | `RUNNING` | worker | before the call. If that fails, it skips the frame |
//! | `RUNNING` | `DONE` | worker | when the result is encoded, before it is sent. If that fails, it parks |
//! | `READY` | `REVOKED` | pool | cancel, or to give the task to another worker |
//! | `RUNNING` | `KILLED` | pool | abort, time limit; only then the worker is killed |
//! | `DONE` | `KILLED` | pool | time limit, if the result does not arrive |
//!
//! So `cancel() == true` is exact, and after a death the right task is blamed: the one that is `RUNNING`, or `DONE`
//! without its result; one that is `READY` was not touched.
//!
//! A chunk has in addition a word `next << 32 | end`: the worker takes an item by raising `next`, and the pool lowers `end` to
//! cancel what was not taken. And there is a journal, which survives the worker: what it has to say of the items of a chunk is
//! there before it begins the next one, and is sent when the journal is full or the chunk over. The pool reads it after a death.
//!
//! The memory can be written by the worker, so by whatever its tasks do: the pool compares and copies, and trusts nothing in it.
#![allow(unsafe_code)]

#[cfg(test)]
pub(super) mod meanwhile;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::sys::Memory;

pub(super) const COUNT: usize = 64;

/// Bytes of the journal.
pub(super) const JOURNAL: usize = 60 << 10;

const READY: u64 = 1;
const RUNNING: u64 = 2;
const DONE: u64 = 3;
const REVOKED: u64 = 4;
const KILLED: u64 = 5;

/// What both sides map. All zero at first.
#[repr(C)]
struct Shared {
    words: [AtomicU64; COUNT],
    items: [AtomicU64; COUNT],
    /// When the task that runs was started, by [`now`].
    started_at: AtomicU64,
    /// The sequence number of the chunk that the journal is of.
    journal_of: AtomicU64,
    /// The item that the journal begins with.
    journal_first: AtomicU64,
    /// `items << 32 | bytes` that are in the journal.
    journal_size: AtomicU64,
    /// How many segments of the worker the pool has copied out.
    collected: AtomicU64,
    /// How often the pool has sent something, and the worker: hints for who looks here before he sleeps.
    orders: AtomicU64,
    answers: AtomicU64,
}

impl Shared {
    fn swap(&self, slot: u8, sequence: u64, from: u64, to: u64) -> bool {
        let word = &self.words[usize::from(slot) % COUNT];
        let tagged = |state| sequence << 3 | state;
        word.compare_exchange(tagged(from), tagged(to), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

const JOURNAL_AT: usize = 4 << 10;
const LENGTH: usize = JOURNAL_AT + JOURNAL;
const _: () = assert!(size_of::<Shared>() <= JOURNAL_AT);

/// How long who waits for the other side looks here, and lets others run in between, before he sleeps. To wake a cpu that sleeps
/// takes longer than a tiny task there and back.
const LOOK: Duration = Duration::from_micros(50);

/// So often something is received that was told of, and was received before it was: then it is looked for once more.
pub(super) const TRIES: usize = 2;

/// Looks at a counter of what the other side has sent until it is another than `seen`, for a while at most. Is it?
fn look_for_more(counter: &AtomicU64, seen: &mut u64) -> bool {
    let begin = Instant::now();
    loop {
        let now = counter.load(Ordering::Acquire);
        if std::mem::replace(seen, now) != now {
            return true;
        }
        // On a busy machine a single yield may be a scheduler's whole turn.
        if begin.elapsed() > LOOK {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Where a task is, as the pool sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Ready,
    Running,
    Done,
    /// Another task's word, or nothing that was ever written here by the rules.
    Strange,
}

/// Nanoseconds by a clock that all processes share and that nobody sets.
pub(super) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

pub(super) struct Slots {
    base: NonNull<u8>,
}

// SAFETY: it is shared memory that is reached through atomics, and through copies in the two functions for the journal.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

impl Slots {
    /// Makes new ones, and the descriptor for the other side.
    pub(super) fn create() -> io::Result<(Self, OwnedFd)> {
        // Of another size than the mapping, a look at it would be the end of the pool's process.
        let memory = Memory::new(LENGTH)?.for_both()?;
        Ok((Self::map(&memory)?, memory))
    }

    /// Maps those of the other side.
    pub(super) fn map(memory: impl AsFd) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place the kernel chooses touches no other memory.
        let base = unsafe { mmap(std::ptr::null_mut(), LENGTH, protection, MapFlags::SHARED, memory, 0) }?;
        NonNull::new(base.cast()).map(|base| Self { base }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping is longer than a `Shared`, aligned to a page, lives as long as `self`, and any bits are atomics.
        unsafe { self.base.cast::<Shared>().as_ref() }
    }

    fn journal(&self) -> *mut u8 {
        // SAFETY: the mapping goes on behind this place.
        unsafe { self.base.as_ptr().add(JOURNAL_AT) }
    }

    // The pool's side.

    /// Here others may come in between.
    fn look(&self) -> &Shared {
        #[cfg(test)]
        meanwhile::happens();
        self.shared()
    }

    /// The task may be started from now on. `items`: of a chunk, the first and how many it has in all.
    pub(super) fn ready(&self, slot: u8, sequence: u64, items: Option<(u32, u32)>) {
        let index = usize::from(slot) % COUNT;
        if let Some((first, end)) = items {
            self.shared().items[index].store(pair(first, end), Ordering::Relaxed);
        }
        self.shared().words[index].store(sequence << 3 | READY, Ordering::Release);
    }

    pub(super) fn revoke(&self, slot: u8, sequence: u64) -> bool {
        self.look().swap(slot, sequence, READY, REVOKED)
    }

    pub(super) fn kill(&self, slot: u8, sequence: u64) -> bool {
        self.look().swap(slot, sequence, RUNNING, KILLED)
    }

    pub(super) fn kill_done(&self, slot: u8, sequence: u64) -> bool {
        self.look().swap(slot, sequence, DONE, KILLED)
    }

    pub(super) fn progress(&self, slot: u8, sequence: u64) -> Progress {
        let word = self.look().words[usize::from(slot) % COUNT].load(Ordering::Acquire);
        match (word >> 3 == sequence, word & 7) {
            (true, READY) => Progress::Ready,
            (true, RUNNING) => Progress::Running,
            (true, DONE) => Progress::Done,
            _ => Progress::Strange,
        }
    }

    /// When the task that was seen `Running` was started, by [`now`].
    pub(super) fn started_at(&self) -> u64 {
        self.shared().started_at.load(Ordering::Relaxed)
    }

    /// Takes back the items of a chunk that were not begun.
    pub(super) fn curtail(&self, slot: u8) {
        let lower = |word| Some(pair(first_of(word), first_of(word)));
        let _ = self.look().items[usize::from(slot) % COUNT].fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
    }

    /// Takes back half of the items that a chunk of `count` has not begun, the later ones, and says which. The first `known` have ended:
    /// where the worker has begun none after them, the next is left to it, which is the one that the chunk has died of, if it has.
    pub(super) fn halve(&self, slot: u8, sequence: u64, (known, count): (u32, u32)) -> Option<(u32, u32)> {
        let items = &self.look().items[usize::from(slot) % COUNT];
        let left = |word| (end_of(word) - first_of(word) + u32::from(first_of(word) <= known)) / 2;
        let middle = |word| first_of(word) + left(word);
        // What the worker has made of the word is its own; what it cannot be is not believed.
        let is_sound = |word| first_of(word) < end_of(word) && end_of(word) == count;
        let lower = |word| (is_sound(word) && middle(word) < count).then(|| pair(first_of(word), middle(word)));
        if !matches!(self.progress(slot, sequence), Progress::Ready | Progress::Running) {
            return None;
        }
        let word = items.fetch_update(Ordering::AcqRel, Ordering::Acquire, lower).ok()?;
        Some((middle(word), count))
    }

    /// How many items were begun, the first ones counted that were not even sent.
    pub(super) fn begun(&self, slot: u8) -> u32 {
        first_of(self.shared().items[usize::from(slot) % COUNT].load(Ordering::Acquire))
    }

    /// Something was sent to the worker.
    pub(super) fn note_order(&self) {
        self.shared().orders.fetch_add(1, Ordering::Release);
    }

    /// Looks for a while whether the worker has sent something since `seen`.
    pub(super) fn look_for_answer(&self, seen: &mut u64) -> bool {
        look_for_more(&self.shared().answers, seen)
    }

    /// So many segments of the worker were copied out.
    pub(super) fn collect(&self, count: u64) {
        self.shared().collected.store(count, Ordering::Release);
    }

    /// What the journal has of a chunk, once its worker is dead: the first item, how many, and the replies.
    pub(super) fn read_journal(&self, sequence: u64) -> Option<(u32, u32, Vec<u8>)> {
        let shared = self.shared();
        if shared.journal_of.load(Ordering::Acquire) != sequence {
            return None;
        }
        let first = u32::try_from(shared.journal_first.load(Ordering::Acquire)).ok()?;
        let size = shared.journal_size.load(Ordering::Acquire);
        let (count, length) = (first_of(size), end_of(size) as usize);
        if length > JOURNAL {
            return None;
        }
        let mut bytes = vec![0; length];
        // SAFETY: the journal has that many bytes, and its writer is dead.
        unsafe { self.journal().copy_to_nonoverlapping(bytes.as_mut_ptr(), length) };
        Some((first, count, bytes))
    }

    // The worker's side.

    /// Begins a task, at this time by [`now`].
    pub(super) fn start(&self, slot: u8, sequence: u64, clock: u64) -> bool {
        self.shared().started_at.store(clock, Ordering::Relaxed);
        self.shared().swap(slot, sequence, READY, RUNNING)
    }

    pub(super) fn finish(&self, slot: u8, sequence: u64) -> bool {
        self.shared().swap(slot, sequence, RUNNING, DONE)
    }

    /// Something was sent to the pool.
    pub(super) fn note_answer(&self) {
        self.shared().answers.fetch_add(1, Ordering::Release);
    }

    /// Looks for a while whether the pool has sent something since `seen`.
    pub(super) fn look_for_order(&self, seen: &mut u64) -> bool {
        look_for_more(&self.shared().orders, seen)
    }

    pub(super) fn collected(&self) -> u64 {
        self.shared().collected.load(Ordering::Acquire)
    }

    /// Takes the next item of the chunk that runs in this slot.
    pub(super) fn take_item(&self, slot: u8) -> Option<u32> {
        let raise = |word| (first_of(word) < end_of(word)).then(|| pair(first_of(word) + 1, end_of(word)));
        let items = &self.shared().items[usize::from(slot) % COUNT];
        items.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise).ok().map(first_of)
    }

    /// Empties the journal; what comes next is of the chunk `sequence` from the item `first` on.
    pub(super) fn begin_journal(&self, sequence: u64, first: u32) {
        let shared = self.shared();
        // In this order, no moment shows old items under a new name.
        shared.journal_size.store(0, Ordering::Release);
        shared.journal_first.store(first.into(), Ordering::Release);
        shared.journal_of.store(sequence, Ordering::Release);
    }

    /// Adds the reply to the next item. `false`: it does not fit.
    pub(super) fn write_journal(&self, reply: &[u8]) -> bool {
        let size = &self.shared().journal_size;
        let (count, length) = (first_of(size.load(Ordering::Relaxed)), end_of(size.load(Ordering::Relaxed)));
        if reply.len() > JOURNAL.saturating_sub(length as usize) {
            return false;
        }
        // SAFETY: below the journal's length, as was just checked.
        let end = unsafe { self.journal().add(length as usize) };
        // SAFETY: the rest of the journal is long enough; only this thread writes it, and nobody reads what is not counted.
        unsafe { end.copy_from_nonoverlapping(reply.as_ptr(), reply.len()) };
        size.store(pair(count + 1, length + reply.len() as u32), Ordering::Release);
        true
    }
}

fn pair(first: u32, end: u32) -> u64 {
    u64::from(first) << 32 | u64::from(end)
}

fn first_of(word: u64) -> u32 {
    (word >> 32) as u32
}

fn end_of(word: u64) -> u32 {
    word as u32
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and every borrow of it ends with `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), LENGTH) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_wins_a_task() {
        let slots = Slots::create().unwrap().0;
        slots.ready(3, 7, None);
        assert_eq!(slots.progress(3, 7), Progress::Ready);
        assert!(slots.start(3, 7, 0) && !slots.revoke(3, 7));
        assert_eq!(slots.progress(3, 7), Progress::Running);
        assert!(slots.finish(3, 7) && !slots.kill(3, 7));
        assert!(slots.kill_done(3, 7));
        slots.ready(3, 8, None);
        assert!(!slots.start(3, 7, 0), "the swap of a task before it");
        assert!(slots.revoke(3, 8) && !slots.start(3, 8, 0));
        assert_eq!(slots.progress(3, 8), Progress::Strange);
    }

    #[test]
    fn the_other_side_sees_the_same() {
        let (ours, memory) = Slots::create().unwrap();
        let theirs = Slots::map(&memory).unwrap();
        ours.ready(63, 1, Some((2, 5)));
        assert!(theirs.start(63, 1, 0));
        assert_eq!((theirs.take_item(63), ours.begun(63)), (Some(2), 3));
        ours.curtail(63);
        assert_eq!(theirs.take_item(63), None);
    }

    #[test]
    fn half_of_what_was_not_begun_is_taken_back() {
        let slots = Slots::create().unwrap().0;
        slots.ready(1, 4, Some((2, 8)));
        assert_eq!(slots.halve(1, 4, (2, 8)), Some((5, 8)), "whoever is idle need not look again once it has started");
        assert!(slots.start(1, 4, 0));
        assert_eq!(slots.halve(1, 4, (2, 5)), Some((4, 5)));
        assert_eq!(slots.halve(1, 4, (2, 4)), Some((3, 4)));
        assert_eq!(slots.halve(1, 4, (2, 3)), None, "it is about to be begun");
        assert_eq!(slots.take_item(1), Some(2));
        assert_eq!(slots.take_item(1), None);
        slots.ready(1, 5, Some((0, 2)));
        assert!(slots.start(1, 5, 0));
        assert_eq!(slots.take_item(1), Some(0));
        assert_eq!(slots.halve(1, 5, (0, 2)), Some((1, 2)), "behind one that runs all is taken");
        assert_eq!(slots.halve(1, 5, (0, 1)), None);
        assert_eq!(slots.halve(1, 4, (0, 1)), None, "another task's");
    }

    #[test]
    fn a_journal_is_read_back() {
        let slots = Slots::create().unwrap().0;
        slots.begin_journal(9, 4);
        assert!(slots.write_journal(b"one") && slots.write_journal(b"two"));
        assert_eq!(slots.read_journal(9), Some((4, 2, b"onetwo".to_vec())));
        assert_eq!(slots.read_journal(8), None);
        assert!(!slots.write_journal(&vec![0; JOURNAL]));
        slots.begin_journal(9, 6);
        assert_eq!(slots.read_journal(9), Some((6, 0, vec![])));
    }
}
