//! What happens to the tasks of a worker that ended, and to all tasks when the pool is broken.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::worker::{Sent, Stage, WorkerState};
use super::{DEATHS_IN_A_ROW, DEATHS_WITHIN, Death, LostTask, MISSES, Prospect, Scheduler, TRIES};
use crate::error::Error;
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;

impl<W: Clone> Scheduler<W> {
    /// Notes that a worker has died, after its socket was read to the end and its results were noted. `prospect` says
    /// what to expect of the next worker, if this one was not ready.
    pub(in crate::process) fn died(&mut self, id: WorkerId, prospect: Prospect, now: Instant) -> Death {
        let mut death = Death::default();
        self.idle.retain(|other| *other != id);
        let Some(worker) = self.workers.get_mut(&id) else {
            return death;
        };
        death.expected = worker.expected;
        death.refusal = self.broken.clone();
        if worker.stage == Stage::Serving {
            self.vacancies += 1;
        }
        self.makes_do |= matches!(worker.stage, Stage::Starting | Stage::Serving);
        let born = worker.since;
        let mut untouched = Vec::new();
        while let Some(sent) = worker.in_flight.pop_front() {
            let was_ready = worker.table.as_ref().is_some_and(|table| table.slots().revoke(sent.slot, sent.sequence));
            let is_next = untouched.is_empty() && death.lost_tasks.is_empty();
            // A task that has begun is not started again. And a task that one worker after the other dies of before it
            // starts, such as one whose argument does not fit into memory there, would never end.
            if !was_ready || (is_next && sent.remote.misses() >= MISSES) {
                *sent.remote.place.lock() = Place::WorkerLost;
                self.lost.push(Arc::clone(&sent.remote));
                death.lost_tasks.push(LostTask { remote: sent.remote, slot: sent.slot, sequence: sent.sequence });
            } else {
                untouched.push(sent.remote);
            }
        }
        worker.since = now;
        // Its replacement is started when everything that this one held is free again.
        let has_retired = worker.stage == Stage::Retiring;
        let (is_early, was_alone) = (worker.stage == Stage::Starting && !worker.expected, worker.alone);
        if !has_retired {
            self.move_to(id, Stage::Leaving);
        }
        death.is_the_end = is_early
            && match prospect {
                Prospect::None => true,
                _ if self.has_served => {
                    death.given_up = self.try_failed(was_alone, now);
                    false
                }
                Prospect::IfOnceReady => true,
                Prospect::Poor => {
                    // The next one is tried alone, when all others have ended.
                    self.pause_starts(now);
                    self.active == 0 && was_alone
                }
                Prospect::Fair => self.died_early(was_alone, born, now),
            };
        self.hopeless |= death.is_the_end;
        for remote in untouched.into_iter().rev() {
            if self.broken.is_some() || (self.cancelling && !remote.is_started()) {
                *remote.place.lock() = Place::Revoked;
                death.unstarted.push(remote);
            } else {
                self.requeue(remote);
            }
        }
        death
    }

    /// Queues a task again that a worker died of, or returns why not.
    pub(in crate::process) fn requeue_or_refuse(&mut self, remote: &Arc<RemoteTask>) -> Option<Error> {
        self.loss_told(remote);
        if let Some(error) = &self.broken {
            return Some(error.clone());
        }
        let is_cancelled = self.cancelling && !remote.is_started();
        if is_cancelled || remote.stopped.load(Ordering::Relaxed) || (remote.items.is_some() && !remote.has_more()) {
            *remote.place.lock() = Place::Done;
            return Some(Error::Cancelled);
        }
        self.requeue(Arc::clone(remote));
        None
    }

    /// Notes that the outcome of a task that a worker died of is decided.
    pub(in crate::process) fn loss_told(&mut self, remote: &Arc<RemoteTask>) {
        self.lost.retain(|lost| !Arc::ptr_eq(lost, remote));
    }

    /// Notes that a worker died before it was ready, without a request from the pool. Returns `true` if this breaks the
    /// pool.
    ///
    /// It does not while there are other workers: a limit may have been reached, and the pool makes do with fewer. Time
    /// counts only up to the start of this worker, or workers that stay silent until they are killed would be replaced
    /// for ever.
    pub(super) fn died_early(&mut self, was_alone: bool, born: Instant, now: Instant) -> bool {
        self.early_deaths.retain(|then| born.saturating_duration_since(*then) < DEATHS_WITHIN);
        self.early_deaths.push(now);
        if self.early_deaths.len() < DEATHS_IN_A_ROW {
            return false;
        }
        self.pause_starts(now);
        self.active == 0 && was_alone
    }

    /// Notes that a worker of a pool that has served died before it was ready. Returns the queued tasks if it was one too
    /// many.
    fn try_failed(&mut self, was_alone: bool, now: Instant) -> Vec<Arc<RemoteTask>> {
        self.pause_starts(now);
        // Of several, each may have lacked what another one held, so that the next one is tried alone.
        if !was_alone || self.active > 0 {
            return Vec::new();
        }
        self.failed_tries = self.failed_tries.saturating_add(1);
        if self.failed_tries < TRIES { Vec::new() } else { self.take_queue() }
    }

    /// Notes that a worker could not be started. Returns the queued tasks if no worker is left to run them.
    ///
    /// If several workers start together, each may hold what the others lack, so one alone is tried before the tasks
    /// are given up.
    pub(in crate::process) fn not_started(&mut self, id: WorkerId, now: Instant) -> Vec<Arc<RemoteTask>> {
        let was_alone = self.workers.get(&id).is_none_or(|worker| worker.alone);
        self.move_to(id, Stage::Leaving);
        self.makes_do = true;
        self.pause_starts(now);
        let others = self.workers.values().any(|worker| matches!(worker.stage, Stage::Starting | Stage::Serving));
        if others || !was_alone { Vec::new() } else { self.take_queue() }
    }

    /// Breaks the pool: nothing more starts. Returns the tasks that have not started.
    pub(in crate::process) fn break_down(&mut self, error: &Error, now: Instant) -> Vec<Arc<RemoteTask>> {
        self.broken.get_or_insert_with(|| error.clone());
        self.take_pending(now, |_| false)
    }

    pub(super) fn take_queue(&mut self) -> Vec<Arc<RemoteTask>> {
        let queue: Vec<_> = std::iter::from_fn(|| self.pop()).collect();
        for remote in &queue {
            *remote.place.lock() = Place::Revoked;
        }
        queue
    }

    /// Removes a worker whose monitor thread is about to end. Returns the tasks that it still had, which the caller
    /// ends.
    pub(in crate::process) fn forget(&mut self, id: WorkerId) -> Vec<Arc<RemoteTask>> {
        // It has retired, or its monitor failed.
        self.makes_do |= self.workers.get(&id).is_some_and(WorkerState::counts);
        self.move_to(id, Stage::Leaving);
        self.idle.retain(|other| *other != id);
        let left = self.workers.remove(&id).map(|worker| worker.in_flight).unwrap_or_default();
        let end = |sent: Sent| {
            *sent.remote.place.lock() = Place::Done;
            sent.remote
        };
        left.into_iter().map(end).collect()
    }
}
