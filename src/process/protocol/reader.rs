//! [`Reader`]: cuts the received bytes into frames.
#![forbid(unsafe_code)]

#[cfg(test)]
mod torn;

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use super::frame::{HEADER, Header, broken};
use crate::process::os;

/// The least that one read of the socket asks for.
const READ: usize = 64 << 10;

/// How much of its buffer an idle reader keeps.
const KEPT: usize = 1 << 20;

/// How many descriptors may wait for their frames.
const DESCRIPTORS: usize = 4;

/// Cuts received bytes into frames, and keeps the descriptors that come with them. Bodies stay in its buffer until the
/// next [`fill`](Reader::fill).
pub(in crate::process) struct Reader {
    /// All of it is initialised; the bytes from `end` on are free.
    buffer: Vec<u8>,
    /// Where the bytes begin that were not yet returned as frames.
    start: usize,
    /// Where the received bytes end.
    end: usize,
    limit: u64,
    descriptors: VecDeque<OwnedFd>,
    /// `true` if a descriptor could not be received. The next one would be taken for it, so nothing more is received.
    is_cut: bool,
}

impl Reader {
    /// Makes a reader that refuses frames whose body is longer than `limit`.
    pub(in crate::process) fn new(limit: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, limit, descriptors: VecDeque::new(), is_cut: false }
    }

    /// Receives what has arrived, without blocking. Returns 0 if the other side sends no more.
    pub(in crate::process) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.fill(socket.as_fd(), RecvFlags::DONTWAIT)
    }

    /// Receives once. Returns 0 if the other side sends no more.
    pub(in crate::process) fn fill(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<usize> {
        if self.is_cut {
            return Err(broken("a descriptor that could not be received"));
        }
        self.make_room()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let room = &mut [IoSliceMut::new(&mut self.buffer[self.end..])];
            match recvmsg(socket, room, &mut control, flags | os::CLOSE_ON_EXEC) {
                Err(Errno::INTR) => {}
                received => break received?,
            }
        };
        self.is_cut = received.flags.contains(ReturnFlags::CTRUNC);
        let received = received.bytes;
        self.end += received;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    self.descriptors.push_back(os::received(descriptor)?);
                }
            }
        }
        if self.descriptors.len() > DESCRIPTORS {
            return Err(broken("descriptors that belong to no frame"));
        }
        Ok(received)
    }

    /// Makes room for the rest of the next frame, and for at least one read.
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

    /// Returns the header of the next frame, if it has arrived.
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

    /// Takes the next whole frame. Returns its header and the range of its body.
    pub(in crate::process) fn next(&mut self) -> io::Result<Option<(Header, Range<usize>)>> {
        let Some(header) = self.peek()? else {
            return Ok(None);
        };
        let body = self.start + HEADER;
        let end = body + header.length as usize;
        self.start = end;
        Ok(Some((header, body..end)))
    }

    /// Returns the header of the next frame, if the whole frame has arrived.
    pub(in crate::process) fn peek(&self) -> io::Result<Option<Header>> {
        let is_whole = |header: &Header| {
            let length = usize::try_from(header.length).unwrap_or(usize::MAX);
            self.end - self.start >= length.saturating_add(HEADER)
        };
        Ok(self.header()?.filter(is_whole))
    }

    pub(in crate::process) fn body(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Returns the buffer that the ranges of bodies refer to.
    pub(in crate::process) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the descriptor that came with the frame that was taken last.
    pub(in crate::process) fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| broken("a frame without its descriptor"))
    }
}

/// Returns zeroed memory. A long buffer is not touched before something is received into it.
fn zeroed(length: usize) -> io::Result<Vec<u8>> {
    // A damaged worker may send any length, and that must not end the program.
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    Ok(vec![0; length])
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendFlags, send};

    use super::*;
    use crate::process::protocol::frame::{Kind, put};

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
    fn memory_of_a_long_frame_is_released() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut reader = Reader::new(u64::MAX);
        for (length, is_long) in [(2 * KEPT, true), (1, false)] {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut bytes = Vec::new();
                    put(&mut bytes, Kind::Value, 0, 0, &vec![7; length]);
                    let mut left = &bytes[..];
                    while !left.is_empty() {
                        left = &left[send(&theirs, left, SendFlags::empty()).unwrap()..];
                    }
                });
                while reader.next().unwrap().is_none() {
                    reader.fill(ours.as_fd(), RecvFlags::empty()).unwrap();
                }
            });
            assert_eq!(reader.buffer().len() > KEPT, is_long);
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
