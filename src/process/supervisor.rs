//! Who gets which task, and how many workers there are: all that a pool decides, without a descriptor, thread or clock.
//!
//! Everything here is called under the pool's one lock, takes the time as an argument, and returns what is to be done once the lock is
//! released: frames to send, workers to start, tasks to end. `W` is how the pool reaches a worker; nothing is done with it here.
//!
//! # The rules
//!
//! - A task goes to an idle worker at once. If none is idle it is queued, and a worker is started for it, up to the limit.
//!   Only when there are as many workers as there may be are tasks sent ahead to one that is busy: as many as it is expected to run in
//!   [`AHEAD_TIME`], but one at least and [`slots::COUNT`] and [`AHEAD_BYTES`] at most; none behind a [`LONG_TASK`].
//! - A worker that runs out of tasks takes back half of those that were sent ahead to another and were not started.
//! - *If the queue is not empty when the lock is free, then no worker is idle*, and there are as many workers as there may be, or one is being
//!   started for each queued task, or the start of the last one failed a moment ago and others go on.
//! - A task is in one place at a time: in the queue, in one worker's `flown`, or with whoever took it out to end it. Whoever takes it
//!   out ends it.
//!
//! # The stages of a worker
//!
//! | stage | counts as a worker | left for | when |
//! |---|---|---|---|
//! | `Starting` | yes | `Serving`, gone | it is ready; it died, or could not be started |
//! | `Serving` | while it may take another task | `Leaving`, `Doomed`, gone | nothing is left for it; a task of it was stopped; it died |
//! | `Leaving` | no | gone | it has exited, as it was told to |
//! | `Doomed` | no | gone | it was killed |
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::flight::{Flight, Place};
use super::slots::{self, Progress, Slots};
use crate::error::Error;

/// Names a worker process, and the thread of the pool that looks after it. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u32);

/// How much work is sent ahead to a worker that is busy: enough to cover the time until the pool looks at its results.
const AHEAD_TIME: Duration = Duration::from_micros(200);

/// Behind a task that takes longer, nothing is sent ahead: the gap to the next does not show.
const LONG_TASK: Duration = Duration::from_millis(20);

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

pub(super) struct Supervisor<W> {
    limits: Limits,
    queue: VecDeque<Arc<Flight>>,
    /// Entries of the queue that were taken back.
    dead: usize,
    links: BTreeMap<LinkId, Link<W>>,
    /// Those that have nothing to do, the last to become so last.
    idle: Vec<LinkId>,
    /// Links in the stages that count.
    active: usize,
    starting: usize,
    next_link: u32,
    next_sequence: u64,
    pub(super) closed: bool,
    /// Nothing more is to start.
    pub(super) cancelling: bool,
    pub(super) broken: Option<Error>,
    /// When workers died before they were ready, since the last that was.
    early_deaths: Vec<Instant>,
    start_again: Option<Instant>,
    /// The last of them was the last: the pool is about to be broken.
    hopeless: bool,
    nudged: Vec<W>,
    /// Workers that died and were not replaced yet.
    vacancies: u64,
    pub(super) respawned: u64,
}

struct Link<W> {
    stage: Stage,
    /// Once it was spawned.
    wire: Option<W>,
    /// Once it is serving.
    slots: Option<Arc<Slots>>,
    /// What it was sent, in the order in which it runs them. The first may have been started.
    flown: VecDeque<Sent>,
    /// When the first became the first.
    since: Instant,
    /// Bytes of arguments in `flown`.
    bytes: usize,
    /// A bit for each free slot.
    free: u64,
    /// Tasks it may still be given.
    budget: u64,
    /// What its tasks took lately.
    pace: Option<Duration>,
    /// The time limit of the first passed when it was done already; until then its result may arrive.
    arrival: Option<Instant>,
    /// It was sent a signal by request.
    expected: bool,
    /// No other worker was there, or being started, since its start was decided.
    alone: bool,
}

struct Sent {
    flight: Arc<Flight>,
    slot: u8,
    sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
    Leaving,
    Doomed,
}

/// A task to be sent to a worker.
pub(super) struct Order {
    pub(super) flight: Arc<Flight>,
    pub(super) slot: u8,
    pub(super) sequence: u64,
}

/// What became of a task that was submitted.
pub(super) enum Submitted<W> {
    Sent(W, Order),
    Queued,
}

/// What a worker is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It has tasks; the first must have ended by then.
    Work(Option<Instant>),
    /// Nothing. It may leave after the time it is kept alive.
    Idle,
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
    Stopped(Arc<Flight>),
}

/// Which task a worker has answered, and whether that was its last word on it.
pub(super) struct Answered {
    pub(super) slot: u8,
    pub(super) sequence: u64,
    pub(super) last: bool,
}

/// What is left of a worker that died.
#[derive(Default)]
pub(super) struct Death {
    /// What it ran.
    pub(super) victim: Option<Victim>,
    /// Tasks it did not start and that nobody is to start any more.
    pub(super) orphans: Vec<Arc<Flight>>,
    /// Why not; if there is no reason, they are cancelled.
    pub(super) refusal: Option<Error>,
    /// It was killed by request.
    pub(super) expected: bool,
    /// Workers die one after the other before they are ready.
    pub(super) is_the_end: bool,
}

/// A task that a worker died of.
pub(super) struct Victim {
    pub(super) flight: Arc<Flight>,
    pub(super) slot: u8,
    pub(super) sequence: u64,
}

impl<W: Clone> Supervisor<W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            dead: 0,
            links: BTreeMap::new(),
            idle: Vec::new(),
            active: 0,
            starting: 0,
            next_link: 0,
            next_sequence: 0,
            closed: false,
            cancelling: false,
            broken: None,
            early_deaths: Vec::new(),
            start_again: None,
            hopeless: false,
            nudged: Vec::new(),
            vacancies: 0,
            respawned: 0,
        }
    }

    // Tasks in.

    /// Takes a task that is not refused.
    pub(super) fn submit(&mut self, flight: Arc<Flight>, now: Instant) -> Submitted<W> {
        *flight.place.lock() = Place::Queued;
        if let Some(id) = self.idle.pop() {
            let order = self.assign(id, flight, now);
            if let Some(wire) = self.links.get(&id).and_then(|link| link.wire.clone()) {
                return Submitted::Sent(wire, order);
            }
        } else {
            self.queue.push_back(flight);
        }
        Submitted::Queued
    }

    /// Takes a task back that is to be run again, before all others.
    pub(super) fn requeue(&mut self, flight: Arc<Flight>) {
        *flight.place.lock() = Place::Queued;
        self.queue.push_front(flight);
        // Who is idle believes that the queue is empty.
        let idle = self.idle.iter().filter_map(|id| self.links.get(id)?.wire.clone());
        self.nudged.extend(idle);
    }

    /// Counts the workers that are to be started for what is queued. Each is to be started, or reported as failed.
    pub(super) fn hire(&mut self, now: Instant) -> Vec<LinkId> {
        let mut hired = Vec::new();
        while self.active < self.limits.max_workers
            && self.starting + self.idle.len() < self.waiting()
            && self.broken.is_none()
            && !self.hopeless
            && (self.active == 0 || self.start_again.is_none_or(|then| then <= now))
        {
            let id = LinkId(self.next_link);
            self.next_link += 1;
            self.links.insert(id, Link::new(self.limits.max_tasks, now));
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
            self.links.values_mut().filter(|link| link.stage == Stage::Starting).for_each(|link| link.alone = alone);
        }
        hired
    }

    /// Tasks that wait in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() - self.dead
    }

    /// Tasks that have not started, as far as is known here.
    pub(super) fn pending(&self) -> usize {
        self.waiting() + self.links.values().map(|link| link.flown.len().saturating_sub(1)).sum::<usize>()
    }

    pub(super) fn is_full(&self) -> bool {
        self.limits.max_pending.is_some_and(|limit| self.idle.is_empty() && self.pending() >= limit)
    }

    // Workers.

    /// The process of a worker was spawned.
    pub(super) fn attach(&mut self, id: LinkId, wire: W) {
        if let Some(link) = self.links.get_mut(&id) {
            link.wire = Some(wire);
        }
    }

    /// Lets a worker go that is not ready yet, if there is nothing for it and will be nothing.
    pub(super) fn dismiss(&mut self, id: LinkId) -> bool {
        let over = self.is_over();
        let Some(link) = self.links.get_mut(&id).filter(|link| over && link.stage == Stage::Starting) else {
            return false;
        };
        link.expected = true;
        self.move_to(id, Stage::Leaving);
        true
    }

    /// All workers are about to be sent a signal.
    pub(super) fn expect_deaths(&mut self) {
        for link in self.links.values_mut() {
            link.expected = true;
        }
    }

    pub(super) fn wires(&self) -> Vec<W> {
        self.links.values().filter_map(|link| link.wire.clone()).collect()
    }

    /// The worker is ready for tasks.
    pub(super) fn ready(&mut self, id: LinkId, wire: W, slots: Arc<Slots>) {
        self.early_deaths.clear();
        self.start_again = None;
        if let Some(link) = self.links.get_mut(&id) {
            link.wire = Some(wire);
            link.slots = Some(slots);
            self.move_to(id, Stage::Serving);
        }
    }

    /// Notes an answer, and says whose it is. The last of a task takes it from the worker.
    pub(super) fn settle(&mut self, id: LinkId, answer: Answered, now: Instant) -> Option<Arc<Flight>> {
        let Answered { slot, sequence, last } = answer;
        let link = self.links.get_mut(&id)?;
        let is_it = |sent: &Sent| sent.slot == slot && sent.sequence == sequence;
        if !last {
            return link.flown.iter().find(|sent| is_it(sent)).map(|sent| Arc::clone(&sent.flight));
        }
        let flight = link.take(is_it, now)?;
        *flight.place.lock() = Place::Over;
        Some(flight)
    }

    /// When the worker was given the first of its tasks, or had that left.
    pub(super) fn since(&self, id: LinkId, now: Instant) -> Instant {
        self.links.get(&id).map_or(now, |link| link.since)
    }

    /// Notes that so many tasks took so long.
    pub(super) fn observe(&mut self, id: LinkId, tasks: u32, took: Duration) {
        if let Some(link) = self.links.get_mut(&id)
            && tasks > 0
        {
            let each = took / tasks;
            // Quick to take a long task for what may follow it, slower to forget it.
            link.pace = Some(link.pace.map_or(each, |pace| each.max((pace * 3 + each) / 4)));
        }
    }

    /// Gives a worker that serves what it can take, and says what it is to do.
    pub(super) fn refill(&mut self, id: LinkId, expired: bool, now: Instant, orders: &mut Vec<Order>) -> Next {
        let Some(link) = self.links.get(&id) else {
            return Next::End;
        };
        if link.stage != Stage::Serving {
            return Next::End;
        }
        let serving = self.active.max(1);
        let share = self.waiting().div_ceil(serving).max(1);
        let mut room = link.room().min(share + link.flown.len()).saturating_sub(link.flown.len());
        while room > 0 && self.fits(id) {
            let Some(flight) = self.pop() else { break };
            orders.push(self.assign(id, flight, now));
            room -= 1;
        }
        if self.links[&id].flown.is_empty() && self.links[&id].budget > 0 && self.broken.is_none() {
            self.steal(id, now, orders);
        }
        let link = &self.links[&id];
        if !link.flown.is_empty() {
            self.idle.retain(|other| *other != id);
            return Next::Work(link.deadline());
        }
        let leaves = (self.closed || self.broken.is_some() || expired || link.budget == 0) && self.may_leave(id);
        if leaves {
            self.idle.retain(|other| *other != id);
            self.move_to(id, Stage::Leaving);
            return Next::Leave;
        }
        if self.links[&id].budget > 0 && !self.idle.contains(&id) {
            self.idle.push(id);
        }
        Next::Idle
    }

    /// One that has had as many tasks as it may have stays until its replacement is there, if there is to be one.
    fn may_leave(&self, id: LinkId) -> bool {
        let stays = |link: &&Link<W>| link.stage == Stage::Serving && link.budget == 0 && link.flown.is_empty();
        self.broken.is_some() || self.links[&id].budget > 0 || self.links.values().filter(stays).count() > self.starting
    }

    fn fits(&self, id: LinkId) -> bool {
        let link = &self.links[&id];
        let next = self.queue.iter().find(|flight| matches!(*flight.place.lock(), Place::Queued));
        link.flown.is_empty() || next.is_some_and(|flight| link.bytes + flight.argument.len() <= AHEAD_BYTES)
    }

    fn pop(&mut self) -> Option<Arc<Flight>> {
        while let Some(flight) = self.queue.pop_front() {
            if matches!(*flight.place.lock(), Place::Queued) {
                self.sweep();
                return Some(flight);
            }
            self.dead -= 1;
        }
        None
    }

    fn assign(&mut self, id: LinkId, flight: Arc<Flight>, now: Instant) -> Order {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        let link = self.links.get_mut(&id).expect("tasks are given to links that are there");
        let slots = Arc::clone(link.slots.as_ref().expect("a link that serves has slots"));
        let slot = link.free.trailing_zeros() as u8;
        link.free &= !(1 << slot);
        slots.ready(slot, sequence, flight.range());
        *flight.place.lock() = Place::Sent { link: id, slot, sequence, slots };
        if link.flown.is_empty() {
            link.since = now;
        }
        link.bytes += flight.argument.len();
        link.budget -= 1;
        link.flown.push_back(Sent { flight: Arc::clone(&flight), slot, sequence });
        if link.budget == 0 {
            self.active -= 1;
        }
        Order { flight, slot, sequence }
    }

    /// Takes half of what another worker was sent ahead, from its end.
    fn steal(&mut self, id: LinkId, now: Instant, orders: &mut Vec<Order>) {
        let ahead = |link: &Link<W>| link.flown.len().saturating_sub(1);
        let richest = self.links.iter().filter(|(other, _)| **other != id).max_by_key(|(_, link)| ahead(link));
        let Some((victim, link)) = richest else { return };
        let (victim, count) = (*victim, ahead(link).div_ceil(2));
        let mut stolen = Vec::new();
        for _ in 0..count {
            if let Some(flight) = self.links.get_mut(&victim).and_then(|link| link.take_back(now)) {
                stolen.push(flight);
                self.refund(victim);
            }
        }
        for flight in stolen.into_iter().rev() {
            if self.links[&id].free != 0 && self.links[&id].budget > 0 {
                orders.push(self.assign(id, flight, now));
            } else {
                self.requeue(flight);
            }
        }
    }

    fn move_to(&mut self, id: LinkId, stage: Stage) {
        if let Some(link) = self.links.get_mut(&id) {
            let counted = link.counts();
            self.starting -= usize::from(link.stage == Stage::Starting);
            link.stage = stage;
            self.active -= usize::from(counted);
            self.active += usize::from(link.counts());
        }
    }

    // Tasks out.

    /// Takes a task back if it has not started.
    pub(super) fn revoke(&mut self, flight: &Flight, now: Instant) -> bool {
        let mut place = flight.place.lock();
        let (link, slot, sequence) = match &*place {
            Place::New => {
                *place = Place::Revoked;
                return true;
            }
            Place::Queued => {
                *place = Place::Revoked;
                drop(place);
                self.dead += 1;
                self.sweep();
                return true;
            }
            Place::Sent { link, slot, sequence, slots } => {
                if !slots.revoke(*slot, *sequence) {
                    curtail(flight, slots, *slot);
                    return false;
                }
                (*link, *slot, *sequence)
            }
            Place::Revoked => return true,
            Place::Stopped { .. } | Place::Over => return false,
        };
        *place = Place::Revoked;
        drop(place);
        if let Some(taken) = self.links.get_mut(&link) {
            taken.take(|sent| sent.slot == slot && sent.sequence == sequence, now);
            self.refund(link);
        }
        true
    }

    /// Takes a task back, or has its worker killed if it runs.
    pub(super) fn stop(&mut self, flight: &Flight, now: Instant) -> bool {
        if self.revoke(flight, now) {
            return true;
        }
        let mut place = flight.place.lock();
        let Place::Sent { link, slot, sequence, slots } = &*place else {
            return false;
        };
        let (link, slot, sequence) = (*link, *slot, *sequence);
        if !slots.kill(slot, sequence) {
            return false;
        }
        *place = Place::Stopped { link };
        drop(place);
        self.doom(link, slot, sequence, now);
        true
    }

    /// A worker was given a task in vain.
    fn refund(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            let counted = link.counts();
            link.budget = link.budget.saturating_add(1);
            self.active += usize::from(link.counts() && !counted);
            if link.flown.is_empty() {
                // Its thread still believes it busy, and will hear nothing from it.
                self.nudged.extend(link.wire.clone());
            }
        }
    }

    /// The workers that have to look what there is to do.
    pub(super) fn nudged(&mut self) -> Vec<W> {
        if self.starting > 0 && self.is_over() {
            // There was something for them when they were hired.
            let starting = self.links.values().filter(|link| link.stage == Stage::Starting);
            self.nudged.extend(starting.filter_map(|link| link.wire.clone()));
        }
        std::mem::take(&mut self.nudged)
    }

    /// Is there nothing left to start, nor to come?
    fn is_over(&self) -> bool {
        (self.closed || self.broken.is_some()) && self.waiting() == 0
    }

    fn doom(&mut self, id: LinkId, slot: u8, sequence: u64, now: Instant) {
        if let Some(link) = self.links.get_mut(&id) {
            link.take(|sent| sent.slot == slot && sent.sequence == sequence, now);
        }
        self.move_to(id, Stage::Doomed);
        self.vacancies += 1;
    }

    /// Clears the queue of entries that were taken back, if they are many or nothing else is left: each keeps its pool.
    fn sweep(&mut self) {
        const FEW: usize = 64;
        if self.dead == self.queue.len() || self.dead > FEW && 2 * self.dead > self.queue.len() {
            self.queue.retain(|flight| matches!(*flight.place.lock(), Place::Queued));
            self.dead = 0;
        }
    }

    /// Takes everything that has not started, but for what is to be kept.
    pub(super) fn take_pending(&mut self, now: Instant, keep: impl Fn(&Flight) -> bool) -> Vec<Arc<Flight>> {
        let mut kept = Vec::new();
        let mut pending = Vec::new();
        let queued: Vec<_> = std::iter::from_fn(|| self.pop()).collect();
        let mut back_from = Vec::new();
        for (id, link) in &mut self.links {
            let mut back: Vec<_> = std::iter::from_fn(|| link.take_back(now)).collect();
            back.reverse();
            if let (Some(sent), Some(slots)) = (link.flown.front(), &link.slots) {
                curtail(&sent.flight, slots, sent.slot);
            }
            back_from.extend(back.iter().map(|_| *id));
            for flight in back {
                if keep(&flight) {
                    kept.push(flight);
                } else {
                    pending.push(flight);
                }
            }
        }
        for id in back_from {
            self.refund(id);
        }
        for flight in queued {
            if keep(&flight) {
                kept.push(flight);
            } else {
                pending.push(flight);
            }
        }
        for flight in kept.into_iter().rev() {
            self.requeue(flight);
        }
        for flight in &pending {
            *flight.place.lock() = Place::Revoked;
        }
        pending
    }

    /// Looks at the time limit of a worker's first task.
    pub(super) fn expire(&mut self, id: LinkId, now: Instant, clock: u64) -> Expiry {
        let Some(link) = self.links.get_mut(&id) else {
            return Expiry::Later(None);
        };
        let (Some(sent), Some(slots)) = (link.flown.front(), &link.slots) else {
            return Expiry::Later(None);
        };
        let Some(deadline) = link.deadline() else {
            return Expiry::Later(None);
        };
        let (slot, sequence) = (sent.slot, sent.sequence);
        let limit = sent.flight.limit().unwrap_or(Duration::MAX);
        // The worker knows better when it started.
        let ran = Duration::from_nanos(clock.saturating_sub(slots.started_at()));
        let stopped = match slots.progress(slot, sequence) {
            Progress::Running if ran < limit => return Expiry::Later(now.checked_add(limit - ran)),
            _ if now < deadline => return Expiry::Later(Some(deadline)),
            Progress::Running => slots.kill(slot, sequence),
            Progress::Ready => slots.revoke(slot, sequence),
            Progress::Done if link.arrival.is_some() => slots.kill_done(slot, sequence),
            Progress::Done => {
                link.arrival = Some(now + ARRIVAL);
                return Expiry::Later(link.arrival);
            }
            Progress::Strange => true,
        };
        if !stopped {
            // It moved on this very moment.
            return Expiry::Later(Some(now));
        }
        let flight = Arc::clone(&sent.flight);
        *flight.place.lock() = Place::Stopped { link: id };
        self.doom(id, slot, sequence, now);
        Expiry::Stopped(flight)
    }

    // The end of workers.

    /// A worker has died. Its socket was read to the end, and its results noted.
    pub(super) fn died(&mut self, id: LinkId, now: Instant) -> Death {
        let mut death = Death::default();
        self.idle.retain(|other| *other != id);
        let Some(link) = self.links.get_mut(&id) else {
            return death;
        };
        death.expected = link.expected;
        death.refusal = self.broken.clone();
        if link.stage == Stage::Serving {
            self.vacancies += 1;
        }
        let mut untouched = Vec::new();
        while let Some(sent) = link.flown.pop_front() {
            let was_ready = link.slots.as_ref().is_some_and(|slots| slots.revoke(sent.slot, sent.sequence));
            let is_next = untouched.is_empty() && death.victim.is_none();
            // It ran one task at a time, whatever its memory says now. And a task that one worker after the other dies of
            // before it starts, as one whose argument has no room there, would have no end.
            if death.victim.is_none() && (!was_ready || (is_next && sent.flight.misses() >= MISSES)) {
                *sent.flight.place.lock() = Place::Over;
                death.victim = Some(Victim { flight: sent.flight, slot: sent.slot, sequence: sent.sequence });
            } else {
                untouched.push(sent.flight);
            }
        }
        link.since = now;
        let (is_early, was_alone) = (link.stage == Stage::Starting && !link.expected, link.alone);
        self.move_to(id, Stage::Leaving);
        death.is_the_end = is_early && self.died_early(was_alone, now);
        for flight in untouched.into_iter().rev() {
            if self.broken.is_some() || (self.cancelling && !flight.is_retried()) {
                *flight.place.lock() = Place::Revoked;
                death.orphans.push(flight);
            } else {
                self.requeue(flight);
            }
        }
        death
    }

    /// Queues a task again that a worker died of, or says why not.
    pub(super) fn requeue_or_refuse(&mut self, flight: &Arc<Flight>) -> Option<Error> {
        if self.broken.is_none() {
            self.requeue(Arc::clone(flight));
        }
        self.broken.clone()
    }

    /// A worker died before it was ready, not by our doing. Is that the end?
    ///
    /// Not while there are others: a limit may have been reached, and the pool makes do with fewer workers.
    fn died_early(&mut self, was_alone: bool, now: Instant) -> bool {
        self.early_deaths.retain(|then| now.saturating_duration_since(*then) < DEATHS_WITHIN);
        self.early_deaths.push(now);
        if self.early_deaths.len() < DEATHS_IN_A_ROW {
            return false;
        }
        self.start_again = now.checked_add(START_AGAIN);
        self.hopeless = self.active == 0 && was_alone;
        self.hopeless
    }

    /// A worker could not be started. The tasks that nobody is left to run.
    ///
    /// Several that start together may take from each other what would have been enough for one: that is tried then.
    pub(super) fn not_started(&mut self, id: LinkId, now: Instant) -> Vec<Arc<Flight>> {
        let was_alone = self.links.get(&id).is_none_or(|link| link.alone);
        self.move_to(id, Stage::Leaving);
        self.start_again = now.checked_add(START_AGAIN);
        if self.active > 0 || !was_alone { Vec::new() } else { self.take_queue() }
    }

    /// Nothing runs any more but what has started. The tasks that have not.
    pub(super) fn break_down(&mut self, error: &Error, now: Instant) -> Vec<Arc<Flight>> {
        self.broken.get_or_insert_with(|| error.clone());
        self.take_pending(now, |_| false)
    }

    fn take_queue(&mut self) -> Vec<Arc<Flight>> {
        let queue: Vec<_> = std::iter::from_fn(|| self.pop()).collect();
        for flight in &queue {
            *flight.place.lock() = Place::Revoked;
        }
        queue
    }

    /// The thread that looked after the worker ends. What it still had is to be ended.
    pub(super) fn forget(&mut self, id: LinkId) -> Vec<Arc<Flight>> {
        self.move_to(id, Stage::Leaving);
        self.idle.retain(|other| *other != id);
        let left = self.links.remove(&id).map(|link| link.flown).unwrap_or_default();
        let end = |sent: Sent| {
            *sent.flight.place.lock() = Place::Over;
            sent.flight
        };
        left.into_iter().map(end).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn wire(&self, id: LinkId) -> Option<W> {
        self.links.get(&id)?.wire.clone()
    }

    pub(super) fn workers(&self) -> usize {
        self.links.values().filter(|link| matches!(link.stage, Stage::Starting | Stage::Serving)).count()
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn running(&self) -> usize {
        self.links.values().filter(|link| !link.flown.is_empty()).count()
    }
}

/// Lets the items of a chunk that have not begun be.
fn curtail(flight: &Flight, slots: &Slots, slot: u8) {
    if let Some(items) = &flight.items {
        items.curtailed.store(true, Ordering::Relaxed);
        slots.curtail(slot);
    }
}

impl<W> Link<W> {
    fn new(max_tasks: Option<u64>, now: Instant) -> Self {
        Self {
            stage: Stage::Starting,
            wire: None,
            slots: None,
            flown: VecDeque::new(),
            since: now,
            bytes: 0,
            free: u64::MAX,
            budget: max_tasks.unwrap_or(u64::MAX),
            pace: None,
            arrival: None,
            expected: false,
            alone: false,
        }
    }

    /// Is it one of the workers that there may only be so many of?
    fn counts(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Serving) && self.budget > 0
    }

    /// How many tasks it may have, the one that it runs counted.
    fn room(&self) -> usize {
        let ahead = match self.pace {
            None => 0,
            Some(pace) if pace > LONG_TASK => 0,
            Some(pace) => (AHEAD_TIME.as_nanos() / pace.as_nanos().max(1)).max(1),
        };
        let most = (slots::COUNT as u64).min(self.budget.saturating_add(self.flown.len() as u64));
        usize::try_from(ahead).unwrap_or(usize::MAX).saturating_add(1).min(most as usize)
    }

    /// When the first task must have ended.
    fn deadline(&self) -> Option<Instant> {
        let limit = self.flown.front()?.flight.limit()?;
        self.arrival.or_else(|| self.since.checked_add(limit))
    }

    fn take(&mut self, is_it: impl Fn(&Sent) -> bool, now: Instant) -> Option<Arc<Flight>> {
        let position = self.flown.iter().position(is_it)?;
        let sent = self.flown.remove(position)?;
        self.free |= 1 << sent.slot;
        self.bytes -= sent.flight.argument.len();
        if position == 0 {
            self.since = now;
            self.arrival = None;
        }
        Some(sent.flight)
    }

    /// Takes the last one back, if the worker has not started it.
    fn take_back(&mut self, now: Instant) -> Option<Arc<Flight>> {
        let slots = self.slots.as_ref()?;
        let last = self.flown.back()?;
        let sequence = last.sequence;
        if !slots.revoke(last.slot, sequence) {
            return None;
        }
        self.take(|sent| sent.sequence == sequence, now)
    }
}
