//! [`TaskOwner`] for a pool: what its tasks and their waiters, and maps, ask of it.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Pool;
use super::queue::{Action, Queue};
use crate::condition::Room;
use crate::error::Error;
use crate::fork;
use crate::items::RangeExecutor;
use crate::sync::MutexGuard;
use crate::task::owner::{Ended, Shared, Sharing};
use crate::task::pool_id::PoolId;
use crate::task::roles::{BlockReason, TaskOwner};
use crate::task::{Ran, Runnable};
use crate::ticket::Ticket;

impl Pool {
    /// Counts a task that has left `Pending`, and makes its room available.
    pub(super) fn left_pending(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.pending -= 1;
        self.release(queue, Action::Nothing);
        if self.is_bounded() {
            self.room.notify_one();
        }
    }
}

impl RangeExecutor for Pool {
    fn takes_only_tasks(&self) -> bool {
        self.settings.time_limit.is_some()
    }

    /// Returns `None` if each item needs its own place in a bounded queue, or its own time limit.
    fn threads(self: Arc<Self>) -> Option<Arc<dyn Sharing>> {
        let shares = !self.is_bounded() && self.settings.time_limit.is_none() && !self.is_copy();
        shares.then_some(self as _)
    }
}

impl Sharing for Pool {
    fn admit(&self) -> Result<Ticket, Error> {
        if self.closing.load(Ordering::Relaxed) {
            if self.is_copy() {
                return Err(fork::lost_in_fork());
            }
            self.queue.lock().refusal(|| self.owns_thread()).map_or(Ok(()), Err)?;
        }
        Ok(self.tickets.now())
    }

    fn push(&self, task: Arc<dyn Runnable>, ticket: Ticket) {
        self.push_if(task, Some(ticket), Room::NotReserved, || true);
    }

    fn has_earlier(&self, ticket: Ticket) -> bool {
        self.earliest.get() < ticket || self.inbox.earliest() < ticket
    }

    fn enlist(&self, shared: Weak<dyn Shared>) {
        let mut all = self.shared.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(shared);
        drop(all);
        let _queue = self.lock();
        self.tickets.next_locked();
    }

    fn add(&self, ended: Ended) {
        self.claims_completed.fetch_add(ended.completed, Ordering::Relaxed);
        self.claims_failed.fetch_add(ended.failed, Ordering::Relaxed);
    }
}

impl TaskOwner for Pool {
    fn pool_id(&self) -> Option<PoolId> {
        Some(self.id)
    }

    fn kind(&self) -> Option<&'static str> {
        Some("ThreadPoolExecutor")
    }
    fn started(&self) {
        if self.is_bounded() && !self.is_copy() {
            self.left_pending(self.lock());
        }
    }

    fn cancelled(&self, _aborted: bool) {
        if self.is_copy() {
            return;
        }
        let mut queue = self.lock();
        queue.dead += 1;
        let swept = queue.sweep();
        self.left_pending(queue);
        drop(swept);
    }

    fn refused(&self) {
        if !self.is_copy() {
            self.left_pending(self.lock());
        }
    }

    fn claimed(&self, cell: *const ()) {
        if self.is_copy() {
            return;
        }
        let mut queue = self.lock();
        let newest = queue.tasks.iter().next_back().is_some_and(|task| Arc::as_ptr(task).cast::<()>() == cell);
        let swept = if newest {
            queue.tasks.pop_back().into_iter().collect()
        } else {
            queue.dead += 1;
            queue.sweep()
        };
        self.left_pending(queue);
        drop(swept);
    }

    fn hasten(&self, task: Arc<dyn Runnable>) {
        if !self.is_copy() {
            let mut queue = self.lock();
            let swept = queue.hasten(task);
            self.release(queue, Action::Nothing);
            drop(swept);
        }
    }

    fn claim_ended(&self, ran: Ran) {
        match ran {
            Ran::Completed => self.claims_completed.fetch_add(1, Ordering::Relaxed),
            Ran::Failed => self.claims_failed.fetch_add(1, Ordering::Relaxed),
            Ran::Skipped | Ran::Uncounted => return,
        };
    }

    fn time_limit(&self) -> Option<Duration> {
        self.settings.time_limit
    }

    fn watch(&self, task: Weak<dyn Runnable>, limit: Duration) {
        self.timer.watch(task, limit);
    }

    fn block(&self, reason: BlockReason) {
        if self.is_copy() {
            return;
        }
        let mut queue = self.lock();
        queue.arrive();
        queue.drain_front();
        *queue.sleepers(reason) += 1;
        let action = queue.decide();
        self.release(queue, action);
    }

    fn unblock(&self, reason: BlockReason) {
        if self.is_copy() {
            return;
        }
        let mut queue = self.lock();
        *queue.sleepers(reason) -= 1;
        let mut action = Action::Nothing;
        if queue.workers > queue.limit() && queue.idle > 0 {
            // One worker too many now: let a sleeper leave.
            queue.idle -= 1;
            queue.permits += 1;
            action = Action::Notify;
        }
        self.release(queue, action);
    }
}
