//! What the pool wants of the system, in two ways: Linux's own, and that of the rest of Unix. Nothing outside of this module
//! asks which it is, but for the automatic entry and the format of programs.
//!
//! | wanted | Linux | elsewhere |
//! |---|---|---|
//! | [`Memory`] to share | a memfd, whose size is sealed | `shm_open`, unlinked at once; its size can be trusted only as far as its maker |
//! | [`Bell`], to end a `poll` | an eventfd | a pipe |
//! | [`Process`], which is told from who gets its number next | a pidfd | a thread that waits for it |
//! | [`Lifeline`]: a worker and its group end with its pool | hang-up of the socket, and a signal of the [parent](parent)'s death | a pipe that nobody writes to |
//!
//! `--cfg portable` takes the second way on Linux too, where it can be tested.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::{Builder, JoinHandle};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

mod group;
#[cfg(all(target_os = "linux", not(portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(portable)))]
mod parent;
#[cfg(any(not(target_os = "linux"), portable))]
mod portable;
mod thread;

pub(super) use group::{end_group, end_rest_of_group};
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use linux::*;
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use parent::{die_with_parent, die_with_parent_too};
#[cfg(any(not(target_os = "linux"), portable))]
pub(super) use portable::*;

/// Moves a descriptor out of the numbers of the standard streams, which it was given if one of them was closed: what is printed must not
/// go there. All that are made in here or arrive here go through this.
pub(super) fn above_streams(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    const STREAMS: i32 = 3;
    match descriptor.as_raw_fd() {
        ..STREAMS => Ok(fcntl_dupfd_cloexec(descriptor, STREAMS)?),
        _ => Ok(descriptor),
    }
}

/// Refuses memory that is longer than a file may be here (`ulimit -f`): the attempt would raise SIGXFSZ, and that ends the program, or
/// the worker. A limit that another thread lowers in this very moment is seen by the next one.
fn check_file_size(length: usize) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < length as u64 => {
            let text = format!(
                "shared memory of {length} bytes is longer than a file may be in this process, which is {limit} bytes (RLIMIT_FSIZE): \
                 raise the limit (`ulimit -f`), or use a ThreadPoolExecutor"
            );
            Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
        }
        _ => Ok(()),
    }
}

/// The stack of a thread that does nothing but wait.
const SMALL: usize = 64 << 10;

/// Has `vanished` run when a thread has ended that never returns: the system can end it alone.
///
/// The kernel wakes who joins a thread also where that thread had no time to say that it ends. Where no thread can be started, nobody sees
/// it. `starting` is dropped when it runs.
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
