//! How a worker process ends.
#![forbid(unsafe_code)]

use std::io;

use crate::process::os;

/// The code a worker exits with that lost its connection.
pub(in crate::process) const LOST: i32 = 74;

/// Ends the process, and before it what tasks have started: the pool would, but it may be gone before it has seen our end.
pub(super) fn leave(code: i32) -> ! {
    os::end_rest_of_group();
    std::process::exit(code)
}

/// There is no logger in a worker that nobody has set. A thread of a task's may keep standard error locked, so this asks for no lock.
pub(super) fn complain(text: &str) {
    let _ = rustix::io::write(io::stderr(), format!("concurrent-futures: {text}\n").as_bytes());
}
