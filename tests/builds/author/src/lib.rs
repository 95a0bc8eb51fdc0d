//! Two executors: one has a thread for each task, the other a few threads that take tasks from a queue.

mod fresh_threads;
mod workers;

pub use fresh_threads::FreshThreads;
pub use workers::Workers;
