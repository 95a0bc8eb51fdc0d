//! [`Scheduler`]: decides which worker gets which task, and how many workers there are. It uses no descriptor, thread
//! or clock.
//!
//! Everything here is called under the pool's one lock, takes the time as an argument, and returns what has to be done
//! once the lock is released: frames to send, workers to start, tasks to end. `W` is the pool's handle on a worker; it
//! is only passed on here.
//!
//! # Rules
//!
//! - A task goes to an idle worker at once. If no worker is idle, the task is queued, and a worker is started for it,
//!   up to the limit. Tasks are sent ahead to a busy worker only when the number of workers is at its limit, or one is
//!   missing that cannot be started: as many as it is expected to run in [`AHEAD_TIME`](worker::AHEAD_TIME), at least
//!   one, and at most [`table::COUNT`](super::shm::table::COUNT) and [`AHEAD_BYTES`]. None are sent behind a
//!   [`LONG_TASK`](worker::LONG_TASK), and behind a batch only one more batch of the same map: the next ones may be on
//!   their way into the queue.
//! - The queue is in the order of tickets, which is the order of submission. What is put back keeps its ticket. Batches
//!   have the ticket of their items, so they precede what was submitted after these were pulled.
//! - A worker that runs out of tasks takes half of those that were sent ahead to another one and have not started; if
//!   there are none, half of the items of a batch that another one has not begun.
//! - Invariant: if the queue is not empty when the lock is free, no worker is idle. In addition, the number of workers
//!   is at its limit, or one is being started for each queued task, or the last start failed a moment ago and other
//!   workers continue, or it failed, no worker serves, and one is being started, or the first worker that this program
//!   ever started has not said hello. In the last case what runs in its place may be anything, and one such process is
//!   enough.
//! - Tasks are sent ahead in the hope of enough workers. If one of those dies, retires, or cannot be started, what
//!   another worker has not begun counts as queued, until that is no more, or as many workers serve as may.
//! - What a start lacked may be there again a moment later, and nothing tells the pool of it. So a start that failed is
//!   tried again after a pause, which the monitors of the other workers keep as they keep time limits: when a task
//!   begins to wait for the end of a pause, [`spawn_missing`](Scheduler::spawn_missing) wakes them all, and each asks
//!   [`start_due`](Scheduler::start_due) in every decision that it makes. All of them, because any one may be in a slow
//!   callback, or end. If no task waits, nobody wakes. If the last worker of a pool that has served dies, its monitor
//!   [stays](Scheduler::must_stay) for the pause.
//! - Invariant: a task is in one place at a time: in the queue, in one worker's `in_flight`, or with the caller that
//!   took it out. The caller that takes it out ends it.
//!
//! # Workers that do not come up
//!
//! What follows when a worker could not be started, or died before it was ready, depends on what the next one can be
//! expected to do ([`Prospect`]), and on whether any worker of this pool was ever ready. If one was, a lack of memory
//! or a signal from outside is more likely than a pool that cannot work, so such a failure never breaks it.
//!
//! | this worker | no worker was ever ready | one was |
//! |---|---|---|
//! | was not started | pause; if it was alone, the queued tasks end | the same |
//! | died, `Fair` | the third in a row within [`DEATHS_WITHIN`], if alone, breaks the pool; else a pause from then on | pause; the queued tasks end after [`TRIES`] in a row, each alone |
//! | died, `Poor` | if it was alone, the pool is broken; else a pause | as `Fair` |
//! | died, `IfOnceReady` | the pool is broken | as `Fair` |
//! | died, `None` | the pool is broken | the pool is broken |
//!
//! With the queued tasks end the items of maps behind them. Then the pool goes on: the next task makes one try more, and
//! ends if that fails.
//!
//! # The stages of a worker
//!
//! | stage | counts as a worker | next | when |
//! |---|---|---|---|
//! | `Starting` | yes | `Serving`, gone | it is ready; it died, or could not be started |
//! | `Serving` | yes | `Retiring`, `Leaving`, `Doomed`, gone | it has run as many tasks as it may; no work is left; one of its tasks was stopped; it died |
//! | `Retiring` | yes | gone | it has exited as told, and its monitor has ended; its replacement is started only then, when its resources are free |
//! | `Leaving` | no | gone | it has exited as told |
//! | `Doomed` | no | gone | it was killed |
//!
//! The queue and the workers change together in every decision, so the decisions that need both are in one file.
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
use crate::condition::Room;
use crate::error::{Error, Full};
pub(super) use lost::LostTask;
use worker::{Stage, WorkerState};

/// How many bytes of arguments a worker may have when tasks are sent ahead to it, including the task that it runs.
const AHEAD_BYTES: usize = 256 << 10;

/// How long no worker is started after a start has failed, as long as there are other workers: at first, and at most.
/// Each failure in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A pool none of whose workers was ever ready is broken if this many die in a row before they are ready, within
/// [`DEATHS_WITHIN`], and the last one was alone.
const DEATHS_IN_A_ROW: usize = 3;
const DEATHS_WITHIN: Duration = Duration::from_secs(10);

/// In a pool whose workers have been ready before, the queued tasks end when this many workers in a row, each alone,
/// have died before they were ready. With the pauses between them, they take a quarter of a minute.
const TRIES: u32 = 10;

/// A task counts as lost when this many workers have died that were to start it next.
const MISSES: u32 = 3;

/// How long a result may take to arrive if its time limit passed when it was already done.
const ARRIVAL: Duration = Duration::from_secs(2);

pub(super) struct Limits {
    pub(super) max_workers: usize,
    pub(super) max_pending: Option<usize>,
    pub(super) max_tasks: Option<u64>,
}

pub(super) struct Scheduler<W> {
    limits: Limits,
    queue: VecDeque<Arc<RemoteTask>>,
    /// How many entries of the queue were taken back and not removed yet. Counted up by `revoke`, down by `pop` and
    /// `sweep`.
    dead: usize,
    /// Tasks that were removed from the queue because they were taken back. The caller drops them without the lock: a
    /// task may have segments and long arguments, and giving memory back takes time.
    removed: Vec<Arc<RemoteTask>>,
    workers: BTreeMap<WorkerId, WorkerState<W>>,
    /// The workers that have nothing to do. The one that became idle last is at the end.
    idle: Vec<WorkerId>,
    /// How many workers are in a stage that counts as a worker. Changed by `spawn_missing` and `move_to`.
    active: usize,
    starting: usize,
    next_link: u32,
    next_sequence: u64,
    pub(super) closed: bool,
    /// How many maps have announced that more batches will come.
    pub(super) expected: usize,
    /// How many tasks have room in the bounded queue and are about to be submitted.
    reserved: usize,
    /// Set if nothing more may start, except tasks that are running for their callers.
    pub(super) cancelling: bool,
    pub(super) broken: Option<Error>,
    /// When workers died before they were ready, since a worker was last ready.
    early_deaths: Vec<Instant>,
    /// Set once a worker was ready.
    has_served: bool,
    /// How many workers, each alone, have died before they were ready, since one was ready. Counted if `has_served`.
    failed_tries: u32,
    /// Set if the monitor of the last worker stays until a pause is over. See `must_stay`.
    keeper_stays: bool,
    /// When the pause after a start that failed is over. `None` once a worker is ready.
    start_again: Option<Instant>,
    /// How long the next pause is.
    pause: Duration,
    /// Set if a worker has gone or could not be started, and tasks may wait for it that were sent to others.
    makes_do: bool,
    /// Set if the monitors were woken because tasks wait for the end of a pause. A worker that is attached later is
    /// woken then.
    keeps_pause: bool,
    /// Set until a worker of this program has said hello: until then only one is started at a time.
    pub(super) is_first_try: bool,
    /// Set if the last death is the end: the pool is about to be broken.
    hopeless: bool,
    to_wake: Vec<W>,
    /// Tasks that a worker died of, and whose outcome is not decided yet.
    lost: Vec<Arc<RemoteTask>>,
    /// How many answers waiters have received whose tasks are not completed yet. Changed by `begin_reading` and
    /// `end_reading`.
    unread: usize,
    /// How many workers died and were not replaced yet.
    vacancies: u64,
    pub(super) respawned: u64,
}

/// A task that has to be sent to a worker.
pub(super) struct Dispatch {
    pub(super) remote: Arc<RemoteTask>,
    pub(super) slot: u8,
    pub(super) sequence: u64,
}

/// The result of submitting a task.
pub(super) enum Submitted<W> {
    Sent(W, Dispatch),
    Queued,
    /// It was taken back before it was queued.
    TakenBack,
}

/// What a worker has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Run tasks. The first one must have ended by then, if it has a time limit.
    Work(Option<Instant>),
    /// Nothing, since then. It may leave when its keep-alive time has passed.
    Idle(Instant),
    /// Exit.
    Leave,
    /// Nothing: it is being killed, or was told to leave.
    End,
}

/// The result of checking the time limit of a worker's first task.
pub(super) enum Expiry {
    /// The limit has not passed. Check again then, if at all.
    Later(Option<Instant>),
    /// The task was stopped: its worker has to be killed.
    Stopped(Arc<RemoteTask>),
}

/// Which task a worker has answered, and whether this was the last answer to it.
pub(super) struct Answered {
    pub(super) slot: u8,
    pub(super) sequence: u64,
    pub(super) last: bool,
}

/// What the death of a worker that was never ready says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// The next one may do better: up to [`DEATHS_IN_A_ROW`] are tried, or [`TRIES`].
    Fair,
    /// The next one will not do better, unless this one only lacked what other workers hold.
    Poor,
    /// The next one will not do better, unless a worker of this pool was ready before.
    IfOnceReady,
    /// The next one will not do better.
    None,
}

/// What a worker that died leaves behind.
#[derive(Default)]
pub(super) struct Death {
    /// The tasks that it ran: one, unless answers to others were lost with it.
    pub(super) lost_tasks: Vec<LostTask>,
    /// Tasks that it did not start, and that no worker may start any more.
    pub(super) unstarted: Vec<Arc<RemoteTask>>,
    /// Why `unstarted` are not started. If there is no reason, they are cancelled.
    pub(super) refusal: Option<Error>,
    /// The queued tasks, if too many workers in a row died before they were ready.
    pub(super) given_up: Vec<Arc<RemoteTask>>,
    /// Set if its death was requested.
    pub(super) expected: bool,
    /// Set if no worker will be ready: the pool has to be broken.
    pub(super) is_the_end: bool,
}

impl<W: Clone> Scheduler<W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            dead: 0,
            removed: Vec::new(),
            workers: BTreeMap::new(),
            idle: Vec::new(),
            active: 0,
            starting: 0,
            next_link: 0,
            next_sequence: 0,
            closed: false,
            expected: 0,
            reserved: 0,
            cancelling: false,
            broken: None,
            early_deaths: Vec::new(),
            has_served: false,
            failed_tries: 0,
            keeper_stays: false,
            start_again: None,
            pause: FIRST_PAUSE,
            makes_do: false,
            keeps_pause: false,
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

    /// Returns why the task is not accepted, or `None` if it is. `owned` says that the calling thread belongs to the
    /// executor; an `accepted` task was announced before, and may come after the pool was closed.
    pub(super) fn refusal(&self, remote: &RemoteTask, owned: bool, accepted: bool) -> Option<Error> {
        let refusal = self.refuses_all(owned, accepted);
        if refusal.is_some() {
            return refusal;
        }
        let limit = self.limits.max_pending?;
        (self.is_full() && remote.options().get_refuse_when_full()).then(|| Error::Full(Full::new(limit)))
    }

    /// Returns why no task is accepted, or `None` if tasks are.
    pub(super) fn refuses_all(&self, owned: bool, accepted: bool) -> Option<Error> {
        // A callback on a thread of the executor may continue to submit.
        let is_late = self.closed && !accepted && (!owned || self.is_empty());
        let closed = is_late.then_some(Error::ShutDown);
        self.broken.clone().or(closed).or(self.cancelling.then_some(Error::Cancelled))
    }

    /// Takes a task that was not refused.
    pub(super) fn submit(&mut self, remote: Arc<RemoteTask>, now: Instant) -> Submitted<W> {
        match &mut *remote.place.lock() {
            place @ Place::New => *place = Place::Queued,
            // It was taken back before it got here, and has ended.
            _ => {
                self.removed.push(Arc::clone(&remote));
                return Submitted::TakenBack;
            }
        }
        if let Some(id) = self.idle.pop() {
            if remote.is_divisible() && remote.range().is_some_and(|(first, end)| end - first > 1) {
                // The other idle workers assume that there is nothing to divide.
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

    /// Queues a task behind all tasks that are not later.
    fn enqueue(&mut self, remote: Arc<RemoteTask>) {
        let ticket = remote.ticket();
        let position = match self.queue.back() {
            Some(last) if last.ticket() > ticket => self.queue.partition_point(|other| other.ticket() <= ticket),
            _ => self.queue.len(),
        };
        self.queue.insert(position, remote);
    }

    /// Puts a task back that another worker will run, or that is retried: before all tasks that are not earlier.
    pub(super) fn requeue(&mut self, remote: Arc<RemoteTask>) {
        *remote.place.lock() = Place::Queued;
        let ticket = remote.ticket();
        let position = self.queue.partition_point(|other| other.ticket() < ticket);
        self.queue.insert(position, remote);
        // The idle workers assume that the queue is empty.
        let idle = self.idle.iter().filter_map(|id| self.workers.get(id)?.connection.clone());
        self.to_wake.extend(idle);
    }

    /// Adds the workers that are needed for the queue, and returns them. The caller starts each, or reports that it
    /// could not.
    pub(super) fn spawn_missing(&mut self, now: Instant) -> Vec<WorkerId> {
        let mut new_workers = Vec::new();
        while self.lacks_workers() && self.may_start(now) {
            let id = WorkerId(self.next_link);
            self.next_link += 1;
            self.workers.insert(id, WorkerState::new(self.limits.max_tasks, now));
            self.active += 1;
            self.starting += 1;
            if self.vacancies > 0 {
                self.vacancies -= 1;
                self.respawned += 1;
            }
            new_workers.push(id);
        }
        if !new_workers.is_empty() {
            let alone = self.active == 1;
            self.workers
                .values_mut()
                .filter(|worker| worker.stage == Stage::Starting)
                .for_each(|worker| worker.alone = alone);
        }
        let serve_all = self.starting == 0 && self.active >= self.limits.max_workers;
        let is_paused = self.start_again.is_some_and(|then| then > now);
        if self.makes_do && (serve_all || (!is_paused && self.waiting() + self.held_up() == 0)) {
            self.makes_do = false;
        }
        let waits = self.start_due(now).is_some();
        if waits && !self.keeps_pause {
            self.to_wake.extend(self.workers.values().filter_map(|worker| worker.connection.clone()));
        }
        self.keeps_pause = waits;
        new_workers
    }

    /// Returns `true` if tasks wait for a worker that the limits permit.
    fn lacks_workers(&self) -> bool {
        let coming = self.starting + self.idle.len();
        self.active < self.limits.max_workers
            && self.broken.is_none()
            && !self.hopeless
            && (coming < self.waiting() || (self.makes_do && coming < self.waiting() + self.held_up()))
    }

    /// Returns how many workers could take something from others.
    fn held_up(&self) -> usize {
        self.workers.values().map(WorkerState::held_up).sum()
    }

    /// Returns `true` if the failures of other workers permit a start.
    fn may_start(&self, now: Instant) -> bool {
        match self.start_again {
            // The last worker that failed to start may have lacked what another one holds. And nobody would keep the
            // pause.
            _ if self.workers.is_empty() => true,
            _ if self.is_first_try => false,
            None => true,
            // One shows whether others can be started.
            Some(then) => then <= now && (self.starting == 0 || self.serves()),
        }
    }

    fn serves(&self) -> bool {
        self.workers.values().any(|worker| worker.stage == Stage::Serving)
    }

    /// Returns when the pause is over that tasks wait for, if they wait for one. A decision that is made then starts
    /// the workers that are missing.
    pub(super) fn start_due(&self, now: Instant) -> Option<Instant> {
        let due = self.start_again.filter(|then| *then > now)?;
        (self.lacks_workers() && !self.workers.is_empty() && !self.is_first_try).then_some(due)
    }

    /// Returns until when the monitor of a worker that has died must stay to keep a pause, if no other monitor can. The
    /// pool wakes it if [it may go](Self::keeper_may_go) before.
    pub(super) fn must_stay(&mut self, id: WorkerId, now: Instant) -> Option<Instant> {
        let is_last = self.workers.len() == 1 && self.workers.contains_key(&id);
        // A pool that has never served makes few tries, and need not pause between them.
        let until = self.start_due(now).filter(|_| is_last && self.has_served);
        self.keeper_stays = until.is_some();
        until
    }

    /// Returns `true` if a monitor stays for a pause that no task waits for any more.
    pub(super) fn keeper_may_go(&self, now: Instant) -> bool {
        self.keeper_stays && self.start_due(now).is_none()
    }

    /// Begins a pause after a start that failed.
    fn pause_starts(&mut self, now: Instant) {
        // Of several that were started together, each may fail for the same reason.
        if self.start_again.is_none_or(|then| then <= now) {
            self.start_again = now.checked_add(self.pause);
            self.pause = LONGEST_PAUSE.min(2 * self.pause);
        }
    }

    /// Returns how many tasks wait in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() - self.dead
    }

    /// Returns how many tasks have not started, as far as the scheduler knows.
    pub(super) fn pending(&self) -> usize {
        self.waiting() + self.workers.values().map(|worker| worker.in_flight.len().saturating_sub(1)).sum::<usize>()
    }

    pub(super) fn is_full(&self) -> bool {
        let taken = self.pending() + self.reserved;
        self.limits.max_pending.is_some_and(|limit| taken >= limit.saturating_add(self.idle.len()))
    }

    /// Returns `true` if the queue is limited and has room, so that waiting submitters can continue.
    pub(super) fn has_room(&self) -> bool {
        self.limits.max_pending.is_some() && !self.is_full()
    }

    /// Reserves room for a task that is about to be submitted, which [gives it back](Self::give_back) then.
    pub(super) fn reserve(&mut self) {
        self.reserved += 1;
    }

    pub(super) fn give_back(&mut self, room: Room) {
        self.reserved -= usize::from(room == Room::Reserved);
    }

    // Workers.

    /// Notes that all workers are about to be sent a signal.
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

    /// Returns the workers whose monitors have to look for work.
    pub(super) fn take_to_wake(&mut self) -> Vec<W> {
        if self.starting > 0 && self.is_over() {
            // There was work for the starting workers when they were added, and now there is none.
            let starting = self.workers.values().filter(|worker| worker.stage == Stage::Starting);
            self.to_wake.extend(starting.filter_map(|worker| worker.connection.clone()));
        }
        std::mem::take(&mut self.to_wake)
    }

    /// Returns the tasks that the caller has to drop, without the lock.
    pub(super) fn take_removed(&mut self) -> Vec<Arc<RemoteTask>> {
        std::mem::take(&mut self.removed)
    }

    /// Returns `true` if no more tasks will come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed && self.expected == 0
    }

    /// Returns `true` if nothing is left to start, and nothing will come.
    fn is_over(&self) -> bool {
        let has_more = || self.workers.values().any(WorkerState::has_more_than_it_runs);
        self.waiting() == 0 && (self.broken.is_some() || (self.is_closed() && !has_more()))
    }

    // The end of workers.

    /// Returns `true` if no worker and no unread answer is left.
    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty() && self.unread == 0
    }

    /// Notes that a waiter has received the answer to its task, and will complete it. The pool does not end before
    /// that.
    pub(super) fn begin_reading(&mut self) {
        self.unread += 1;
    }

    /// Notes that the waiter has completed its task. Returns `true` if the pool has ended with that.
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
