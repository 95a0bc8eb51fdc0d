//! [`Listener`]: a wait-set, a task that is [held back](super::after) until others are done, or the waker of an
//! `.await`, which is notified of the end of a task.
//!
//! The one handle of a task has one waker, so its key is always the same. A shared future may be awaited several times.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use super::snapshot::End;

/// Is notified of the end of several tasks, each under its own key.
pub(crate) trait Listen: Send + Sync {
    /// Called once for each key, mostly under the task's lock. Must not run user code or take a task's lock.
    fn done(&self, key: usize, end: End);
    /// Called after `done` without any lock. May run user code.
    fn wake(&self) {}
    /// Returns the number of the task that is held back until the others are done, if this is for one: `wake` may run
    /// that task, which is the user's code as a callback is.
    fn held_back(&self) -> Option<WakerKey> {
        None
    }
}

pub(crate) enum Listener {
    /// A wait-set, or a task that is held back, and the key of this task in it.
    Set(Arc<dyn Listen>, usize),
    /// The waker of the task's handle.
    Handle(Waker),
    /// The waker of one `.await` of a shared future.
    Waker(Waker, WakerKey),
}

/// Identifies one `.await` of a shared future, or one task that is held back. Later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct WakerKey(u64);

impl WakerKey {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Identifies a listener, to remove it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ListenerKey {
    /// The address of the set, and the task's key in it.
    Set(usize, usize),
    Handle,
    Waker(WakerKey),
    After(WakerKey, usize),
}

impl ListenerKey {
    pub(crate) fn in_set<L: ?Sized>(set: &Arc<L>, key: usize) -> Self {
        Self::Set(Arc::as_ptr(set).cast::<()>().addr(), key)
    }
}

/// The listeners of a task beyond its first. Handles on one shared future may add any number of them, so that each is
/// found without looking at all the others. They are in order: a wait-set is told of its lowest key first, and
/// `.await`s and tasks that are held back follow in the order in which they were made.
pub(crate) type Listeners = BTreeMap<ListenerKey, Listener>;

/// Notifies the wait-sets. Called under the lock that publishes.
pub(crate) fn tell((first, rest): &(Option<Listener>, Listeners), end: End) {
    first.iter().chain(rest.values()).for_each(|listener| listener.tell(end));
}

/// Wakes the wakers. Called without any lock.
pub(crate) fn wake((first, rest): (Option<Listener>, Listeners)) {
    first.into_iter().chain(rest.into_values()).for_each(Listener::wake);
}

impl Listener {
    pub(crate) fn key(&self) -> ListenerKey {
        match self {
            Listener::Set(set, key) => match set.held_back() {
                Some(number) => ListenerKey::After(number, *key),
                None => ListenerKey::in_set(set, *key),
            },
            Listener::Handle(_) => ListenerKey::Handle,
            Listener::Waker(_, key) => ListenerKey::Waker(*key),
        }
    }

    /// Returns `true` if the end of the task may run another task here.
    pub(crate) fn runs_tasks(&self) -> bool {
        matches!(self, Listener::Set(set, _) if set.held_back().is_some())
    }

    fn tell(&self, end: End) {
        if let Listener::Set(set, key) = self {
            set.done(*key, end);
        }
    }

    fn wake(self) {
        match self {
            Listener::Set(set, _) => set.wake(),
            Listener::Handle(waker) | Listener::Waker(waker, _) => {
                crate::unwind::catch_and_log("the waker of a future", move || waker.wake());
            }
        }
    }
}
