//! What the pool needs from the system, in two ways: one for Linux, one for the rest of Unix. No code outside this
//! module asks which one is in use, except the automatic entry and the program formats.
//!
//! | needed | Linux | elsewhere |
//! |---|---|---|
//! | [`Memory`] to share | a memfd, whose size is sealed | `shm_open`, unlinked at once; its size is not sealed |
//! | [`Bell`], to end a `poll` | an eventfd | a pipe |
//! | [`Process`], told apart from the next process with its number | a pidfd | a thread that waits for it |
//! | [`Lifeline`]: a worker and its group end with its pool | hang-up of the socket, and a signal of the [parent]'s death | a pipe that nobody writes to |
//!
//! `--cfg portable` selects the second way on Linux too, so that it can be tested there.

use std::thread::{Builder, JoinHandle};

mod descriptor;
mod file_size;
mod group;
#[cfg(all(target_os = "linux", not(portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(portable)))]
mod parent;
#[cfg(any(not(target_os = "linux"), portable))]
mod portable;
mod thread;

pub(super) use descriptor::above_streams;
pub(super) use group::{end_group, end_rest_of_group};
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use linux::*;
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use parent::{die_with_parent, die_with_parent_too};
#[cfg(any(not(target_os = "linux"), portable))]
pub(super) use portable::*;

/// The stack size of a thread that only waits.
const SMALL: usize = 64 << 10;

/// Runs `vanished` when a thread has ended that never returns: the system can end a single thread.
///
/// The kernel wakes the thread that joins it even if it had no time to report its end. If no thread can be started, its
/// end goes unnoticed. `starting` is dropped once the witness runs.
pub(super) fn witness<T: Send + 'static>(
    thread: JoinHandle<T>,
    starting: impl Send + 'static,
    vanished: impl FnOnce() + Send + 'static,
) {
    let witness = move || {
        drop(starting);
        thread::wait(thread);
        vanished();
    };
    let _ = Builder::new().name("worker-witness".into()).stack_size(SMALL).spawn(witness);
}
