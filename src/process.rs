//! [`ProcessPoolExecutor`]: tasks on other processes of this program.
//!
//! `scheduler` decides which worker gets which task, `pool` carries that out, and `monitor` looks after one worker.
//! Pool and worker talk by `connection` and `frame`, and share `table`. `entry` and `worker` run in the worker process.
//! `obstacle` says why a process cannot have workers. `image`, `call` and `symbol` find functions, `child` is a
//! process, `fork` detects a forked copy of this one, and `os` has what differs between systems.

mod batch;
mod builder;
mod child;
mod connection;
mod contexts;
mod executor;
#[cfg(all(test, target_os = "linux", feature = "auto-entry", not(portable)))]
mod hostile;
mod items;
mod monitor;
mod os;
mod out_of_memory;
mod pool;
mod program;
mod protocol;
mod scheduler;
#[cfg(test)]
mod seeds;
mod shm;
mod task;
mod worker;
mod worker_id;

pub use builder::ProcessPoolBuilder;
pub use executor::ProcessPoolExecutor;
pub use program::entry::init;
