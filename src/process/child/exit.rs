//! How a process ended, as the kernel reports it.
#![forbid(unsafe_code)]

use crate::error::Exit;

/// Returns the exit for an exit code or the number of a signal.
pub(in crate::process) fn of(code: Option<i32>, signal: Option<i32>) -> Exit {
    match (code, signal) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal_name(signal)),
        (None, None) => Exit::Unknown,
    }
}

macro_rules! names {
    ($number:expr; $($name:ident)*) => {
        match $number {
            $(libc::$name => Some(stringify!($name)),)*
            _ => None,
        }
    };
}

/// Returns the name of a signal, such as `SIGSEGV` or `SIGRTMIN+3`, or its number if it has no name.
fn signal_name(signal: i32) -> String {
    let named = names! { signal;
        SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
        SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGSYS
    };
    let name = named.map(String::from).or_else(|| name_on_linux(signal));
    name.unwrap_or_else(|| format!("signal {signal}"))
}

/// Returns the name of a signal that not all systems have.
#[cfg(target_os = "linux")]
fn name_on_linux(signal: i32) -> Option<String> {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    match signal {
        libc::SIGPWR => Some("SIGPWR".into()),
        _ if signal == first => Some("SIGRTMIN".into()),
        _ if (first..=last).contains(&signal) => Some(format!("SIGRTMIN+{}", signal - first)),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn name_on_linux(_signal: i32) -> Option<String> {
    None
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
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn signals_of_linux_are_named() {
        assert_eq!(signal_name(libc::SIGPWR), "SIGPWR");
        assert_eq!(signal_name(libc::SIGRTMIN()), "SIGRTMIN");
        assert_eq!(signal_name(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
        assert_eq!(signal_name(libc::SIGRTMIN() - 1), format!("signal {}", libc::SIGRTMIN() - 1));
    }
}
