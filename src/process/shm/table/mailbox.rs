//! [`Mailbox`]: which slots have a short reply, and whether the thread that reads them sleeps.
//!
//! The worker writes a reply and raises the slot's flag. The pool takes the flags, and copies the replies out before
//! it gives the slots to other tasks. So the mailbox is never full.
//!
//! # No reader sleeps while there is a reply
//!
//! A reader sets the note that it sleeps, *and then* looks for flags before it does. The worker raises its flag *and
//! then* looks at the note; if it is set, the worker clears it and sends a frame of kind `Bell`. With a fence in
//! between on both sides, at least one of the two sees the other. While the reader is awake the worker sends no `Bell`:
//! a worker with many short tasks needs no system call for them.
//!
//! Several threads read one after the other (see [`ReadRight`](super::read_right::ReadRight)), and one may write the
//! note while another does. All of them write it by swaps, so that a note that says "awake" is always followed by one
//! that says "sleeps" and by the look that belongs to it.
#![forbid(unsafe_code)]
// The models see it from outside the crate.
#![allow(unreachable_pub)]

use std::sync::atomic::Ordering;

use crate::sync::atomic::{AtomicU64, fence};

/// Flags for 64 slots, and a note. All zero at first.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Mailbox {
    /// One bit for each slot. Raised by the worker when it has written a reply, cleared by the pool when it takes it.
    flags: AtomicU64,
    /// The note: 1 if the reader sleeps or is about to. Set by the reader, cleared by it or by the worker.
    sleeps: AtomicU64,
}

impl Mailbox {
    // The pool's side. Only the thread that holds the right to read, see `ReadRight`.

    /// Notes that the reader is about to sleep. Returns `true` if there is a reply, and it must not sleep.
    pub fn set_sleeping(&self) -> bool {
        self.sleeps.swap(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.has_any()
    }

    /// Notes that the reader is awake, and will look for replies before it sleeps.
    pub fn set_awake(&self) {
        self.sleeps.swap(0, Ordering::Relaxed);
    }

    /// Returns `true` if any slot has a reply.
    pub fn has_any(&self) -> bool {
        self.flags.load(Ordering::Relaxed) != 0
    }

    /// Returns `true` if this slot has a reply, which may then be read.
    pub fn has(&self, slot: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag(slot) != 0
    }

    /// Lowers the flag of this slot, after its reply was read.
    pub fn clear(&self, slot: u8) {
        self.flags.fetch_and(!flag(slot), Ordering::Relaxed);
    }

    /// Takes all flags. Returns the slots with a reply to read.
    pub fn take(&self) -> impl Iterator<Item = u8> + use<> {
        let flags = if self.has_any() { self.flags.swap(0, Ordering::Acquire) } else { 0 };
        (0..u64::BITS as u8).filter(move |slot| flags & flag(*slot) != 0)
    }

    // The worker's side.

    /// Raises the flag of this slot, after its reply was written. Returns `true` if the worker has to send a `Bell`.
    pub fn post(&self, slot: u8) -> bool {
        self.flags.fetch_or(flag(slot), Ordering::Release);
        fence(Ordering::SeqCst);
        let note = self.sleeps.load(Ordering::Relaxed);
        // If the note changes meanwhile, the reader is awake and will look.
        note != 0 && self.sleeps.compare_exchange(note, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn flag(slot: u8) -> u64 {
    1 << (u32::from(slot) % u64::BITS)
}
