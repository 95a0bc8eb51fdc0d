//! Descriptors that are made or received in this module.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;

/// Moves a descriptor out of the numbers of the standard streams, which it got if one of them was closed: printed text
/// must not go into it. Every descriptor that is made or received here goes through this function.
pub(in crate::process) fn above_streams(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    const STREAMS: i32 = 3;
    match descriptor.as_raw_fd() {
        ..STREAMS => Ok(fcntl_dupfd_cloexec(descriptor, STREAMS)?),
        _ => Ok(descriptor),
    }
}
