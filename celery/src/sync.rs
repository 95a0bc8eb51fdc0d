//! The locks and thread-locals of the client. The models put those of a checker in their place: see `tests/models`.
#![forbid(unsafe_code)]

pub(crate) use parking_lot::{Condvar, Mutex};
pub(crate) use std::thread_local;
