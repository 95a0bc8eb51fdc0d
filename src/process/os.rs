//! What the pool needs from the operating system, in two implementations: for Linux, and for other Unix systems.
//! Nothing outside this module asks which one is used, except the automatic entry and the format of programs.
//!
//! | what | Linux | other systems |
//! |---|---|---|
//! | [`Memory`], which can be shared | a memfd, whose size is sealed | `shm_open`, unlinked at once; its size can be trusted only as far as its creator |
//! | [`Bell`], to end a `poll` | an eventfd | a pipe |
//! | [`Process`], which is not confused with the next process of the same id | a pidfd | a thread that waits for it |
//! | [`Lifeline`]: a worker and its group end with its pool | hang-up of the socket, and a signal when the [parent](parent) dies | a pipe that nothing is written to |
//!
//! `--cfg portable` selects the second one on Linux too, where it can be tested.

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

/// Calls `vanished` when a thread that never returns has ended: the system can end a single thread.
///
/// The kernel wakes a thread that joins another one even if that one had no time to announce its end. If no thread can
/// be started, the end goes unnoticed. `starting` is dropped when the new thread runs.
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
