//! What a thread knows about itself when it meets a future: whose worker it is, and whether it may block.
//!
//! A pool's threads carry their pool as a [`TaskOwner`]. A wait asks it for two things: to run the awaited task right
//! here (a claim), and to keep the pool going while this thread sleeps (a spare worker).
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::roles::{BlockReason, Runnable, TaskOwner};
use crate::blocking;
pub(crate) use crate::blocking::{assert_may_block, in_callback, may_block};
use crate::error::Error;
use crate::sync::thread_local;
use crate::ticket::Ticket;

/// A pool of threads that may share the items of a map among them.
pub(crate) trait Sharing: TaskOwner {
    /// Why the calling thread may not add to what is shared any more, if that is so. Cheap as long as it may.
    fn refuses_all(&self) -> Option<Error>;
    /// Queues a task that works on shared items, at the position of its ticket. Works after a close too, as long as
    /// workers are left.
    fn push(&self, task: Arc<dyn Runnable>, ticket: Ticket);
    /// Returns the ticket of items that are pulled now.
    fn ticket(&self) -> Ticket;
    /// Returns `true` if the queue has a task with an earlier ticket. A hint: may be out of date.
    fn has_earlier(&self, ticket: Ticket) -> bool;
    /// What is pending there is pending here, and is behind what was shared before.
    fn enlist(&self, shared: Weak<dyn Shared>);
    /// Some of it has ended.
    fn add(&self, ended: Ended);
}

/// Calls that the tasks of a pool share, and that are no tasks themselves. The pool asks with none of its locks held.
pub(crate) trait Shared: Send + Sync {
    /// How many were not begun, less the tasks in the pool's queue that are there to begin them; and how those went of
    /// which the pool was not told yet.
    fn progress(&self) -> (isize, Ended);
    /// Ends those that were not begun, and returns how many that were. Runs user code.
    fn call_off(&self, error: &Error) -> usize;
}

/// How calls went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

thread_local! {
    static OWNER: RefCell<Option<Arc<dyn TaskOwner>>> = RefCell::new(None);
    static TOKEN: Cell<u64> = Cell::new(0);
    static AWAITING: RefCell<[Weak<CompensationGuard>; 2]> = RefCell::new([Weak::new(), Weak::new()]);
}

/// Marks this thread as one of `owner`'s for as long as it lives.
pub(crate) fn enter(owner: Arc<dyn TaskOwner>) {
    OWNER.with(|slot| *slot.borrow_mut() = Some(owner));
}

/// Lets this thread stand for one of `owner`'s while it runs `code`.
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

/// The executor this thread belongs to.
pub(crate) fn current() -> Option<Arc<dyn TaskOwner>> {
    // Past the thread's own locals (in a thread-local's drop) it belongs to nobody.
    OWNER.try_with(|slot| slot.borrow().clone()).ok().flatten()
}

/// Does this thread belong to the executor at this address?
pub(crate) fn is_current(owner: *const ()) -> bool {
    OWNER.try_with(|slot| slot.borrow().as_ref().is_some_and(|own| address(own) == owner)).unwrap_or(false)
}

/// Two owners are the same if their addresses are.
pub(crate) fn address(owner: &Arc<dyn TaskOwner>) -> *const () {
    Arc::as_ptr(owner).cast()
}

/// A number for this thread, never used again.
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

/// What this crate knows about a thread, for another thread that runs code in its place while it waits.
pub(crate) struct Context {
    owner: Option<Arc<dyn TaskOwner>>,
    token: u64,
    callbacks: u32,
}

impl Context {
    pub(crate) fn of_this_thread() -> Self {
        Self { owner: current(), token: thread_token(), callbacks: blocking::callbacks() }
    }

    /// Runs `code` in the place of that thread. The calling thread is a new one, and does nothing else.
    pub(crate) fn enter<R>(self, code: impl FnOnce() -> R) -> R {
        if let Some(owner) = self.owner {
            enter(owner);
        }
        TOKEN.with(|token| token.set(self.token));
        blocking::inside(self.callbacks, code)
    }
}

/// Keeps the pool of this thread, if it is one's, going while it lasts.
pub(crate) struct CompensationGuard(Option<Arc<dyn TaskOwner>>, BlockReason);

impl CompensationGuard {
    pub(crate) fn new(owner: Option<Arc<dyn TaskOwner>>, reason: BlockReason) -> Self {
        if let Some(owner) = &owner {
            owner.block(reason);
        }
        Self(owner, reason)
    }
}

/// Keeps the pool going while futures that this thread polled are pending: it may sleep until they are woken.
///
/// One thread sleeps once, for however many futures: they share what keeps its pool going.
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

    /// What stands for a map of which nothing is left.
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
    fn each_thread_has_a_number_of_its_own() {
        let (here, there) = (thread_token(), thread::spawn(thread_token).join().unwrap());
        assert_eq!(here, thread_token());
        // Zero is nobody's.
        assert!(here != 0 && there != 0 && here != there);
    }
}
