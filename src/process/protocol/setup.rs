//! [`Setup`]: what a pool tells a new worker.
#![forbid(unsafe_code)]

/// A worker's name, the longest argument or result, the bytes of address space it may take in
/// addition, and the initializer.
pub(in crate::process) type Setup = (String, u64, Option<u64>, Option<Initializer>);

/// The two functions of a call, and the encoded argument.
pub(in crate::process) type Initializer = (u64, u64, Vec<u8>);
