//! The pool of a model, and its scheduler: one worker, which is sent every task at once.
#![forbid(unsafe_code)]

#[path = "../pool/help.rs"]
mod help;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::connection::Connection;
use super::os::Told;
use super::task::RemoteTask;
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
    in_flight: Vec<Sent>,
    next_sequence: u64,
    /// The worker is to be killed.
    is_killed: bool,
    /// The worker has been buried.
    is_gone: bool,
    unread: usize,
}

pub(super) struct Sent {
    pub(super) remote: Arc<RemoteTask>,
    pub(super) slot: u8,
    pub(super) sequence: u64,
}

impl Pool {
    pub(super) fn new() -> Arc<Self> {
        let connection = Connection::new();
        let scheduler = Scheduler {
            connection: Arc::clone(&connection),
            in_flight: Vec::new(),
            next_sequence: 0,
            is_killed: false,
            is_gone: false,
            unread: 0,
        };
        Arc::new(Self {
            scheduler: Mutex::new(scheduler),
            ended: Condvar::new(),
            connection,
            settings: Settings::default(),
            out_of_band: (),
            completed: AtomicUsize::new(0),
        })
    }

    /// Sends a task to the worker, if it is there.
    pub(super) fn send(&self, remote: &Arc<RemoteTask>) -> bool {
        let mut scheduler = self.scheduler.lock();
        if scheduler.is_gone || scheduler.is_killed {
            return false;
        }
        scheduler.next_sequence += 1;
        let sequence = scheduler.next_sequence;
        let has_slot = |slot: &u8| scheduler.in_flight.iter().all(|sent| sent.slot != *slot);
        let slot = (0..2).find(has_slot).expect("a model has two tasks at most");
        self.connection.table.words().ready(slot, sequence, None);
        scheduler.in_flight.push(Sent { remote: Arc::clone(remote), slot, sequence });
        drop(scheduler);
        self.connection.socket.tell(|told| told.orders.push_back((slot, sequence)));
        true
    }

    pub(super) fn is_copy(&self) -> bool {
        false
    }

    pub(super) fn decide_first<R>(&self, decision: impl FnOnce(&mut Scheduler, Instant) -> R) -> (R, ()) {
        (decision(&mut self.scheduler.lock(), Instant::now()), ())
    }

    fn follow(&self, (): ()) {}

    pub(super) fn has_started(&self, remote: &RemoteTask) -> bool {
        let scheduler = self.scheduler.lock();
        let sent = scheduler.find(remote).map(|at| &scheduler.in_flight[at]);
        sent.is_none_or(|sent| {
            self.connection.table.words().progress(sent.slot, sent.sequence) != super::Progress::Ready
        })
    }

    pub(super) fn revoke(&self, remote: &RemoteTask) -> bool {
        self.scheduler.lock().revoke(remote)
    }

    pub(super) fn stop(&self, remote: &RemoteTask) -> bool {
        let mut scheduler = self.scheduler.lock();
        scheduler.revoke(remote) || scheduler.kill(remote).is_some()
    }

    pub(super) fn kill_the_doomed(&self) {
        if self.scheduler.lock().is_killed {
            self.connection.socket.tell(Told::exit);
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
    fn find(&self, remote: &RemoteTask) -> Option<usize> {
        self.in_flight.iter().position(|sent| std::ptr::eq(&*sent.remote, remote))
    }

    fn only(&self, remote: &RemoteTask) -> Option<((), Arc<Connection>, u8, u64)> {
        let sent = &self.in_flight[self.find(remote).filter(|_| self.in_flight.len() == 1 && !self.is_killed)?];
        Some(((), Arc::clone(&self.connection), sent.slot, sent.sequence))
    }

    pub(super) fn settle(&mut self, slot: u8, sequence: u64) -> Option<Arc<RemoteTask>> {
        let position = self.in_flight.iter().position(|sent| sent.slot == slot && sent.sequence == sequence)?;
        Some(self.in_flight.remove(position).remote)
    }

    fn settle_only(&mut self, (): (), slot: u8, sequence: u64, _: Instant) -> (Option<Arc<RemoteTask>>, bool) {
        let remote = self.settle(slot, sequence);
        self.unread += usize::from(remote.is_some());
        (remote, self.in_flight.is_empty())
    }

    fn revoke(&mut self, remote: &RemoteTask) -> bool {
        let Some(at) = self.find(remote) else { return false };
        let revoked = self.connection.table.words().revoke(self.in_flight[at].slot, self.in_flight[at].sequence);
        if revoked {
            self.in_flight.remove(at);
        }
        revoked
    }

    /// Takes a task that runs, of which its worker is to be killed.
    fn kill(&mut self, remote: &RemoteTask) -> Option<Arc<RemoteTask>> {
        let at = self.find(remote)?;
        let Sent { slot, sequence, .. } = self.in_flight[at];
        if !self.connection.table.words().kill(slot, sequence) {
            return None;
        }
        self.is_killed = true;
        Some(self.in_flight.remove(at).remote)
    }

    /// The time of the first is up.
    pub(super) fn expire(&mut self) -> Option<Arc<RemoteTask>> {
        let first = self.in_flight.first().map(|sent| Arc::clone(&sent.remote))?;
        self.kill(&first)
    }

    /// The tasks that the worker had.
    pub(super) fn died(&mut self) -> Vec<Sent> {
        self.is_killed = true;
        std::mem::take(&mut self.in_flight)
    }

    pub(super) fn forget(&mut self) {
        self.is_gone = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_gone && self.unread == 0
    }

    fn end_reading(&mut self) -> bool {
        self.unread -= 1;
        self.is_empty()
    }
}
