//! A pool of one worker, for the models: who reads the answers that come as mail.
//!
//! The mail, the right to read it, the words of tasks, and what a waiter does (`pool/help.rs`) are the real ones. Around them stand
//! doubles that promise no more than what they stand for: the worker, the monitor, and a scheduler without a queue.
#![forbid(unsafe_code)]
// The models see some of it from outside the crate, and what they have no use for is there as well.
#![allow(unreachable_pub, dead_code, missing_debug_implementations)]

#[path = "model/frame.rs"]
mod frame;
#[path = "model/monitor.rs"]
mod monitor;
#[path = "model/office.rs"]
mod office;
#[path = "model/pool.rs"]
mod pool;
mod protocol {
    pub(in crate::process) use super::frame;
}
mod shm {
    pub(in crate::process) use super::table;
}
#[path = "model/table.rs"]
mod table;
#[path = "model/task.rs"]
mod task;

pub use office::Office;
pub use table::{Mailbox, Progress, TaskWords};
