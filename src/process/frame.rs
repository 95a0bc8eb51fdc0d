//! Frames: what travels between a pool and a worker.
//!
//! A frame is a header of 24 bytes and a body: `length of the body: u64 | sequence: u64 | kind: u8 | slot: u8 | segments: u8 |
//! kept: u8 | 4 unused`, all little-endian. Nothing is allocated for a length above the limit of the executor, and a frame that breaks the rules
//! ends the connection: the other side may be a worker that a task has damaged.
//!
//! | kind | way | body |
//! |---|---|---|
//! | `Setup` | to the worker, first, with the descriptor of the slots, and of its lifeline where there is one | [`Setup`](super::worker::Setup), in postcard's format |
//! | `Task` | to the worker | [`TaskHead`], then the argument; of a chunk, for each item `length: u32` and its argument, or [`NOT_SENT`] |
//! | `Hello` | from the worker, first | the build id of its program |
//! | `Ready` | from the worker, once it is set up | |
//! | `Unfit` | from the worker, if it cannot be set up | why, as in a `Fault` |
//! | `Value` | from the worker | the encoded result of a task |
//! | `Fault` | from the worker | the error of a task, see [`reply`](super::reply) |
//! | `Segment` | both, with the descriptor, before the first frame that needs it | `sequence` is its number |
//! | `Forget` | both | `sequence` is the number of a segment that will not be used again |
//! | `Items` | from the worker | [`ItemsHead`], then for each item `kind: u8`, `length: u32` and a value or fault |
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::sys;

pub(super) const HEADER: usize = 24;

/// What one look at the socket takes at least.
const READ: usize = 64 << 10;

/// What an idle reader keeps of the room it needed once.
const KEPT: usize = 1 << 20;

/// How many descriptors may wait for their frames.
const DESCRIPTORS: usize = 4;

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
    Segment,
    Forget,
}

impl Kind {
    const ALL: [Self; 10] = [
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
    ];

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
    /// How many segments of the worker the result needs.
    pub(super) segments: u8,
    /// The task has kept bytes of the pool's segments.
    pub(super) kept: bool,
}

impl Header {
    pub(super) fn new(kind: Kind, slot: u8, sequence: u64, length: usize) -> Self {
        Self { length: length as u64, sequence, kind, slot, segments: 0, kept: false }
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16] = self.kind as u8;
        bytes[17] = self.slot;
        bytes[18] = self.segments;
        bytes[19] = self.kept.into();
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        Some(Self {
            length: u64_at(bytes, 0)?,
            sequence: u64_at(bytes, 8)?,
            kind: Kind::from_byte(bytes[16])?,
            slot: bytes[17],
            segments: bytes[18],
            kept: bytes[19] != 0,
        })
    }
}

/// Appends a frame to bytes that are to be sent.
pub(super) fn put(bytes: &mut Vec<u8>, kind: Kind, slot: u8, sequence: u64, body: &[u8]) {
    bytes.extend_from_slice(&Header::new(kind, slot, sequence, body.len()).to_bytes());
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

/// The length that says that an item of a chunk is not sent, and is to be passed over.
pub(super) const NOT_SENT: u32 = u32::MAX;

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

/// Cuts what arrives into frames, and keeps the descriptors that come along. Bodies stay in its buffer until the next
/// [`fill`](Reader::fill).
pub(super) struct Reader {
    /// All of it is initialised; what lies behind `end` is room.
    buffer: Vec<u8>,
    /// What was given out already.
    start: usize,
    /// What was received.
    end: usize,
    limit: u64,
    descriptors: VecDeque<OwnedFd>,
}

impl Reader {
    /// Refuses frames whose body is longer than `limit`.
    pub(super) fn new(limit: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, limit, descriptors: VecDeque::new() }
    }

    /// Receives once. 0: the other side sends no more.
    pub(super) fn fill(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<usize> {
        self.make_room()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let room = &mut [IoSliceMut::new(&mut self.buffer[self.end..])];
            match recvmsg(socket, room, &mut control, flags | sys::CLOSE_ON_EXEC) {
                Err(Errno::INTR) => {}
                received => break received?.bytes,
            }
        };
        self.end += received;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    sys::received(&descriptor)?;
                    self.descriptors.push_back(descriptor);
                }
            }
        }
        if self.descriptors.len() > DESCRIPTORS {
            return Err(broken("descriptors that belong to no frame"));
        }
        Ok(received)
    }

    /// Makes room for the rest of the next frame, and no less than one read.
    fn make_room(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT {
                self.buffer = Vec::new();
            }
        }
        let waiting = self.end - self.start;
        let missing = match self.header()? {
            Some(header) => usize::try_from(header.length).unwrap_or(usize::MAX).saturating_sub(waiting - HEADER),
            None => 0,
        };
        let room = missing.max(READ);
        if self.buffer.len() - self.end < room {
            if self.buffer.len() - waiting >= room {
                self.buffer.copy_within(self.start..self.end, 0);
            } else {
                let length = waiting.checked_add(room).ok_or(io::ErrorKind::OutOfMemory)?;
                let mut larger = zeroed(length)?;
                larger[..waiting].copy_from_slice(&self.buffer[self.start..self.end]);
                self.buffer = larger;
            }
            (self.start, self.end) = (0, waiting);
        }
        Ok(())
    }

    /// The header of the next frame, if it is there.
    fn header(&self) -> io::Result<Option<Header>> {
        let Some(bytes) = self.buffer[self.start..self.end].first_chunk::<HEADER>() else {
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
        let body = self.start + HEADER;
        let end = body.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
        if self.end < end {
            return Ok(None);
        }
        self.start = end;
        Ok(Some((header, body..end)))
    }

    pub(super) fn body(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Takes the descriptor that came with the frame that was taken last.
    pub(super) fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| broken("a frame without its descriptor"))
    }
}

/// Zeroes that the system has at hand: of a long buffer nothing is touched before it is received.
fn zeroed(length: usize) -> io::Result<Vec<u8>> {
    // A length that a damaged worker made up must not be the end of the program.
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    Ok(vec![0; length])
}

pub(super) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendFlags, send};

    use super::*;

    fn frames(bytes: &[u8], at_once: usize, limit: u64) -> io::Result<Vec<(Header, Vec<u8>)>> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut reader = Reader::new(limit);
        let mut frames = Vec::new();
        for piece in bytes.chunks(at_once) {
            assert_eq!(send(&theirs, piece, SendFlags::empty()).unwrap(), piece.len());
            reader.fill(ours.as_fd(), RecvFlags::empty())?;
            while let Some((header, body)) = reader.next()? {
                frames.push((header, reader.body(body).to_vec()));
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_are_whole_however_they_arrive() {
        let bodies: Vec<Vec<u8>> = [0, 1, 23, 24, 25, 70_000, 3].map(|length| vec![length as u8; length]).into();
        let mut bytes = Vec::new();
        for (slot, body) in bodies.iter().enumerate() {
            put(&mut bytes, Kind::Value, slot as u8, 1 << 40, body);
        }
        for at_once in [1, 7, 24, 1000, 60_000] {
            let frames = frames(&bytes, at_once, 70_000).unwrap();
            assert_eq!(frames.len(), bodies.len());
            for (slot, ((header, body), sent)) in frames.iter().zip(&bodies).enumerate() {
                assert_eq!((header.kind, header.slot, header.sequence), (Kind::Value, slot as u8, 1 << 40));
                assert!(body == sent);
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_long_or_unknown_is_refused() {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Value, 0, 0, &[0; 11]);
        assert!(frames(&bytes, 5, 11).is_ok());
        assert_eq!(frames(&bytes, 5, 10).unwrap_err().to_string(), "a frame of 11 bytes, above the limit of 10");
        bytes[16] = 99;
        assert!(frames(&bytes, 5, 11).is_err());
    }
}
