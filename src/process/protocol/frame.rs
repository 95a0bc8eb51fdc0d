//! Frames: what travels between a pool and a worker.
//!
//! A frame is a header of 24 bytes, all little-endian, and a body. The header is:
//!
//! `length of the body: u64 | sequence: u64 | kind: u8 | slot: u8 | segments: u8 | kept: u8 | observed: u8 | 3 unused`
//!
//! Nothing is allocated for a length above the limit of the executor, and a frame that breaks the rules ends the
//! connection: the other side may be a worker that a task has damaged.
//!
//! | kind | way | body |
//! |---|---|---|
//! | `Setup` | to the worker, first, with the descriptor of the task table, and of its lifeline where there is one | [`Setup`](super::setup::Setup), in postcard's format |
//! | `Task` | to the worker | [`TaskHead`], then the argument; of a batch, for each item `length: u32` and its argument, or [`NOT_SENT`] |
//! | `Hello` | from the worker, first | the build id of its program |
//! | `Ready` | from the worker, once it is set up | |
//! | `Unfit` | from the worker, if it cannot be set up | why, as in a `Fault`; `slot` is [`UNFIT_FOR_NOW`] if the next worker may do better |
//! | `Started` | from the worker, of an `observed` task, before its reply | when the task began: `u64`, by the clock of the [task table](crate::process::shm::table) |
//! | `Value` | from the worker | the encoded result of a task |
//! | `Fault` | from the worker | the error of a task, see [`reply`](super::reply) |
//! | `Segment` | both, with the descriptor, before the first frame that needs it | `sequence` is its number |
//! | `Forget` | both | `sequence` is the number of a segment that will not be used again |
//! | `Context` | to the worker, before the first task that needs it | an encoded context; `sequence` is its number |
//! | `Drop` | to the worker | `sequence` is the number of a context that no task will need again |
//! | `Bell` | from the worker | there is a [short reply](crate::process::shm::table) |
//! | `Items` | from the worker | [`ItemsHead`], then for each item `kind: u8`, `length: u32` and a value or fault |
#![forbid(unsafe_code)]

use std::io;

pub(in crate::process) const HEADER: usize = 24;

/// The slot of an `Unfit` frame from a worker that lacked something that the next one may find.
pub(in crate::process) const UNFIT_FOR_NOW: u8 = 1;

/// How many bytes a body may have beyond an argument or result of the greatest length.
pub(in crate::process) const OVERHEAD: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::process) enum Kind {
    Setup = 1,
    Task,
    Hello,
    Ready,
    Unfit,
    Value,
    Fault,
    Items,
    Segment,
    Forget,
    Bell,
    Context,
    Drop,
    Started,
}

impl Kind {
    pub(super) const ALL: [Self; 14] = [
        Self::Setup,
        Self::Task,
        Self::Hello,
        Self::Ready,
        Self::Unfit,
        Self::Value,
        Self::Fault,
        Self::Items,
        Self::Segment,
        Self::Forget,
        Self::Bell,
        Self::Context,
        Self::Drop,
        Self::Started,
    ];

    pub(in crate::process) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct Header {
    pub(in crate::process) length: u64,
    pub(in crate::process) sequence: u64,
    pub(in crate::process) kind: Kind,
    pub(in crate::process) slot: u8,
    /// How many segments of the worker the result needs.
    pub(in crate::process) segments: u8,
    /// `true` if the task has kept bytes of the pool's segments.
    pub(in crate::process) kept: bool,
    /// `true` if the worker must report when it begins the task. It sends that, and then the reply, through the socket.
    pub(in crate::process) observed: bool,
}

impl Header {
    pub(in crate::process) fn new(kind: Kind, slot: u8, sequence: u64, length: usize) -> Self {
        Self { length: length as u64, sequence, kind, slot, segments: 0, kept: false, observed: false }
    }

    pub(in crate::process) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16] = self.kind as u8;
        bytes[17] = self.slot;
        bytes[18] = self.segments;
        bytes[19] = self.kept.into();
        bytes[20] = self.observed.into();
        bytes
    }

    pub(in crate::process) fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        Some(Self {
            length: u64_at(bytes, 0)?,
            sequence: u64_at(bytes, 8)?,
            kind: Kind::from_byte(bytes[16])?,
            slot: bytes[17],
            segments: bytes[18],
            kept: bytes[19] != 0,
            observed: bytes[20] != 0,
        })
    }
}

/// Appends a frame to bytes that are to be sent.
pub(in crate::process) fn put(bytes: &mut Vec<u8>, kind: Kind, slot: u8, sequence: u64, body: &[u8]) {
    bytes.extend_from_slice(&Header::new(kind, slot, sequence, body.len()).to_bytes());
    bytes.extend_from_slice(body);
}

/// The beginning of the body of a task frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct TaskHead {
    pub(in crate::process) id: u64,
    pub(in crate::process) enter: u64,
    pub(in crate::process) function: u64,
    /// The number of the context that the task needs, or [`NO_CONTEXT`](crate::process::contexts::NO_CONTEXT).
    pub(in crate::process) context: u64,
    /// Of a batch: how many items it has in all; otherwise 0.
    pub(in crate::process) items: u32,
    /// Of a batch: the first item in this frame.
    pub(in crate::process) first: u32,
}

impl TaskHead {
    pub(in crate::process) const LENGTH: usize = 40;

    pub(in crate::process) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.enter.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.function.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.context.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.items.to_le_bytes());
        bytes[36..].copy_from_slice(&self.first.to_le_bytes());
        bytes
    }

    pub(in crate::process) fn parse(body: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = body.split_at_checked(Self::LENGTH)?;
        let head = Self {
            id: u64_at(head, 0)?,
            enter: u64_at(head, 8)?,
            function: u64_at(head, 16)?,
            context: u64_at(head, 24)?,
            items: u32_at(head, 32)?,
            first: u32_at(head, 36)?,
        };
        Some((head, rest))
    }
}

/// The beginning of a body with replies to items of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct ItemsHead {
    pub(in crate::process) first: u32,
    pub(in crate::process) count: u32,
    /// `true` if no more replies to items of this batch will come.
    pub(in crate::process) last: bool,
}

impl ItemsHead {
    pub(in crate::process) const LENGTH: usize = 9;

    pub(in crate::process) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&self.first.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8] = self.last.into();
        bytes
    }

    pub(in crate::process) fn parse(body: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = body.split_at_checked(Self::LENGTH)?;
        Some((Self { first: u32_at(head, 0)?, count: u32_at(head, 4)?, last: head[8] != 0 }, rest))
    }
}

/// The length that says that an item of a batch is not sent and is to be skipped.
pub(in crate::process) const NOT_SENT: u32 = u32::MAX;

/// Appends the reply to one item.
pub(in crate::process) fn put_item(bytes: &mut Vec<u8>, kind: Kind, reply: &[u8]) {
    bytes.push(kind as u8);
    bytes.extend_from_slice(&(reply.len() as u32).to_le_bytes());
    bytes.extend_from_slice(reply);
}

/// How many bytes [`put_item`] adds to a reply.
pub(in crate::process) const ITEM_OVERHEAD: usize = 5;

/// Takes the reply to one item from the front of `bytes`. Returns `None` if it is not valid.
pub(in crate::process) fn take_item<'a>(bytes: &mut &'a [u8]) -> Option<(Kind, &'a [u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_at_checked(4)?;
    let (reply, rest) = rest.split_at_checked(u32_at(length, 0)? as usize)?;
    *bytes = rest;
    Some((Kind::from_byte(*kind)?, reply))
}

pub(in crate::process) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(in crate::process) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

pub(in crate::process) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
pub(in crate::process) mod fuzz;
