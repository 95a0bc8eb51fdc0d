//! The one place that names parking_lot, crossbeam-channel, std or model-checker types.
//!
//! Under `--cfg model="loom"` and `--cfg model="shuttle"` the locks, threads and thread-locals are the checker's. `Arc`
//! is always std's, because the checkers' do not unsize. Everything that takes part in a protocol is under one of these
//! locks; most atomics (ids, counters, the mirror of the queue's length) are std's, as no proof rests on their order;
//! those of the page that a pool shares with a worker, and the flag of a map that says that a map worker is coming, are
//! the checker's. Whether a timeout fires and whether a thread starts is up to the model: see `Choices`.
#![forbid(unsafe_code)]

#[cfg(any(model = "loom", model = "shuttle"))]
#[path = "sync/model.rs"]
mod imp;

#[cfg(any(model = "loom", model = "shuttle"))]
pub use imp::Choices;
pub(crate) use imp::*;

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

    /// Returns `true` if the thread has ended, so that it need not be joined.
    pub(crate) fn is_finished(handle: &thread::JoinHandle<()>) -> bool {
        handle.is_finished()
    }

    /// Returns the time since then.
    pub(crate) fn elapsed(since: std::time::Instant) -> std::time::Duration {
        since.elapsed()
    }

    /// Whether a model checker runs this.
    pub(crate) const IS_MODEL: bool = false;

    /// Whether the panic hook may read thread-locals.
    pub(crate) const LOCATES_PANICS: bool = true;
}
