//! The page that a pool shares with one worker: which task is at what point, decided by compare-and-swap.
//!
//! A task that was sent to a worker is in one of 64 slots: see [`words`]. And there is a journal, which survives the worker: what it
//! has to say of the items of a chunk is there before it begins the next one, and is sent when the journal is full or the chunk over.
//! The pool reads it after a death.
//!
//! Short answers take no other way than this memory: see [`letters`] and [`mail`].
//!
//! The memory can be written by the worker, so by whatever its tasks do: the pool compares and copies, and trusts nothing in it.
#![allow(unsafe_code)]

mod letters;
mod mailbox;
#[cfg(test)]
pub(in crate::process) mod meanwhile;
mod read_right;
mod words;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::process::os::{self, Memory};
use mailbox::Mailbox;
pub(in crate::process) use read_right::ReadRight;
pub(in crate::process) use words::Progress;
use words::{TaskWords, end_of, first_of, pair};

pub(in crate::process) const COUNT: usize = 64;

/// Bytes of the journal.
pub(in crate::process) const JOURNAL: usize = 60 << 10;

/// The longest frame that goes as a letter.
const LETTER: usize = 512;

/// What both sides map. All zero at first.
#[repr(C)]
struct Shared {
    words: TaskWords<COUNT>,
    /// The sequence number of the chunk that the journal is of.
    journal_of: AtomicU64,
    /// The item that the journal begins with.
    journal_first: AtomicU64,
    /// `items << 32 | bytes` that are in the journal.
    journal_size: AtomicU64,
    /// How many segments of the worker the pool has copied out.
    collected: AtomicU64,
    /// How often the pool has sent something: a hint for the worker, which looks here before it sleeps.
    orders: AtomicU64,
    /// Not zero: a thread of the worker that runs tasks has vanished, and the worker ends for that reason.
    vanished: AtomicU64,
    /// The id of the worker process, if it ran out of memory.
    shortage: AtomicU64,
    mail: Mailbox,
}

const JOURNAL_AT: usize = 4 << 10;
const LETTERS_AT: usize = JOURNAL_AT + JOURNAL;
const LENGTH: usize = LETTERS_AT + COUNT * LETTER;
const _: () = assert!(size_of::<Shared>() <= JOURNAL_AT);

/// How long a thread that waits for the other side looks here, and lets others run in between, before it sleeps. To wake a cpu that sleeps
/// takes longer than a tiny task there and back.
const LOOK: Duration = Duration::from_micros(50);

/// So often something is received that was told of, and was received before it was: then it is looked for once more.
pub(in crate::process) const TRIES: usize = 2;

/// Returns a function that yields and returns `true`, until it has been looked for long enough.
pub(in crate::process) fn for_a_while() -> impl FnMut() -> bool {
    let begin = Instant::now();
    move || {
        // On a busy machine a single yield may be a scheduler's whole turn.
        let goes_on = begin.elapsed() <= LOOK;
        if goes_on {
            std::thread::yield_now();
        }
        goes_on
    }
}

/// Nanoseconds by a clock that all processes share and that nobody sets.
pub(in crate::process) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

pub(in crate::process) struct TaskTable {
    base: NonNull<u8>,
}

// SAFETY: it is shared memory that is reached through atomics, and through copies in the two functions for the journal.
unsafe impl Send for TaskTable {}
// SAFETY: as above.
unsafe impl Sync for TaskTable {}

impl TaskTable {
    /// Makes new ones, and the descriptor for the other side.
    pub(in crate::process) fn create() -> io::Result<(Self, OwnedFd)> {
        // Of another size than the mapping, a look at it would be the end of the pool's process.
        let memory = Memory::new(LENGTH)?.for_both()?;
        let table = Self::map(&memory)?;
        os::back(table.base, LENGTH)?;
        Ok((table, memory))
    }

    /// Maps those of the other side.
    pub(in crate::process) fn map(memory: impl AsFd) -> io::Result<Self> {
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

    pub(in crate::process) fn words(&self) -> &TaskWords<COUNT> {
        // Here others may come in between.
        #[cfg(test)]
        meanwhile::happens();
        &self.shared().words
    }

    pub(in crate::process) fn mail(&self) -> &Mailbox {
        #[cfg(test)]
        meanwhile::happens();
        &self.shared().mail
    }

    fn letter(&self, slot: u8) -> *mut u8 {
        // SAFETY: the mapping ends behind the last of the letters.
        unsafe { self.base.as_ptr().add(LETTERS_AT + usize::from(slot) % COUNT * LETTER) }
    }

    // The pool's side.

    /// Something was sent to the worker.
    pub(in crate::process) fn note_order(&self) {
        self.shared().orders.fetch_add(1, Ordering::Release);
    }

    /// So many segments of the worker were copied out.
    pub(in crate::process) fn collect(&self, count: u64) {
        self.shared().collected.store(count, Ordering::Release);
    }

    /// Has the worker ended because a thread vanished that runs tasks? So it says.
    pub(in crate::process) fn has_vanished(&self) -> bool {
        self.shared().vanished.load(Ordering::Acquire) != 0
    }

    /// What the journal has of a chunk, once its worker is dead: the first item, how many, and the replies.
    pub(in crate::process) fn read_journal(&self, sequence: u64) -> Option<(u32, u32, Vec<u8>)> {
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

    /// Has the worker, which is dead, said that it ran out of memory?
    pub(in crate::process) fn ran_short(&self, pid: u32) -> bool {
        self.shared().shortage.load(Ordering::Acquire) == u64::from(pid)
    }

    // The worker's side.

    /// A thread that runs tasks has vanished.
    pub(in crate::process) fn note_vanished(&self) {
        self.shared().vanished.store(1, Ordering::Release);
    }

    /// Where a worker that runs out of memory leaves its id.
    pub(in crate::process) fn shortage(&self) -> &AtomicU64 {
        &self.shared().shortage
    }

    /// Looks for a while whether the pool has sent something since `seen`. Returns `true` if it has.
    pub(in crate::process) fn look_for_order(&self, seen: &mut u64) -> bool {
        let mut goes_on = for_a_while();
        loop {
            let now = self.shared().orders.load(Ordering::Acquire);
            if std::mem::replace(seen, now) != now {
                return true;
            }
            if !goes_on() {
                return false;
            }
        }
    }

    pub(in crate::process) fn collected(&self) -> u64 {
        self.shared().collected.load(Ordering::Acquire)
    }

    /// Empties the journal; what comes next is of the chunk `sequence` from the item `first` on.
    pub(in crate::process) fn begin_journal(&self, sequence: u64, first: u32) {
        let shared = self.shared();
        // In this order, no moment shows old items under a new name.
        shared.journal_size.store(0, Ordering::Release);
        shared.journal_first.store(first.into(), Ordering::Release);
        shared.journal_of.store(sequence, Ordering::Release);
    }

    /// Adds the reply to the next item. `false`: it does not fit.
    pub(in crate::process) fn write_journal(&self, reply: &[u8]) -> bool {
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

impl Drop for TaskTable {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and every borrow of it ends with `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), LENGTH) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be unmapped");
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_sees_the_same() {
        let (ours, memory) = TaskTable::create().unwrap();
        let theirs = TaskTable::map(&memory).unwrap();
        let (ours, theirs) = (ours.words(), theirs.words());
        ours.ready(63, 1, Some((2, 5)));
        assert!(theirs.start(63, 1, now()));
        assert_eq!((theirs.take_item(63), ours.begun(63)), (Some(2), 3));
        ours.curtail(63);
        assert_eq!(theirs.take_item(63), None);
    }

    #[test]
    fn what_is_dropped_is_unmapped() {
        let (_ours, memory) = TaskTable::create().unwrap();
        // More mappings than Linux lets a process have, as it comes.
        for _ in 0..70_000 {
            TaskTable::map(&memory).unwrap();
        }
    }

    #[test]
    fn a_journal_is_read_back() {
        let table = TaskTable::create().unwrap().0;
        table.begin_journal(9, 4);
        assert!(table.write_journal(b"one") && table.write_journal(b"two"));
        assert_eq!(table.read_journal(9), Some((4, 2, b"onetwo".to_vec())));
        assert_eq!(table.read_journal(8), None);
        assert!(!table.write_journal(&vec![0; JOURNAL]));
        table.begin_journal(9, 6);
        assert_eq!(table.read_journal(9), Some((6, 0, vec![])));
        assert!(table.write_journal(&vec![1; JOURNAL]) && !table.write_journal(b"x"), "it may be full");
        assert_eq!(table.read_journal(9), Some((6, 1, vec![1; JOURNAL])));
    }
}
