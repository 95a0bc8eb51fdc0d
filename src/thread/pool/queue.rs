//! The state under the lock of a pool, and the decisions made under it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::counts::Counts;
use super::entries::{Entries, IDLE_CAPACITY};
use super::expired::ExpiredTasks;
use super::front::Front;
use super::inbox::Inbox;
use crate::error::Error;
use crate::sync::{is_finished, thread, thread_local};
use crate::task::Runnable;
use crate::task::owner::Ended;
use crate::task::roles::BlockReason;
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
    /// The queued tasks behind the front and before the inbox, in the order of their tickets.
    pub(super) tasks: Entries,
    /// The first queued tasks, if the queue was long.
    pub(super) front: Arc<Front>,
    /// The tickets of the first and the last task with which the front was last filled.
    pub(super) front_tickets: (Ticket, Ticket),
    /// Where submitters leave the last tasks while it is open.
    pub(super) inbox: Arc<Inbox>,
    /// Second entries of queued tasks that sleeping workers wait for. They are taken before all others, the last one first.
    pub(super) hastened: Vec<Arc<dyn Runnable>>,
    /// How many of them were left by the last sweep.
    pub(super) hastened_left: usize,
    /// `true` if the number of pending tasks is limited. The inbox then stays shut: a submitter needs the lock to see
    /// whether there is room.
    pub(super) is_bounded: bool,
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
    /// The calls that workers had ended when they left.
    pub(super) retired: Ended,
    /// The counts of the other workers, by number.
    pub(super) counts: HashMap<usize, Arc<Counts>>,
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
    Start(usize, Arc<Counts>),
}

impl Queue {
    pub(super) fn decide(&mut self) -> Action {
        if self.wakes_no_thread() || self.is_empty() {
            // A thread that is on its way decides again, or no thread can be added.
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
            let (number, counts) = (self.started, Arc::<Counts>::default());
            self.started += 1;
            self.counts.insert(number, Arc::clone(&counts));
            return Action::Start(number, counts);
        }
        Action::Nothing
    }

    /// Returns `true` if a further task wakes or starts no thread: one is searching or was woken, or no worker is idle and
    /// there may be no more of them.
    pub(super) fn wakes_no_thread(&self) -> bool {
        self.searching || self.permits > 0 || (self.idle == 0 && self.workers >= self.limit())
    }

    /// Shuts the inbox, and moves its tasks into the queue. Returns their number.
    pub(super) fn shut_inbox(&mut self) -> usize {
        let count = self.inbox.shut(&mut self.tasks);
        self.pending += count.cast_signed();
        count
    }

    /// Shuts the inbox if a further task may wake or start a thread.
    pub(super) fn shut_inbox_if_needed(&mut self) {
        if !self.wakes_no_thread() {
            self.shut_inbox();
        }
    }

    /// Opens the inbox if a further task is accepted, and wakes and starts no thread.
    pub(super) fn open_inbox_if_possible(&self) {
        if self.accepts_all() && !self.is_bounded && self.wakes_no_thread() {
            self.inbox.open();
        }
    }

    /// Returns `true` if tasks are accepted from everybody.
    fn accepts_all(&self) -> bool {
        !self.closed && !self.cancelling && self.broken.is_none()
    }

    /// Stops counting the calling thread as coming, if it was.
    pub(super) fn arrive(&mut self) {
        // A thread whose thread-locals are gone has looked at the queue before.
        if IS_COMING.try_with(|is_coming| is_coming.replace(false)).unwrap_or(false) {
            self.coming -= 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of entries, dead ones included. Some of the front may be taken meanwhile.
    fn len(&self) -> usize {
        self.front.len() + self.outside_front()
    }

    /// Returns the number of entries that are neither in the front nor in the inbox.
    pub(super) fn outside_front(&self) -> usize {
        self.hastened.len() + self.tasks.len()
    }

    /// Returns the number of queued tasks that need a thread. Dead entries that a worker has just popped stay
    /// subtracted until it looks at the queue again: it is on its way to a task that is not counted because of them.
    fn live(&self) -> usize {
        usize::try_from(self.len().cast_signed() - self.dead).unwrap_or(0)
    }

    /// Takes the first hastened task, or else the first one of the others. Moves the tasks of the inbox into the queue if no other is left. If the queue is long and not
    /// bounded, moves the tasks that follow into the front.
    pub(super) fn pop(&mut self) -> Option<Arc<dyn Runnable>> {
        if let Some(task) = self.hastened.pop() {
            return Some(task);
        }
        if let Some(task) = self.front.take_locked() {
            // The caller subtracts each task from `pending`, and those of the front are not in it.
            self.pending += 1;
            return Some(task);
        }
        if self.tasks.is_empty() {
            self.pending += self.inbox.drain(&mut self.tasks).cast_signed();
        }
        let (_, task) = self.tasks.pop_front()?;
        let all_awake = self.blocked + self.waiting == 0 && self.workers <= self.limit();
        if !self.is_bounded
            && all_awake
            && let Some((count, first, last)) = self.front.fill(&mut self.tasks)
        {
            self.pending -= count.cast_signed();
            self.front_tickets = (first, last);
        }
        Some(task)
    }

    /// Moves the tasks in the front back, so that all queued tasks are in `tasks`.
    pub(super) fn drain_front(&mut self) {
        self.pending += self.front.drain(&mut self.tasks).cast_signed();
    }

    /// Takes out all queued tasks.
    pub(super) fn take_all(&mut self) -> VecDeque<Arc<dyn Runnable>> {
        debug_assert!(!self.inbox.is_open(), "tasks may be in the inbox");
        self.drain_front();
        let mut tasks = self.tasks.take_all();
        tasks.extend(std::mem::take(&mut self.hastened));
        tasks
    }

    /// Returns the ticket of the first queued task that is not in the inbox; or an earlier one, if tasks were taken from the
    /// front since it was filled, or a task is hastened.
    pub(super) fn earliest(&self) -> Ticket {
        if !self.hastened.is_empty() {
            return Ticket::FIRST;
        }
        if self.front.is_filled() {
            return self.front_tickets.0;
        }
        self.tasks.first_ticket().unwrap_or(Ticket::NEVER)
    }

    /// Returns the numbers of calls that workers have ended.
    pub(super) fn ended(&self) -> Ended {
        let mut all = self.retired;
        self.counts.values().for_each(|counts| all += counts.ended());
        all
    }

    /// Adds the counts of a worker that leaves, or could not be started, to those of the workers before it.
    pub(super) fn retire(&mut self, number: usize) {
        if let Some(counts) = self.counts.remove(&number) {
            self.retired += counts.ended();
        }
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

    /// Returns why a task is refused, or `None` if it is accepted. Tasks that `is_accepted`, because they come from the
    /// executor itself for example, may be pushed after the close while workers are left to run them.
    #[inline]
    pub(super) fn refusal(&self, is_accepted: impl Fn() -> bool) -> Option<Error> {
        if self.accepts_all() {
            return None;
        }
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
        let last = self.tasks.last_ticket().unwrap_or(self.front_tickets.1);
        if last <= ticket {
            return self.tasks.push_back(ticket, task);
        }
        self.drain_front();
        self.tasks.insert(ticket, task);
    }

    /// Has the next free worker take this queued task first. It gets a second entry, because the first may be anywhere in
    /// the queue, or was just taken. Whichever is taken first runs the task, so one of the two needs no thread, and counts
    /// as dead from now on. Returns dead entries, to be dropped without the lock.
    pub(super) fn hasten(&mut self, task: Arc<dyn Runnable>) -> Vec<Arc<dyn Runnable>> {
        self.hastened.push(task);
        self.dead += 1;
        self.sweep()
    }

    /// Frees capacity that is not needed.
    pub(super) fn shrink(&mut self) {
        self.tasks.shrink();
        self.hastened.shrink_to(IDLE_CAPACITY);
        self.hastened_left = self.hastened.len();
    }

    /// Removes the dead entries behind the front if they outnumber the living, and those among the hastened if these have
    /// doubled since the last time.
    pub(super) fn sweep(&mut self) -> Vec<Arc<dyn Runnable>> {
        const FEW: usize = 64;
        // Each hastened entry counts for one that is dead: itself, or the other one of its task, which stays while the task
        // waits.
        let dead = self.dead - self.hastened.len().cast_signed();
        let mut swept = Vec::new();
        if dead > FEW.cast_signed() && 2 * dead > self.tasks.len().cast_signed() {
            swept = self.tasks.retain(|task| task.is_waiting());
        }
        if self.hastened.len() > FEW.max(2 * self.hastened_left) {
            swept.extend(self.hastened.extract_if(.., |task| !task.is_waiting()));
            self.hastened_left = self.hastened.len();
        }
        self.dead -= swept.len().cast_signed();
        swept
    }
}
