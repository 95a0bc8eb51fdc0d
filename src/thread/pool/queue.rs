//! The state under the lock of a pool, and the decisions made under it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::expired::ExpiredTasks;
use crate::error::Error;
use crate::sync::{is_finished, thread, thread_local};
use crate::task::roles::BlockReason;
use crate::task::{Ran, Runnable};
use crate::ticket::Ticket;

thread_local! {
    /// `true` while this thread counts as coming.
    static IS_COMING: Cell<bool> = Cell::new(false);
}

/// Marks this thread as a worker that was counted as coming when its start was decided.
pub(super) fn set_coming() {
    IS_COMING.with(|is_coming| is_coming.set(true));
}

/// The state of a pool. The table at the head of [`pool`](super) says who changes the counters.
#[derive(Default)]
pub(super) struct Queue {
    /// The queued tasks, in the order of their tickets.
    pub(super) tasks: VecDeque<(Ticket, Arc<dyn Runnable>)>,
    pub(super) dead: isize,
    pub(super) pending: isize,
    pub(super) idle: usize,
    pub(super) permits: usize,
    pub(super) searching: bool,
    pub(super) workers: usize,
    pub(super) starting: usize,
    pub(super) coming: usize,
    pub(super) max_workers: usize,
    pub(super) blocked: usize,
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) closed: bool,
    /// Pending and further tasks are cancelled; set by `cancel_pending` after a close.
    pub(super) cancelling: bool,
    pub(super) broken: Option<Error>,
    pub(super) timer_runs: bool,
    pub(super) expired: ExpiredTasks,
    pub(super) started: usize,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) handles: HashMap<usize, thread::JoinHandle<()>>,
    /// Numbers of threads that left before their handles were stored.
    pub(super) left_early: HashSet<usize>,
    /// Handles of threads that have left and are about to end, and of the threads for time limits.
    pub(super) leaving: Vec<thread::JoinHandle<()>>,
    /// The number of handles that `join` took from `leaving` and is joining.
    pub(super) joining: usize,
}

/// The action to take once the lock is released.
#[must_use]
pub(super) enum Action {
    Nothing,
    Notify,
    /// Start the worker with this number, which is counted already.
    Start(usize),
}

impl Queue {
    pub(super) fn decide(&mut self) -> Action {
        if self.tasks.is_empty() || self.searching || self.permits > 0 {
            // A thread that is on its way decides again.
            return Action::Nothing;
        }
        if self.idle > 0 {
            self.idle -= 1;
            self.permits += 1;
            return Action::Notify;
        }
        if self.live() > self.coming && self.workers < self.limit() {
            self.workers += 1;
            self.starting += 1;
            self.coming += 1;
            self.started += 1;
            return Action::Start(self.started - 1);
        }
        Action::Nothing
    }

    /// Stops counting the calling thread as coming, if it was.
    pub(super) fn arrive(&mut self) {
        // A thread whose thread-locals are gone has looked at the queue before.
        if IS_COMING.try_with(|is_coming| is_coming.replace(false)).unwrap_or(false) {
            self.coming -= 1;
        }
    }

    /// Returns the number of queued tasks that need a thread. Dead entries that a worker has just popped stay
    /// subtracted until it looks at the queue again: it is on its way to a task that is not counted because of them.
    fn live(&self) -> usize {
        usize::try_from(self.tasks.len().cast_signed() - self.dead).unwrap_or(0)
    }

    /// Starts a search for the caller. Returns `true` if no other worker is searching without the lock.
    pub(super) fn begin_search(&mut self) -> bool {
        !std::mem::replace(&mut self.searching, true)
    }

    /// Returns how many workers there may be: enough that `max_workers` of them are not blocked, and at least one is
    /// awake.
    pub(super) fn limit(&self) -> usize {
        self.max_workers.max(self.waiting + 1).saturating_add(self.blocked)
    }

    pub(super) fn sleepers(&mut self, reason: BlockReason) -> &mut usize {
        match reason {
            BlockReason::Worker => &mut self.blocked,
            BlockReason::Progress => &mut self.waiting,
        }
    }

    pub(super) fn count(&mut self, ran: Ran) {
        match ran {
            Ran::Skipped => self.dead -= 1,
            Ran::Completed => self.completed += 1,
            Ran::Failed => self.failed += 1,
            Ran::Uncounted => {}
        }
    }

    /// Returns why a task is refused, or `None` if it is accepted. Tasks that `is_accepted`, because they come from the
    /// executor itself for example, may be pushed after the close while workers are left to run them.
    pub(super) fn refusal(&self, is_accepted: impl Fn() -> bool) -> Option<Error> {
        let is_late = self.closed && (self.workers == 0 || !is_accepted());
        let closed = is_late.then_some(Error::ShutDown);
        self.broken.clone().or(closed).or(self.cancelling.then_some(Error::Cancelled))
    }

    /// Returns `true` if no more tasks are accepted and no task is running that could submit more.
    pub(super) fn is_over(&self) -> bool {
        self.broken.is_some() || (self.closed && self.running == 0)
    }

    /// Returns `true` if no worker is left and none will be started.
    pub(super) fn is_last(&self) -> bool {
        self.workers == 0 && (self.closed || self.broken.is_some())
    }

    pub(super) fn all_ended(&self) -> bool {
        self.workers == 0 && self.starting == 0 && !self.timer_runs && self.expired.all_ended() && self.joining == 0
    }

    /// Drops the handles of threads that have ended, which need not be joined.
    pub(super) fn forget_ended(&mut self) {
        self.leaving.retain(|handle| !is_finished(handle));
    }

    /// Inserts a task behind all tasks with the same or an earlier ticket.
    pub(super) fn insert(&mut self, ticket: Ticket, task: Arc<dyn Runnable>) {
        let position = match self.tasks.back() {
            Some((last, _)) if *last > ticket => self.tasks.partition_point(|(other, _)| *other <= ticket),
            _ => self.tasks.len(),
        };
        self.tasks.insert(position, (ticket, task));
    }

    /// Moves a task to the front if it is among the newest, as is a task that was submitted to be waited for. So a deep
    /// task ends before the next one begins. A task that is not found keeps its place, which costs threads but delays
    /// nothing.
    pub(super) fn hasten(&mut self, cell: *const ()) {
        const NEAR: usize = 1024;
        let is_it = |(_, task): &(Ticket, Arc<dyn Runnable>)| Arc::as_ptr(task).cast::<()>() == cell;
        if let Some(back) = self.tasks.iter().rev().take(NEAR).position(is_it)
            && let Some((_, task)) = self.tasks.remove(self.tasks.len() - 1 - back)
        {
            self.tasks.push_front((Ticket::FIRST, task));
        }
    }

    /// Removes the dead entries if they outnumber the living.
    pub(super) fn sweep(&mut self) -> Vec<(Ticket, Arc<dyn Runnable>)> {
        const FEW: isize = 64;
        if self.dead <= FEW || 2 * self.dead <= self.tasks.len().cast_signed() {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.tasks);
        let (live, dead): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, task)| task.is_waiting());
        self.tasks = live.into();
        self.dead -= dead.len().cast_signed();
        dead
    }
}
