//! Short replies, which go through the mailbox and not through the socket.
//!
//! Each slot has room for one short reply, which is a frame; [`Mailbox`](super::mailbox::Mailbox) says which slots have one.
//! A reply outlives the worker, like the journal.
#![allow(unsafe_code)]

use std::ops::Range;

use super::{COUNT, SHORT_REPLY, TaskTable};
use crate::process::protocol::frame::{HEADER, Header};

const _: () = assert!(COUNT == u64::BITS as usize, "a flag for each slot");

impl TaskTable {
    // The pool's side. Only the thread that holds the right to read, see `ReadRight`.

    /// Appends the reply that [is there](super::mailbox::Mailbox::has) for this slot to `bytes`. Returns its header and the
    /// range of its body, or `None` if it is not a valid frame.
    pub(in crate::process) fn read_short_reply(&self, slot: u8, bytes: &mut Vec<u8>) -> Option<(Header, Range<usize>)> {
        let reply = self.short_reply(slot);
        let mut header = [0; HEADER];
        // SAFETY: the place of a reply is longer than a header. A worker that writes meanwhile changes only what is copied.
        unsafe { reply.copy_to_nonoverlapping(header.as_mut_ptr(), HEADER) };
        let header = Header::from_bytes(&header)?;
        let length = usize::try_from(header.length).ok().filter(|length| *length <= SHORT_REPLY - HEADER)?;
        let start = bytes.len();
        bytes.resize(start + length, 0);
        // SAFETY: the body follows the header, inside the place of the reply.
        let body = unsafe { reply.add(HEADER) };
        // SAFETY: the place has this many more bytes, and so has the vector; as above.
        unsafe { body.copy_to_nonoverlapping(bytes[start..].as_mut_ptr(), length) };
        Some((header, start..start + length))
    }

    /// Takes all replies and appends them to `bytes`. Yields for each its header and the range of its body, or `None`
    /// if it is not a valid frame.
    pub(in crate::process) fn take_short_replies(
        &self,
        bytes: &mut Vec<u8>,
    ) -> impl Iterator<Item = Option<(Header, Range<usize>)>> {
        self.mailbox().take().map(|slot| self.read_short_reply(slot, bytes))
    }

    // The worker's side.

    /// Posts a frame, the reply to the task in the slot. Returns `None` if it is too long for the mailbox, and
    /// `Some(true)` if the worker has to send a `Bell`.
    pub(in crate::process) fn post(&self, slot: u8, frame: &[u8]) -> Option<bool> {
        if frame.len() > SHORT_REPLY {
            return None;
        }
        // SAFETY: the place is long enough. Nobody reads it before its flag is raised, and the previous one was taken
        // before the slot was given to this task.
        unsafe { self.short_reply(slot).copy_from_nonoverlapping(frame.as_ptr(), frame.len()) };
        Some(self.mailbox().post(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::protocol::frame::{Kind, put};
    use crate::process::shm::table::JOURNAL;

    fn frame(slot: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Value, slot, 7, body);
        bytes
    }

    #[test]
    fn a_short_reply_is_read_as_it_was_posted() {
        let (ours, memory) = TaskTable::create().unwrap();
        let theirs = TaskTable::map(&memory).unwrap();
        let longest = [9; SHORT_REPLY - HEADER];
        for (slot, body) in [(63, &b"last"[..]), (0, b""), (5, &longest)] {
            assert_eq!(theirs.post(slot, &frame(slot, body)), Some(false), "no reader sleeps");
        }
        assert_eq!(theirs.post(6, &frame(6, &[0; SHORT_REPLY - HEADER + 1])), None);
        let mut bytes = Vec::new();
        assert!(ours.mailbox().has(63) && !ours.mailbox().has(6));
        let (header, body) = ours.read_short_reply(63, &mut bytes).unwrap();
        ours.mailbox().clear(63);
        assert_eq!((header.kind, header.slot, header.sequence, &bytes[body]), (Kind::Value, 63, 7, &b"last"[..]));
        let replies: Vec<_> = ours.take_short_replies(&mut bytes).map(Option::unwrap).collect();
        let read = replies.iter().map(|(header, body)| (header.slot, &bytes[body.clone()]));
        assert!(read.eq([(0, &b""[..]), (5, &longest)]));
        assert!(!ours.mailbox().has_any() && ours.take_short_replies(&mut bytes).next().is_none());
    }

    #[test]
    fn each_short_reply_has_its_own_place_behind_the_journal() {
        let table = TaskTable::create().unwrap().0;
        let journal = vec![1; JOURNAL];
        table.begin_journal(1, 0);
        assert!(table.write_journal(&journal));
        for slot in 0..COUNT as u8 {
            assert_eq!(table.post(slot, &frame(slot, &[slot; SHORT_REPLY - HEADER])), Some(false));
        }
        for slot in 0..COUNT as u8 {
            let mut bytes = Vec::new();
            let (header, body) = table.read_short_reply(slot, &mut bytes).unwrap();
            assert_eq!((header.slot, &bytes[body]), (slot, &[slot; SHORT_REPLY - HEADER][..]));
        }
        assert_eq!(table.read_journal(1), Some((0, 1, journal)));
    }

    #[test]
    fn a_sleeping_reader_is_woken_once() {
        let table = TaskTable::create().unwrap().0;
        assert!(!table.mailbox().set_sleeping());
        assert_eq!(table.post(0, &frame(0, b"")), Some(true));
        assert_eq!(table.post(1, &frame(1, b"")), Some(false), "the reader was woken");
        assert!(table.mailbox().set_sleeping(), "a reply is there");
        table.mailbox().set_awake();
        assert_eq!(table.post(2, &frame(2, b"")), Some(false), "the reader is awake");
        assert_eq!(table.take_short_replies(&mut Vec::new()).count(), 3);
        assert!(!table.mailbox().set_sleeping());
    }

    #[test]
    fn an_invalid_short_reply_is_none() {
        let table = TaskTable::create().unwrap().0;
        table.post(0, &[255; HEADER]);
        table.post(1, &Header::new(Kind::Value, 1, 7, SHORT_REPLY).to_bytes());
        assert!(table.take_short_replies(&mut Vec::new()).all(|reply| reply.is_none()));
    }
}
