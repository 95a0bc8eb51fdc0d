//! Keeps [`fork::generation`] current, which is cheaper than asking the system each time.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use crate::fork;

/// Registers a handler that runs in the child of every later fork: of `fork` and what is built on it, but not of a bare
/// `clone` or `vfork`.
pub(in crate::process) fn watch() {
    static IS_WATCHED: AtomicBool = AtomicBool::new(false);
    // No `Once`: a fork in the middle of it would leave the child waiting for ever. If two threads come here together,
    // each fork is noticed twice, which does no harm.
    if !IS_WATCHED.load(Ordering::Acquire) {
        // SAFETY: the handler is a function of this library, and may run in the child of a process with many threads:
        // it only asks for the process's id and stores it in an atomic.
        let result = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        // If out of memory, the system is asked each time, and the next call here tries again.
        if result == 0 {
            fork::set_current();
            IS_WATCHED.store(true, Ordering::Release);
        }
    }
}

/// Ends this process at once, and runs no exit handlers of the program: they may wait for something that never comes,
/// and a forked copy must not run them.
pub(in crate::process) fn exit_at_once(code: i32) -> ! {
    // SAFETY: ends the process, which has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Runs in the child of a fork, before `fork` returns there.
unsafe extern "C" fn forked() {
    fork::set_current();
}

#[cfg(test)]
mod tests {
    use crate::fork::generation;

    /// Forks. The child runs `check`, which may only do what a signal handler may, and exits with its result.
    fn in_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child calls `check` and `_exit`, nothing else.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let code = i32::from(!check());
            // SAFETY: ends the child at once: no code of the parent runs in it.
            unsafe { libc::_exit(code) }
        }
        assert!(pid > 0, "fork: {}", std::io::Error::last_os_error());
        let mut status = -1;
        // SAFETY: `status` outlives the call; the child is this function's own.
        let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        reaped == pid && status == 0
    }

    #[test]
    fn a_forked_child_is_another_process() {
        super::watch();
        let own = generation();
        assert!(in_child(|| generation() != own));
        assert_eq!(generation(), own, "the parent stays what it was");
    }

    #[test]
    fn a_child_of_a_forked_child_is_another_process() {
        super::watch();
        let own = generation();
        assert!(in_child(|| {
            let child = generation();
            in_child(|| ![own, child].contains(&generation()))
        }));
    }

    #[test]
    fn a_process_is_the_same_on_all_its_threads() {
        super::watch();
        let own = generation();
        assert_eq!(std::thread::spawn(generation).join().unwrap(), own);
    }
}
