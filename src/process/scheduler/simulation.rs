//! Simulates thousands of lives of a pool, each of them a sequence of events that follows from a seed.
//!
//! The scheduler and the task table are the real ones. Threads, processes and clocks are simulated, so nothing happens
//! by itself, and everything may happen between any two steps. After each event the invariants are checked.
//!
//! A schedule that fails prints its seed, with which [`seeds`] runs it again.
//!
//! ```text
//! SIMULATION_SCHEDULES=1000000 cargo test --release --lib simulation
//! ```
#![forbid(unsafe_code)]

mod audit;
mod cases;
mod client;
mod fake_task;
mod monitor;
mod oracle;
mod pending_action;
mod worker;
mod world;

use std::time::{Duration, Instant};

use crate::process::monitor::state::Alarm;
use crate::process::pool::{Pool, Settings};
use crate::process::program::call;
use crate::process::seeds;
use crate::task::encoded::Entry;
use crate::task::function::Infallible;
use oracle::CallRecord;
use world::{Actor, Fixture, World};

/// As many as take a few seconds in a debug build.
const SCHEDULES: u64 = 1500;

/// A schedule that takes more steps than this does not end.
const STEPS: usize = 100_000;

impl World<'_> {
    fn live(&mut self) {
        let mut actors = Vec::new();
        // Most failures occur early, after few other events.
        let most = if self.rng.u32(..4) == 0 { 120 } else { 40 };
        for _ in 0..self.rng.usize(10..most) {
            self.happen(&mut actors);
        }
        if self.rng.bool() {
            self.settle_down(&mut actors, false);
            for _ in 0..self.rng.usize(..40) {
                self.happen(&mut actors);
            }
        }
        if self.rng.u32(..4) == 0 {
            for remote in self.remotes.clone() {
                self.begin_look(&remote);
            }
        }
        while self.scheduler.expected > 0 {
            self.expect_no_more();
        }
        self.close();
        if self.rng.u32(..8) == 0 {
            self.cancel_pending();
        }
        self.settle_down(&mut actors, true);
        self.audit_end();
    }

    /// Lets one event happen.
    fn happen(&mut self, actors: &mut Vec<Actor>) {
        self.is_settling = false;
        if self.rng.u32(..8) == 0 {
            self.retire();
        }
        let by = match self.rng.u32(..40) {
            0 => self.rng.u64(..4_000_000_000),
            1..4 => self.rng.u64(..20_000_000),
            _ => self.rng.u64(..60_000),
        };
        self.advance(Duration::from_nanos(by));
        self.actors(actors);
        let calls = actors.is_empty() || self.rng.u32(..self.config.call_rate) == 0;
        let actor = if calls { None } else { Some(actors[self.rng.usize(..actors.len())]) };
        let waits = self.config.slow_workers && matches!(actor, Some(Actor::Worker(_))) && self.rng.u32(..8) != 0;
        match actor.filter(|_| !waits) {
            Some(actor) => self.act_and_audit(actor),
            None => {
                self.call();
                self.audit();
            }
        }
    }

    fn act_and_audit(&mut self, actor: Actor) {
        self.act(actor);
        match actor {
            Actor::Worker(_) => self.audit_work(),
            _ => self.audit(),
        }
    }

    /// Runs without further calls until nothing happens any more, or with `is_end`, until everything has ended.
    fn settle_down(&mut self, actors: &mut Vec<Actor>, is_end: bool) {
        self.trace(|| "no more calls".into());
        self.is_settling = true;
        for step in 0..STEPS {
            if step % 8 == 0 {
                self.retire();
            }
            self.actors(actors);
            if let Some(nth) = actors.len().checked_sub(1) {
                let actor = actors[self.rng.usize(..=nth)];
                self.act_and_audit(actor);
            } else if !self.pass_time(is_end) {
                self.audit();
                return self.audit_outcomes();
            }
        }
        panic!("the schedule does not end");
    }

    /// Advances the clock to the next alarm. Returns `false` if nothing is still to come.
    fn pass_time(&mut self, is_end: bool) -> bool {
        let is_done = self.oracle.lock().calls.iter().all(CallRecord::is_over) && self.blocked.is_empty();
        if is_done && (!is_end || self.monitors.is_empty()) {
            return false;
        }
        let alarms = self.monitors.values().filter_map(|monitor| monitor.alarm());
        let next = alarms.filter(|(_, alarm)| *alarm != Alarm::Idle).map(|(then, _)| then).min();
        if let Some(next) = next {
            self.advance(next.saturating_duration_since(self.now()));
            return true;
        }
        // A task without a time limit has no alarm.
        let processes = self.processes.borrow();
        let hung = processes.workers.iter().find(|(_, worker)| worker.hangs && worker.is_alive);
        let hung = hung.map(|(id, _)| *id);
        drop(processes);
        let Some(hung) = hung else { return false };
        let first = self.scheduler.workers[&hung].in_flight.front();
        assert!(first.is_none_or(|sent| sent.remote.limit().is_none()), "no monitor keeps the time limit of a task");
        self.kill(hung);
        true
    }
}

fn fixture() -> Fixture {
    let settings = Settings {
        max_workers: 1,
        initializer: None,
        max_tasks_per_worker: None,
        memory_limit: None,
        time_limit: None,
        keep_alive: None,
        max_pending: None,
        max_message_size: u64::MAX,
        environment: Vec::new(),
        current_dir: None,
    };
    let call =
        call::FunctionAddress::of(Entry::of(&Infallible(|number: u32| number))).expect("a function of this program");
    Fixture { pool: Pool::new(settings, |_, _| ()), call, tables: Vec::new(), base: Instant::now(), traces: false }
}

#[test]
fn every_schedule_keeps_the_invariants() {
    seeds::each(SCHEDULES, || {
        let mut fixture = fixture();
        move |seed, traces| {
            fixture.traces = traces;
            World::new(seed, &mut fixture).live();
        }
    });
}
