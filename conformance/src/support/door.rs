//! Doors hold tasks wherever they run.
//!
//! A task knows a door by its path. On Linux doors are files, so tasks in any process of this machine can come;
//! elsewhere only this process knows a door, so executors whose tasks run in other processes can be tested on Linux
//! only.

#[cfg(target_os = "linux")]
mod fifo;
#[cfg(not(target_os = "linux"))]
mod local;

use std::path::PathBuf;

use concurrent_futures::{Backend, Executor, Future};

#[cfg(target_os = "linux")]
pub use fifo::{Door, enter, let_in, say, wait_for_entry};
#[cfg(not(target_os = "linux"))]
pub use local::{Door, enter, let_in};

/// Waits at a door, and returns the id of its process.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn pass(door: PathBuf) -> u32 {
    enter(&door);
    std::process::id()
}

/// Waits at a door, and returns the number.
#[cfg_attr(feature = "remote", concurrent_futures::task)]
pub fn pass_with((door, number): (PathBuf, u64)) -> u64 {
    enter(&door);
    number
}

/// Occupies a worker with a task that waits at the door. Returns once the task is there.
pub fn occupy_at_door(executor: &dyn Backend, door: &Door) -> Future<u32> {
    let future = executor.submit(pass, door.path());
    door.arrived();
    future
}
