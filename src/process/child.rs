//! [`Child`]: one child process, seen from its parent.
//!
//! Other code of the program may reap our child at any time: by ignoring SIGCHLD, or with `waitpid(-1)`. From then on
//! another process may have its number. So a child is known by what [`os`](super::os) watches it with, and by its
//! number only where nothing else works.

pub(super) mod exit;
mod oom;

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::os::Process;
use crate::error::Exit;
use crate::fork;
use crate::sync::Mutex;

pub(super) use oom::OomCounter;

/// A child process and its process group. If dropped unreaped, it is killed and reaped, except in a forked copy of its
/// parent, and if it cannot be killed.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    process: Process,
    /// The process group, for as long as it may be signalled. Taken before the child is reaped, so that no signal goes
    /// to the next process with its number.
    group: Mutex<Option<Pid>>,
    parent: u32,
}

impl Child {
    /// Starts the command, in a process group of its own.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or watched: then it was killed and reaped. It is no error if a child has ended and
    /// other code reaped it before we could look: how it ended is then unknown.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        Self::watch(Pid::from_child(&child)).inspect_err(|_| {
            // A child that cannot be killed finds that its socket has no other end.
            if child.kill().is_ok() {
                let _ = child.wait();
            }
        })
    }

    fn watch(pid: Pid) -> io::Result<Self> {
        let (process, group) = match Process::watch(pid)? {
            Some(process) => (process, Some(pid)),
            None => (Process::gone()?, None),
        };
        let pid = pid.as_raw_pid().unsigned_abs();
        Ok(Self { pid, process, group: Mutex::new(group), parent: fork::generation() })
    }

    /// Returns the id the process has, or had.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a descriptor that becomes readable when the process has ended, whoever reaps it.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.process.ended()
    }

    /// Sends a signal to the whole process group, or does nothing if the child was reaped. Any thread may call it at
    /// any time.
    ///
    /// # Errors
    ///
    /// If the system refuses: see [`Process::signal`].
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match *self.group.lock() {
            Some(group) => self.send(group, signal),
            None => Ok(()),
        }
    }

    /// Kills what is left of the process group, waits until the child has ended, and returns how it did.
    ///
    /// Does not block for long if the child could be killed, nor once [`ended`](Self::ended) is readable. Must be
    /// called once: a second call may no longer know how it ended.
    pub(super) fn reap(&self) -> Exit {
        if let Some(group) = self.group.lock().take() {
            // Processes that cannot be killed are left: the child itself has ended.
            let _ = self.send(group, Signal::KILL);
        }
        self.process.reap()
    }

    /// Gives up a child that can neither be killed nor waited for: it is no longer signalled, and never reaped.
    pub(super) fn abandon(&self) {
        self.group.lock().take();
    }

    /// Sends a signal. The caller holds the lock of `group`, or has taken the group out.
    fn send(&self, group: Pid, signal: Signal) -> Result<(), Errno> {
        if fork::generation() == self.parent { self.process.signal(group, signal) } else { Ok(()) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let is_ours = self.group.get_mut().is_some() && fork::generation() == self.parent;
        // Waiting for a child that cannot be killed would not end.
        if is_ours && self.signal(Signal::KILL).is_ok() {
            self.reap();
        }
    }
}

#[cfg(test)]
mod tests;
