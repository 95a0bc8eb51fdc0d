//! [`WorkerId`]: names a worker process in its pool.
#![forbid(unsafe_code)]

/// Names a worker process, and the thread of the pool that looks after it. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::process) struct WorkerId(pub(in crate::process) u32);
