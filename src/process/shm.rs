//! What the pool and a worker share in memory: the [task table](table) with its mailbox, and [segments] for long bytes.

pub(super) mod segments;
pub(super) mod table;
