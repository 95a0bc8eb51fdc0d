//! How a worker runs a chunk: each reply is safe before the next item begins.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use super::outgoing::send_all;
use super::{KEPT, Worker, call};
use crate::error::{Error, TooLarge};
use crate::process::protocol::frame::{
    self, HEADER, Header, ITEM_OVERHEAD, ItemsHead, Kind, NOT_SENT, TaskHead, put_item,
};
use crate::process::shm::table::JOURNAL;

impl Worker {
    /// Runs the items of a chunk that nobody takes back. Each reply is in the journal before the next item begins, and
    /// is sent when the journal is full.
    pub(super) fn many(&self, head: TaskHead, mut arguments: &[u8], slot: u8, sequence: u64, bytes: Vec<u8>) -> Batch {
        // Their results are in the journal, which outlives what is beside it.
        self.carriage.room.store(0, Ordering::Relaxed);
        let mut batch = Batch { slot, sequence, first: head.first, count: 0, kept: false, bytes };
        batch.begin(self, head.first);
        let mut scratch = Vec::new();
        while let Some(item) = self.table.words().take_item(slot) {
            let Some(argument) = next_argument(&mut arguments) else {
                break;
            };
            scratch.clear();
            scratch.resize(HEADER, 0);
            let result = argument
                .and_then(|argument| call(head.enter, head.function, argument, scratch, &self.out_of_band))
                .and_then(|(bytes, taken)| self.sized(bytes, taken))
                .and_then(|(bytes, _)| match u32::try_from(bytes.len()) {
                    Ok(_) => Ok(bytes),
                    Err(_) => Err(Error::TooLarge(TooLarge::new(bytes.len() as u64, u32::MAX.into()))),
                });
            scratch = match result {
                Ok(reply) => {
                    batch.add(self, item, Kind::Value, &reply[HEADER..]);
                    reply
                }
                Err(error) => {
                    batch.add(self, item, Kind::Fault, &self.fault(&error));
                    Vec::new()
                }
            };
            scratch.shrink_to(KEPT);
        }
        batch.kept = self.has_kept();
        batch
    }
}

/// Replies to items of a chunk that were not sent.
pub(super) struct Batch {
    slot: u8,
    sequence: u64,
    first: u32,
    count: u32,
    kept: bool,
    bytes: Vec<u8>,
}

impl Batch {
    /// What comes before the replies.
    const HEADS: usize = HEADER + ItemsHead::LENGTH;

    fn begin(&mut self, worker: &Worker, first: u32) {
        self.first = first;
        self.count = 0;
        self.bytes.clear();
        self.bytes.resize(Self::HEADS, 0);
        worker.table.begin_journal(self.sequence, first);
    }

    fn add(&mut self, worker: &Worker, item: u32, kind: Kind, reply: &[u8]) {
        if self.bytes.len() - Self::HEADS + reply.len() + ITEM_OVERHEAD > JOURNAL && self.count > 0 {
            self.send(worker, false);
            self.begin(worker, item);
        }
        let start = self.bytes.len();
        put_item(&mut self.bytes, kind, reply);
        self.count += 1;
        if !worker.table.write_journal(&self.bytes[start..]) {
            // Longer than the journal: it is safe once it is sent.
            self.send(worker, false);
            self.begin(worker, item + 1);
        }
    }

    /// Sends what is left, and returns the memory for the next.
    pub(super) fn finish(mut self, worker: &Worker) -> Vec<u8> {
        self.send(worker, true);
        self.bytes
    }

    fn send(&mut self, worker: &Worker, last: bool) {
        let header = Header::new(Kind::Items, self.slot, self.sequence, self.bytes.len() - HEADER);
        let header = Header { kept: self.kept, ..header };
        let head = ItemsHead { first: self.first, count: self.count, last };
        self.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        self.bytes[HEADER..Self::HEADS].copy_from_slice(&head.to_bytes());
        send_all(&worker.socket, &self.bytes);
        worker.table.note_answer();
    }
}

/// Takes the next argument from the front; `Err` if it was not sent.
fn next_argument<'a>(arguments: &mut &'a [u8]) -> Option<Result<&'a [u8], Error>> {
    let length = frame::u32_at(arguments, 0)?;
    let rest = &arguments[4..];
    if length == NOT_SENT {
        *arguments = rest;
        // The pool knows why.
        return Some(Err(Error::Abandoned));
    }
    let (argument, rest) = rest.split_at_checked(length as usize)?;
    *arguments = rest;
    Some(Ok(argument))
}
