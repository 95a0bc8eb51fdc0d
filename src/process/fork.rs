//! Tells a process from the forked copies of it, where the pool's threads do not exist and its workers belong to
//! somebody else.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Returns a number that is the same for as long as this is the same process: a child that was forked after the first
/// call here sees another one than its parent.
///
/// Costs two atomic loads. `fork` is noticed, and so is what is built on it; a bare `clone` or `vfork` is not.
pub(super) fn generation() -> u32 {
    static COUNTED: AtomicBool = AtomicBool::new(false);
    // No `Once`: a fork in the middle of it would leave the child waiting for ever. If two threads come here together,
    // each fork counts twice, which tells it apart as well.
    if !COUNTED.load(Ordering::Acquire) {
        // SAFETY: the handler is a function of this library's own, and may run in a child of many threads: it only
        // adds to an atomic.
        let result = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        // Out of memory: the next call tries again.
        COUNTED.store(result == 0, Ordering::Release);
    }
    FORKS.load(Ordering::Relaxed)
}

/// Ends this process, and runs nothing of the program's: what that would wait for may never come, and in a forked copy it is not the
/// copy's to run.
pub(super) fn exit_at_once(code: i32) -> ! {
    // SAFETY: ends the process, which has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Runs in the child of a fork, before `fork` returns there.
unsafe extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forks; the child runs `check`, which may only do what a signal handler may, and ends with what it returned.
    fn in_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child calls `check` and `_exit`, nothing else.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let code = i32::from(!check());
            // SAFETY: ends the child at once: nothing of the parent's runs in it.
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
        let own = generation();
        assert!(in_child(|| generation() != own));
        assert_eq!(generation(), own, "the parent stays what it was");
    }

    #[test]
    fn so_is_a_child_of_the_child() {
        let own = generation();
        assert!(in_child(|| {
            let child = generation();
            in_child(|| ![own, child].contains(&generation()))
        }));
    }

    #[test]
    fn a_process_is_the_same_on_all_its_threads() {
        let own = generation();
        assert_eq!(std::thread::spawn(generation).join().unwrap(), own);
    }
}
