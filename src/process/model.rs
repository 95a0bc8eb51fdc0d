//! A pool of one worker for the models, which check how threads share the reading of the mailbox.
//!
//! The mailbox, the right to read it, the slots of tasks, and what a waiter does (`pool/help.rs`) are the real ones.
//! The worker, the monitor, and a scheduler without a queue are doubles that promise no more than the real ones.
#![forbid(unsafe_code)]
// The models use a part of it from outside the crate. What they do not use is here as well.
#![allow(unreachable_pub, dead_code, missing_debug_implementations)]

#[path = "model/executor.rs"]
mod executor;
#[path = "model/frame.rs"]
mod frame;
#[path = "model/monitor.rs"]
mod monitor;
#[path = "model/pool.rs"]
mod pool;
mod protocol {
    pub(in crate::process) use super::frame;
}
#[path = "model/table.rs"]
mod table;
#[path = "model/task.rs"]
mod task;

pub use executor::ModelExecutor;
pub use table::{Mailbox, Progress, TaskSlots};
