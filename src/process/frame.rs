//! Frames: what travels between a pool and a worker.
//!
//! A frame is a header of 24 bytes and a body: `length of the body: u64 | sequence: u64 | kind: u8 | slot: u8 | 6 unused`,
//! all little-endian. Nothing is allocated for a length above the limit of the executor, and a frame that breaks the rules
//! ends the connection: the other side may be a worker that a task has damaged.
//!
//! | kind | way | body |
//! |---|---|---|
//! | `Setup` | to the worker, first, with the descriptor of the slots | [`Setup`](super::worker::Setup), in postcard's format |
//! | `Task` | to the worker | [`TaskHead`], then the argument; of a chunk, for each item `length: u32` and its argument |
//! | `Hello` | from the worker, first | the build id of its program |
//! | `Ready` | from the worker, once it is set up | |
//! | `Unfit` | from the worker, if it cannot be set up | why, as in a `Fault` |
//! | `Value` | from the worker | the encoded result of a task |
//! | `Fault` | from the worker | the error of a task, see [`reply`](super::reply) |
//! | `Items` | from the worker | [`ItemsHead`], then for each item `kind: u8`, `length: u32` and a value or fault |
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};

pub(super) const HEADER: usize = 24;

/// What one look at the socket takes at least.
const READ: usize = 64 << 10;

/// What an idle reader keeps of the room it needed once.
const KEPT: usize = 1 << 20;

/// What a body may have beyond an argument or result of the longest length.
pub(super) const OVERHEAD: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Setup = 1,
    Task,
    Hello,
    Ready,
    Unfit,
    Value,
    Fault,
    Items,
}

impl Kind {
    const ALL: [Self; 8] =
        [Self::Setup, Self::Task, Self::Hello, Self::Ready, Self::Unfit, Self::Value, Self::Fault, Self::Items];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u64,
    pub(super) sequence: u64,
    pub(super) kind: Kind,
    pub(super) slot: u8,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16] = self.kind as u8;
        bytes[17] = self.slot;
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        Some(Self {
            length: u64_at(bytes, 0)?,
            sequence: u64_at(bytes, 8)?,
            kind: Kind::from_byte(bytes[16])?,
            slot: bytes[17],
        })
    }
}

/// Appends a frame to bytes that are to be sent.
pub(super) fn put(bytes: &mut Vec<u8>, kind: Kind, slot: u8, sequence: u64, body: &[u8]) {
    let header = Header { length: body.len() as u64, sequence, kind, slot };
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(body);
}

/// The beginning of the body of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskHead {
    pub(super) id: u64,
    pub(super) enter: u64,
    pub(super) function: u64,
    /// Of a chunk: how many items it has in all; else 0.
    pub(super) items: u32,
    /// Of a chunk: the first item that is in this frame.
    pub(super) first: u32,
}

impl TaskHead {
    pub(super) const LENGTH: usize = 32;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.enter.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.function.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.items.to_le_bytes());
        bytes[28..].copy_from_slice(&self.first.to_le_bytes());
        bytes
    }

    pub(super) fn parse(body: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = body.split_at_checked(Self::LENGTH)?;
        let head = Self {
            id: u64_at(head, 0)?,
            enter: u64_at(head, 8)?,
            function: u64_at(head, 16)?,
            items: u32_at(head, 24)?,
            first: u32_at(head, 28)?,
        };
        Some((head, rest))
    }
}

/// The beginning of a body with replies to items of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemsHead {
    pub(super) first: u32,
    pub(super) count: u32,
    /// No more items of this chunk will come.
    pub(super) last: bool,
}

impl ItemsHead {
    pub(super) const LENGTH: usize = 9;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&self.first.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8] = self.last.into();
        bytes
    }

    pub(super) fn parse(body: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = body.split_at_checked(Self::LENGTH)?;
        Some((Self { first: u32_at(head, 0)?, count: u32_at(head, 4)?, last: head[8] != 0 }, rest))
    }
}

/// Appends the reply to one item.
pub(super) fn put_item(bytes: &mut Vec<u8>, kind: Kind, reply: &[u8]) {
    bytes.push(kind as u8);
    bytes.extend_from_slice(&(reply.len() as u32).to_le_bytes());
    bytes.extend_from_slice(reply);
}

/// What [`put_item`] adds to a reply.
pub(super) const ITEM_OVERHEAD: usize = 5;

/// Takes the reply to one item from the front.
pub(super) fn take_item<'a>(bytes: &mut &'a [u8]) -> Option<(Kind, &'a [u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_at_checked(4)?;
    let (reply, rest) = rest.split_at_checked(u32_at(length, 0)? as usize)?;
    *bytes = rest;
    Some((Kind::from_byte(*kind)?, reply))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Cuts what arrives into frames. Bodies stay in its buffer until the next [`fill`](Reader::fill).
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// What was given out already.
    taken: usize,
    limit: u64,
}

impl Reader {
    /// Refuses frames whose body is longer than `limit`.
    pub(super) fn new(limit: u64) -> Self {
        Self { buffer: Vec::new(), taken: 0, limit }
    }

    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Adds what was received otherwise.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Receives once. 0: the other side sends no more.
    pub(super) fn fill(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<usize> {
        self.make_room()?;
        loop {
            match recv(socket, spare_capacity(&mut self.buffer), flags) {
                Ok((_, received)) => return Ok(received),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
            if self.buffer.is_empty() {
                self.buffer.shrink_to(KEPT);
            }
        }
        let missing = match self.header()? {
            Some(header) => (HEADER as u64 + header.length).saturating_sub(self.buffer.len() as u64),
            None => 0,
        };
        let room = usize::try_from(missing).unwrap_or(usize::MAX).max(READ);
        self.buffer.try_reserve_exact(room).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    /// The header of the next frame, if it is there.
    fn header(&self) -> io::Result<Option<Header>> {
        let Some(bytes) = self.buffer[self.taken..].first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let header = Header::from_bytes(bytes).ok_or_else(|| broken("a frame of an unknown kind"))?;
        if header.length > self.limit {
            return Err(broken(&format!("a frame of {} bytes, above the limit of {}", header.length, self.limit)));
        }
        Ok(Some(header))
    }

    /// Takes the next whole frame: where its body is.
    pub(super) fn next(&mut self) -> io::Result<Option<(Header, Range<usize>)>> {
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        let start = self.taken + HEADER;
        // At most the limit, so it fits where there is memory for it.
        let end = start.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
        if self.buffer.len() < end {
            return Ok(None);
        }
        self.taken = end;
        Ok(Some((header, start..end)))
    }

    pub(super) fn body(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }
}

pub(super) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
