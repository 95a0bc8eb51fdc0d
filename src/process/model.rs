//! The pool's side of one worker, for the models: who receives what it says.
//!
//! The [`receiver`], the [`relief`], what a waiter does (`pool/help.rs`), and the page that both sides share are the real ones. Around them
//! stand doubles that promise no more than what they stand for: descriptors, under a lock of the checker, and a scheduler of one worker, as the
//! simulation looks after the rules of the real one. `model/link.rs` does what `link` does with any of these.
#![forbid(unsafe_code)]
// The models see some of it from outside the crate, and what they have no use for is there as well.
#![allow(unreachable_pub, dead_code, missing_debug_implementations)]

#[path = "model/connection.rs"]
mod connection;
#[path = "model/frame.rs"]
mod frame;
#[path = "model/link.rs"]
mod link;
#[path = "model/office.rs"]
mod office;
#[path = "model/os.rs"]
mod os;
#[path = "model/pool.rs"]
mod pool;
mod receiver;
mod relief;
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

pub use office::{Office, Size};
pub use table::{Mailbox, Progress, TaskWords};
