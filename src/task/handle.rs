//! The handle's side of a task: inspect, wait, cancel, listen and take.
//!
//! These are the implementations of three traits, which share the private methods of waiting.
#![forbid(unsafe_code)]

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::call::Call;
use super::context::RunningTask;
use super::function::failed;
use super::listener::{Listener, ListenerKey};
use super::marks::Mark;
use super::owner;
use super::phase::{HeldOutcome, Phase, StoredError};
use super::roles::{Awaited, Callback, Runnable, TaskHandle};
use super::snapshot::{End, Snapshot, State};
use super::state::{By, Task};
use crate::error::{Error, Outcome};
use crate::id::FutureId;
use crate::look::look;
use crate::unwind::drop_caught;

/// Panics with this if an outcome is wanted that a poll of the handle has taken.
pub(crate) const TAKEN: &str = "the outcome of this future was taken before: it was polled until it was ready";

impl<C, T, H> RunningTask for Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    fn id(&self) -> FutureId {
        self.id
    }

    fn name(&self) -> Option<Arc<str>> {
        self.options()?.shared_name()
    }

    fn is_aborted(&self) -> bool {
        self.marks.has(Mark::Aborted)
    }
}

impl<C, T, H> Awaited for Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    fn snapshot(&self) -> Snapshot {
        let snapshot = self.inner.lock().phase.snapshot();
        if snapshot.state.is_done() || !self.is_lost() {
            return snapshot;
        }
        self.end_lost();
        self.inner.lock().phase.snapshot()
    }

    fn look(&self) -> Snapshot {
        let mut snapshot = self.snapshot();
        if snapshot.state == State::Pending
            && let Some(owner) = self.entrusted_to()
            && owner.remote().is_some_and(|remote| remote.has_started(self.id))
        {
            snapshot.state = State::Running;
        }
        snapshot
    }

    fn runs_here(&self) -> bool {
        self.inner.lock().phase.runs_here()
    }

    fn cancel(&self) -> bool {
        let Some(owner) = self.owner_to_ask(By::Cancel { asked: false }) else { return self.was_cancelled() };
        // A started task cannot be cancelled, so it must not be taken back from where it is.
        let is_pending = self.inner.lock().phase.snapshot().state == State::Pending;
        let is_back = owner.remote().is_some_and(|remote| {
            if !is_pending {
                remote.curtail(self.id);
            }
            is_pending && remote.revoke(self.id)
        });
        is_back && self.end_with(Error::Cancelled, By::Cancel { asked: true }) || self.was_cancelled()
    }

    fn abort(&self) -> bool {
        let Some(owner) = self.owner_to_ask(By::Abort { asked: false }) else { return self.was_cancelled() };
        let Some(remote) = owner.remote().filter(|remote| remote.stop(self.id)) else { return self.was_cancelled() };
        let ended = self.end_with(Error::Cancelled, By::Abort { asked: true });
        remote.stopped(self.id);
        ended || self.was_cancelled()
    }

    fn listen(&self, listener: Listener) -> Option<End> {
        let mut inner = self.inner.lock();
        let snapshot = inner.phase.snapshot();
        if let Some(end) = snapshot.end() {
            drop(inner);
            drop_caught(listener);
            return Some(end);
        }
        if self.is_lost() {
            drop(inner);
            self.end_lost();
            drop_caught(listener);
            return Some(End::Error);
        }
        let key = listener.key();
        // Only a waker is registered more than once.
        let again = !matches!(listener, Listener::Set(..));
        let old = if again && let Some(slot) = inner.more.listener(key) {
            Some(std::mem::replace(slot, listener))
        } else {
            inner.more.add_listener(key, listener)
        };
        drop(inner);
        // A waker's drop is user code.
        drop_caught(old);
        None
    }

    fn unlisten(&self, key: ListenerKey) {
        let removed = self.inner.lock().more.remove_listener(key);
        drop_caught(removed);
    }

    fn hold(&self, value: Arc<dyn Any + Send + Sync>) {
        let mut inner = self.inner.lock();
        let unused = if inner.is_done() { Some(value) } else { inner.more.extras().held.replace(value) };
        drop(inner);
        drop(unused);
    }

    fn sleep(&self, deadline: Option<Instant>) -> bool {
        // Not before a deadline: reading the result, for one, may take arbitrarily long.
        if deadline.is_none()
            && let Some(owner) = self.entrusted_to()
            && let Some(remote) = owner.remote()
        {
            remote.help(self.id);
        }
        look(deadline, || self.published.load(Ordering::Relaxed));
        let mut inner = self.inner.lock();
        while !inner.is_done() {
            match deadline {
                None => self.changed.wait(&mut inner),
                Some(deadline) => {
                    if self.changed.wait_until(&mut inner, deadline).timed_out() {
                        return inner.is_done();
                    }
                }
            }
        }
        true
    }

    fn error(&self) -> Option<Error> {
        let mut inner = self.inner.lock();
        loop {
            match &inner.phase {
                Phase::Finished(_) => return None,
                Phase::Failed(failure) => {
                    self.marks.add(Mark::Seen);
                    return Some(failure.error().clone());
                }
                Phase::Cancelled => return Some(Error::Cancelled),
                Phase::Delivering { .. } => {}
                Phase::Taken { .. } => {
                    drop(inner);
                    panic!("{TAKEN}");
                }
                _ => return None,
            }
            drop(inner);
            owner::assert_may_block();
            inner = self.inner.lock();
            if matches!(inner.phase, Phase::Delivering { .. }) {
                self.changed.wait(&mut inner);
            }
        }
    }

    fn detach(&self) {
        if self.marks.has(Mark::Released) {
            return;
        }
        let mut inner = self.inner.lock();
        self.marks.add(Mark::Released);
        let Some(outcome) = inner.phase.take_outcome(|raised| Phase::Taken { raised }) else {
            let (polled, held) = (inner.more.remove_listener(ListenerKey::Handle), inner.more.take_held());
            drop(inner);
            drop_caught(polled);
            drop(held);
            return;
        };
        drop(inner);
        self.drop_unobserved(outcome);
    }
}

impl<C, T, H> Task<C, T, H>
where
    T: Send,
    H: HeldOutcome<T>,
{
    #[inline(always)]
    fn take_held(&self) -> Option<H> {
        let mut inner = self.inner.lock();
        let outcome = match &inner.phase {
            Phase::Cancelled => failed(Error::Cancelled),
            _ => inner.phase.take_outcome(|raised| Phase::Taken { raised })?,
        };
        self.marks.add(Mark::Released);
        Some(outcome)
    }
}

impl<C, T, H> TaskHandle<T> for Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    fn take(&self) -> Option<Outcome<T>> {
        self.take_held().map(H::release)
    }

    fn take_boxed(&self) -> Option<Box<Outcome<T>>> {
        self.take_held().map(H::boxed)
    }

    fn try_add_callback(&self, callback: Callback<T>) -> Result<(), Callback<T>> {
        let mut inner = self.inner.lock();
        if inner.is_done() {
            return Err(callback);
        }
        inner.more.extras().callbacks.push_back(callback);
        Ok(())
    }

    fn finish(&self, outcome: Outcome<T>) -> bool {
        self.end(H::hold(|| outcome), By::Owner)
    }

    fn finish_boxed(&self, outcome: Box<Outcome<T>>) -> bool {
        self.end(H::from_boxed(outcome), By::Owner)
    }

    fn add_callback(&self, callback: Callback<T>) {
        let mut inner = self.inner.lock();
        let shown = inner.phase.snapshot();
        let is_cancelled = match inner.phase {
            Phase::Finished(_) | Phase::Failed(_) => false,
            Phase::Cancelled => true,
            Phase::Taken { .. } => {
                drop(inner);
                drop_caught(callback);
                panic!("{TAKEN}");
            }
            _ => {
                inner.more.extras().callbacks.push_back(callback);
                return;
            }
        };
        inner.more.extras().callbacks.push_back(callback);
        let lent = || Phase::Delivering { shown, cancelled: is_cancelled };
        let mut outcome: H = inner.phase.take_outcome(|_| lent()).unwrap_or_else(|| {
            inner.phase = lent();
            failed(Error::Cancelled)
        });
        inner = self.deliver(inner, &mut outcome);
        inner.phase = if is_cancelled { Phase::Cancelled } else { Phase::of(outcome) };
        drop(inner);
        self.changed.notify_all();
    }
}
