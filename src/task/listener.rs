//! Who hears of the end of a task: a wait-set, or the waker of an `.await`.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Hears of the end of several tasks, each under a key.
pub(crate) trait Listen: Send + Sync {
    /// Called once for each key, mostly under the lock of the task's task. Runs no user code and takes no such lock.
    fn done(&self, key: usize, failed: bool);
}

pub(crate) enum Listener {
    Set(Arc<dyn Listen>, usize),
    Waker(Waker, WakerKey),
}

/// Tells one `.await` of a future from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WakerKey(u64);

impl WakerKey {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Names a listener, to take it back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerKey {
    Set(*const (), usize),
    Waker(WakerKey),
}

impl Listener {
    pub(crate) fn key(&self) -> ListenerKey {
        match self {
            Listener::Set(set, key) => ListenerKey::Set(Arc::as_ptr(set).cast(), *key),
            Listener::Waker(_, key) => ListenerKey::Waker(*key),
        }
    }

    /// Tells a wait-set, under the lock that publishes.
    pub(crate) fn tell(&self, failed: bool) {
        if let Listener::Set(set, key) = self {
            set.done(*key, failed);
        }
    }

    /// Wakes who awaits, outside every lock.
    pub(crate) fn wake(self) {
        if let Listener::Waker(waker, _) = self {
            crate::unwind::catch_and_log("the waker of a future", move || waker.wake());
        }
    }
}
