//! [`Condition`]: what threads sleep for and polls wait for, such as room in a queue. [`Waiting`]: one such poll.
//!
//! A condition belongs to a lock. A thread that finds, under that lock, that it has to wait sleeps, as on a condition
//! variable. A poll registers its waker under the lock, and returns. Whoever changes what they wait for notifies the
//! condition after it has released the lock.
//!
//! A waker that was woken for one place in a queue may belong to a future that is dropped before it is polled. Its
//! [`Place`] then wakes the next one, so the place is not lost.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::unwind::{catch_and_log, drop_caught};

pub(crate) struct Condition {
    sleepers: Condvar,
    polls: Arc<Polls>,
}

struct Polls {
    /// The number of registered wakers. Whoever notifies has held the lock of the condition since the last change that
    /// matters, so it needs no ordering of its own.
    count: AtomicUsize,
    registered: Mutex<Registered>,
}

/// The wakers, in the order in which their polls began to wait.
struct Registered {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

/// One poll of an executor that has to wait, such as [`submit_async`](crate::Executor::submit_async) for room in the
/// queue. For authors of executors.
///
/// [`Backend::try_execute`](crate::Backend::try_execute) and [`Backend::poll_join`](crate::Backend::poll_join) get one.
/// A wrapper passes it on; an executor that is not made of another one takes its [`waker`](Waiting::waker).
pub struct Waiting {
    /// The waker of the poll, until it is registered.
    waker: Option<Waker>,
    place: Option<Place>,
}

/// Whether a task that is about to be queued has its place in the bounded queue already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Reserved,
    NotReserved,
    /// It enters the queue even if that is full, because the thread that queues it must not wait for others.
    Exempt,
}

/// The place of a poll among those that wait.
struct Place {
    polls: Arc<Polls>,
    key: u64,
}

/// What a poll waited with before.
pub(crate) struct Replaced {
    waker: Option<Waker>,
    /// Its place in another executor.
    elsewhere: Option<Place>,
}

impl Drop for Replaced {
    fn drop(&mut self) {
        drop_caught(self.waker.take());
        drop(self.elsewhere.take());
    }
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self { waker: None, place: None }
    }

    /// Begins a poll.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> &mut Self {
        drop_caught(self.waker.replace(context.waker().clone()));
        self
    }

    /// Returns the waker of the poll, to be woken once it is worth polling again.
    pub fn waker(&self) -> &Waker {
        self.waker.as_ref().unwrap_or(Waker::noop())
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl Condition {
    pub(crate) fn new() -> Self {
        let registered = Registered { wakers: BTreeMap::new(), next: 0 };
        let polls = Polls { count: AtomicUsize::new(0), registered: Mutex::new(registered) };
        Self { sleepers: Condvar::new(), polls: Arc::new(polls) }
    }

    /// Sleeps until the condition is notified.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.sleepers.wait(guard);
    }

    /// Sleeps until the condition is notified or the deadline passes. Returns `true` in the latter case.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Option<Instant>) -> bool {
        match deadline {
            None => {
                self.wait(guard);
                false
            }
            Some(deadline) => self.sleepers.wait_until(guard, deadline).timed_out(),
        }
    }

    /// Has the poll woken when the condition is notified. Called under the lock of the condition; runs no user code. The
    /// caller drops what is returned after it has released the lock.
    #[must_use = "it contains a user's value, which is dropped under no lock"]
    pub(crate) fn register(&self, waiting: &mut Waiting) -> Replaced {
        let mut registered = self.polls.registered.lock();
        // A poll that has waited here before keeps its place.
        let elsewhere = waiting.place.take_if(|place| !Arc::ptr_eq(&place.polls, &self.polls));
        let place = waiting.place.get_or_insert_with(|| {
            registered.next += 1;
            Place { polls: Arc::clone(&self.polls), key: registered.next }
        });
        let waker = waiting.waker.take().and_then(|waker| registered.wakers.insert(place.key, waker));
        self.polls.count.store(registered.wakers.len(), Ordering::Relaxed);
        Replaced { waker, elsewhere }
    }

    /// Wakes one thread that sleeps, and the first poll that waits.
    pub(crate) fn notify_one(&self) {
        self.sleepers.notify_one();
        self.polls.wake_first();
    }

    /// Wakes all threads that sleep, and the first poll that waits, which wakes the next one when it has what it waited
    /// for.
    pub(crate) fn notify_in_turn(&self) {
        self.sleepers.notify_all();
        self.polls.wake_first();
    }

    /// Wakes all threads that sleep, and all polls that wait.
    pub(crate) fn notify_all(&self) {
        self.sleepers.notify_all();
        if self.polls.count.load(Ordering::Relaxed) > 0 {
            self.polls.change(std::mem::take).into_values().for_each(wake);
        }
    }
}

impl Polls {
    fn change<R>(&self, change: impl FnOnce(&mut BTreeMap<u64, Waker>) -> R) -> R {
        let mut registered = self.registered.lock();
        let result = change(&mut registered.wakers);
        self.count.store(registered.wakers.len(), Ordering::Relaxed);
        result
    }

    fn wake_first(&self) {
        if self.count.load(Ordering::Relaxed) > 0
            && let Some((_, waker)) = self.change(BTreeMap::pop_first)
        {
            wake(waker);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.polls.change(|wakers| wakers.remove(&self.key)) {
            Some(waker) => drop_caught(waker),
            // It was woken. What it was woken for may be there still.
            None => self.polls.wake_first(),
        }
    }
}

fn wake(waker: Waker) {
    catch_and_log("the waker of a poll that waits for an executor", move || waker.wake());
}
