//! Detects that this process is a forked child of the one that made a pool. In the child the pool's threads do not
//! exist, and locks that they held at the fork stay locked for ever.
//!
//! A pool and its tasks store the [`generation`] in which they were made. Code that is about to take a lock of the
//! pool, or to wait for it, compares that with the current generation, and ends the task with [`lost_in_fork`] if they
//! differ.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Broken, Error};

/// The id of this process if forks are tracked, otherwise 0.
static CURRENT: AtomicU32 = AtomicU32::new(0);

/// Returns a number that is the same for as long as this is the same process, and never 0.
///
/// Costs an atomic load if forks are tracked, otherwise a system call. A bare `clone` that copies the process is only
/// noticed in the latter case.
pub(crate) fn generation() -> u32 {
    match CURRENT.load(Ordering::Relaxed) {
        0 => id(),
        current => current,
    }
}

/// Stores the id of the calling process. Called to begin the tracking, and in each forked copy before anything else
/// runs there.
pub(crate) fn set_current() {
    CURRENT.store(id(), Ordering::Relaxed);
}

#[cfg(unix)]
fn id() -> u32 {
    std::process::id()
}

/// Other systems do not fork, and some have no process ids.
#[cfg(not(unix))]
fn id() -> u32 {
    1
}

/// Returns the error of a task in a forked copy of the process that made its executor.
pub(crate) fn lost_in_fork() -> Error {
    let cause = "this process is a forked copy of the one that made the executor; make another one after the fork";
    Error::Broken(Broken::new(cause))
}
