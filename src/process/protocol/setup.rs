//! [`Setup`]: what a pool tells a new worker.
#![forbid(unsafe_code)]

/// A worker's name, the greatest length of an argument or result, how many bytes its address space may grow by, and the
/// initializer.
pub(in crate::process) type Setup = (String, u64, Option<u64>, Option<Initializer>);

/// The two functions of a call, and its encoded argument.
pub(in crate::process) type Initializer = (u64, u64, Vec<u8>);
