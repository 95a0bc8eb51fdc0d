//! The one place that names parking_lot, crossbeam-channel, std or model-checker types.
//!
//! Under `--cfg model="loom"` and `--cfg model="shuttle"` the locks, threads and thread-locals are the checker's. `Arc`
//! is always std's, because the checkers' do not unsize. Everything that takes part in a protocol is under one of these
//! locks; most atomics (ids, counters, the mirror of the queue's length) are std's, as no proof rests on their order;
//! those of the page that a pool shares with a worker, and the number of hands of a map, are the checker's. Whether a
//! timeout fires and whether a thread starts is up to the model: see `Choices`.
#![forbid(unsafe_code)]

#[cfg(any(model = "loom", model = "shuttle"))]
#[path = "sync/model.rs"]
mod imp;

#[cfg(any(model = "loom", model = "shuttle"))]
pub use imp::Choices;
pub(crate) use imp::*;

/// How often a thread that waits yields before it sleeps. Not at all before a deadline: on a busy machine a yield may
/// be a scheduler's whole turn, and a short time limit would be over many times.
pub(crate) fn yields(deadline: Option<std::time::Instant>) -> usize {
    if deadline.is_none() { YIELDS } else { 0 }
}

#[cfg(not(any(model = "loom", model = "shuttle")))]
mod imp {
    pub(crate) use crossbeam_channel as channel;
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::OnceLock;
    pub(crate) use std::sync::atomic;
    pub(crate) use std::thread;

    /// std's, always with a constant at the start, which spares each access a look whether it is there.
    macro_rules! const_thread_local {
        ($($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;)*) => {
            std::thread_local! { $($(#[$attribute])* static $name: $type = const { $value };)* }
        };
    }
    pub(crate) use const_thread_local as thread_local;

    /// Has the thread ended, so far that nothing is lost by not joining it?
    pub(crate) fn is_finished(handle: &thread::JoinHandle<()>) -> bool {
        handle.is_finished()
    }

    /// The time since then.
    pub(crate) fn elapsed(since: std::time::Instant) -> std::time::Duration {
        since.elapsed()
    }

    /// How often a thread yields before it parks: a few turns turn most hand-offs of tiny tasks from a futex round trip
    /// into a look at memory, and cost a thread with nothing to do microseconds.
    pub(crate) const YIELDS: usize = 6;

    /// May the program's panic hook look at thread-locals?
    pub(crate) const LOCATES_PANICS: bool = true;
}
