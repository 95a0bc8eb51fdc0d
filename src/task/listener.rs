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

/// Finds one of a task's listeners.
pub(crate) fn find<'a>(
    first: Option<&'a mut Listener>,
    rest: &'a mut [Listener],
    key: ListenerKey,
) -> Option<&'a mut Listener> {
    first.into_iter().chain(rest).find(|listener| listener.key() == key)
}

/// Takes one of a task's listeners back.
pub(crate) fn remove(listeners: &mut Vec<Listener>, key: ListenerKey) -> Option<Listener> {
    let at = listeners.iter().position(|listener| listener.key() == key)?;
    Some(listeners.swap_remove(at))
}

/// Tells the wait-sets, under the lock that publishes.
pub(crate) fn tell(first: &Option<Listener>, rest: &[Listener], failed: bool) {
    for listener in first.iter().chain(rest) {
        listener.tell(failed);
    }
}

/// Wakes those who await, outside every lock.
pub(crate) fn wake(first: Option<Listener>, rest: Vec<Listener>) {
    for listener in first.into_iter().chain(rest) {
        listener.wake();
    }
}

impl Listener {
    pub(crate) fn key(&self) -> ListenerKey {
        match self {
            Listener::Set(set, key) => ListenerKey::Set(Arc::as_ptr(set).cast(), *key),
            Listener::Waker(_, key) => ListenerKey::Waker(*key),
        }
    }

    fn tell(&self, failed: bool) {
        if let Listener::Set(set, key) = self {
            set.done(*key, failed);
        }
    }

    fn wake(self) {
        if let Listener::Waker(waker, _) = self {
            crate::unwind::catch_and_log("the waker of a future", move || waker.wake());
        }
    }
}
