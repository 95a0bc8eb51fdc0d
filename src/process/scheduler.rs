//! Who gets which task, and how many workers there are: all that a pool decides, without a descriptor, thread or clock.
//!
//! Everything here is called under the pool's one lock, takes the time as an argument, and returns what is to be done once the lock is
//! released: frames to send, workers to start, tasks to end. `W` is how the pool reaches a worker; nothing is done with it here.
//!
//! # The rules
//!
//! - A task goes to an idle worker at once. If none is idle it is queued, and a worker is started for it, up to the limit.
//!   Only when there are as many workers as there may be are tasks sent ahead to one that is busy: as many as it is expected to run in
//!   [`AHEAD_TIME`], but one at least and [`table::COUNT`](super::shm::table::COUNT) and [`AHEAD_BYTES`] at most; none behind a [`LONG_TASK`], and behind a portion
//!   of a map only one more of the same: the next ones may be on their way into the queue.
//! - The queue is in the order of tickets, which is that of submission. What comes back to it keeps its ticket, and portions of a map have that of
//!   their items, so they are before what was submitted after these were pulled.
//! - A worker that runs out of tasks takes back half of those that were sent ahead to another and were not started; if there are none,
//!   half of what another has not begun of a map's portion.
//! - *If the queue is not empty when the lock is free, then no worker is idle*, and there are as many workers as there may be, or one is being
//!   started for each queued task, or the start of the last one failed a moment ago and others go on, or the first that this program
//!   ever started has not said hello: what runs in its place may be anything, and once of that is enough.
//! - A task is in one place at a time: in the queue, in one worker's `in_flight`, or with whoever took it out to end it. Whoever takes it
//!   out ends it.
//!
//! # The stages of a worker
//!
//! | stage | counts as a worker | left for | when |
//! |---|---|---|---|
//! | `Starting` | yes | `Serving`, gone | it is ready; it died, or could not be started |
//! | `Serving` | yes | `Retiring`, `Leaving`, `Doomed`, gone | it has had as many tasks as it may; nothing is left for it; a task of it was stopped; it died |
//! | `Retiring` | yes | gone | it has exited, as it was told to, and its monitor has ended: then the next one is started, with all that it held |
//! | `Leaving` | no | gone | it has exited, as it was told to |
//! | `Doomed` | no | gone | it was killed |
#![forbid(unsafe_code)]

mod dispatch;
mod ending;
mod lost;
mod recall;
#[cfg(test)]
mod simulation;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::task::{Place, RemoteTask};
use super::worker_id::WorkerId;
use crate::error::{Error, Full};
pub(super) use lost::LostTask;
use worker::{Stage, WorkerState};

/// How many bytes of arguments are sent ahead.
const AHEAD_BYTES: usize = 256 << 10;

/// How long the pool makes do with the workers it has after one could not be started.
const START_AGAIN: Duration = Duration::from_secs(1);

/// So many workers that die one after the other before they are ready, in so short a time, break the pool.
const DEATHS_IN_A_ROW: usize = 3;
const DEATHS_WITHIN: Duration = Duration::from_secs(10);

/// So many workers may die with a task that they were to start next.
const MISSES: u32 = 3;

/// How long a result that is done may take to arrive, past its time limit.
const ARRIVAL: Duration = Duration::from_secs(2);

pub(super) struct Limits {
    pub(super) max_workers: usize,
    pub(super) max_pending: Option<usize>,
    pub(super) max_tasks: Option<u64>,
}

pub(super) struct Scheduler<W> {
    limits: Limits,
    queue: VecDeque<Arc<RemoteTask>>,
    /// Entries of the queue that were taken back.
    dead: usize,
    workers: BTreeMap<WorkerId, WorkerState<W>>,
    /// Those that have nothing to do, the last to become so last.
    idle: Vec<WorkerId>,
    /// Links in the stages that count.
    active: usize,
    starting: usize,
    next_link: u32,
    next_sequence: u64,
    pub(super) closed: bool,
    /// How many have said that more is to come.
    pub(super) expected: usize,
    /// Nothing more is to start.
    pub(super) cancelling: bool,
    pub(super) broken: Option<Error>,
    /// When workers died before they were ready, since the last that was.
    early_deaths: Vec<Instant>,
    start_again: Option<Instant>,
    /// No worker of this program has said hello yet: one at a time is started.
    pub(super) is_first_try: bool,
    /// The last of them was the last: the pool is about to be broken.
    hopeless: bool,
    to_wake: Vec<W>,
    /// Tasks that a worker died of, and of which it is not known yet what becomes.
    lost: Vec<Arc<RemoteTask>>,
    /// Answers that were received by who waits for them, and whose tasks are not completed yet.
    unread: usize,
    /// Workers that died and were not replaced yet.
    vacancies: u64,
    pub(super) respawned: u64,
}

/// A task to be sent to a worker.
pub(super) struct Dispatch {
    pub(super) remote: Arc<RemoteTask>,
    pub(super) slot: u8,
    pub(super) sequence: u64,
}

/// What became of a task that was submitted.
pub(super) enum Submitted<W> {
    Sent(W, Dispatch),
    Queued,
    /// It was called off on its way.
    TakenBack,
}

/// What a worker is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It has tasks; the first must have ended by then.
    Work(Option<Instant>),
    /// Nothing, since then. It may leave after the time it is kept alive.
    Idle(Instant),
    /// Exit.
    Leave,
    /// Nothing: it is being killed, or has been told to leave.
    End,
}

/// What the time limit of a worker's first task comes to.
pub(super) enum Expiry {
    /// Not yet: look again then, if at all.
    Later(Option<Instant>),
    /// It was stopped: its worker is to be killed.
    Stopped(Arc<RemoteTask>),
}

/// Which task a worker has answered, and whether that was its last word on it.
pub(super) struct Answered {
    pub(super) slot: u8,
    pub(super) sequence: u64,
    pub(super) last: bool,
}

/// What the end of a worker that never was ready says of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// It may do better: so many in a row are tried.
    Fair,
    /// It would do no better, unless this one only lacked what others have.
    Poor,
    /// It would do no better.
    None,
}

/// What is left of a worker that died.
#[derive(Default)]
pub(super) struct Death {
    /// What it ran: one task, unless answers to others were lost with it.
    pub(super) lost_tasks: Vec<LostTask>,
    /// Tasks it did not start and that nobody is to start any more.
    pub(super) unstarted: Vec<Arc<RemoteTask>>,
    /// Why not; if there is no reason, they are cancelled.
    pub(super) refusal: Option<Error>,
    /// It was killed by request.
    pub(super) expected: bool,
    /// No worker will be ready: the pool is to be broken.
    pub(super) is_the_end: bool,
}

impl<W: Clone> Scheduler<W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            dead: 0,
            workers: BTreeMap::new(),
            idle: Vec::new(),
            active: 0,
            starting: 0,
            next_link: 0,
            next_sequence: 0,
            closed: false,
            expected: 0,
            cancelling: false,
            broken: None,
            early_deaths: Vec::new(),
            start_again: None,
            is_first_try: false,
            hopeless: false,
            to_wake: Vec::new(),
            lost: Vec::new(),
            unread: 0,
            vacancies: 0,
            respawned: 0,
        }
    }

    // Tasks in.

    /// Why a task is not taken, if that is so: an `owned` thread is one of the executor's own, and one that was `accepted` before
    /// may come after the pool was closed.
    pub(super) fn refusal(&self, remote: &RemoteTask, owned: bool, accepted: bool) -> Option<Error> {
        let refusal = self.refuses_all(owned, accepted);
        if refusal.is_some() {
            return refusal;
        }
        let limit = self.limits.max_pending?;
        (self.is_full() && remote.options().get_refuse_when_full()).then(|| Error::Full(Full::new(limit)))
    }

    /// Why no task is taken, if that is so.
    pub(super) fn refuses_all(&self, owned: bool, accepted: bool) -> Option<Error> {
        // A callback on a thread of the executor may go on submitting.
        let is_late = self.closed && !accepted && (!owned || self.is_empty());
        let closed = is_late.then_some(Error::ShutDown);
        self.broken.clone().or(closed).or(self.cancelling.then_some(Error::Cancelled))
    }

    /// Takes a task that is not refused.
    pub(super) fn submit(&mut self, remote: Arc<RemoteTask>, now: Instant) -> Submitted<W> {
        match &mut *remote.place.lock() {
            place @ Place::New => *place = Place::Queued,
            // It was taken back on its way here, and ended.
            _ => return Submitted::TakenBack,
        }
        if let Some(id) = self.idle.pop() {
            if remote.is_divisible() && remote.range().is_some_and(|(first, end)| end - first > 1) {
                // Others that are idle believe that there is nothing to divide.
                let idle = self.idle.iter().filter_map(|id| self.workers.get(id)?.connection.clone());
                self.to_wake.extend(idle);
            }
            let order = self.assign(id, remote, now);
            if let Some(connection) = self.workers.get(&id).and_then(|worker| worker.connection.clone()) {
                return Submitted::Sent(connection, order);
            }
        } else {
            self.enqueue(remote);
        }
        Submitted::Queued
    }

    /// Queues a task, behind all that are not later.
    fn enqueue(&mut self, remote: Arc<RemoteTask>) {
        let ticket = remote.ticket();
        let position = match self.queue.back() {
            Some(last) if last.ticket() > ticket => self.queue.partition_point(|other| other.ticket() <= ticket),
            _ => self.queue.len(),
        };
        self.queue.insert(position, remote);
    }

    /// Takes a task back that is to be run by another worker, or again: before all that are not earlier.
    pub(super) fn requeue(&mut self, remote: Arc<RemoteTask>) {
        *remote.place.lock() = Place::Queued;
        let ticket = remote.ticket();
        let position = self.queue.partition_point(|other| other.ticket() < ticket);
        self.queue.insert(position, remote);
        // Who is idle believes that the queue is empty.
        let idle = self.idle.iter().filter_map(|id| self.workers.get(id)?.connection.clone());
        self.to_wake.extend(idle);
    }

    /// Counts the workers that are to be started for what is queued. Each is to be started, or reported as failed.
    pub(super) fn spawn_missing(&mut self, now: Instant) -> Vec<WorkerId> {
        let mut hired = Vec::new();
        while self.active < self.limits.max_workers
            && self.starting + self.idle.len() < self.waiting()
            && self.broken.is_none()
            && !self.hopeless
            // What the last one lacked may be what another one has.
            && (self.workers.is_empty() || (!self.is_first_try && self.start_again.is_none_or(|then| then <= now)))
        {
            let id = WorkerId(self.next_link);
            self.next_link += 1;
            self.workers.insert(id, WorkerState::new(self.limits.max_tasks, now));
            self.active += 1;
            self.starting += 1;
            if self.vacancies > 0 {
                self.vacancies -= 1;
                self.respawned += 1;
            }
            hired.push(id);
        }
        if !hired.is_empty() {
            let alone = self.active == 1;
            self.workers
                .values_mut()
                .filter(|worker| worker.stage == Stage::Starting)
                .for_each(|worker| worker.alone = alone);
        }
        hired
    }

    /// Tasks that wait in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() - self.dead
    }

    /// Tasks that have not started, as far as is known here.
    pub(super) fn pending(&self) -> usize {
        self.waiting() + self.workers.values().map(|worker| worker.in_flight.len().saturating_sub(1)).sum::<usize>()
    }

    pub(super) fn is_full(&self) -> bool {
        self.limits.max_pending.is_some_and(|limit| self.idle.is_empty() && self.pending() >= limit)
    }

    /// May somebody wait for room, and there is some?
    pub(super) fn has_room(&self) -> bool {
        self.limits.max_pending.is_some() && !self.is_full()
    }

    // Workers.

    /// All workers are about to be sent a signal.
    pub(super) fn expect_deaths(&mut self) {
        for worker in self.workers.values_mut() {
            worker.expected = true;
        }
    }

    pub(super) fn connections(&self) -> Vec<W> {
        self.workers.values().filter_map(|worker| worker.connection.clone()).collect()
    }

    fn move_to(&mut self, id: WorkerId, stage: Stage) {
        if let Some(worker) = self.workers.get_mut(&id) {
            let counted = worker.counts();
            self.starting -= usize::from(worker.stage == Stage::Starting);
            worker.stage = stage;
            self.active -= usize::from(counted);
            self.active += usize::from(worker.counts());
        }
    }

    // Tasks out.

    /// The workers that have to look what there is to do.
    pub(super) fn take_to_wake(&mut self) -> Vec<W> {
        if self.starting > 0 && self.is_over() {
            // There was something for them when they were hired.
            let starting = self.workers.values().filter(|worker| worker.stage == Stage::Starting);
            self.to_wake.extend(starting.filter_map(|worker| worker.connection.clone()));
        }
        std::mem::take(&mut self.to_wake)
    }

    /// Is nothing to come any more?
    pub(super) fn is_closed(&self) -> bool {
        self.closed && self.expected == 0
    }

    /// Is there nothing left to start, nor to come?
    fn is_over(&self) -> bool {
        (self.is_closed() || self.broken.is_some()) && self.waiting() == 0
    }

    // The end of workers.

    /// Has everything ended that the pool is about?
    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty() && self.unread == 0
    }

    /// Who waits for a task has received its answer, and is to complete it. The pool has not ended before.
    pub(super) fn begin_reading(&mut self) {
        self.unread += 1;
    }

    /// It is completed. Has the pool ended with that?
    pub(super) fn end_reading(&mut self) -> bool {
        self.unread -= 1;
        self.is_empty()
    }

    pub(super) fn connection(&self, id: WorkerId) -> Option<W> {
        self.workers.get(&id)?.connection.clone()
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.values().filter(|worker| matches!(worker.stage, Stage::Starting | Stage::Serving)).count()
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn running(&self) -> usize {
        self.workers.values().filter(|worker| !worker.in_flight.is_empty()).count()
    }
}
