//! [`Mailbox`]: which slots have a letter, and whether who reads them sleeps.
//!
//! The worker writes a letter, and raises the slot's flag; the pool takes the flags, and copies the letters out before it gives the task table
//! to other tasks. So there is no way for mail to be full.
//!
//! # Nobody sleeps while there is mail
//!
//! Whoever reads what the worker says notes that he sleeps, *and then* looks for flags before he does. The worker raises its flag *and
//! then* looks at the note; if it is there, it takes it away, and rings by a frame of kind `Bell`. With a fence in between on both
//! sides, one of the two sees the other. While the reader is awake nothing is rung: a worker with many short tasks needs no system call
//! for them.
//!
//! Several threads read one after the other (see [`ReadRight`](super::read_right::ReadRight)), and one may write the note while another does. All of them
//! write it by swaps, so that a note that says "awake" is always followed by one that says "sleeps" and by the look that belongs to it.
#![forbid(unsafe_code)]
// The models see it from outside the crate.
#![allow(unreachable_pub)]

use std::sync::atomic::Ordering;

use crate::sync::atomic::{AtomicU64, fence};

/// Flags for 64 slots, and a note. All zero at first.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Mailbox {
    /// A bit for each slot with a letter that the pool has not taken.
    flags: AtomicU64,
    /// 1: who would read it sleeps, or is about to.
    sleeps: AtomicU64,
}

impl Mailbox {
    // The pool's side. Only whoever has the right to read, see `ReadRight`.

    /// Notes that who reads the mail is about to sleep. Returns `true` if there is mail, and it must not.
    pub fn set_sleeping(&self) -> bool {
        self.sleeps.swap(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.is_there()
    }

    /// Notes that who reads the mail is awake, and will look for it before he sleeps.
    pub fn set_awake(&self) {
        self.sleeps.swap(0, Ordering::Relaxed);
    }

    /// Is there any?
    pub fn is_there(&self) -> bool {
        self.flags.load(Ordering::Relaxed) != 0
    }

    /// Is there a letter in this slot? Then it may be read.
    pub fn is_in(&self, slot: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag(slot) != 0
    }

    /// The letter in this slot was read.
    pub fn clear(&self, slot: u8) {
        self.flags.fetch_and(!flag(slot), Ordering::Relaxed);
    }

    /// Takes all flags: those whose letters are to be read.
    pub fn take(&self) -> impl Iterator<Item = u8> + use<> {
        let flags = if self.is_there() { self.flags.swap(0, Ordering::Acquire) } else { 0 };
        (0..u64::BITS as u8).filter(move |slot| flags & flag(*slot) != 0)
    }

    // The worker's side.

    /// The letter in this slot was written. Is the pool to be rung?
    pub fn post(&self, slot: u8) -> bool {
        self.flags.fetch_or(flag(slot), Ordering::Release);
        fence(Ordering::SeqCst);
        let note = self.sleeps.load(Ordering::Relaxed);
        // Where it changes meanwhile, who reads is awake, and will look.
        note != 0 && self.sleeps.compare_exchange(note, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn flag(slot: u8) -> u64 {
    1 << (u32::from(slot) % u64::BITS)
}
