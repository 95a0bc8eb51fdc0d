//! [`ProcessPoolExecutor`]: tasks on other processes of this program.
//!
//! `scheduler` decides who gets which task, `pool` does what was decided, `monitor` looks after one worker;
//! `connection` and `frame` are how they talk, `table` what they share; `entry` and `worker` are the other side.
//! `obstacle` says where there can be none. `image`, `call` and `symbol` find functions, `child` is a process, `fork`
//! tells a copy of this one; `os` is what systems do in different ways.

mod batch;
mod builder;
mod child;
mod connection;
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
