//! Descriptors that are made or received in this module.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;

/// Moves a descriptor out of the numbers of the standard streams, which it was given if one of them was closed: what is
/// printed must not go there. All that are made in here or arrive here go through this.
pub(in crate::process) fn above_streams(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    const STREAMS: i32 = 3;
    match descriptor.as_raw_fd() {
        ..STREAMS => Ok(fcntl_dupfd_cloexec(descriptor, STREAMS)?),
        _ => Ok(descriptor),
    }
}
