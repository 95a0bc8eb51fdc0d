//! [`World`]: a scheduler and everything that calls it or is called by it, in one thread that takes one step after the
//! other.
//!
//! What a pool and its monitors do around each decision is repeated here, without descriptors. Anything may happen
//! between a decision and what follows from it.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::due::Due;
use super::monitor::Monitor;
use super::worker::{Floor, Frame};
use super::{book, client};
use crate::process::pool::Pool;
use crate::process::program::call::FunctionAddress;
use crate::process::scheduler::{Dispatch, Limits, Scheduler};
use crate::process::shm::table::{TaskTable, meanwhile};
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;
use crate::ticket::{Ticket, Tickets};

/// How long before a decision the clock may have been read.
pub(super) const LATE: Duration = Duration::from_micros(100);

/// What is kept from one schedule to the next.
pub(super) struct Stock {
    /// The owner of tasks. No thread or process of it is ever started.
    pub(super) pool: Arc<Pool>,
    pub(super) call: FunctionAddress,
    pub(super) table: Vec<Arc<TaskTable>>,
    pub(super) base: Instant,
    pub(super) traces: bool,
}

/// How often events happen, and how the pool is set up.
pub(super) struct Weather {
    pub(super) max_workers: usize,
    pub(super) max_pending: Option<usize>,
    pub(super) max_tasks: Option<u64>,
    pub(super) keep_alive: Option<Duration>,
    /// One in this many starts fails; 0 means none.
    pub(super) failed_starts: u32,
    /// One in this many workers is unfit; 0 means none.
    pub(super) unfit: u32,
    /// One in this many events is a call from outside.
    pub(super) calm: u32,
    /// Set if workers are slow.
    pub(super) are_lazy: bool,
    /// One in this many calls from outside may take tasks back; the others submit tasks.
    pub(super) patience: u32,
}

pub(super) struct World<'a> {
    pub(super) stock: &'a mut Stock,
    pub(super) weather: Weather,
    pub(super) rng: Rng,
    pub(super) scheduler: Scheduler<WorkerId>,
    pub(super) floor: Rc<RefCell<Floor>>,
    pub(super) book: book::Shared,
    pub(super) monitors: BTreeMap<WorkerId, Monitor>,
    pub(super) remotes: Vec<Arc<RemoteTask>>,
    /// The tasks that have ended.
    pub(super) past: Vec<Arc<RemoteTask>>,
    /// What threads outside are about to do, in any order.
    pub(super) dues: VecDeque<Due>,
    /// Tasks whose submitters wait for room.
    pub(super) blocked: VecDeque<Arc<RemoteTask>>,
    pub(super) tickets: Tickets,
    /// The ticket of the items that the next batches are made of.
    pub(super) map: Ticket,
    /// How many tasks were submitted.
    pub(super) turns: usize,
    /// Set if the submitters that wait for room were woken.
    pub(super) room: bool,
    /// Set if nothing more is submitted.
    pub(super) is_calm: bool,
}

/// Something that can take a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Actor {
    Worker(WorkerId),
    Monitor(WorkerId),
    Waiter(WorkerId),
    Due(usize),
    Blocked,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, stock: &'a mut Stock) -> Self {
        let mut rng = Rng::with_seed(seed);
        let one_of = |rng: &mut Rng, of: &[u32]| of[rng.usize(..of.len())];
        let weather = Weather {
            max_workers: rng.usize(1..=4),
            max_pending: (rng.u32(..4) == 0).then(|| rng.usize(1..6)),
            max_tasks: (rng.u32(..4) == 0).then(|| rng.u64(1..5)),
            keep_alive: (rng.u32(..3) == 0).then(|| Duration::from_millis(rng.u64(..50))),
            failed_starts: one_of(&mut rng, &[0, 0, 0, 16, 16, 3, 1]),
            unfit: one_of(&mut rng, &[0, 0, 0, 0, 40]),
            calm: rng.u32(2..12),
            are_lazy: rng.u32(..3) == 0,
            patience: one_of(&mut rng, &[2, 3, 5, 20]),
        };
        let deaths = one_of(&mut rng, &[0, 0, 0, 0, 100, 100, 30, 30, 8, 8, 3, 1]);
        Self::under(weather, deaths, rng, stock)
    }

    pub(super) fn under(weather: Weather, deaths: u32, mut rng: Rng, stock: &'a mut Stock) -> Self {
        let Weather { max_workers, max_pending, max_tasks, .. } = weather;
        let book = book::Shared::default();
        let (workers, clock) = (BTreeMap::new(), 1_000_000_000);
        let floor = Floor { workers, clock, book: Arc::clone(&book), rng: rng.fork(), deaths };
        let floor = Rc::new(RefCell::new(floor));
        let (others, mut dice) = (Rc::clone(&floor), rng.fork());
        let others = move || {
            let mut floor = others.borrow_mut();
            let steps = dice.u32(..16).saturating_sub(12);
            if steps > 0 && !floor.workers.is_empty() {
                let nth = dice.usize(..floor.workers.len());
                let id = *floor.workers.keys().nth(nth).expect("one of them");
                (0..steps).for_each(|_| floor.step(id));
            }
        };
        meanwhile::let_happen(Some(Box::new(others)));
        Self {
            stock,
            weather,
            rng,
            scheduler: Scheduler::new(Limits { max_workers, max_pending, max_tasks }),
            floor,
            book,
            monitors: BTreeMap::new(),
            remotes: Vec::new(),
            past: Vec::new(),
            dues: VecDeque::new(),
            blocked: VecDeque::new(),
            tickets: Tickets::default(),
            map: Ticket::default(),
            turns: 0,
            room: false,
            is_calm: false,
        }
    }

    /// Returns `true` one time in `times`, and never if that is 0.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        times > 0 && self.rng.u32(..times) == 0
    }

    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.stock.traces {
            eprintln!("{:>12} {}", self.clock() - 1_000_000_000, what());
        }
    }

    pub(super) fn clock(&self) -> u64 {
        self.floor.borrow().clock
    }

    pub(super) fn now(&self) -> Instant {
        self.stock.base + Duration::from_nanos(self.clock())
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.floor.borrow_mut().clock += by.as_nanos() as u64;
    }

    /// Makes a decision as the pool does.
    pub(super) fn decide<R>(&mut self, decision: impl FnOnce(&mut Scheduler<WorkerId>, Instant) -> R) -> R {
        // The pool reads the clock before it takes the lock.
        let late = if self.once_in(8) { LATE.mul_f64(self.rng.f64()) } else { Duration::ZERO };
        let now = self.now() - late;
        let result = decision(&mut self.scheduler, now);
        self.follow(now);
        self.room |= self.scheduler.has_room();
        result
    }

    /// Starts and wakes the monitors that the scheduler returns.
    pub(super) fn follow(&mut self, now: Instant) {
        let makes_do = self.scheduler.makes_do;
        let hired = self.scheduler.spawn_missing(now);
        let coming = self.scheduler.starting + self.scheduler.idle();
        // Each task of another worker, or half of a batch, may be what one was hired for.
        let sent = self.scheduler.workers.values().map(|worker| worker.in_flight.len()).sum::<usize>();
        let needed = self.scheduler.waiting() + if makes_do { sent } else { 0 };
        assert!(hired.is_empty() || coming <= needed, "more workers are hired than tasks wait");
        for id in hired {
            self.monitors.insert(id, Monitor::default());
        }
        for id in self.scheduler.take_to_wake() {
            self.ring(id);
        }
        let divided = self.book.lock().divided.take();
        self.remotes.extend(divided);
    }

    /// Stops checking the tasks that have ended.
    pub(super) fn retire(&mut self) {
        let is_past = |remote: &mut Arc<RemoteTask>| {
            let is_nowhere = matches!(*remote.place.lock(), Place::Revoked | Place::Killing { .. } | Place::Done);
            is_nowhere && client::is_over(&self.book, remote)
        };
        self.past.extend(self.remotes.extract_if(.., is_past));
    }

    pub(super) fn ring(&mut self, id: WorkerId) {
        if let Some(monitor) = self.monitors.get_mut(&id) {
            monitor.rung = true;
        }
    }

    pub(super) fn ring_all(&mut self) {
        for id in self.scheduler.connections() {
            self.ring(id);
        }
    }

    pub(super) fn send(&mut self, id: WorkerId, orders: Vec<Dispatch>) {
        let mut floor = self.floor.borrow_mut();
        if let Some(worker) = floor.workers.get_mut(&id).filter(|worker| worker.is_alive) {
            worker.inbox.extend(orders.into_iter().map(Frame::from));
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId) {
        if let Some(worker) = self.floor.borrow_mut().workers.get_mut(&id) {
            worker.killed = true;
        }
    }

    /// Collects what can take a step by itself.
    pub(super) fn actors(&self, actors: &mut Vec<Actor>) {
        actors.clear();
        let now = self.now();
        let floor = self.floor.borrow();
        actors.extend((0..self.dues.len()).map(Actor::Due));
        for (id, monitor) in &self.monitors {
            let worker = floor.workers.get(id);
            if worker.is_some_and(|worker| worker.can_step()) {
                actors.push(Actor::Worker(*id));
            }
            let has_said = worker.is_some_and(|worker| !worker.outgoing.is_empty());
            let has_died = worker.is_some_and(|worker| !worker.is_alive);
            if monitor.looked_for.is_some() {
                actors.push(Actor::Waiter(*id));
            }
            if monitor.wakes(has_said, has_died, now) {
                actors.push(Actor::Monitor(*id));
            }
        }
        if self.room && !self.blocked.is_empty() {
            actors.push(Actor::Blocked);
        }
    }

    pub(super) fn act(&mut self, actor: Actor) {
        match actor {
            Actor::Worker(id) => {
                self.trace(|| format!("worker {}", id.0));
                self.floor.borrow_mut().step(id);
            }
            Actor::Monitor(id) => self.look_after(id),
            Actor::Waiter(id) => self.look_for_answer(id),
            Actor::Due(index) => {
                let due = self.dues.swap_remove_back(index).expect("one of them");
                self.perform(due);
            }
            Actor::Blocked => self.unblock(),
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        meanwhile::let_happen(None);
        for (_, worker) in std::mem::take(&mut self.floor.borrow_mut().workers) {
            self.stock.table.push(worker.table);
        }
    }
}
