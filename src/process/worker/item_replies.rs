//! [`ItemReplies`]: replies to the items of a chunk or batch that were not sent yet.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::outgoing::send_all;
use crate::process::protocol::frame::{HEADER, Header, ITEM_OVERHEAD, ItemsHead, Kind, put_item};
use crate::process::shm::table::{JOURNAL, TaskTable};

/// Replies to items of a chunk or batch that were not sent yet.
pub(super) struct ItemReplies {
    socket: Arc<OwnedFd>,
    table: &'static TaskTable,
    slot: u8,
    sequence: u64,
    first: u32,
    count: u32,
    /// Set if an item has kept bytes of the pool's segments.
    pub(super) kept: bool,
    bytes: Vec<u8>,
}

impl ItemReplies {
    /// The length of what precedes the replies.
    const HEADS: usize = HEADER + ItemsHead::LENGTH;

    /// Creates an empty one, which reuses the memory of `bytes`.
    pub(super) fn new(
        socket: Arc<OwnedFd>,
        table: &'static TaskTable,
        slot: u8,
        sequence: u64,
        bytes: Vec<u8>,
    ) -> Self {
        Self { socket, table, slot, sequence, first: 0, count: 0, kept: false, bytes }
    }

    /// Starts over, with replies from the item `first` on.
    pub(super) fn begin(&mut self, first: u32) {
        self.first = first;
        self.count = 0;
        self.bytes.clear();
        self.bytes.resize(Self::HEADS, 0);
        self.table.begin_journal(self.sequence, first);
    }

    pub(super) fn add(&mut self, item: u32, kind: Kind, reply: &[u8]) {
        if self.bytes.len() - Self::HEADS + reply.len() + ITEM_OVERHEAD > JOURNAL && self.count > 0 {
            self.send(false);
            self.begin(item);
        }
        let start = self.bytes.len();
        put_item(&mut self.bytes, kind, reply);
        self.count += 1;
        if !self.table.write_journal(&self.bytes[start..]) {
            // It does not fit into the journal: it is safe once it is sent.
            self.send(false);
            self.begin(item + 1);
        }
    }

    /// Sends what is left, and returns the memory for reuse.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.send(true);
        self.bytes
    }

    fn send(&mut self, last: bool) {
        let header = Header::new(Kind::Items, self.slot, self.sequence, self.bytes.len() - HEADER);
        let header = Header { kept: self.kept, ..header };
        let head = ItemsHead { first: self.first, count: self.count, last };
        self.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        self.bytes[HEADER..Self::HEADS].copy_from_slice(&head.to_bytes());
        send_all(&self.socket, &self.bytes);
    }
}
