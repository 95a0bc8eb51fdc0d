//! The end of a worker's process group, made by the worker itself.
//!
//! A worker is the first of a group of its own, and what its tasks start belongs to it. While the pool lives, it kills the group when
//! the worker has ended. But nobody does if the program is gone by then, so a worker that ends for that reason, or may, ends its group
//! before itself. What has left the group (`setsid`, `setpgid`) is not reached.
//!
//! The number of the group is that of this process, which nobody else can have as long as it lives: also where a task has put the
//! process into another group, no group is killed that is not ours.
#![forbid(unsafe_code)]

use rustix::process::{Signal, getpgid, getpid, getppid, kill_process, kill_process_group, setpgid};

/// Ends this process and all that it has started in its group. May be called by a signal handler.
pub(in crate::process) fn end_group() {
    // It fails if the group is empty: this process has left it, and nobody else is there.
    let _ = kill_process_group(getpid(), Signal::KILL);
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Ends what this process has started in its group, and not yet the process itself.
///
/// To be spared, it moves to the group of the program. Where it cannot, the program is gone, and it ends as well.
pub(in crate::process) fn end_rest_of_group() {
    let moved = getpgid(getppid()).and_then(|group| setpgid(None, Some(group)));
    if moved.is_err() {
        end_group();
    }
    let _ = kill_process_group(getpid(), Signal::KILL);
}
