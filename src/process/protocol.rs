//! What crosses between the pool and a worker over their socket: [frames](frame), and [errors](reply) in some of them.

pub(super) mod frame;
pub(super) mod reader;
pub(super) mod reply;
pub(super) mod setup;
