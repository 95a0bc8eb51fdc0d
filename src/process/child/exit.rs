//! How a process ended, from what the kernel says.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use crate::error::Exit;

/// Puts an exit code or the number of a signal into words.
pub(super) fn of(code: Option<i32>, signal: Option<i32>) -> Exit {
    match (code, signal) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal_name(signal)),
        (None, None) => Exit::Unknown,
    }
}

/// Asks how a process ended that somebody else has reaped, or is about to. Linux knows since 6.15, as long as there is
/// a pidfd.
pub(super) fn told_by_kernel(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    let mut info = info(pidfd)?;
    if !has_exit(&info) {
        // The other one is still at it; the pidfd hangs up when it is through. The limit is for kernels that know
        // neither.
        let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
        retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::empty())], Some(&limit))).ok()?;
        info = self::info(pidfd).filter(has_exit)?;
    }
    let status = ExitStatus::from_raw(info.exit_code);
    Some(of(status.code(), status.signal()))
}

fn has_exit(info: &libc::pidfd_info) -> bool {
    info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0
}

fn info(pidfd: BorrowedFd<'_>) -> Option<libc::pidfd_info> {
    // SAFETY: plain numbers, all of which may be zero.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = libc::PIDFD_INFO_EXIT.into();
    // SAFETY: the request carries the size of what the pointer leads to; a descriptor of another kind refuses it.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    (result == 0).then_some(info)
}

macro_rules! names {
    ($number:expr; $($name:ident)*) => {
        match $number {
            $(libc::$name => Some(stringify!($name)),)*
            _ => None,
        }
    };
}

/// The name of a signal, such as `SIGSEGV` or `SIGRTMIN+3`; a number for one that has none.
fn signal_name(signal: i32) -> String {
    let named = names! { signal;
        SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
        SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR
        SIGSYS
    };
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    match named {
        Some(name) => name.into(),
        None if signal == *real_time.start() => "SIGRTMIN".into(),
        None if real_time.contains(&signal) => format!("SIGRTMIN+{}", signal - real_time.start()),
        None => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_in_the_manual() {
        let names =
            [(1, "SIGHUP"), (6, "SIGABRT"), (9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM"), (99, "signal 99")];
        for (number, name) in names {
            assert_eq!(signal_name(number), name);
        }
        assert_eq!(signal_name(libc::SIGRTMIN()), "SIGRTMIN");
        assert_eq!(signal_name(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
        assert_eq!(signal_name(libc::SIGRTMIN() - 1), format!("signal {}", libc::SIGRTMIN() - 1));
    }

    #[test]
    fn a_descriptor_of_another_kind_knows_no_exit() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(told_by_kernel(std::os::fd::AsFd::as_fd(&reader)), None);
    }
}
