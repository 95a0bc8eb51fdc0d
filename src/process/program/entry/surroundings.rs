//! What a worker inherits from the program, and what it does not.
//!
//! | of the program | in the worker |
//! |---|---|
//! | signals blocked by the thread that started the worker | none is blocked |
//! | signals that are ignored | default, except SIGPIPE, SIGTTIN and SIGTTOU, which are ignored |
//! | descriptors that are open across `exec` | closed, except the three streams |
//! | streams that are closed | `/dev/null`, or something as empty: or the next descriptor would become the stream |
//!
//! Only inherited state is changed. What libraries have set up that were initialised earlier in this process stays:
//! handlers, because no handler is inherited, and descriptors that are closed on `exec`, because none of those is.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

use crate::process::os;

/// Sets up the surroundings of a worker. Returns the descriptor that came as standard input, which should be the
/// socket.
///
/// # Errors
///
/// `EBADF` if none came; otherwise the error of the system.
pub(super) fn take_over() -> io::Result<OwnedFd> {
    reset_signals();
    if flags_of(0).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the process that starts a worker gives it the socket as descriptor 0, and nothing else in here uses it.
    let socket = os::above_streams(unsafe { OwnedFd::from_raw_fd(0) })?;
    // 0 is closed by now.
    fill_streams()?;
    close_inherited();
    Ok(socket)
}

fn reset_signals() {
    // SAFETY: for this type, zeroes are an empty set.
    let none = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    for signal in 1..=LAST_SIGNAL {
        if is_ignored(signal) {
            // SAFETY: restoring the default has no preconditions.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    // SIGPIPE: std ignores it before `main`, which is not reached. The others: a worker is not in the terminal's
    // foreground group. With them ignored it may still print there, and reading there is an error instead of a stop
    // that nobody would notice.
    for signal in [libc::SIGPIPE, libc::SIGTTOU, libc::SIGTTIN] {
        // SAFETY: ignoring a signal has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // After the others, so that pending signals are handled as in any worker.
    // SAFETY: the set is valid, and the previous one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Numbers that are no signals are refused.
const LAST_SIGNAL: libc::c_int = 128;

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: for this type, zeroes are the default action.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    // SAFETY: only reads, and `action` is large enough.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Replaces each closed stream with a descriptor that reads and writes as empty.
fn fill_streams() -> io::Result<()> {
    for stream in 0..3 {
        if flags_of(stream).is_none() {
            // Gets the lowest free number: the ones below were filled before.
            let taken = nothing()?.into_raw_fd();
            debug_assert_eq!(taken, stream, "this one is free");
            // Like all streams, it is inherited by the programs that tasks start.
            // SAFETY: the descriptor is open, and stays so.
            unsafe { libc::fcntl(taken, libc::F_SETFD, 0) };
        }
    }
    Ok(())
}

/// Opens a file that ends as soon as it is read and discards what is written: `/dev/null`, or where that does not exist
/// (`chroot`), a pipe without a writer. Writing to that fails as for a closed stream, which std takes for success.
fn nothing() -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null");
    null.map(OwnedFd::from).or_else(|_| io::pipe().map(|(reader, _)| reader.into()))
}

/// Closes the descriptors that came through `exec`: those that the next `exec` would pass on.
fn close_inherited() {
    for descriptor in open_descriptors() {
        if descriptor > 2 && flags_of(descriptor).is_some_and(|flags| !flags.contains(FdFlags::CLOEXEC)) {
            // SAFETY: the program opened it for itself: no code in this process knows of it.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Returns the flags of a descriptor, or `None` if it is not open.
fn flags_of(descriptor: RawFd) -> Option<FdFlags> {
    // SAFETY: only reads, and accepts descriptors that are not open.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    (flags >= 0).then(|| FdFlags::from_bits_retain(flags as _))
}

/// Returns all numbers of open descriptors, and perhaps others.
fn open_descriptors() -> Vec<RawFd> {
    /// How many numbers are tried if the system does not list the open ones.
    const MOST: u64 = 1 << 16;
    let listed = ["/proc/self/fd", "/dev/fd"].into_iter().find_map(|directory| {
        let names = std::fs::read_dir(directory).ok()?;
        let numbers: Vec<_> = names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok()).collect();
        // It must list more than the streams and the socket; otherwise the directory is of another kind.
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
    fn open_descriptors_are_found() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(open_descriptors().contains(&file.as_raw_fd()));
        assert_eq!(flags_of(file.as_raw_fd()), Some(FdFlags::CLOEXEC));
        assert_eq!(flags_of(RawFd::MAX), None);
    }
}
