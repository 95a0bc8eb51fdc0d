//! How tasks are taken back before they start, and stopped while they run.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::worker::Stage;
use super::{ARRIVAL, Expiry, Scheduler};
use crate::process::shm::table::{Progress, TaskTable};
use crate::process::task::{Place, RemoteTask};
use crate::process::worker_id::WorkerId;

impl<W: Clone> Scheduler<W> {
    /// Takes a task back if it is pending. A task that was started before it came here, or will be retried, counts as
    /// running. It may be put back in the queue at any moment, so this is checked under the lock that puts it there.
    pub(in crate::process) fn cancel(&mut self, remote: &RemoteTask, now: Instant) -> bool {
        !remote.is_started() && self.revoke(remote, now)
    }

    /// Takes all pending tasks. If the pool is closed, nothing more starts after this.
    pub(in crate::process) fn cancel_pending(&mut self, now: Instant) -> Vec<Arc<RemoteTask>> {
        self.cancelling = self.closed;
        self.take_pending(now, RemoteTask::is_started)
    }

    /// Takes a task back if it has not started. Returns `true` if it was.
    fn revoke(&mut self, remote: &RemoteTask, now: Instant) -> bool {
        let mut place = remote.place.lock();
        let (worker, slot, sequence) = match &*place {
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
            Place::Sent { worker, slot, sequence, table } => {
                if !table.slots().revoke(*slot, *sequence) {
                    curtail(remote, table, *slot);
                    return false;
                }
                (*worker, *slot, *sequence)
            }
            Place::Revoked => return true,
            Place::WorkerLost => {
                remote.curtail();
                return false;
            }
            Place::Killing { .. } | Place::Done => return false,
        };
        *place = Place::Revoked;
        drop(place);
        if let Some(taken) = self.workers.get_mut(&worker) {
            let was_first = taken.in_flight.front().is_some_and(|sent| sent.sequence == sequence);
            taken.take(|sent| sent.slot == slot && sent.sequence == sequence, now);
            if was_first {
                // The monitor keeps the time of the first task.
                self.to_wake.extend(taken.connection.clone());
            }
            self.refund(worker);
        }
        true
    }

    /// Takes a task back, or decides that its worker is killed if it runs. Returns `false` if it has ended.
    pub(in crate::process) fn stop(&mut self, remote: &RemoteTask, now: Instant) -> bool {
        if self.revoke(remote, now) {
            return true;
        }
        let mut place = remote.place.lock();
        if matches!(*place, Place::WorkerLost) {
            // Between two tries: the monitor checks this before it queues the task again.
            remote.stopped.store(true, Ordering::Relaxed);
            return true;
        }
        let Place::Sent { worker, slot, sequence, table } = &*place else {
            return false;
        };
        let (worker, slot, sequence) = (*worker, *slot, *sequence);
        if !table.slots().kill(slot, sequence) {
            return false;
        }
        *place = Place::Killing { worker };
        drop(place);
        self.kill(worker, slot, sequence, now);
        true
    }

    /// Gives the worker its budget back for a task that was taken from it before it started.
    pub(super) fn refund(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.budget = worker.budget.saturating_add(1);
            if worker.in_flight.is_empty() {
                // The monitor still considers it busy, and will hear nothing from the worker.
                self.to_wake.extend(worker.connection.clone());
            }
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId, slot: u8, sequence: u64, now: Instant) {
        let mut behind = Vec::new();
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.take(|sent| sent.slot == slot && sent.sequence == sequence, now);
            // Tasks that were sent ahead need not wait for the end of the worker, nor for callbacks that run before it.
            behind.extend(std::iter::from_fn(|| worker.take_back(now)));
        }
        self.move_to(id, Stage::Doomed);
        self.vacancies += 1;
        self.makes_do = true;
        for remote in behind {
            self.requeue(remote);
        }
    }

    /// Removes entries that were taken back from the queue, if they are many or nothing else is left: each keeps its
    /// pool alive.
    pub(super) fn sweep(&mut self) {
        const FEW: usize = 64;
        if self.dead == self.queue.len() || self.dead > FEW && 2 * self.dead > self.queue.len() {
            let removed;
            (self.queue, removed) = std::mem::take(&mut self.queue)
                .into_iter()
                .partition::<VecDeque<_>, _>(|remote| matches!(*remote.place.lock(), Place::Queued));
            self.removed.extend(removed);
            self.dead = 0;
        }
    }

    /// Takes all tasks that have not started, except those that `keep` selects.
    pub(super) fn take_pending(&mut self, now: Instant, keep: impl Fn(&RemoteTask) -> bool) -> Vec<Arc<RemoteTask>> {
        for remote in &self.lost {
            remote.curtail();
        }
        let mut kept = Vec::new();
        let mut pending = Vec::new();
        let queued: Vec<_> = std::iter::from_fn(|| self.pop()).collect();
        let mut back_from = Vec::new();
        for (id, worker) in &mut self.workers {
            let mut back: Vec<_> = std::iter::from_fn(|| worker.take_back(now)).collect();
            back.reverse();
            if let (Some(sent), Some(table)) = (worker.in_flight.front(), &worker.table) {
                curtail(&sent.remote, table, sent.slot);
            }
            back_from.extend(back.iter().map(|_| *id));
            for remote in back {
                if keep(&remote) {
                    kept.push(remote);
                } else {
                    pending.push(remote);
                }
            }
        }
        for id in back_from {
            self.refund(id);
        }
        for remote in queued {
            if keep(&remote) {
                kept.push(remote);
            } else {
                pending.push(remote);
            }
        }
        for remote in kept.into_iter().rev() {
            self.requeue(remote);
        }
        for remote in &pending {
            *remote.place.lock() = Place::Revoked;
        }
        pending
    }

    /// Checks the time limit of a worker's first task.
    pub(in crate::process) fn expire(&mut self, id: WorkerId, now: Instant, clock: u64) -> Expiry {
        let Some(worker) = self.workers.get_mut(&id) else {
            return Expiry::Later(None);
        };
        let (Some(sent), Some(table)) = (worker.in_flight.front(), &worker.table) else {
            return Expiry::Later(None);
        };
        let Some(deadline) = worker.deadline() else {
            return Expiry::Later(None);
        };
        let (slot, sequence) = (sent.slot, sent.sequence);
        let limit = sent.remote.limit().unwrap_or(Duration::MAX);
        // The worker knows best when it started the task. But a task may have overwritten its note.
        let ran = |started_at| Duration::from_nanos(clock.saturating_sub(started_at));
        let stopped = match table.slots().progress(slot, sequence) {
            Progress::Running(since) if ran(since) < limit && worker.due.is_none() => {
                worker.due = now.checked_add(limit - ran(since));
                return Expiry::Later(worker.due);
            }
            _ if now < deadline => return Expiry::Later(Some(deadline)),
            Progress::Running(_) => table.slots().kill(slot, sequence),
            Progress::Ready => {
                let table = Arc::clone(table);
                if !self.isolate(id, now)
                    && let Some(worker) = self.workers.get_mut(&id)
                    && worker.put_first_what_runs()
                {
                    return Expiry::Later(worker.deadline());
                }
                let stopped = table.slots().revoke(slot, sequence);
                return if stopped { self.expired(id, slot, sequence, now) } else { Expiry::Later(Some(now)) };
            }
            Progress::Done if worker.arrival.is_some() => {
                let table = Arc::clone(table);
                if !self.isolate(id, now)
                    && let Some(worker) = self.workers.get_mut(&id)
                {
                    // It has begun the next task, so the result was sent.
                    worker.arrival = Some(now + ARRIVAL);
                    return Expiry::Later(worker.arrival);
                }
                table.slots().kill_done(slot, sequence)
            }
            Progress::Done => {
                worker.arrival = Some(now + ARRIVAL);
                return Expiry::Later(worker.arrival);
            }
            Progress::Strange => true,
        };
        if !stopped {
            // It has moved on at this moment.
            return Expiry::Later(Some(now));
        }
        self.expired(id, slot, sequence, now)
    }

    /// Takes back what was sent to a worker behind its first task, so that it cannot continue with it. Returns `false`
    /// if it has begun one of these tasks.
    fn isolate(&mut self, id: WorkerId, now: Instant) -> bool {
        let mut behind = Vec::new();
        if let Some(worker) = self.workers.get_mut(&id) {
            while worker.in_flight.len() > 1
                && let Some(remote) = worker.take_back(now)
            {
                behind.push(remote);
            }
        }
        for remote in behind {
            self.requeue(remote);
            self.refund(id);
        }
        self.workers.get(&id).is_some_and(|worker| worker.in_flight.len() == 1)
    }

    fn expired(&mut self, id: WorkerId, slot: u8, sequence: u64, now: Instant) -> Expiry {
        let first = self.workers.get(&id).and_then(|worker| worker.in_flight.front());
        let Some(remote) = first.map(|sent| Arc::clone(&sent.remote)) else {
            return Expiry::Later(None);
        };
        *remote.place.lock() = Place::Killing { worker: id };
        self.kill(id, slot, sequence, now);
        Expiry::Stopped(remote)
    }
}

/// Keeps the items of a chunk or batch that have not begun from being run.
fn curtail(remote: &RemoteTask, table: &TaskTable, slot: u8) {
    if remote.items.is_some() {
        remote.curtail();
        table.slots().curtail(slot);
    }
}
