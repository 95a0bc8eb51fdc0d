//! What a worker inherits of the program, and what it does not.
//!
//! | of the program | in the worker |
//! |---|---|
//! | signals that the thread blocks which started the worker | none is blocked |
//! | signals that are ignored | default, but for SIGPIPE, SIGTTIN and SIGTTOU, which are ignored |
//! | descriptors that are open across `exec` | closed, but for the three streams |
//! | streams that are closed | `/dev/null`, or what is as empty: else the next descriptor that is opened would be the stream |
//!
//! Only what was inherited is touched. What libraries have set up that were initialised before, in this very process, stays: handlers, for
//! no handler is inherited, and descriptors that are closed on `exec`, for none of those is.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

use crate::process::os;

/// Makes the surroundings those of a worker. Returns what came as standard input, which is to be the socket.
///
/// # Errors
///
/// `EBADF` if nothing came; else what the system lacks.
pub(super) fn take_over() -> io::Result<OwnedFd> {
    reset_signals();
    if flags_of(0).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: whoever starts a worker gives it the socket as descriptor 0, and nothing else knows of it.
    let socket = os::above_streams(unsafe { OwnedFd::from_raw_fd(0) })?;
    // 0 is closed by now.
    fill_streams()?;
    close_inherited();
    Ok(socket)
}

fn reset_signals() {
    // SAFETY: of this type, zeroes are an empty set.
    let none = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    for signal in 1..=LAST_SIGNAL {
        if is_ignored(signal) {
            // SAFETY: to restore the default has no preconditions.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    // SIGPIPE: std does this before `main`, which is not reached. The others: a worker is not in the terminal's group. It may print there all
    // the same, and reading there is an error, instead of a stop that nobody would hear of.
    for signal in [libc::SIGPIPE, libc::SIGTTOU, libc::SIGTTIN] {
        // SAFETY: to ignore a signal has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // After the others: what is pending is dealt with as in any worker.
    // SAFETY: the set is one, and the previous one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Numbers that are no signals are refused.
const LAST_SIGNAL: libc::c_int = 128;

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: of this type, zeroes are the default action.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    // SAFETY: only asks, and `action` is long enough.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Gives each stream that is closed what reads and writes as nothing.
fn fill_streams() -> io::Result<()> {
    for stream in 0..3 {
        if flags_of(stream).is_none() {
            // The lowest number that is free: those below were filled before.
            let taken = nothing()?.into_raw_fd();
            debug_assert_eq!(taken, stream, "this one is free");
            // Like all streams, it is for the programs that tasks start as well.
            // SAFETY: the descriptor is open, and stays so.
            unsafe { libc::fcntl(taken, libc::F_SETFD, 0) };
        }
    }
    Ok(())
}

/// What ends as soon as it is read and swallows what is written: `/dev/null`, or where there is none (`chroot`), a pipe that nobody writes
/// to. Writing to that fails as to a stream that is closed, which std takes for success.
fn nothing() -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null");
    null.map(OwnedFd::from).or_else(|_| io::pipe().map(|(reader, _)| reader.into()))
}

/// Closes what came through `exec`: all that would go through the next one.
fn close_inherited() {
    for descriptor in open_descriptors() {
        if descriptor > 2 && flags_of(descriptor).is_some_and(|flags| !flags.contains(FdFlags::CLOEXEC)) {
            // SAFETY: it was opened by the program, for itself: nobody in this process knows of it.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// `None`: it is not open.
fn flags_of(descriptor: RawFd) -> Option<FdFlags> {
    // SAFETY: only asks, also for what is not open.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    (flags >= 0).then(|| FdFlags::from_bits_retain(flags as _))
}

/// All that are open, and perhaps others.
fn open_descriptors() -> Vec<RawFd> {
    /// How far is looked where the system does not say which there are.
    const MOST: u64 = 1 << 16;
    let listed = ["/proc/self/fd", "/dev/fd"].into_iter().find_map(|directory| {
        let names = std::fs::read_dir(directory).ok()?;
        let numbers: Vec<_> = names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok()).collect();
        // More than the streams and the socket, or it is a directory of another kind.
        (numbers.len() > 3).then_some(numbers)
    });
    listed.unwrap_or_else(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        (0..limit.unwrap_or(MOST).min(MOST) as RawFd).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_is_open_is_found() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(open_descriptors().contains(&file.as_raw_fd()));
        assert_eq!(flags_of(file.as_raw_fd()), Some(FdFlags::CLOEXEC));
        assert_eq!(flags_of(RawFd::MAX), None);
    }
}
