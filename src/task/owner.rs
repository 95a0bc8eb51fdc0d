//! What a thread needs to know when it waits for a future: which executor it belongs to, and whether it may block.
//!
//! A pool's threads store their pool as a [`TaskOwner`]. A wait asks it for three things: to run the awaited task in the
//! waiting thread (a claim), to have another worker run it first (to hasten it), and to keep the pool going while this
//! thread sleeps (a spare worker).
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::roles::{BlockReason, Runnable, TaskOwner};
use crate::blocking;
pub(crate) use crate::blocking::{assert_may_block, in_callback, may_block};
use crate::error::Error;
use crate::sync::thread_local;
use crate::ticket::Ticket;

/// A pool of threads that can share the items of a map.
pub(crate) trait Sharing: TaskOwner {
    /// Returns the ticket of items that the calling thread pulls now, or the reason why it may not add items any more.
    /// Takes no lock while the pool is open.
    fn admit(&self) -> Result<Ticket, Error>;
    /// Queues a task that works on shared items, at the position of its ticket. Works after a close too, as long as
    /// workers are left.
    fn push(&self, task: Arc<dyn Runnable>, ticket: Ticket);
    /// Returns `true` if the queue has a task with an earlier ticket. A hint: may be out of date.
    fn has_earlier(&self, ticket: Ticket) -> bool;
    /// Registers shared items: the pool counts their pending calls as its own. Items shared later are behind those
    /// shared before.
    fn enlist(&self, shared: Weak<dyn Shared>);
    /// Adds calls that have ended to the pool's counts.
    fn add(&self, ended: Ended);
}

/// Calls that the tasks of a pool share, and that are not tasks themselves. The pool calls the methods without any of
/// its locks.
pub(crate) trait Shared: Send + Sync {
    /// Returns the number of calls that have not begun, minus the queued tasks that are there to run them; and the
    /// counts not yet reported to the pool.
    fn progress(&self) -> (isize, Ended);
    /// Ends the calls that have not begun with `error`, and returns how many there were. Runs user code.
    fn call_off(&self, error: &Error) -> usize;
}

/// Counts of calls that have ended, by result.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

impl AddAssign for Ended {
    fn add_assign(&mut self, other: Self) {
        self.completed += other.completed;
        self.failed += other.failed;
    }
}

thread_local! {
    static OWNER: RefCell<Option<Arc<dyn TaskOwner>>> = RefCell::new(None);
    static TOKEN: Cell<u64> = Cell::new(0);
    static AWAITING: RefCell<[Weak<CompensationGuard>; 2]> = RefCell::new([Weak::new(), Weak::new()]);
}

/// Makes this thread belong to `owner` for the rest of its life.
pub(crate) fn enter(owner: Arc<dyn TaskOwner>) {
    OWNER.with(|slot| *slot.borrow_mut() = Some(owner));
}

/// Makes this thread belong to `owner` while it runs `code`.
pub(crate) fn enter_for<R>(owner: Arc<dyn TaskOwner>, code: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn TaskOwner>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = OWNER.try_with(|slot| slot.replace(self.0.take()));
        }
    }
    let _restore = Restore(OWNER.try_with(|slot| slot.replace(Some(owner))).ok().flatten());
    code()
}

/// Returns the executor that this thread belongs to.
pub(crate) fn current() -> Option<Arc<dyn TaskOwner>> {
    // When its thread-locals are gone (in a thread-local's drop), the thread belongs to no executor.
    OWNER.try_with(|slot| slot.borrow().clone()).ok().flatten()
}

/// Returns `true` if this thread belongs to the executor at this address.
pub(crate) fn is_current(owner: *const ()) -> bool {
    OWNER.try_with(|slot| slot.borrow().as_ref().is_some_and(|own| address(own) == owner)).unwrap_or(false)
}

/// Returns the address of an owner, which identifies it.
pub(crate) fn address(owner: &Arc<dyn TaskOwner>) -> *const () {
    Arc::as_ptr(owner).cast()
}

/// Returns this thread's number, which is never reused.
pub(crate) fn thread_token() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TOKEN
        .try_with(|token| {
            if token.get() == 0 {
                token.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            token.get()
        })
        .unwrap_or(u64::MAX)
}

/// What this crate knows about a thread, for another thread that runs code in its place while the first waits.
pub(crate) struct Context {
    owner: Option<Arc<dyn TaskOwner>>,
    token: u64,
    callbacks: u32,
}

impl Context {
    pub(crate) fn of_this_thread() -> Self {
        Self { owner: current(), token: thread_token(), callbacks: blocking::callbacks() }
    }

    /// Runs `code` in place of that thread. The calling thread is new, and does nothing else.
    pub(crate) fn enter<R>(self, code: impl FnOnce() -> R) -> R {
        if let Some(owner) = self.owner {
            enter(owner);
        }
        TOKEN.with(|token| token.set(self.token));
        blocking::inside(self.callbacks, code)
    }
}

/// Keeps the pool that this thread belongs to going, if any, until it drops.
pub(crate) struct CompensationGuard(Option<Arc<dyn TaskOwner>>, BlockReason);

impl CompensationGuard {
    pub(crate) fn new(owner: Option<Arc<dyn TaskOwner>>, reason: BlockReason) -> Self {
        if let Some(owner) = &owner {
            owner.block(reason);
        }
        Self(owner, reason)
    }
}

/// Keeps the pool going while futures that this thread has polled are pending, since it may sleep until they wake it.
///
/// All futures of a thread share one guard for each reason, since the thread sleeps only once.
pub(crate) fn compensate_await(owner: &Arc<dyn TaskOwner>, reason: BlockReason) -> Arc<CompensationGuard> {
    let spare = || Arc::new(CompensationGuard::new(Some(Arc::clone(owner)), reason));
    let shared = AWAITING.try_with(|slots| {
        let slot = reason as usize;
        let before = slots.borrow()[slot].upgrade();
        before.unwrap_or_else(|| {
            let spare = spare();
            slots.borrow_mut()[slot] = Arc::downgrade(&spare);
            spare
        })
    });
    shared.unwrap_or_else(|_| spare())
}

impl Drop for CompensationGuard {
    fn drop(&mut self) {
        if let Some(owner) = &self.0 {
            owner.unblock(self.1);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::thread;

    use super::{Ended, Shared, thread_token};
    use crate::error::Error;

    /// Stands for a map of which nothing is left.
    pub(crate) struct Nothing;

    impl Shared for Nothing {
        fn progress(&self) -> (isize, Ended) {
            (0, Ended::default())
        }
        fn call_off(&self, _: &Error) -> usize {
            0
        }
    }

    #[test]
    fn each_thread_has_its_own_number() {
        let (here, there) = (thread_token(), thread::spawn(thread_token).join().unwrap());
        assert_eq!(here, thread_token());
        // Zero is no thread's number.
        assert!(here != 0 && there != 0 && here != there);
    }
}
