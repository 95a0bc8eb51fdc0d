//! Invariants that hold whenever the scheduler's lock is free, and those that hold at the end.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::fake_task::{call_of, open_calls};
use super::pending_action::PendingAction;
use super::world::{LATE, World};
use crate::process::scheduler::worker::{Sent, Stage, WorkerState};
use crate::process::scheduler::{AHEAD_BYTES, MISSES};
use crate::process::shm::table::Progress;
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;

/// Returns a hash of the task's address, so that the bits of different tasks are unrelated.
fn mark(remote: &Arc<RemoteTask>) -> u64 {
    // The last step of splitmix64.
    let address = Arc::as_ptr(remote).addr() as u64;
    let mixed = (address ^ address >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

impl World<'_> {
    /// Checks all invariants. Called after every event that is not a step of a worker, which the scheduler does not
    /// notice before something else happens.
    pub(super) fn audit(&self) {
        self.audit_counts();
        self.audit_places();
        self.audit_turns();
        self.audit_progress();
        self.audit_sharing();
        self.audit_limits();
        self.audit_starting();
    }

    /// Invariant: counters match what they count.
    fn audit_counts(&self) {
        let scheduler = &self.scheduler;
        let workers = || scheduler.workers.values();
        assert_eq!(scheduler.active, workers().filter(|worker| worker.counts()).count(), "active");
        assert_eq!(scheduler.starting, workers().filter(|worker| worker.stage == Stage::Starting).count(), "starting");
        assert!(scheduler.active <= self.config.max_workers, "too many workers");
        let others =
            workers().filter(|worker| matches!(worker.stage, Stage::Starting | Stage::Retiring | Stage::Leaving));
        assert!(
            others.map(|worker| worker.in_flight.len()).sum::<usize>() == 0,
            "a worker that does not serve has tasks"
        );
        self.audit_work();
        // The tasks of a dead worker are with other workers.
        for worker in workers().filter(|worker| matches!(worker.stage, Stage::Serving | Stage::Doomed)) {
            let taken = worker.in_flight.iter().fold(0_u64, |taken, sent| taken | 1 << sent.slot);
            assert_eq!(taken.count_ones() as usize, worker.in_flight.len(), "two tasks have one slot");
            assert_eq!(!taken, worker.free, "slots that are neither free nor taken");
            assert_eq!(
                worker.in_flight.iter().map(|sent| sent.remote.argument.len()).sum::<usize>(),
                worker.bytes,
                "bytes"
            );
            assert!(worker.in_flight.len() < 2 || worker.bytes <= AHEAD_BYTES, "too much is sent ahead");
        }
        let unread = self.pending_actions.iter().filter(|action| matches!(action, PendingAction::Read(..))).count();
        assert!(scheduler.unread == unread && (unread == 0 || !scheduler.is_empty()), "a reply is not read");
        for (nth, id) in scheduler.idle.iter().enumerate() {
            let worker = &scheduler.workers[id];
            assert!(!scheduler.idle[..nth].contains(id), "idle twice");
            assert!(worker.stage == Stage::Serving && worker.in_flight.is_empty() && worker.budget > 0, "not idle");
        }
    }

    /// Invariant: no more workers are running tasks than the limit allows.
    pub(super) fn audit_work(&self) {
        // What a killed worker runs has been given up.
        let is_at_work = |id| self.scheduler.workers.get(id).is_some_and(|worker| worker.stage != Stage::Doomed);
        let processes = self.processes.borrow();
        let running = processes.workers.iter().filter(|(id, worker)| worker.runs() && is_at_work(id)).count();
        assert!(running <= self.config.max_workers, "too many workers are at work");
    }

    /// Invariant: each task is in exactly one place, and its `place` says which. Records in the oracle where it was seen.
    fn audit_places(&self) {
        let scheduler = &self.scheduler;
        // Sums stand for sets: different sets have different sums, except with a probability of 1 in 2^64.
        let (mut found, mut expected, mut live) = (0_u64, 0_u64, 0);
        let mut oracle = self.oracle.lock();
        let mut see = |remote: &RemoteTask, is_sent| {
            if remote.items.is_none() {
                oracle.calls[call_of(&remote.argument)].see(is_sent);
            }
        };
        for remote in &scheduler.queue {
            if matches!(*remote.place.lock(), Place::Queued) {
                found = found.wrapping_add(mark(remote));
                live += 1;
                see(remote, false);
            }
        }
        assert_eq!(scheduler.waiting(), live, "the queue has as many as it says");
        for (id, worker) in &scheduler.workers {
            for sent in &worker.in_flight {
                let Place::Sent { worker, slot, sequence, .. } = *sent.remote.place.lock() else {
                    panic!("a worker has a task that is not there");
                };
                assert_eq!((worker, slot, sequence), (*id, sent.slot, sent.sequence));
                found = found.wrapping_add(mark(&sent.remote));
                see(&sent.remote, true);
            }
        }
        for remote in &self.remotes {
            if matches!(*remote.place.lock(), Place::Queued | Place::Sent { .. }) {
                expected = expected.wrapping_add(mark(remote));
            }
        }
        assert_eq!(found, expected, "a task is in several places, in none, or was not submitted");
        // A lost task ends once its outcome is decided, so there are few.
        for (nth, remote) in scheduler.lost.iter().enumerate() {
            let is_it = |other: &Arc<RemoteTask>| Arc::ptr_eq(other, remote);
            let is_once = !scheduler.lost[..nth].iter().any(is_it) && self.remotes.iter().any(is_it);
            assert!(
                is_once && matches!(*remote.place.lock(), Place::WorkerLost),
                "a lost task is in another place too"
            );
        }
    }

    /// Invariant: tasks start in the order of submission.
    fn audit_turns(&self) {
        let tickets = self.scheduler.queue.iter().map(|remote| remote.ticket());
        assert!(tickets.is_sorted(), "the queue is not in the order of submission");
        let oracle = self.oracle.lock();
        let turn = |remote: &Arc<RemoteTask>| oracle.calls.get(call_of(&remote.argument))?.turn;
        let are_in_turn = |remotes: &mut dyn Iterator<Item = &Arc<RemoteTask>>| {
            let whole = remotes.filter(|remote| remote.items.is_none());
            whole.filter_map(turn).is_sorted()
        };
        assert!(are_in_turn(&mut self.scheduler.queue.iter()), "a task has overtaken another one in the queue");
        for worker in self.scheduler.workers.values() {
            // A running task may have been sent before one that comes earlier.
            let progress = |sent: &Sent| {
                let table = worker.table.as_ref()?;
                Some(table.slots_without_hook().progress(sent.slot, sent.sequence))
            };
            let runs = |sent: &&Sent| progress(sent) != Some(Progress::Ready);
            let mut waiting = worker.in_flight.iter().skip_while(runs).map(|sent| &sent.remote);
            assert!(are_in_turn(&mut waiting), "a task has overtaken another one");
        }
    }

    /// Invariant: no task waits for a worker that nothing is about to start or wake.
    fn audit_progress(&self) {
        let (scheduler, now) = (&self.scheduler, self.now());
        let mut stays = self.monitors.values().filter_map(|monitor| monitor.stays);
        let is_due = scheduler.start_due(now).is_some();
        assert!(stays.all(|until| is_due || until <= now), "a monitor stays although no task waits");
        if scheduler.broken.is_some() || scheduler.hopeless {
            return;
        }
        let coming = scheduler.starting + scheduler.idle.len();
        let is_enough = |waiting| {
            scheduler.active >= self.config.max_workers
                || coming >= waiting
                || (scheduler.start_again.is_some() && scheduler.starting > 0 && !scheduler.serves())
                || scheduler.start_again.is_some_and(|then| self.monitors.values().any(|monitor| monitor.keeps(then)))
        };
        assert!(is_enough(scheduler.waiting()), "tasks wait for a worker that no monitor is going to start");
        // Tasks that were sent behind others, which may take any time.
        let serving = scheduler.workers.values().filter(|worker| worker.stage == Stage::Serving);
        let is_behind = |worker: &WorkerState<_>, sent: &Sent| {
            let table = worker.table.as_ref();
            table.is_some_and(|table| table.slots_without_hook().progress(sent.slot, sent.sequence) == Progress::Ready)
        };
        let behind = serving.flat_map(|worker| worker.in_flight.iter().skip(1).filter(|sent| is_behind(worker, sent)));
        assert!(
            is_enough(behind.count().min(1)),
            "a task waits behind another for a worker that no monitor is going to start"
        );
        if scheduler.waiting() == 0 {
            return;
        }
        // A worker that has no budget left leaves when its monitor looks.
        let serves = |worker: &&WorkerState<_>| worker.stage == Stage::Serving && worker.in_flight.is_empty();
        let free = scheduler.workers.iter().filter(|(_, worker)| serves(worker) && worker.budget > 0);
        let (told, others): (Vec<_>, Vec<_>) = free.partition(|(id, _)| self.monitors[id].will_look());
        assert!(others.is_empty() || told.len() >= scheduler.waiting(), "a worker has nothing to do while tasks wait");
    }

    /// Invariant: no worker is idle that could take half of what another one has.
    fn audit_sharing(&self) {
        let scheduler = &self.scheduler;
        if !scheduler.idle.iter().any(|id| !self.monitors[id].will_look()) {
            return;
        }
        for worker in scheduler.workers.values().filter(|worker| worker.stage == Stage::Serving) {
            for sent in worker.in_flight.iter().filter(|sent| sent.remote.is_divisible()) {
                let begun = worker.table.as_ref().map_or(0, |table| table.slots_without_hook().begun(sent.slot));
                let left = sent.remote.range().map_or(0, |(_, end)| end.saturating_sub(begun));
                assert!(left < 2, "a worker is idle while another has a batch that it has not begun");
            }
        }
    }

    /// Invariant: each task with a time limit has an alarm.
    fn audit_limits(&self) {
        for (id, worker) in self.scheduler.workers.iter().filter(|(_, worker)| worker.stage == Stage::Serving) {
            let monitor = &self.monitors[id];
            let is_told = |action: &PendingAction| matches!(action, PendingAction::Send(to, _, true) if to == id);
            let Some(deadline) =
                worker.deadline().filter(|_| !monitor.will_look() && !self.pending_actions.iter().any(is_told))
            else {
                continue;
            };
            let first = &worker.in_flight[0];
            let progress =
                worker.table.as_ref().map(|table| table.slots_without_hook().progress(first.slot, first.sequence));
            let is_done = progress == Some(Progress::Done);
            assert!(
                worker.arrival.is_none() || is_done,
                "the monitor waits for a result that the worker has not stored"
            );
            let Some((then, _)) = monitor.alarm() else { panic!("no monitor keeps the time limit of a task") };
            // Counted from its start, if that was later. The clock may have been read up to [`LATE`] before the
            // decision.
            let limit = first.remote.limit();
            let started = match progress {
                Some(Progress::Running(since)) => self.fixture.base + Duration::from_nanos(since),
                _ => self.fixture.base,
            };
            let latest = deadline.max(started + limit.unwrap_or_default()) + LATE;
            assert!(then <= latest.max(self.now()), "the monitor keeps the time limit of another task");
        }
    }

    /// Invariant: a starting worker that is no longer needed is about to be told.
    fn audit_starting(&self) {
        let is_told = |action: &PendingAction| matches!(action, PendingAction::RingAll);
        if !self.scheduler.is_over() || self.pending_actions.iter().any(is_told) {
            return;
        }
        let starting = self
            .scheduler
            .workers
            .iter()
            .filter(|(_, worker)| worker.stage == Stage::Starting && worker.connection.is_some());
        for (id, _) in starting {
            let monitor = &self.monitors[id];
            assert!(monitor.will_look() || !monitor.is_asleep(), "a starting worker is not told that no task is left");
        }
    }

    /// Invariant: a task that is retried precedes all that are not earlier.
    pub(super) fn audit_next(&self, remote: &Arc<RemoteTask>) {
        let first = self.scheduler.queue.iter().find(|other| other.ticket() >= remote.ticket());
        assert!(first.is_some_and(|first| Arc::ptr_eq(first, remote)), "a task that runs again waits for others");
    }

    /// Asserts that no worker can continue with the task.
    pub(super) fn audit_stopped(&self, id: WorkerId, (slot, sequence): (u8, u64)) {
        let table = Arc::clone(&self.processes.borrow().workers[&id].table);
        assert_eq!(
            table.slots_without_hook().progress(slot, sequence),
            Progress::Strange,
            "a task was reported stopped and was not"
        );
    }

    /// Counts that a worker died before it started a task, which another one will start.
    pub(super) fn audit_missed(&self, remote: &RemoteTask) {
        // The items of a batch move from one remote task to another.
        for call in open_calls(remote).into_iter().filter(|_| remote.items.is_none()) {
            let call = &mut self.oracle.lock().calls[call];
            call.missed += 1;
            assert!(call.missed < MISSES, "one worker after the other dies before a task");
        }
    }

    /// Asserts that a worker that leaves has a reason, and no work.
    pub(super) fn audit_leaving(&self, id: WorkerId) {
        let (scheduler, config) = (&self.scheduler, &self.config);
        let worker = &scheduler.workers[&id];
        let has_retired = worker.budget == 0;
        let idle = (self.now() + LATE).saturating_duration_since(worker.since);
        let is_expired = config.keep_alive.is_some_and(|time| idle >= time);
        let is_closed = scheduler.closed && scheduler.expected == 0;
        assert!(is_closed || has_retired || is_expired || scheduler.broken.is_some(), "a worker leaves for no reason");
        assert!(
            scheduler.waiting() == 0 || has_retired || scheduler.broken.is_some(),
            "a worker leaves while tasks wait"
        );
    }

    /// Asserts that everything that was submitted has ended.
    pub(super) fn audit_outcomes(&self) {
        for (number, call) in self.oracle.lock().calls.iter().enumerate() {
            assert!(call.is_over() && !call.runs(), "call {number} has not ended: {call:?}");
        }
        assert!(self.scheduler.active <= self.config.max_workers, "too many workers at the end");
        assert!(self.blocked.is_empty(), "a submitter waits although there is room");
    }

    /// Asserts that nothing is left.
    pub(super) fn audit_end(&self) {
        let scheduler = &self.scheduler;
        assert!(scheduler.is_empty(), "workers are left");
        assert!(scheduler.queue.is_empty() && scheduler.dead == 0, "entries are left in the queue");
        assert!(scheduler.lost.is_empty() && scheduler.idle.is_empty());
        assert_eq!((scheduler.active, scheduler.starting, scheduler.unread), (0, 0, 0));
        for remote in self.remotes.iter().chain(&self.past) {
            assert_eq!(Arc::strong_count(remote), 1, "a task that has ended is kept");
        }
    }
}
