//! The pool of a model, and its scheduler: one worker, which is sent every task at once.
#![forbid(unsafe_code)]

#[path = "../pool/help.rs"]
mod help;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::table::{ReadRight, TaskTable};
use super::task::{Place, RemoteTask};
use crate::sync::{Condvar, Mutex};
use crate::task::roles::TaskOwner;

pub(super) struct Pool {
    pub(super) scheduler: Mutex<Scheduler>,
    pub(super) ended: Condvar,
    pub(super) connection: Arc<Connection>,
    settings: Settings,
    out_of_band: (),
    completed: AtomicUsize,
}

#[derive(Default)]
struct Settings {
    keep_alive: Option<()>,
}

impl TaskOwner for Pool {}

pub(super) struct Scheduler {
    connection: Arc<Connection>,
    in_flight: Vec<Arc<RemoteTask>>,
    next_sequence: u64,
    /// The worker is to be killed, or is dead.
    is_doomed: bool,
    /// The monitor has ended.
    pub(super) is_gone: bool,
    unread: usize,
}

/// What the worker and its monitor share, and what wakes each of them.
pub(super) struct Connection {
    pub(super) table: TaskTable,
    pub(super) right: ReadRight,
    pub(super) told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Told {
    /// To the worker.
    pub(super) orders: VecDeque<(u8, u64)>,
    /// To the monitor: there may be a reply.
    pub(super) rung: bool,
    pub(super) exited: bool,
    pub(super) expired: bool,
    /// The monitor sleeps, or did.
    pub(super) has_slept: bool,
}

impl Connection {
    pub(super) fn tell(&self, note: impl FnOnce(&mut Told)) {
        note(&mut self.told.lock());
        self.changed.notify_all();
    }

    /// Sleeps until there is something.
    pub(super) fn wait_for<R>(&self, mut look: impl FnMut(&mut Told) -> Option<R>) -> R {
        let mut told = self.told.lock();
        loop {
            match look(&mut told) {
                Some(seen) => return seen,
                None => self.changed.wait(&mut told),
            }
        }
    }

    pub(super) fn ring(&self) {
        self.tell(|told| told.rung = true);
    }
}

impl Pool {
    pub(super) fn new() -> Arc<Self> {
        let connection = Arc::new(Connection {
            table: TaskTable::new(),
            right: ReadRight::default(),
            told: Mutex::default(),
            changed: Condvar::new(),
        });
        let scheduler = Scheduler {
            connection: Arc::clone(&connection),
            in_flight: Vec::new(),
            next_sequence: 0,
            is_doomed: false,
            is_gone: false,
            unread: 0,
        };
        let (settings, completed) = (Settings::default(), AtomicUsize::new(0));
        let (scheduler, ended) = (Mutex::new(scheduler), Condvar::new());
        Arc::new(Self { scheduler, ended, connection, settings, out_of_band: (), completed })
    }

    /// Sends a task to the worker, if it is there.
    pub(super) fn send(&self, remote: &Arc<RemoteTask>) -> bool {
        let mut scheduler = self.scheduler.lock();
        if scheduler.is_doomed {
            return false;
        }
        scheduler.next_sequence += 1;
        let sequence = scheduler.next_sequence;
        let has = |slot| {
            scheduler
                .in_flight
                .iter()
                .any(|remote| matches!(*remote.place.lock(), Place::Sent { slot: its, .. } if its == slot))
        };
        let slot = if has(0) { 1 } else { 0 };
        self.connection.table.slots().ready(slot, sequence, None);
        *remote.place.lock() = Place::Sent { slot, sequence };
        scheduler.in_flight.push(Arc::clone(remote));
        drop(scheduler);
        self.connection.tell(|told| told.orders.push_back((slot, sequence)));
        true
    }

    fn is_copy(&self) -> bool {
        false
    }

    fn decide_first<R>(&self, decision: impl FnOnce(&mut Scheduler, Instant) -> R) -> (R, ()) {
        (decision(&mut self.scheduler.lock(), Instant::now()), ())
    }

    fn follow(&self, (): ()) {}

    pub(super) fn kill_the_doomed(&self) {
        if self.scheduler.lock().is_doomed {
            self.connection.tell(|told| told.exited = true);
        }
    }

    pub(super) fn count(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn completed(&self) -> usize {
        self.completed.load(Ordering::Relaxed)
    }
}

impl Scheduler {
    fn only(&self, remote: &RemoteTask) -> Option<((), Arc<Connection>, u8, u64)> {
        let Place::Sent { slot, sequence } = *remote.place.lock() else { return None };
        (self.in_flight.len() == 1 && !self.is_doomed).then(|| ((), Arc::clone(&self.connection), slot, sequence))
    }

    pub(super) fn settle(&mut self, slot: u8, sequence: u64) -> Option<Arc<RemoteTask>> {
        let is_it = |remote: &Arc<RemoteTask>| matches!(*remote.place.lock(), Place::Sent { slot: its, sequence: last } if (its, last) == (slot, sequence));
        let position = self.in_flight.iter().position(is_it)?;
        let remote = self.in_flight.remove(position);
        *remote.place.lock() = Place::Done;
        Some(remote)
    }

    fn settle_only(&mut self, (): (), slot: u8, sequence: u64, _: Instant) -> (Option<Arc<RemoteTask>>, bool) {
        let remote = self.settle(slot, sequence);
        self.unread += usize::from(remote.is_some());
        (remote, self.in_flight.is_empty())
    }

    pub(super) fn revoke(&mut self, remote: &RemoteTask) -> bool {
        let Place::Sent { slot, sequence } = *remote.place.lock() else { return false };
        self.connection.table.slots().revoke(slot, sequence) && self.settle(slot, sequence).is_some()
    }

    /// Takes a task back, or decides that its worker is to be killed.
    pub(super) fn stop(&mut self, remote: &RemoteTask) -> bool {
        if self.revoke(remote) {
            return true;
        }
        let Place::Sent { slot, sequence } = *remote.place.lock() else { return false };
        if !self.connection.table.slots().kill(slot, sequence) {
            return false;
        }
        self.is_doomed = true;
        self.settle(slot, sequence).is_some()
    }

    /// Stops the first task, whose time is up.
    pub(super) fn expire(&mut self) -> Option<Arc<RemoteTask>> {
        let first = Arc::clone(self.in_flight.first()?);
        self.stop(&first).then_some(first)
    }

    /// Takes the tasks that the worker had.
    pub(super) fn died(&mut self) -> Vec<Arc<RemoteTask>> {
        self.is_doomed = true;
        let lost = std::mem::take(&mut self.in_flight);
        lost.iter().for_each(|remote| *remote.place.lock() = Place::Done);
        lost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_gone && self.unread == 0
    }

    fn end_reading(&mut self) -> bool {
        self.unread -= 1;
        self.is_empty()
    }
}
