//! Whether a thread may block. It must not in a callback, because that would hold up the thread that completes the
//! future.
#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::bytes;
use crate::sync::thread_local;

thread_local! {
    /// How many callbacks this thread is in.
    static CALLBACKS: Cell<u32> = Cell::new(0);
}

/// Runs a callback, or user code in the same position, such as a drop. This thread must not block until it returns.
pub(crate) fn in_callback<R>(callback: impl FnOnce() -> R) -> R {
    inside(1, || bytes::apart(callback))
}

/// Runs `code` as if inside that many callbacks.
pub(crate) fn inside<R>(callbacks: u32, code: impl FnOnce() -> R) -> R {
    struct Leave(u32);
    impl Drop for Leave {
        fn drop(&mut self) {
            let _ = CALLBACKS.try_with(|depth| depth.set(depth.get() - self.0));
        }
    }
    let _ = CALLBACKS.try_with(|depth| depth.set(depth.get() + callbacks));
    let _leave = Leave(callbacks);
    code()
}

/// Returns how many callbacks this thread is in.
pub(crate) fn callbacks() -> u32 {
    CALLBACKS.try_with(Cell::get).unwrap_or(0)
}

/// Returns `true` if this thread may sleep, or run a task that it waits for.
pub(crate) fn may_block() -> bool {
    callbacks() == 0
}

/// Panics inside a callback.
#[track_caller]
pub(crate) fn assert_may_block() {
    assert!(
        may_block(),
        "a callback must not block on a future that is not done, nor may what an executor runs in the place of one (a `Drop`, a \
         `Serialize` or `Deserialize`, a waker, a logger): it would hold up the thread that runs it; submit a task, or add a callback to that \
         future instead"
    );
}
