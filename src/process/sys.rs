//! What the pool wants of the system, in two ways: Linux's own, and that of the rest of Unix. Nothing outside of this module
//! asks which it is, but for the automatic entry and the format of programs.
//!
//! | wanted | Linux | elsewhere |
//! |---|---|---|
//! | [`Memory`] to share | a memfd, whose size is sealed | `shm_open`, unlinked at once; its size can be trusted only as far as its maker |
//! | [`Bell`], to end a `poll` | an eventfd | a pipe |
//! | [`Ear`], to let one thread receive in another's place | an epoll instance around the socket | nothing: the other cannot be kept from waking |
//! | [`Process`], which is told from who gets its number next | a pidfd | a thread that waits for it |
//! | [`Lifeline`]: a worker ends with its pool | hang-up of the socket, and a signal | a pipe that nobody writes to |
//!
//! `--cfg portable` takes the second way on Linux too, where it can be tested.

use std::os::fd::OwnedFd;
use std::thread::{Builder, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

#[cfg(all(target_os = "linux", not(portable)))]
mod linux;
#[cfg(any(not(target_os = "linux"), portable))]
mod portable;
mod thread;

#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use linux::*;
#[cfg(any(not(target_os = "linux"), portable))]
pub(super) use portable::*;

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

/// The pool's end of what connects it to a worker.
pub(super) type Socket = OwnedFd;

/// Sleeps until something is there to be received. `Some(false)`: perhaps there is nothing. `None`: the bell was rung, or the system does not let us
/// sleep.
pub(super) fn sleep(socket: &Socket, bell: &Bell) -> Option<bool> {
    let mut descriptors = [PollFd::new(socket, PollFlags::IN), PollFd::new(bell, PollFlags::IN)];
    match poll(&mut descriptors, None) {
        Ok(1..) if descriptors[1].revents().is_empty() => Some(true),
        Err(Errno::INTR) => Some(false),
        _ => None,
    }
}
