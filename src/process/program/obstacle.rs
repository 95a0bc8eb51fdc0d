//! Reasons why this process cannot start workers: permanent ones, which a pool checks when it is built, and current
//! ones, which it checks before it starts a worker.
//!
//! A worker that fails to start would reveal the same, but starting it costs a process, and its exit code says less.
#![forbid(unsafe_code)]

use rustix::process::{getegid, geteuid, getgid, getuid};

use super::{entry, image};
use crate::process::os;

/// Returns why no worker can ever be started from this process, and what to do.
pub(in crate::process) fn for_good() -> Option<String> {
    let cause = if entry::own_offset().is_none() {
        "this crate is part of a shared library, not of the main program, so a worker process, which is another copy of the \
         program, would not find it"
            .into()
    } else if os::runs_with_other_rights() {
        "this program runs with other rights than those of who started it (set-user-ID, set-group-ID or file capabilities), and \
         its workers would take orders from anyone who starts it with the right argument: use `ThreadPoolExecutor`"
            .into()
    } else if entry::was_missed() {
        "this process was started as a worker but has reached `main`: make `concurrent_futures::init()` the first line of it"
            .into()
    } else if entry::depth() >= entry::MAX_DEPTH {
        format!(
            "this is a worker process of a worker process and so on, {} deep, and no more are allowed: use threads here, or \
             return what is to be done and submit it from further out",
            entry::depth()
        )
    } else if image::was_started_by_loader() {
        "this program was started by its loader (`ld.so PROGRAM`), which is what the system takes for the program and would start in \
         place of a worker process: start the program by its own name (with `LD_LIBRARY_PATH` instead of `--library-path`), \
         or use `ThreadPoolExecutor`"
            .into()
    } else {
        return os::lacks().map(String::from);
    };
    Some(cause)
}

/// Returns why no worker can be started at the moment, and what to do. The answer may change: the program may install a
/// system call filter, or change its ids back.
pub(in crate::process) fn for_now() -> Option<String> {
    let ids = [("user", getuid().as_raw(), geteuid().as_raw()), ("group", getgid().as_raw(), getegid().as_raw())];
    match ids.into_iter().find(|(_, real, effective)| real != effective) {
        Some((kind, real, effective)) => Some(format!(
            "the effective {kind} id of this program, {effective}, is not its real one, {real} (`seteuid`, `setegid`, `setreuid`), \
             so the system would start a worker process as it starts a set-user-ID program, which takes no orders: let them be the \
             same while there are tasks (`setresuid` and `setresgid` change both), or use `ThreadPoolExecutor`"
        )),
        None if !entry::is_visible() => Some(
            "there is no /proc, which a program for this C library needs to see before `main` that it is a worker: mount it, or use \
             `ThreadPoolExecutor`"
                .into(),
        ),
        None => os::lacks().map(String::from),
    }
}
