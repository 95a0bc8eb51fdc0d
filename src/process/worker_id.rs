//! [`WorkerId`]: identifies a worker process in its pool.
#![forbid(unsafe_code)]

/// Identifies a worker process, and its monitor in the pool. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::process) struct WorkerId(pub(in crate::process) u32);
