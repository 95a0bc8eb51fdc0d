//! What the pool and a worker send each other over their socket: [frames](frame), some of which contain
//! [errors](reply).

pub(super) mod frame;
pub(super) mod reader;
pub(super) mod reply;
pub(super) mod setup;
