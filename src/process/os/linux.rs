//! Linux's way: pidfds, sealed memory, event counters.
//!
//! It has what `portable.rs` has for other systems, item by item, so it is one file as well.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::ptr::{self, NonNull};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{Advice, madvise};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process, kill_process_group,
    pidfd_open, pidfd_send_signal, setrlimit, waitid,
};

use super::descriptor::above_streams;
use super::file_size::check_file_size;
use crate::error::Exit;
use crate::process::child::exit;

/// Flags for sending: no SIGPIPE if the other side is gone.
pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// Flags for receiving: the programs that this one starts do not inherit descriptors that come along.
pub(in crate::process) const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Prepares a received descriptor: it must not be a standard stream.
pub(in crate::process) fn received(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    above_streams(descriptor)
}

/// Does nothing: every call passes the flags that it needs.
pub(in crate::process) fn prepare(_socket: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// Memory shared by this process and another one, all zero.
pub(in crate::process) struct Memory(OwnedFd);

impl Memory {
    pub(in crate::process) fn new(length: usize) -> io::Result<Self> {
        check_file_size(length)?;
        let memory = memfd_create("concurrent-futures", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let memory = above_streams(memory)?;
        ftruncate(&memory, length as u64)?;
        Ok(Self(memory))
    }

    /// Returns the descriptor with which the other side can read and write. The length can no longer be changed.
    pub(in crate::process) fn for_both(self) -> io::Result<OwnedFd> {
        fcntl_add_seals(&self.0, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(self.0)
    }

    /// Returns the descriptor with which the other side can only read. The length can no longer be changed, and writing
    /// is possible only through existing mappings.
    pub(in crate::process) fn for_reading(self) -> io::Result<OwnedFd> {
        fcntl_add_seals(&self.0, SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL)?;
        Ok(self.0)
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes the system provide memory that was mapped for writing. If it has none, that is an error here, not a SIGBUS at
/// the first access. Costs no more than touching the memory.
pub(in crate::process) fn back(base: NonNull<u8>, length: usize) -> io::Result<()> {
    // SAFETY: changes no contents, whatever the address; if nothing is mapped for writing there, it fails.
    match unsafe { madvise(base.as_ptr().cast(), length, Advice::LinuxPopulateWrite) } {
        // Linux before 5.14 does not support it.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns `true` if memory of the other side cannot shrink.
pub(in crate::process) fn keeps_its_length(memory: impl AsFd) -> io::Result<bool> {
    Ok(fcntl_get_seals(memory)?.contains(SealFlags::SHRINK))
}

/// A descriptor that is readable once `ring` was called.
pub(in crate::process) struct Bell(OwnedFd);

impl Bell {
    pub(in crate::process) fn new() -> io::Result<Self> {
        Ok(Self(above_streams(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)?))
    }

    pub(in crate::process) fn ring(&self) {
        // This fails only when the counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable again.
    pub(in crate::process) fn reset(&self) {
        // This fails only when `ring` was not called.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8][..]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Tells a worker that its pool is gone: on Linux the socket does that alone.
pub(in crate::process) struct Lifeline;

impl Lifeline {
    /// Makes a lifeline, and a descriptor for the worker if it needs one.
    pub(in crate::process) fn new() -> io::Result<(Self, Option<OwnedFd>)> {
        Ok((Self, None))
    }

    /// Does nothing: the worker sees by the socket, which was shut, that its pool is gone.
    pub(in crate::process) fn cut(&self) {}
}

/// Blocks until the pool at the other end is gone. For the main thread, once another one [dies with the
/// parent](super::parent::die_with_parent_too).
pub(in crate::process) fn outlive(socket: &OwnedFd, _lifeline: Option<OwnedFd>) {
    super::parent::go_on_with_death();
    // No event is asked for: the hang-up of the other end is always reported.
    let mut socket = [PollFd::new(socket, PollFlags::empty())];
    while let Err(Errno::INTR) = poll(&mut socket, None) {}
    if socket[0].revents().contains(PollFlags::NVAL) {
        // A task has closed it. The thread that runs the task finds out when it replies, and not before: until then all
        // it does counts.
        super::parent::wait_for_death();
    }
}

/// Returns `true` if this program runs with other rights than those of the user that started it.
pub(in crate::process) fn runs_with_other_rights() -> bool {
    // SAFETY: reads a number, and has no preconditions.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) };
    secure != 0
}

/// Returns what the system lacks that a pool needs, and what to do. Takes a few microseconds.
pub(in crate::process) fn lacks() -> Option<&'static str> {
    let own = rustix::process::getpid();
    let looked = pidfd_open(own, PidfdFlags::empty()).and_then(|own| {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        waitid(WaitId::PidFd(own.as_fd()), look)
    });
    match looked {
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL) => Some(
            "`pidfd_open` or `waitid` with it, by which worker processes are told apart, does not work here: that takes Linux 5.4 or \
             later, and no filter (seccomp, a container's) or emulator (valgrind before 3.21) that denies it; where it cannot be had, \
             use `ThreadPoolExecutor`",
        ),
        // This process is no child of its own, which only a system that has the calls reports; or no descriptor is free
        // now.
        _ => None,
    }
}

/// Limits the address space to its current size plus `bytes`.
pub(in crate::process) fn limit_memory(bytes: u64) -> io::Result<()> {
    let size = std::fs::read_to_string("/proc/self/statm")?;
    let pages = size.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/statm has no size"))?;
    let limit = pages.saturating_mul(rustix::param::page_size() as u64).saturating_add(bytes);
    let Rlimit { maximum, .. } = getrlimit(Resource::As);
    let current = Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
    Ok(setrlimit(Resource::As, Rlimit { current, maximum })?)
}

/// Returns a path that starts this program again: the kernel's link to it, which leads to the file that is running,
/// even if that was deleted or replaced.
pub(in crate::process) fn program() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return link.into();
    }
    // SAFETY: reads a number, and has no preconditions.
    let started_as = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if started_as != 0 {
        let started_as = ptr::with_exposed_provenance(started_as as usize);
        // SAFETY: the kernel put this string at the end of the stack; it ends with a zero and lives as long as the
        // process.
        let started_as = unsafe { CStr::from_ptr(started_as) };
        return OsStr::from_bytes(started_as.to_bytes()).into();
    }
    std::env::current_exe().unwrap_or_default()
}

/// A child of this process, known by its pidfd. Other code of the program may reap it at any time: by ignoring SIGCHLD,
/// or with `waitpid(-1)`. From then on another process may have its number.
#[derive(Debug)]
pub(in crate::process) struct Process(OwnedFd);

impl Process {
    /// Watches a child. Returns `None` if it was reaped already, or is not a child of this process. Then the number is
    /// free, or belongs to another process, or at most to a group.
    pub(in crate::process) fn watch(pid: Pid) -> io::Result<Option<Self>> {
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Self(above_streams(descriptor)?),
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok((process.is_unreaped() || process.has_ended()).then_some(process))
    }

    /// Returns a stand-in for a process that has gone, which counts as ended.
    pub(in crate::process) fn gone() -> io::Result<Self> {
        Ok(Self(above_streams(eventfd(1, EventfdFlags::CLOEXEC)?)?))
    }

    /// Returns a descriptor that becomes readable when the process has ended, whoever reaps it.
    pub(in crate::process) fn ended(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Returns `true` if it is a child of ours, running or waiting to be reaped.
    pub(in crate::process) fn is_unreaped(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(self.0.as_fd()), look).is_ok()
    }

    fn has_ended(&self) -> bool {
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
    }

    /// Signals the process group that this process was the first of.
    ///
    /// # Errors
    ///
    /// If the system refuses to signal the process: it now has more rights than this one, or a system call filter
    /// forbids it. It is no error if the process has gone.
    pub(in crate::process) fn signal(&self, group: Pid, signal: Signal) -> Result<(), Errno> {
        let mut sent = self.or_by_number(self.signal_group(signal), || kill_process_group(group, signal));
        if signal == Signal::KILL {
            // It may have left its group.
            sent = self.or_by_number(pidfd_send_signal(&self.0, signal), || kill_process(group, signal));
        }
        if sent == Err(Errno::SRCH) { Ok(()) } else { sent }
    }

    /// Signals by number if the descriptor did not work: Linux before 6.9 cannot signal groups by descriptor, and a
    /// system call filter may forbid the call. The number is the child's as long as it is unreaped.
    fn or_by_number(&self, sent: Result<(), Errno>, send: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        match sent {
            Err(error) if error != Errno::SRCH && self.is_unreaped() => send(),
            sent => sent,
        }
    }

    /// Signals the group by the descriptor, which also works after the process was reaped.
    fn signal_group(&self, signal: Signal) -> Result<(), Errno> {
        let (pidfd, signal, flags) = (self.0.as_raw_fd(), signal.as_raw(), libc::PIDFD_SIGNAL_PROCESS_GROUP);
        let no_info = ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, and the kernel fills in the information itself if it gets none.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, no_info, flags) };
        if result == 0 {
            Ok(())
        } else {
            Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
        }
    }

    /// Blocks until the process has ended, and returns how it did.
    pub(in crate::process) fn reap(&self) -> Exit {
        match retry_on_intr(|| waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED)) {
            Ok(Some(status)) => exit::of(status.exit_status(), status.terminating_signal()),
            // Other code has reaped it.
            _ => told_by_kernel(self.0.as_fd()).unwrap_or(Exit::Unknown),
        }
    }
}

/// Asks the kernel how a process ended that other code has reaped, or is about to. Linux reports that since 6.15, as
/// long as a pidfd exists.
fn told_by_kernel(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    // The kernel looks for the status, then for the process. If it is reaped in between, the kernel finds neither, but from
    // then on it has the status.
    let mut info = self::info(pidfd).or_else(|| self::info(pidfd))?;
    if !has_exit(&info) {
        // The other reaper is not done; the pidfd hangs up when it is. The limit is for kernels that support neither.
        let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
        retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::empty())], Some(&limit))).ok()?;
        info = self::info(pidfd).filter(has_exit)?;
    }
    let status = ExitStatus::from_raw(info.exit_code);
    Some(exit::of(status.code(), status.signal()))
}

fn has_exit(info: &libc::pidfd_info) -> bool {
    info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0
}

fn info(pidfd: BorrowedFd<'_>) -> Option<libc::pidfd_info> {
    // SAFETY: plain numbers, all of which may be zero.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = libc::PIDFD_INFO_EXIT.into();
    // SAFETY: the request carries the size of the structure that the pointer leads to; a descriptor of another kind
    // refuses it.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    (result == 0).then_some(info)
}

#[cfg(test)]
mod tests {
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    use super::*;

    #[test]
    fn sent_memory_keeps_its_length_and_its_access() {
        const LENGTH: usize = 4096;
        let both = Memory::new(LENGTH).unwrap();
        assert!(!keeps_its_length(&both).unwrap());
        let reading = Memory::new(LENGTH).unwrap();
        let (both, reading) = (both.for_both().unwrap(), reading.for_reading().unwrap());
        for memory in [&both, &reading] {
            assert!(keeps_its_length(memory).unwrap());
            assert_eq!(ftruncate(memory, 0), Err(Errno::PERM));
            assert_eq!(ftruncate(memory, 2 * LENGTH as u64), Err(Errno::PERM));
            assert_eq!(fcntl_add_seals(memory, SealFlags::WRITE), Err(Errno::PERM), "no seal can be added");
        }
        assert_eq!(rustix::io::write(&both, b"x"), Ok(1));
        assert_eq!(rustix::io::write(&reading, b"x"), Err(Errno::PERM));
    }

    #[test]
    fn missing_memory_is_an_error_and_no_signal() {
        let page = rustix::param::page_size();
        let memory = Memory::new(page).unwrap();
        let (protection, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at a place the kernel chooses touches no other memory.
        let base = unsafe { mmap(ptr::null_mut(), 2 * page, protection, shared, &memory, 0) }.unwrap();
        let base = NonNull::new(base.cast()).unwrap();
        assert!(back(base, page).is_ok());
        assert!(back(base, 2 * page).is_err(), "the file ends before");
        // SAFETY: mapped with this length, and no longer accessed.
        unsafe { munmap(base.as_ptr().cast(), 2 * page) }.unwrap();
    }

    #[test]
    fn a_descriptor_of_another_kind_has_no_exit() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(told_by_kernel(reader.as_fd()), None);
    }
}
