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
}

pub(crate) enum Listener {
    Set(Arc<dyn Listen>, usize),
    /// The waker of the task's handle.
    Handle(Waker),
    /// The waker of one `.await` of a shared future.
    Waker(Waker, WakerKey),
    /// A task that is held back, by its number, and the key of this input.
    After(Arc<dyn Listen>, WakerKey, usize),
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
    pub(crate) fn in_set<L>(set: &Arc<L>, key: usize) -> Self {
        Self::Set(Arc::as_ptr(set).cast::<()>().addr(), key)
    }
}

/// The listeners of a task beyond its first. Handles on one shared future may add any number of them, so that each is
/// found without looking at all the others. They are in order: a wait-set is told of its lowest key first, and
/// `.await`s and tasks that are held back follow in the order in which they were made.
pub(crate) type Listeners = BTreeMap<ListenerKey, Listener>;

/// Notifies the wait-sets. Called under the lock that publishes.
#[inline]
pub(crate) fn tell(first: Option<&Listener>, rest: Option<&Listeners>, end: End) {
    // Apart, because a chain of the two costs every task more than most tasks have to tell.
    if let Some(first) = first {
        first.tell(end);
    }
    if let Some(rest) = rest {
        rest.values().for_each(|listener| listener.tell(end));
    }
}

/// Wakes the wakers. Called without any lock.
#[inline]
pub(crate) fn wake(first: Option<Listener>, rest: Option<Listeners>) {
    if let Some(first) = first {
        first.wake();
    }
    if let Some(rest) = rest {
        rest.into_values().for_each(Listener::wake);
    }
}

impl Listener {
    pub(crate) fn key(&self) -> ListenerKey {
        match self {
            Listener::Set(set, key) => ListenerKey::Set(Arc::as_ptr(set).cast::<()>().addr(), *key),
            Listener::Handle(_) => ListenerKey::Handle,
            Listener::Waker(_, key) => ListenerKey::Waker(*key),
            Listener::After(_, number, key) => ListenerKey::After(*number, *key),
        }
    }

    /// Returns `true` if the end of the task may run another task here, which is the user's code as a callback is.
    pub(crate) fn runs_tasks(&self) -> bool {
        matches!(self, Listener::After(..))
    }

    fn tell(&self, end: End) {
        if let Listener::Set(set, key) | Listener::After(set, _, key) = self {
            set.done(*key, end);
        }
    }

    fn wake(self) {
        match self {
            Listener::Set(set, _) | Listener::After(set, ..) => set.wake(),
            Listener::Handle(waker) | Listener::Waker(waker, _) => {
                crate::unwind::catch_and_log("the waker of a future", move || waker.wake());
            }
        }
    }
}
