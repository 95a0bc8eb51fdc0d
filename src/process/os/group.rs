//! The end of a worker's process group, made by the worker itself.
//!
//! A worker leads a process group of its own, to which the programs that its tasks start belong. While the pool lives,
//! it kills the group when the worker has ended. If the program is gone by then, nobody does. So a worker that ends for
//! that reason, or may, kills its group before itself. Processes that have left the group (`setsid`, `setpgid`) are not
//! reached.
//!
//! The number of the group is that of this process, which no other can have as long as it lives: even if a task has put
//! the process into another group, no group is killed that is not ours.
#![forbid(unsafe_code)]

use rustix::process::{Signal, getpgid, getpid, getppid, kill_process, kill_process_group, setpgid};

/// Kills this process and all that it has started in its group. May be called by a signal handler.
pub(in crate::process) fn end_group() {
    // This fails if the group is empty: this process has left it, and nothing else is in it.
    let _ = kill_process_group(getpid(), Signal::KILL);
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Kills what this process has started in its group, but not the process itself.
///
/// To be spared, the process moves to the group of the program. If it cannot, the program is gone, and the process is
/// killed as well.
pub(in crate::process) fn end_rest_of_group() {
    let moved = getpgid(getppid()).and_then(|group| setpgid(None, Some(group)));
    if moved.is_err() {
        end_group();
    }
    let _ = kill_process_group(getpid(), Signal::KILL);
}
