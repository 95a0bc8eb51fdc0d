//! Frames of a model.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::os::Socket;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    /// There is none here, but a receiver asks.
    Fault,
    Bell,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// May be more than the model has of it.
    pub(super) length: u64,
    pub(super) sequence: u64,
    pub(super) kind: Kind,
    pub(super) slot: u8,
    pub(super) segments: u8,
}

pub(super) type Frame = (Header, Vec<u8>);

#[derive(Default)]
pub(super) struct Reader {
    frames: VecDeque<Frame>,
    /// The body of the frame that was taken last.
    last: Vec<u8>,
}

impl Reader {
    pub(super) fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let (mut came, hung_up) = socket.look(|told| (std::mem::take(&mut told.frames), told.hung_up));
        match came.len() {
            0 if !hung_up => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                self.frames.append(&mut came);
                Ok(count)
            }
        }
    }

    pub(super) fn peek(&self) -> io::Result<Option<Header>> {
        Ok(self.frames.front().map(|(header, _)| *header))
    }

    pub(super) fn next(&mut self) -> io::Result<Option<(Header, Range<usize>)>> {
        Ok(self.frames.pop_front().map(|(header, body)| {
            self.last = body;
            (header, 0..self.last.len())
        }))
    }

    pub(super) fn body(&self, range: Range<usize>) -> &[u8] {
        &self.last[range]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
