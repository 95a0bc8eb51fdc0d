//! The page of a model. Only the bytes of its short replies are stand-ins: the models of the mailbox show that they are read as they were written.
#![forbid(unsafe_code)]

#[path = "../shm/table/mailbox.rs"]
mod mailbox;
#[path = "../shm/table/read_right.rs"]
mod read_right;
#[path = "../shm/table/slots.rs"]
mod slots;

use std::ops::Range;

use super::protocol::frame::{Header, Kind};

pub use mailbox::Mailbox;
pub use read_right::ReadRight;
pub use slots::{Progress, TaskSlots};

pub(super) struct TaskTable {
    slots: TaskSlots<2>,
    mailbox: Mailbox,
    /// The sequence numbers of the answers. Not the checker's, so they add no schedules.
    replies: std::sync::Mutex<[u64; 2]>,
}

impl TaskTable {
    pub(super) fn new() -> Self {
        Self { slots: TaskSlots::new(), mailbox: Mailbox::default(), replies: Default::default() }
    }

    pub(super) fn slots(&self) -> &TaskSlots<2> {
        &self.slots
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The body of an answer is its sequence number.
    pub(super) fn read_short_reply(&self, slot: u8, bytes: &mut Vec<u8>) -> Option<(Header, Range<usize>)> {
        let sequence = self.replies.lock().unwrap()[usize::from(slot)];
        bytes.push(sequence as u8);
        Some((Header { sequence, kind: Kind::Value, segments: 0 }, bytes.len() - 1..bytes.len()))
    }

    pub(super) fn post(&self, slot: u8, sequence: u64) -> bool {
        self.replies.lock().unwrap()[usize::from(slot)] = sequence;
        self.mailbox.post(slot)
    }
}
