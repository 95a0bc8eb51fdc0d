//! How a worker process ends.
#![forbid(unsafe_code)]

use std::io;

use crate::process::os;

/// The exit code of a worker that lost its connection.
pub(in crate::process) const LOST: i32 = 74;

/// Ends the process, after the processes that its tasks started: the pool would end those, but it may be gone before it
/// sees the end of this one.
pub(super) fn leave(code: i32) -> ! {
    os::end_rest_of_group();
    std::process::exit(code)
}

/// Prints a message to standard error: a worker has no logger unless the program sets one. Takes no lock, because a
/// thread of a task may keep standard error locked.
pub(super) fn complain(text: &str) {
    let _ = rustix::io::write(io::stderr(), format!("concurrent-futures: {text}\n").as_bytes());
}
