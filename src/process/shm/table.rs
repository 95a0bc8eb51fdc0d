//! The memory that a pool shares with one worker: the state of each task, decided by compare-and-swap.
//!
//! A task that was sent to a worker is in one of 64 slots: see [`slots`]. There is also a journal, which survives the
//! worker: it has the reply to an item of a batch before the next item begins, and is sent when it is full or the batch
//! is over. The pool reads it after a death.
//!
//! Short replies go through this memory only: see [`short_replies`] and [`mailbox`].
//!
//! The worker, and so any of its tasks, can write this memory: the pool compares and copies, and trusts nothing in it.
#![allow(unsafe_code)]

#[cfg(test)]
pub(in crate::process) mod interleaving;
mod mailbox;
mod read_right;
mod short_replies;
mod slots;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::look::{looking, note_found};
use crate::process::os::{self, Memory};
use mailbox::Mailbox;
pub(in crate::process) use read_right::ReadRight;
pub(in crate::process) use slots::Progress;
use slots::{TaskSlots, end_of, first_of, pair};

pub(in crate::process) const COUNT: usize = 64;

/// The length of the journal in bytes.
pub(in crate::process) const JOURNAL: usize = 60 << 10;

/// The length of the longest frame that goes through the mailbox.
const SHORT_REPLY: usize = 512;

/// What both sides map. All zero at first.
#[repr(C)]
struct Shared {
    slots: TaskSlots<COUNT>,
    /// The sequence number of the batch that the journal belongs to.
    journal_of: AtomicU64,
    /// The first item in the journal.
    journal_first: AtomicU64,
    /// `items << 32 | bytes` in the journal.
    journal_size: AtomicU64,
    /// How many segments of the worker the pool has copied out. Raised by the pool.
    collected: AtomicU64,
    /// How often the pool has sent something, raised by the pool: a hint for the worker, which looks here before it
    /// sleeps.
    orders: AtomicU64,
    /// Not zero if a worker thread that runs tasks has vanished, which makes the worker exit. Set by the worker.
    vanished: AtomicU64,
    /// The id of the worker process, if it ran out of memory. Set by the worker.
    shortage: AtomicU64,
    mailbox: Mailbox,
}

const JOURNAL_AT: usize = 4 << 10;
const SHORT_REPLIES_AT: usize = JOURNAL_AT + JOURNAL;
const LENGTH: usize = SHORT_REPLIES_AT + COUNT * SHORT_REPLY;
const _: () = assert!(size_of::<Shared>() <= JOURNAL_AT);

/// How many announcements of the pool a worker follows without finding anything in the socket, because it received that
/// before, until it blocks there.
pub(in crate::process) const TRIES: usize = 2;

/// Returns the time in nanoseconds, by a clock that all processes share and nobody sets.
pub(in crate::process) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

pub(in crate::process) struct TaskTable {
    base: NonNull<u8>,
}

// SAFETY: the shared memory is accessed by atomics, and by copies in the functions for the journal and the short replies.
unsafe impl Send for TaskTable {}
// SAFETY: as above.
unsafe impl Sync for TaskTable {}

impl TaskTable {
    /// Creates a table, and the descriptor for the other side.
    pub(in crate::process) fn create() -> io::Result<(Self, OwnedFd)> {
        // If its size could differ from the mapping's, an access would kill the pool's process.
        let memory = Memory::new(LENGTH)?.for_both()?;
        let table = Self::map(&memory)?;
        os::back(table.base, LENGTH)?;
        Ok((table, memory))
    }

    /// Maps the table of the other side.
    pub(in crate::process) fn map(memory: impl AsFd) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place the kernel chooses touches no other memory.
        let base = unsafe { mmap(std::ptr::null_mut(), LENGTH, protection, MapFlags::SHARED, memory, 0) }?;
        NonNull::new(base.cast()).map(|base| Self { base }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping is longer than a `Shared`, page-aligned, and lives as long as `self`; atomics accept any
        // bits.
        unsafe { self.base.cast::<Shared>().as_ref() }
    }

    fn journal(&self) -> *mut u8 {
        // SAFETY: the mapping extends beyond this offset.
        unsafe { self.base.as_ptr().add(JOURNAL_AT) }
    }

    pub(in crate::process) fn slots(&self) -> &TaskSlots<COUNT> {
        // In the simulation, workers may take steps here.
        #[cfg(test)]
        interleaving::run_hook();
        &self.shared().slots
    }

    pub(in crate::process) fn mailbox(&self) -> &Mailbox {
        #[cfg(test)]
        interleaving::run_hook();
        &self.shared().mailbox
    }

    fn short_reply(&self, slot: u8) -> *mut u8 {
        // SAFETY: the mapping ends after the last short reply.
        unsafe { self.base.as_ptr().add(SHORT_REPLIES_AT + usize::from(slot) % COUNT * SHORT_REPLY) }
    }

    // The pool's side.

    /// Notes that something was sent to the worker.
    pub(in crate::process) fn note_order(&self) {
        self.shared().orders.fetch_add(1, Ordering::Release);
    }

    /// Stores how many segments of the worker were copied out.
    pub(in crate::process) fn collect(&self, count: u64) {
        self.shared().collected.store(count, Ordering::Release);
    }

    /// Returns `true` if the worker has noted that it exits because a thread that runs tasks has vanished.
    pub(in crate::process) fn has_vanished(&self) -> bool {
        self.shared().vanished.load(Ordering::Acquire) != 0
    }

    /// Returns what the journal has of a batch, once its worker is dead: the first item, how many there are, and the
    /// replies.
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
        // SAFETY: the journal has this many bytes, and its writer is dead.
        unsafe { self.journal().copy_to_nonoverlapping(bytes.as_mut_ptr(), length) };
        Some((first, count, bytes))
    }

    /// Returns `true` if the worker, which is dead, has noted that it ran out of memory.
    pub(in crate::process) fn ran_short(&self, pid: u32) -> bool {
        self.shared().shortage.load(Ordering::Acquire) == u64::from(pid)
    }

    // The worker's side.

    /// Notes that a thread that runs tasks has vanished.
    pub(in crate::process) fn note_vanished(&self) {
        self.shared().vanished.store(1, Ordering::Release);
    }

    /// Returns the word in which a worker that runs out of memory stores its id.
    pub(in crate::process) fn shortage(&self) -> &AtomicU64 {
        &self.shared().shortage
    }

    /// Looks for a while whether the pool has sent something since `seen`. Returns `true` if it has.
    pub(in crate::process) fn look_for_order(&self, seen: &mut u64) -> bool {
        let mut goes_on = looking(None);
        loop {
            let now = self.shared().orders.load(Ordering::Acquire);
            if std::mem::replace(seen, now) != now {
                note_found(1);
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

    /// Empties the journal; the following replies belong to the batch `sequence`, from the item `first` on.
    pub(in crate::process) fn begin_journal(&self, sequence: u64, first: u32) {
        let shared = self.shared();
        // In this order, old items are never seen under the new sequence number.
        shared.journal_size.store(0, Ordering::Release);
        shared.journal_first.store(first.into(), Ordering::Release);
        shared.journal_of.store(sequence, Ordering::Release);
    }

    /// Adds the reply to the next item. Returns `false` if it does not fit.
    pub(in crate::process) fn write_journal(&self, reply: &[u8]) -> bool {
        let size = &self.shared().journal_size;
        let (count, length) = (first_of(size.load(Ordering::Relaxed)), end_of(size.load(Ordering::Relaxed)));
        if reply.len() > JOURNAL.saturating_sub(length as usize) {
            return false;
        }
        // SAFETY: below the journal's length, as checked above.
        let end = unsafe { self.journal().add(length as usize) };
        // SAFETY: the rest of the journal is long enough; only this thread writes it, and nobody reads beyond the
        // stored size.
        unsafe { end.copy_from_nonoverlapping(reply.as_ptr(), reply.len()) };
        size.store(pair(count + 1, length + reply.len() as u32), Ordering::Release);
        true
    }
}

impl Drop for TaskTable {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and every borrow of it ends before `self`.
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
        let (ours, theirs) = (ours.slots(), theirs.slots());
        ours.ready(63, 1, Some((2, 5)));
        assert!(theirs.start(63, 1, now()));
        assert_eq!((theirs.take_item(63), ours.begun(63)), (Some(2), 3));
        ours.curtail(63);
        assert_eq!(theirs.take_item(63), None);
    }

    #[test]
    fn a_dropped_table_is_unmapped() {
        let (_ours, memory) = TaskTable::create().unwrap();
        // More mappings than the default limit of a process on Linux.
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
        assert!(table.write_journal(&vec![1; JOURNAL]) && !table.write_journal(b"x"), "the journal may be full");
        assert_eq!(table.read_journal(9), Some((6, 1, vec![1; JOURNAL])));
    }
}
