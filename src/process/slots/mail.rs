//! Mail: short answers that need no socket.
//!
//! Each slot has room for one letter, which is a frame. The worker puts it there, and raises the slot's flag; the pool takes the flags,
//! and copies the letters out before it gives the slots to other tasks. So there is no way for mail to be full.
//!
//! # Nobody sleeps while there is mail
//!
//! Whoever reads what the worker says notes that he sleeps, *and then* looks for flags before he does. The worker raises its flag *and
//! then* looks at the note; if it is there, it takes it away, and rings by a frame of kind `Bell`. With a fence in between on both
//! sides, one of the two sees the other. While the reader is awake nothing is rung: a worker with many short tasks needs no system call
//! for them.
//!
//! A letter outlives the worker, like the journal.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::{COUNT, Slots};
use crate::process::frame::{HEADER, Header};

/// The longest frame that goes as a letter.
pub(super) const LETTER: usize = 512;

/// All zero at first.
#[repr(C)]
pub(super) struct Mail {
    /// A bit for each slot with a letter that the pool has not taken.
    flags: AtomicU64,
    /// 1: who would read it sleeps, or is about to.
    sleeps: AtomicU64,
}

const _: () = assert!(COUNT <= u64::BITS as usize);

impl Slots {
    // The pool's side. Only whoever has the reader.

    /// Notes that who reads the mail is about to sleep. `true`: there is mail, and he must not.
    pub(in crate::process) fn rest(&self) -> bool {
        self.mail().sleeps.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.has_mail()
    }

    /// Notes that who reads the mail is awake, and will look for it before he sleeps.
    pub(in crate::process) fn rise(&self) {
        self.mail().sleeps.store(0, Ordering::Relaxed);
    }

    pub(in crate::process) fn has_mail(&self) -> bool {
        self.mail().flags.load(Ordering::Relaxed) != 0
    }

    /// Is there a letter in this slot?
    pub(in crate::process) fn has_letter(&self, slot: u8) -> bool {
        self.mail().flags.load(Ordering::Relaxed) & flag(slot) != 0
    }

    /// Appends the letter in this slot to `bytes`: its header, and where its body is; `None` if it makes no sense.
    pub(in crate::process) fn read_letter(&self, slot: u8, bytes: &mut Vec<u8>) -> Option<(Header, Range<usize>)> {
        fence(Ordering::Acquire);
        self.copy_letter(slot, bytes)
    }

    /// The letter in this slot was read.
    pub(in crate::process) fn drop_letter(&self, slot: u8) {
        self.mail().flags.fetch_and(!flag(slot), Ordering::Relaxed);
    }

    /// Takes all letters, and appends them to `bytes`: for each its header and where its body is, or `None` if it makes no sense.
    pub(in crate::process) fn take_mail(
        &self,
        bytes: &mut Vec<u8>,
    ) -> impl Iterator<Item = Option<(Header, Range<usize>)>> {
        let flags = if self.has_mail() { self.mail().flags.swap(0, Ordering::Acquire) } else { 0 };
        let slots = (0..COUNT as u8).filter(move |slot| flags & flag(*slot) != 0);
        slots.map(|slot| self.copy_letter(slot, bytes))
    }

    fn copy_letter(&self, slot: u8, bytes: &mut Vec<u8>) -> Option<(Header, Range<usize>)> {
        let letter = self.letter(slot);
        let mut header = [0; HEADER];
        // SAFETY: a letter is longer than a header. A worker that writes meanwhile changes what is copied, and nothing else.
        unsafe { letter.copy_to_nonoverlapping(header.as_mut_ptr(), HEADER) };
        let header = Header::from_bytes(&header)?;
        let length = usize::try_from(header.length).ok().filter(|length| *length <= LETTER - HEADER)?;
        let start = bytes.len();
        bytes.resize(start + length, 0);
        // SAFETY: the body begins behind the header, in the letter.
        let body = unsafe { letter.add(HEADER) };
        // SAFETY: the letter has that many bytes more, and so has the vector; as above.
        unsafe { body.copy_to_nonoverlapping(bytes[start..].as_mut_ptr(), length) };
        Some((header, start..start + length))
    }

    // The worker's side.

    /// Posts a frame, the answer to the task that has the slot. `None`: it is too long. `Some(true)`: the pool is to be rung.
    pub(in crate::process) fn post(&self, slot: u8, frame: &[u8]) -> Option<bool> {
        if frame.len() > LETTER {
            return None;
        }
        // SAFETY: the letter is long enough; nobody reads it before its flag is up, and it was taken before the slot was given again.
        unsafe { self.letter(slot).copy_from_nonoverlapping(frame.as_ptr(), frame.len()) };
        let mail = self.mail();
        mail.flags.fetch_or(flag(slot), Ordering::Release);
        fence(Ordering::SeqCst);
        Some(mail.sleeps.load(Ordering::Relaxed) != 0 && mail.sleeps.swap(0, Ordering::Relaxed) != 0)
    }
}

fn flag(slot: u8) -> u64 {
    1 << (usize::from(slot) % COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::frame::{Kind, put};

    fn frame(slot: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Value, slot, 7, body);
        bytes
    }

    #[test]
    fn a_letter_is_read_as_it_was_posted() {
        let (ours, memory) = Slots::create().unwrap();
        let theirs = Slots::map(&memory).unwrap();
        let longest = [9; LETTER - HEADER];
        for (slot, body) in [(63, &b"last"[..]), (0, b""), (5, &longest)] {
            assert_eq!(theirs.post(slot, &frame(slot, body)), Some(false), "nobody sleeps");
        }
        assert_eq!(theirs.post(6, &frame(6, &[0; LETTER - HEADER + 1])), None);
        let mut bytes = Vec::new();
        assert!(ours.has_letter(63) && !ours.has_letter(6));
        let (header, body) = ours.read_letter(63, &mut bytes).unwrap();
        ours.drop_letter(63);
        assert_eq!((header.kind, header.slot, header.sequence, &bytes[body]), (Kind::Value, 63, 7, &b"last"[..]));
        let letters: Vec<_> = ours.take_mail(&mut bytes).map(Option::unwrap).collect();
        let read = letters.iter().map(|(header, body)| (header.slot, &bytes[body.clone()]));
        assert!(read.eq([(0, &b""[..]), (5, &longest)]));
        assert!(!ours.has_mail() && ours.take_mail(&mut bytes).next().is_none());
    }

    #[test]
    fn who_sleeps_is_rung_once() {
        let slots = Slots::create().unwrap().0;
        assert!(!slots.rest());
        assert_eq!(slots.post(0, &frame(0, b"")), Some(true));
        assert_eq!(slots.post(1, &frame(1, b"")), Some(false), "it was rung");
        assert!(slots.rest(), "there is mail");
        slots.rise();
        assert_eq!(slots.post(2, &frame(2, b"")), Some(false), "it is awake");
        assert_eq!(slots.take_mail(&mut Vec::new()).count(), 3);
        assert!(!slots.rest());
    }

    #[test]
    fn a_letter_that_makes_no_sense_is_none() {
        let slots = Slots::create().unwrap().0;
        slots.post(0, &[255; HEADER]);
        slots.post(1, &Header::new(Kind::Value, 1, 7, LETTER).to_bytes());
        assert!(slots.take_mail(&mut Vec::new()).all(|letter| letter.is_none()));
    }
}
