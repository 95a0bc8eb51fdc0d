//! Detects that this process is a forked child of the one that made a pool. In the child the pool's threads do not
//! exist, and locks that they held at the fork stay locked for ever.
//!
//! A pool and its tasks store the [`generation`] in which they were made. Code that is about to take a lock of the
//! pool, or to wait for it, compares that with the current generation, and ends the task with [`lost_in_fork`] if they
//! differ.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Broken, Error};

/// The id of this process, if somebody keeps it current. Or 0.
static CURRENT: AtomicU32 = AtomicU32::new(0);

/// Returns a number that is the same for as long as this is the same process, and never 0.
///
/// Costs an atomic load where somebody is told of each fork, otherwise a system call. A bare `clone` that copies the
/// process is only noticed in the latter case.
pub(crate) fn generation() -> u32 {
    match CURRENT.load(Ordering::Relaxed) {
        0 => id(),
        current => current,
    }
}

/// Says that this process is the one that calls; at once, and in each copy of it before anything else runs there.
pub(crate) fn set_current() {
    CURRENT.store(id(), Ordering::Relaxed);
}

#[cfg(unix)]
fn id() -> u32 {
    std::process::id()
}

/// Nothing is forked there, and some have no ids.
#[cfg(not(unix))]
fn id() -> u32 {
    1
}

/// What becomes of a task in a forked copy of the process that made its executor.
pub(crate) fn lost_in_fork() -> Error {
    let cause = "this process is a forked copy of the one that made the executor; make another one after the fork";
    Error::Broken(Broken::new(cause))
}
