//! [`Child`]: one child process, seen from its parent.
//!
//! The program around us may reap our child at any time: by ignoring SIGCHLD, or with `waitpid(-1)`. From then on the
//! system may give its process id to another process. So a child is identified by what [`os`](super::os) watches it
//! with, and by its id only where nothing else works.

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

/// A child process and its process group. If it is dropped unreaped, it is killed and reaped, except in a forked copy
/// of its parent, and if it cannot be killed.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    process: Process,
    /// The process group, as long as it may be signalled. Taken before the child is reaped, so that no signal can go to
    /// the next process with this id.
    group: Mutex<Option<Pid>>,
    parent: u32,
}

impl Child {
    /// Starts the command, in a process group of its own.
    ///
    /// # Errors
    ///
    /// Returns an error if the child cannot be started, or cannot be watched; then it was killed and reaped. A child
    /// that has ended and was reaped by another thread before it could be watched is no error: how it ended is unknown.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        Self::watch(Pid::from_child(&child)).inspect_err(|_| {
            // A child that cannot be killed finds its socket closed.
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

    /// Returns the id that the process has, or had.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a descriptor that is readable once the process has ended, no matter which thread reaps it.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.process.ended()
    }

    /// Sends a signal to the whole process group, or does nothing if the child was reaped. May be called from any
    /// thread, at any time.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses, see [`Process::signal`].
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match *self.group.lock() {
            Some(group) => self.send(group, signal),
            None => Ok(()),
        }
    }

    /// Kills what is left of the process group, waits until the child has ended, and returns how it ended.
    ///
    /// Does not block for long if the child could be killed, nor once [`ended`](Self::ended) is readable. May be called
    /// only once: a second call may not find out.
    pub(super) fn reap(&self) -> Exit {
        if let Some(group) = self.group.lock().take() {
            // What cannot be killed is left running: the child itself has ended.
            let _ = self.send(group, Signal::KILL);
        }
        self.process.reap()
    }

    /// Gives up a child that can neither be killed nor waited for: it is no longer signalled, and never reaped.
    pub(super) fn abandon(&self) {
        self.group.lock().take();
    }

    /// Sends a signal to the group, unless this is a forked copy of the parent. Called under the lock of `group`, or
    /// after taking it.
    fn send(&self, group: Pid, signal: Signal) -> Result<(), Errno> {
        if fork::generation() == self.parent { self.process.signal(group, signal) } else { Ok(()) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let is_ours = self.group.get_mut().is_some() && fork::generation() == self.parent;
        // Waiting for a child that cannot be killed might never end.
        if is_ours && self.signal(Signal::KILL).is_ok() {
            self.reap();
        }
    }
}

#[cfg(test)]
mod tests;
