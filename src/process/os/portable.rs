//! The way of the rest of Unix: POSIX, and what its systems have in common beyond it.
//!
//! It promises less than Linux's: a program that ignores SIGCHLD, or reaps children that are not its own, learns late
//! or never how its workers end, and what the workers have started may outlive them.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, ftruncate};
use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getegid, geteuid, getgid, getuid, kill_process,
    kill_process_group, waitid, waitpid,
};
use rustix::shm;

use super::descriptor::above_streams;
use super::file_size::check_file_size;
use crate::error::Exit;
use crate::process::child::exit;
use crate::sync::Mutex;

/// Flags for sending: no SIGPIPE if the other side is gone. Apple's systems set that once per socket instead.
#[cfg(not(target_vendor = "apple"))]
pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Flags for receiving: not all systems have one for descriptors that come along.
pub(in crate::process) const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

/// Prepares a received descriptor: it must not be a standard stream, and is not inherited by the programs that this one
/// starts.
pub(in crate::process) fn received(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    let descriptor = above_streams(descriptor)?;
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// Makes a pipe of which neither end is a standard stream.
fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((above_streams(reader.into())?.into(), above_streams(writer.into())?.into()))
}

/// Prepares the pool's end of a socket: it must never block, and Apple's systems ignore `MSG_DONTWAIT` on sending.
pub(in crate::process) fn prepare(socket: &OwnedFd) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(socket, true)?;
    Ok(ioctl_fionbio(socket, true)?)
}

/// Memory shared by this process and another one, all zero.
pub(in crate::process) struct Memory {
    both: OwnedFd,
    reading: OwnedFd,
}

impl Memory {
    pub(in crate::process) fn new(length: usize) -> io::Result<Self> {
        check_file_size(length)?;
        let create = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
        loop {
            // Some systems allow no more than 30 characters.
            let name = format!("/cf-{:016x}", RandomState::new().hash_one(0));
            let both = match shm::open(&name, create, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                opened => opened?,
            };
            let reading = shm::open(&name, shm::OFlags::RDONLY, Mode::empty());
            let unlinked = shm::unlink(&name);
            let both = above_streams(both)?;
            ftruncate(&both, length as u64)?;
            unlinked?;
            return Ok(Self { both, reading: above_streams(reading?)? });
        }
    }

    /// Returns the descriptor with which the other side can read and write. With it, the other side can change the
    /// length where the system allows that.
    pub(in crate::process) fn for_both(self) -> io::Result<OwnedFd> {
        Ok(self.both)
    }

    /// Returns the descriptor with which the other side can only read. No descriptor for writing is kept.
    pub(in crate::process) fn for_reading(self) -> io::Result<OwnedFd> {
        Ok(self.reading)
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.both.as_fd()
    }
}

/// Does nothing, as there is no portable way: touching memory that the system cannot provide raises SIGBUS.
pub(in crate::process) fn back(_base: NonNull<u8>, _length: usize) -> io::Result<()> {
    Ok(())
}

/// Returns `true`: there is no way to check that memory of the other side keeps its length. A worker that was damaged
/// on purpose could shrink its own where the system allows that, and so crash the program that reads it.
pub(in crate::process) fn keeps_its_length(_memory: impl AsFd) -> io::Result<bool> {
    Ok(true)
}

/// A descriptor that is readable once `ring` was called.
pub(in crate::process) struct Bell {
    heard: PipeReader,
    rung: PipeWriter,
}

impl Bell {
    pub(in crate::process) fn new() -> io::Result<Self> {
        let (heard, rung) = pipe()?;
        ioctl_fionbio(&heard, true)?;
        ioctl_fionbio(&rung, true)?;
        Ok(Self { heard, rung })
    }

    pub(in crate::process) fn ring(&self) {
        // This fails only when the pipe is full, and then it is readable already.
        let _ = (&self.rung).write(&[1]);
    }

    /// Makes the descriptor unreadable again. If `ring` was called more often than fits one read, it stays readable
    /// once more.
    pub(in crate::process) fn reset(&self) {
        // This fails only when `ring` was not called.
        let _ = (&self.heard).read(&mut [0; 256]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}

/// Tells a worker that its pool is gone: the end of a pipe that carries nothing else. On some systems a `poll` for the
/// hang-up of the socket alone sleeps for ever. A forked copy of the pool's process that lives on keeps it open.
pub(in crate::process) struct Lifeline {
    end: Mutex<Option<PipeWriter>>,
}

impl Lifeline {
    /// Makes a lifeline, and a descriptor for the worker if it needs one.
    pub(in crate::process) fn new() -> io::Result<(Self, Option<OwnedFd>)> {
        let (theirs, ours) = pipe()?;
        Ok((Self { end: Mutex::new(Some(ours)) }, Some(theirs.into())))
    }

    /// Makes the worker believe that its pool is gone.
    pub(in crate::process) fn cut(&self) {
        self.end.lock().take();
    }
}

/// Blocks until the pool at the other end is gone.
pub(in crate::process) fn outlive(_socket: &OwnedFd, lifeline: Option<OwnedFd>) {
    let Some(lifeline) = lifeline.map(PipeReader::from) else {
        return;
    };
    while let Err(error) = (&lifeline).read(&mut [0]) {
        if error.kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Does nothing, as the system has no such signal: [`outlive`] does the work.
pub(in crate::process) fn die_with_parent(_parent: i32) {}
pub(in crate::process) fn die_with_parent_too() {}

/// Returns `true` if this program runs with other rights than those of the user that started it.
pub(in crate::process) fn runs_with_other_rights() -> bool {
    getuid() != geteuid() || getgid() != getegid()
}

/// Returns what the system lacks that a pool needs: nothing, as `build.rs` selects only systems that have everything.
pub(in crate::process) fn lacks() -> Option<&'static str> {
    None
}

/// Returns an error: there is no portable way to read the size of the address space, from which a limit would have to
/// start.
pub(in crate::process) fn limit_memory(_bytes: u64) -> io::Result<()> {
    let text = "the size of a process cannot be read on this system";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

/// Returns a path that starts this program again, if its file still exists.
pub(in crate::process) fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

/// A child of this process, and a thread that waits for its end. The number is the child's until it was reaped, which
/// no code except this is expected to do.
#[derive(Debug)]
pub(in crate::process) struct Process {
    /// `None` if it has gone.
    pid: Option<Pid>,
    ended: PipeReader,
    /// The thread, until it was joined.
    waits: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    /// Watches a child. Returns `None` if it was reaped already, or is not a child of this process.
    pub(in crate::process) fn watch(pid: Pid) -> io::Result<Option<Self>> {
        let (ended, mut end) = pipe()?;
        let mut process = Self { pid: Some(pid), ended, waits: Mutex::default() };
        if !process.is_unreaped() {
            return Ok(None);
        }
        let wait = move || {
            let until = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // This fails if other code has reaped it: then it has ended too.
            let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), until));
            // Closing the pipe would not do: a forked copy of this process may hold it too.
            let _ = end.write(&[1]);
        };
        const STACK: usize = 64 << 10;
        let thread = thread::Builder::new().name("process-end".into()).stack_size(STACK).spawn(wait)?;
        *process.waits.get_mut() = Some(thread);
        Ok(Some(process))
    }

    /// Returns a stand-in for a process that has gone, which counts as ended.
    pub(in crate::process) fn gone() -> io::Result<Self> {
        let (ended, mut end) = pipe()?;
        end.write_all(&[1])?;
        Ok(Self { pid: None, ended, waits: Mutex::default() })
    }

    /// Returns a descriptor that becomes readable when the process has ended.
    pub(in crate::process) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Returns `true` if it is a child of ours, running or waiting to be reaped.
    pub(in crate::process) fn is_unreaped(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.pid.is_some_and(|pid| waitid(WaitId::Pid(pid), look).is_ok())
    }

    /// Signals the process group that this process was the first of, unless the process was reaped.
    ///
    /// # Errors
    ///
    /// If the system refuses to signal the process: it now has more rights than this one. It is no error if the process
    /// has gone.
    pub(in crate::process) fn signal(&self, group: Pid, signal: Signal) -> Result<(), Errno> {
        if !self.is_unreaped() {
            return Ok(());
        }
        let mut sent = kill_process_group(group, signal);
        if signal == Signal::KILL {
            // It may have left its group.
            sent = kill_process(group, signal);
        }
        if sent == Err(Errno::SRCH) { Ok(()) } else { sent }
    }

    /// Blocks until the process has ended, and returns how it did.
    pub(in crate::process) fn reap(&self) -> Exit {
        // Not before the other thread has seen the end: it waits for a number.
        if let Some(thread) = self.waits.lock().take() {
            let _ = thread.join();
        }
        let reaped = self.pid.map(|pid| retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty())));
        match reaped {
            Some(Ok(Some((_, status)))) => exit::of(status.exit_status(), status.terminating_signal()),
            _ => Exit::Unknown,
        }
    }
}
