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

use super::client;
use super::monitor::Monitor;
use super::oracle::SharedOracle;
use super::pending_action::PendingAction;
use super::worker::{Frame, Processes};
use crate::process::pool::Pool;
use crate::process::program::call::FunctionAddress;
use crate::process::scheduler::{Dispatch, Limits, Scheduler};
use crate::process::shm::table::{TaskTable, interleaving};
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;
use crate::ticket::{Ticket, Tickets};

/// How long before a decision the clock may have been read.
pub(super) const LATE: Duration = Duration::from_micros(100);

/// What all schedules share, so that it is made once.
pub(super) struct Fixture {
    /// The owner of tasks. No thread or process of it is ever started.
    pub(super) pool: Arc<Pool>,
    pub(super) call: FunctionAddress,
    /// Tables of workers that have ended, to use again.
    pub(super) tables: Vec<Arc<TaskTable>>,
    pub(super) base: Instant,
    pub(super) traces: bool,
}

/// How the pool is set up, and the rates of faults and other events.
pub(super) struct Config {
    pub(super) max_workers: usize,
    pub(super) max_pending: Option<usize>,
    pub(super) max_tasks: Option<u64>,
    pub(super) keep_alive: Option<Duration>,
    /// One of this many starts fails; 0 means none.
    pub(super) failed_starts: u32,
    /// One of this many workers is unfit; 0 means none.
    pub(super) unfit: u32,
    /// One of this many events is a call by the program.
    pub(super) call_rate: u32,
    /// Set if workers seldom take a step.
    pub(super) slow_workers: bool,
    /// One of this many calls may cancel tasks or close the pool; the others submit tasks.
    pub(super) cancel_rate: u32,
}

pub(super) struct World<'a> {
    pub(super) fixture: &'a mut Fixture,
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) scheduler: Scheduler<WorkerId>,
    pub(super) processes: Rc<RefCell<Processes>>,
    pub(super) oracle: SharedOracle,
    pub(super) monitors: BTreeMap<WorkerId, Monitor>,
    pub(super) remotes: Vec<Arc<RemoteTask>>,
    /// The tasks that have ended.
    pub(super) past: Vec<Arc<RemoteTask>>,
    /// Performed in any order.
    pub(super) pending_actions: VecDeque<PendingAction>,
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
    pub(super) is_settling: bool,
}

/// Something that can take a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Actor {
    Worker(WorkerId),
    Monitor(WorkerId),
    Waiter(WorkerId),
    PendingAction(usize),
    Blocked,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, fixture: &'a mut Fixture) -> Self {
        let mut rng = Rng::with_seed(seed);
        let one_of = |rng: &mut Rng, of: &[u32]| of[rng.usize(..of.len())];
        let config = Config {
            max_workers: rng.usize(1..=4),
            max_pending: (rng.u32(..4) == 0).then(|| rng.usize(1..6)),
            max_tasks: (rng.u32(..4) == 0).then(|| rng.u64(1..5)),
            keep_alive: (rng.u32(..3) == 0).then(|| Duration::from_millis(rng.u64(..50))),
            failed_starts: one_of(&mut rng, &[0, 0, 0, 16, 16, 3, 1]),
            unfit: one_of(&mut rng, &[0, 0, 0, 0, 40]),
            call_rate: rng.u32(2..12),
            slow_workers: rng.u32(..3) == 0,
            cancel_rate: one_of(&mut rng, &[2, 3, 5, 20]),
        };
        let deaths = one_of(&mut rng, &[0, 0, 0, 0, 100, 100, 30, 30, 8, 8, 3, 1]);
        Self::with_config(config, deaths, rng, fixture)
    }

    pub(super) fn with_config(config: Config, deaths: u32, mut rng: Rng, fixture: &'a mut Fixture) -> Self {
        let Config { max_workers, max_pending, max_tasks, .. } = config;
        let oracle = SharedOracle::default();
        let (workers, clock) = (BTreeMap::new(), 1_000_000_000);
        let processes = Processes { workers, clock, oracle: Arc::clone(&oracle), rng: rng.fork(), deaths };
        let processes = Rc::new(RefCell::new(processes));
        let (others, mut dice) = (Rc::clone(&processes), rng.fork());
        let others = move || {
            let mut processes = others.borrow_mut();
            let steps = dice.u32(..16).saturating_sub(12);
            if steps > 0 && !processes.workers.is_empty() {
                let nth = dice.usize(..processes.workers.len());
                let id = *processes.workers.keys().nth(nth).expect("the index is in range");
                (0..steps).for_each(|_| processes.step(id));
            }
        };
        interleaving::set_hook(Some(Box::new(others)));
        Self {
            fixture,
            config,
            rng,
            scheduler: Scheduler::new(Limits { max_workers, max_pending, max_tasks }),
            processes,
            oracle,
            monitors: BTreeMap::new(),
            remotes: Vec::new(),
            past: Vec::new(),
            pending_actions: VecDeque::new(),
            blocked: VecDeque::new(),
            tickets: Tickets::default(),
            map: Ticket::default(),
            turns: 0,
            room: false,
            is_settling: false,
        }
    }

    /// Returns `true` one time in `times`, and never if that is 0.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        times > 0 && self.rng.u32(..times) == 0
    }

    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.fixture.traces {
            eprintln!("{:>12} {}", self.clock() - 1_000_000_000, what());
        }
    }

    pub(super) fn clock(&self) -> u64 {
        self.processes.borrow().clock
    }

    pub(super) fn now(&self) -> Instant {
        self.fixture.base + Duration::from_nanos(self.clock())
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.processes.borrow_mut().clock += by.as_nanos() as u64;
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
        let new_workers = self.scheduler.spawn_missing(now);
        let coming = self.scheduler.starting + self.scheduler.idle();
        // Each task of another worker, or half of a batch, may be what one was started for.
        let sent = self.scheduler.workers.values().map(|worker| worker.in_flight.len()).sum::<usize>();
        let needed = self.scheduler.waiting() + if makes_do { sent } else { 0 };
        assert!(new_workers.is_empty() || coming <= needed, "more workers are started than tasks wait");
        for id in new_workers {
            self.monitors.insert(id, Monitor::default());
        }
        for id in self.scheduler.take_to_wake() {
            self.ring(id);
        }
        drop(self.scheduler.take_removed());
        if self.scheduler.keeper_may_go(now) {
            self.monitors.values_mut().for_each(|monitor| monitor.stays = None);
        }
        let divided = self.oracle.lock().divided.take();
        self.remotes.extend(divided);
    }

    /// Stops checking the tasks that have ended.
    pub(super) fn retire(&mut self) {
        let is_past = |remote: &mut Arc<RemoteTask>| {
            let is_nowhere = matches!(*remote.place.lock(), Place::Revoked | Place::Killing { .. } | Place::Done);
            is_nowhere && client::is_over(&self.oracle, remote)
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
        let mut processes = self.processes.borrow_mut();
        if let Some(worker) = processes.workers.get_mut(&id).filter(|worker| worker.is_alive) {
            worker.inbox.extend(orders.into_iter().map(Frame::from));
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId) {
        if let Some(worker) = self.processes.borrow_mut().workers.get_mut(&id) {
            worker.killed = true;
        }
    }

    /// Collects what can take a step by itself.
    pub(super) fn actors(&self, actors: &mut Vec<Actor>) {
        actors.clear();
        let now = self.now();
        let processes = self.processes.borrow();
        actors.extend((0..self.pending_actions.len()).map(Actor::PendingAction));
        for (id, monitor) in &self.monitors {
            let worker = processes.workers.get(id);
            if worker.is_some_and(|worker| worker.can_step()) {
                actors.push(Actor::Worker(*id));
            }
            let has_messages = worker.is_some_and(|worker| !worker.outgoing.is_empty());
            let has_died = worker.is_some_and(|worker| !worker.is_alive);
            if monitor.wanted_reply.is_some() {
                actors.push(Actor::Waiter(*id));
            }
            if monitor.wakes(has_messages, has_died, now) {
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
                self.processes.borrow_mut().step(id);
            }
            Actor::Monitor(id) => self.look_after(id),
            Actor::Waiter(id) => self.end_look(id),
            Actor::PendingAction(index) => {
                let action = self.pending_actions.swap_remove_back(index).expect("the index is in range");
                self.perform(action);
            }
            Actor::Blocked => self.unblock(),
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        interleaving::set_hook(None);
        for (_, worker) in std::mem::take(&mut self.processes.borrow_mut().workers) {
            self.fixture.tables.push(worker.table);
        }
    }
}
