//! [`Child`]: one child process, seen from its parent.
//!
//! The program around us may reap our child at any time: by ignoring SIGCHLD, or with `waitpid(-1)`. From then on its
//! number may be anybody's. So a child is known by its pidfd, and by its number only where nothing else will do.
#![allow(unsafe_code)]

mod exit;
mod oom;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal, waitid,
};

use super::fork;
use crate::error::Exit;
use crate::sync::Mutex;

pub(super) use oom::OomCounter;

/// A child process and its process group. Dropped unreaped, it is killed and reaped, except in a forked copy of its
/// parent.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    pidfd: OwnedFd,
    /// The process group, for as long as there is one to signal. Taken before the child is reaped, so that no signal
    /// can go to whoever gets the number next.
    group: Mutex<Option<Pid>>,
    parent: u32,
}

impl Child {
    /// Starts the command, in a process group of its own.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or watched: then it was killed and reaped. A child that has ended and was reaped by
    /// somebody else before we could look is no error, but one that ended in a way that is unknown.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        Self::watch(Pid::from_child(&child)).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })
    }

    fn watch(pid: Pid) -> io::Result<Self> {
        let (pidfd, group) = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) if is_unreaped(&pidfd) || has_ended(&pidfd) => (pidfd, Some(pid)),
            // Reaped already. The number belongs to nobody, or to another process, or at most to a group.
            Ok(_) | Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => (ended()?, None),
            Err(error) => return Err(error.into()),
        };
        let pid = pid.as_raw_pid().unsigned_abs();
        Ok(Self { pid, pidfd, group: Mutex::new(group), parent: fork::generation() })
    }

    /// Returns the id the process has, or had.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a descriptor that is readable from when the process has ended, whoever reaps it.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends a signal to the whole process group; nothing if the child was reaped. From any thread, at any time.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = *self.group.lock() {
            self.send(group, signal);
        }
    }

    /// Kills what is left of the process group, waits until the child has ended, and says how it did.
    ///
    /// Does not block once [`pidfd`](Self::pidfd) is readable. To be called once: a second call may not know any more.
    pub(super) fn reap(&self) -> Exit {
        if let Some(group) = self.group.lock().take() {
            self.send(group, Signal::KILL);
        }
        match retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd()), WaitIdOptions::EXITED)) {
            Ok(Some(status)) => exit::of(status.exit_status(), status.terminating_signal()),
            // Somebody else has reaped it.
            _ => exit::told_by_kernel(self.pidfd()).unwrap_or(Exit::Unknown),
        }
    }

    /// Called under the lock of `group`. That a process has gone is no error.
    fn send(&self, group: Pid, signal: Signal) {
        if fork::generation() != self.parent {
            return;
        }
        if signal_group(self.pidfd(), signal) == Err(Errno::INVAL) && is_unreaped(&self.pidfd) {
            // Linux before 6.9. The number is the child's as long as it is unreaped.
            let _ = kill_process_group(group, signal);
        }
        if signal == Signal::KILL {
            // It may have left its group.
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.group.get_mut().is_some() && fork::generation() == self.parent {
            self.reap();
        }
    }
}

/// Signals the group that this process was the first of, which works without its number, and after it was reaped.
fn signal_group(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    let (pidfd, signal) = (pidfd.as_raw_fd(), signal.as_raw());
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and the kernel fills in the information itself if it is given none.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, no_info, libc::PIDFD_SIGNAL_PROCESS_GROUP) };
    if result == 0 { Ok(()) } else { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)) }
}

/// Is it a child of ours, running or waiting to be reaped?
fn is_unreaped(pidfd: &OwnedFd) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::PidFd(pidfd.as_fd()), look).is_ok()
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
}

/// What stands in for the pidfd of a process that has gone: it is readable too.
fn ended() -> io::Result<OwnedFd> {
    Ok(eventfd(1, EventfdFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests;
