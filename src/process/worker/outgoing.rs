//! How a worker sends. It may block, since the pool always reads.
#![forbid(unsafe_code)]

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, send, sendmsg};

use super::exit::{LOST, complain, leave};
use crate::process::os;
use crate::process::protocol::frame::{Kind, put};

/// Sends all bytes, or ends the process, which has nothing to do without its parent.
pub(super) fn send_all(socket: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match send(socket, bytes, os::NO_SIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(error) => {
                if error != Errno::PIPE && error != Errno::CONNRESET {
                    complain(&format!(
                        "a worker process cannot reach its pool: {error}; was its socket closed by a task?"
                    ));
                }
                leave(LOST);
            }
        }
    }
}

/// Sends the descriptor of a segment.
pub(in crate::process) fn send_descriptor(socket: &OwnedFd, number: u32, memory: &OwnedFd) {
    let mut frame = Vec::new();
    put(&mut frame, Kind::Segment, 0, number.into(), &[]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [memory.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = loop {
        match sendmsg(socket, &[IoSlice::new(&frame)], &mut control, os::NO_SIGNAL) {
            Err(Errno::INTR) => {}
            // Sending the rest of the frame fails too, and handles it.
            sent => break sent.unwrap_or(0),
        }
    };
    send_all(socket, &frame[sent..]);
}
