//! What the lock of a pool guards, and the decisions that are made under it.
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
    /// Does this thread count as coming?
    static IS_COMING: Cell<bool> = Cell::new(false);
}

/// Says that this thread is a worker, which was counted as coming when it was decided to start it.
pub(super) fn set_coming() {
    IS_COMING.with(|is_coming| is_coming.set(true));
}

#[derive(Default)]
pub(super) struct Queue {
    /// In the order of their tickets.
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
    /// Nothing more is to start.
    pub(super) cancelling: bool,
    pub(super) broken: Option<Error>,
    pub(super) timer_runs: bool,
    pub(super) expired: ExpiredTasks,
    pub(super) started: usize,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) handles: HashMap<usize, thread::JoinHandle<()>>,
    /// Threads that left before their handle was stored.
    pub(super) left_early: HashSet<usize>,
    /// Handles of threads that have left and are about to end, and of those for time limits.
    pub(super) leaving: Vec<thread::JoinHandle<()>>,
    /// Handles that somebody took from there, to join them.
    pub(super) joining: usize,
}

/// What to do once the lock is released.
#[must_use]
pub(super) enum Action {
    Nothing,
    Notify,
    /// Start the worker of this number, which is counted already.
    Start(usize),
}

impl Queue {
    pub(super) fn decide(&mut self) -> Action {
        if self.tasks.is_empty() || self.searching || self.permits > 0 {
            // Whoever is on the way decides again.
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

    /// Counts the calling thread as coming no longer, if it did.
    pub(super) fn arrive(&mut self) {
        // A thread whose locals are gone has looked at the queue.
        if IS_COMING.try_with(|is_coming| is_coming.replace(false)).unwrap_or(false) {
            self.coming -= 1;
        }
    }

    /// How many tasks in the queue need a thread. Dead entries that a worker has just popped are subtracted until it
    /// looks at the queue again: it is on its way to a task that is not counted because of them.
    fn live(&self) -> usize {
        usize::try_from(self.tasks.len().cast_signed() - self.dead).unwrap_or(0)
    }

    /// Is nobody looking for tasks without the lock? Then the caller is.
    pub(super) fn begin_search(&mut self) -> bool {
        !std::mem::replace(&mut self.searching, true)
    }

    /// How many workers there may be, so that as many as were asked for are awake, and never none.
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

    /// Why no task is taken, if that is so. What `is_accepted`, because it comes from the executor itself say, may come
    /// after the close while workers are left to run it.
    pub(super) fn refusal(&self, is_accepted: impl Fn() -> bool) -> Option<Error> {
        let is_late = self.closed && (self.workers == 0 || !is_accepted());
        let closed = is_late.then_some(Error::ShutDown);
        self.broken.clone().or(closed).or(self.cancelling.then_some(Error::Cancelled))
    }

    /// Nothing is running that could submit more, and nothing more is accepted.
    pub(super) fn is_over(&self) -> bool {
        self.broken.is_some() || (self.closed && self.running == 0)
    }

    /// Is no worker left, nor to come?
    pub(super) fn is_last(&self) -> bool {
        self.workers == 0 && (self.closed || self.broken.is_some())
    }

    pub(super) fn all_ended(&self) -> bool {
        self.workers == 0 && self.starting == 0 && !self.timer_runs && self.expired.all_ended() && self.joining == 0
    }

    /// Lets go of the threads that have ended: nobody needs to join them.
    pub(super) fn forget_ended(&mut self) {
        self.leaving.retain(|handle| !is_finished(handle));
    }

    /// Queues a task behind all that are not later.
    pub(super) fn insert(&mut self, ticket: Ticket, task: Arc<dyn Runnable>) {
        let position = match self.tasks.back() {
            Some((last, _)) if *last > ticket => self.tasks.partition_point(|(other, _)| *other <= ticket),
            _ => self.tasks.len(),
        };
        self.tasks.insert(position, (ticket, task));
    }

    /// Moves a task to the front if it is among the newest, as a task is that was submitted to be waited for. So a deep
    /// task ends before the next one begins. A task that is not found keeps its place, which costs threads, but holds
    /// nothing up.
    pub(super) fn hasten(&mut self, cell: *const ()) {
        const NEAR: usize = 1024;
        let is_it = |(_, task): &(Ticket, Arc<dyn Runnable>)| Arc::as_ptr(task).cast::<()>() == cell;
        if let Some(back) = self.tasks.iter().rev().take(NEAR).position(is_it)
            && let Some((_, task)) = self.tasks.remove(self.tasks.len() - 1 - back)
        {
            self.tasks.push_front((Ticket::FIRST, task));
        }
    }

    /// Takes dead entries out, when they are more than the living.
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
