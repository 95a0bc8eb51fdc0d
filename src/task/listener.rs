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
use crate::unwind::catch_and_log;

/// Is notified of the end of several tasks, each under its own key.
pub(crate) trait Listen: Send + Sync {
    /// Called once for each key, mostly under the task's lock. Must not run user code or take a task's lock.
    fn done(&self, key: Key, end: End);
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
    Set(Arc<dyn Listen>, Key),
    /// The waker of the task's handle.
    Handle(Waker),
    /// The waker of one `.await` of a shared future. Boxed, so that no task needs more room for a listener than a set
    /// takes.
    Waker(Box<(Waker, WakerKey)>),
}

/// The number of a task among those that one listener listens to, in half a word, because every task has room for one. A
/// listener that lives long starts again from 0, so its user knows which tasks it listens to: fewer than can be counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(u32);

impl Key {
    /// Returns the key of the task that is the `number`th one.
    pub(crate) fn of(number: usize) -> Self {
        Self(number as u32)
    }

    /// Returns how far the task is behind the `first`th one, which is the first of those that are left.
    pub(crate) fn behind(self, first: usize) -> usize {
        self.0.wrapping_sub(first as u32) as usize
    }
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
    Set(usize, Key),
    Handle,
    Waker(WakerKey),
    After(WakerKey, Key),
}

impl ListenerKey {
    pub(crate) fn in_set<L: ?Sized>(set: &Arc<L>, key: Key) -> Self {
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
            Listener::Waker(waker) => ListenerKey::Waker(waker.1),
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
            Listener::Handle(waker) => wake_caught(waker),
            Listener::Waker(waker) => wake_caught(waker.0),
        }
    }
}

fn wake_caught(waker: Waker) {
    catch_and_log("the waker of a future", move || waker.wake());
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_start_again_from_0() {
        let first = u32::MAX as usize;
        assert_eq!([0, 1, 2].map(|more| Key::of(first.wrapping_add(more)).behind(first)), [0, 1, 2]);
        assert!(Key::of(7).behind(8) > 1 << 31, "one that is no longer there is behind all others");
    }
}
