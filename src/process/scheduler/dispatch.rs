//! How workers get their tasks, and what they do when there is none.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::worker::{Sent, Stage, WorkerState};
use super::{AHEAD_BYTES, Answered, Dispatch, FIRST_PAUSE, Next, Scheduler};
use crate::process::shm::table::TaskTable;
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;

impl<W: Clone> Scheduler<W> {
    /// Notes the connection of a worker whose process was spawned.
    pub(in crate::process) fn attach(&mut self, id: WorkerId, connection: W) {
        if let Some(worker) = self.workers.get_mut(&id) {
            if self.keeps_pause {
                self.to_wake.push(connection.clone());
            }
            worker.connection = Some(connection);
        }
    }

    /// Lets a worker go that is not ready yet, if the pool has no work for it and will have none. Returns `true` if it
    /// does.
    pub(in crate::process) fn dismiss(&mut self, id: WorkerId) -> bool {
        let over = self.is_over();
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| over && worker.stage == Stage::Starting) else {
            return false;
        };
        worker.expected = true;
        self.move_to(id, Stage::Leaving);
        true
    }

    /// Notes that the worker is ready for tasks.
    pub(in crate::process) fn ready(&mut self, id: WorkerId, connection: W, table: Arc<TaskTable>, now: Instant) {
        self.early_deaths.clear();
        self.has_served = true;
        self.failed_tries = 0;
        self.start_again = None;
        self.pause = FIRST_PAUSE;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.connection = Some(connection);
            worker.table = Some(table);
            worker.since = now;
            self.move_to(id, Stage::Serving);
        }
    }

    /// Notes an answer, and returns the task that it belongs to. The last answer to a task takes it from the worker.
    pub(in crate::process) fn settle(
        &mut self,
        id: WorkerId,
        answer: Answered,
        now: Instant,
    ) -> Option<Arc<RemoteTask>> {
        let Answered { slot, sequence, last } = answer;
        let worker = self.workers.get_mut(&id)?;
        let is_it = |sent: &Sent| sent.slot == slot && sent.sequence == sequence;
        if !last {
            return worker.in_flight.iter().find(|sent| is_it(sent)).map(|sent| Arc::clone(&sent.remote));
        }
        let remote = worker.take(is_it, now)?;
        *remote.place.lock() = Place::Done;
        Some(remote)
    }

    /// Returns when the first task of the worker became the first, or since when the worker has none.
    pub(in crate::process) fn since(&self, id: WorkerId, now: Instant) -> Instant {
        self.workers.get(&id).map_or(now, |worker| worker.since)
    }

    /// Notes that this number of tasks took this long.
    pub(in crate::process) fn observe(&mut self, id: WorkerId, tasks: u32, took: Duration) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pace.observe(tasks, took);
        }
    }

    /// Gives a serving worker the tasks that it can take, and returns what it has to do.
    pub(in crate::process) fn refill(
        &mut self,
        id: WorkerId,
        expired: bool,
        now: Instant,
        orders: &mut Vec<Dispatch>,
    ) -> Next {
        let Some(worker) = self.workers.get(&id) else {
            return Next::End;
        };
        if worker.stage != Stage::Serving {
            return Next::End;
        }
        let serving = self.active.max(1);
        let share = self.waiting().div_ceil(serving).max(1);
        // Otherwise the task would wait behind one that may take any time, and nobody would be started for it.
        let may_be_ahead = self.active >= self.limits.max_workers || self.makes_do;
        let room = if may_be_ahead { worker.room() } else { worker.room().min(1) };
        let mut room = room.min(share + worker.in_flight.len()).saturating_sub(worker.in_flight.len());
        while room > 0 && self.fits(id) {
            let Some(remote) = self.pop() else { break };
            orders.push(self.assign(id, remote, now));
            room -= 1;
        }
        if self.workers[&id].in_flight.is_empty() && self.workers[&id].budget > 0 && self.broken.is_none() {
            self.steal(id, now, orders);
            if self.workers[&id].in_flight.is_empty() {
                self.divide(id, now, orders);
            }
        }
        let worker = &self.workers[&id];
        if !worker.in_flight.is_empty() {
            self.idle.retain(|other| *other != id);
            return Next::Work(worker.deadline());
        }
        let has_retired = worker.budget == 0;
        let may_leave = self.broken.is_some() || self.waiting() == 0;
        if has_retired || may_leave && (self.is_closed() || self.broken.is_some() || expired) {
            self.idle.retain(|other| *other != id);
            self.move_to(id, if has_retired { Stage::Retiring } else { Stage::Leaving });
            return Next::Leave;
        }
        if !self.idle.contains(&id) {
            self.idle.push(id);
        }
        Next::Idle(self.workers[&id].since)
    }

    /// Returns where a task is, if it is the only one of its worker and the queue is empty.
    pub(in crate::process) fn only(&self, remote: &RemoteTask) -> Option<(WorkerId, W, u8, u64)> {
        let Place::Sent { worker: id, slot, sequence, .. } = *remote.place.lock() else {
            return None;
        };
        let worker =
            self.workers.get(&id).filter(|worker| worker.stage == Stage::Serving && worker.in_flight.len() == 1)?;
        let connection = worker.connection.clone().filter(|_| self.waiting() == 0)?;
        Some((id, connection, slot, sequence))
    }

    /// Takes its [only](Self::only) task from a worker, which has answered it to a waiter outside the pool. The pool
    /// does not end before the waiter [has read it](Self::end_reading). Also returns `true` if the worker is idle then.
    pub(in crate::process) fn settle_only(
        &mut self,
        id: WorkerId,
        slot: u8,
        sequence: u64,
        now: Instant,
    ) -> (Option<Arc<RemoteTask>>, bool) {
        let took = now.saturating_duration_since(self.since(id, now));
        let remote = self.settle(id, Answered { slot, sequence, last: true }, now);
        self.observe(id, 1, took);
        if remote.is_some() {
            self.begin_reading();
        }
        (remote, self.rest(id))
    }

    /// Notes that a worker is idle. Returns `false` if its monitor has to look: there may be work, or the worker may
    /// leave.
    fn rest(&mut self, id: WorkerId) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        let is_idle = worker.stage == Stage::Serving && worker.in_flight.is_empty() && worker.budget > 0;
        let is_over = self.closed || self.broken.is_some();
        let has_more = self.waiting() > 0 || self.workers.values().any(WorkerState::has_more_than_it_runs);
        let rests = is_idle && !is_over && !has_more;
        if rests && !self.idle.contains(&id) {
            self.idle.push(id);
        }
        rests
    }

    pub(super) fn fits(&self, id: WorkerId) -> bool {
        let worker = &self.workers[&id];
        let next = self.queue.iter().find(|remote| matches!(*remote.place.lock(), Place::Queued));
        let Some((last, next)) = worker.in_flight.back().zip(next) else { return worker.in_flight.is_empty() };
        let is_in_turn = match worker.in_flight.iter().filter(|sent| sent.remote.task().is_none()).count() {
            0 => true,
            1 => last.remote.ticket() == next.ticket(),
            _ => false,
        };
        is_in_turn && worker.bytes + next.argument.len() <= AHEAD_BYTES
    }

    pub(super) fn pop(&mut self) -> Option<Arc<RemoteTask>> {
        while let Some(remote) = self.queue.pop_front() {
            if matches!(*remote.place.lock(), Place::Queued) {
                self.sweep();
                return Some(remote);
            }
            self.dead -= 1;
            self.removed.push(remote);
        }
        None
    }

    pub(super) fn assign(&mut self, id: WorkerId, remote: Arc<RemoteTask>, now: Instant) -> Dispatch {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        let worker = self.workers.get_mut(&id).expect("tasks are given to workers that are there");
        let table = Arc::clone(worker.table.as_ref().expect("a worker that serves has a table"));
        let slot = worker.free.trailing_zeros() as u8;
        worker.free &= !(1 << slot);
        table.slots().ready(slot, sequence, remote.range());
        *remote.place.lock() = Place::Sent { worker: id, slot, sequence, table };
        if worker.in_flight.is_empty() {
            worker.since = now;
        }
        worker.bytes += remote.argument.len();
        worker.budget -= 1;
        worker.in_flight.push_back(Sent { remote: Arc::clone(&remote), slot, sequence });
        Dispatch { remote, slot, sequence }
    }

    /// Takes half of the items of a batch that another worker has not begun.
    fn divide(&mut self, id: WorkerId, now: Instant, orders: &mut Vec<Dispatch>) {
        let rest = self.workers.iter().filter(|(other, worker)| **other != id && worker.stage == Stage::Serving);
        // Not only the first task of each: the worker may be at the next one while its answer to the first is on its
        // way.
        let sent = rest.flat_map(|(_, worker)| worker.in_flight.iter().map(|sent| (sent, &worker.table)));
        let mut rest = sent.filter_map(|(sent, table)| {
            let table = table.as_ref()?;
            let range = sent.remote.range().filter(|_| sent.remote.is_divisible())?;
            let (from, to) = table.slots().halve(sent.slot, sent.sequence, range)?;
            sent.remote.divide(from, to)
        });
        if let Some(rest) = rest.next() {
            orders.push(self.assign(id, rest, now));
        }
    }

    /// Takes half of the tasks that were sent ahead to another worker, from the end.
    pub(super) fn steal(&mut self, id: WorkerId, now: Instant, orders: &mut Vec<Dispatch>) {
        let ahead = |worker: &WorkerState<W>| worker.in_flight.len().saturating_sub(1);
        let others = self.workers.iter().filter(|(other, worker)| **other != id && ahead(worker) > 0);
        let mut lost_tasks: Vec<_> = others.map(|(other, worker)| (ahead(worker), *other)).collect();
        lost_tasks.sort_unstable();
        let mut stolen = Vec::new();
        // The worker with the most tasks may be at its last one already, while its answers to the others are on their
        // way.
        while stolen.is_empty()
            && let Some((ahead, lost)) = lost_tasks.pop()
        {
            for _ in 0..ahead.div_ceil(2) {
                if let Some(remote) = self.workers.get_mut(&lost).and_then(|worker| worker.take_back(now)) {
                    stolen.push(remote);
                    self.refund(lost);
                }
            }
        }
        for remote in stolen.into_iter().rev() {
            if self.workers[&id].free != 0 && self.workers[&id].budget > 0 {
                orders.push(self.assign(id, remote, now));
            } else {
                self.requeue(remote);
            }
        }
    }
}
