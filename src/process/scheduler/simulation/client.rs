//! What the threads of a program do with a pool: they submit tasks, cancel tasks, and close the pool.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::fake_task::{FakeTask, open_calls};
use super::oracle::{CallRecord, SharedOracle};
use super::pending_action::PendingAction;
use super::worker::Message;
use super::world::World;
use crate::error::Error;
use crate::options::TaskOptions;
use crate::process::batch::Batch;
use crate::process::program::call::LocatedCall;
use crate::process::protocol::frame::Kind;
use crate::process::scheduler::Submitted;
use crate::process::task::{Completion, Place, RemoteTask};
use crate::process::worker_id::WorkerId;

/// Returns `true` if all calls have ended that were sent and still belong to this task.
pub(super) fn is_over(oracle: &SharedOracle, remote: &RemoteTask) -> bool {
    let oracle = oracle.lock();
    open_calls(remote).iter().all(|call| oracle.calls[*call].is_over())
}

impl World<'_> {
    /// Makes one random call.
    pub(super) fn call(&mut self) {
        let cancel_rate = self.config.cancel_rate;
        if !self.once_in(cancel_rate) {
            return self.submit_random(false);
        }
        let nth = self.rng.usize(..self.remotes.len().max(1));
        let remote = self.remotes.get(nth).cloned();
        match (self.rng.u32(..40), remote) {
            (0..12, Some(remote)) => self.cancel(&remote),
            (12..20, Some(remote)) => self.abort(&remote),
            (20..34, Some(remote)) => self.begin_look(&remote),
            (34, _) => self.cancel_pending(),
            (35, _) => {
                self.trace(|| "all are killed".into());
                self.scheduler.expect_deaths();
                let connections = self.scheduler.connections();
                self.pending_actions.extend(connections.into_iter().map(PendingAction::Kill));
            }
            (36, _) if self.once_in(4) => self.close(),
            (37, _) => self.scheduler.expected += 1,
            (38 | 39, _) => self.expect_no_more(),
            _ => {}
        }
    }

    pub(super) fn close(&mut self) {
        self.trace(|| "close".into());
        self.scheduler.closed = true;
        self.ring_all();
    }

    pub(super) fn expect_no_more(&mut self) {
        if self.scheduler.expected > 0 {
            self.scheduler.expected -= 1;
            if self.scheduler.is_closed() {
                self.pending_actions.push_back(PendingAction::RingAll);
            }
        }
    }

    /// Submits a random task. `owned` says that this is in a callback.
    fn submit_random(&mut self, owned: bool) {
        let may_batch = self.config.max_tasks.is_none() && self.config.max_pending.is_none();
        let (is_batch, is_chunk) = (may_batch && self.once_in(3), self.once_in(4));
        let count = if is_batch || is_chunk { self.rng.usize(1..8) } else { 1 };
        let mut options = TaskOptions::new();
        if self.once_in(3) {
            options = options.retries(self.rng.u32(1..3));
        }
        if self.once_in(4) {
            options = options.refuse_when_full();
        }
        if !is_batch && !is_chunk && self.once_in(4) {
            options = options.time_limit(Duration::from_micros(self.rng.u64(1..20_000)));
        }
        let is_chunk = is_batch || is_chunk;
        let padding = if count == 1 && self.once_in(16) { 100 << 10 } else { 0 };
        let remote = self.remote(options, is_chunk.then_some(count), is_batch, padding);
        if self.once_in(32) {
            self.cancel(&remote);
        }
        self.submit(remote, owned, is_batch);
    }

    /// Creates a task, or with `items` a chunk or batch.
    pub(super) fn remote(
        &mut self,
        options: TaskOptions,
        items: Option<usize>,
        is_batch: bool,
        padding: usize,
    ) -> Arc<RemoteTask> {
        let mut oracle = self.oracle.lock();
        let first = oracle.calls.len();
        for _ in 0..items.unwrap_or(1) {
            let is_refused = items.is_some() && self.rng.u32(..16) == 0;
            oracle.calls.push(CallRecord::new(options.get_retries(), is_refused));
        }
        let calls = first..oracle.calls.len();
        drop(oracle);
        if self.once_in(4) {
            // The next batches belong to another map.
            self.map = self.tickets.now();
        }
        let is_started = !is_batch && self.once_in(8);
        let fake_task =
            FakeTask { options, calls, is_chunk: items.is_some(), is_started, oracle: Arc::clone(&self.oracle) };
        let (argument, offsets) = fake_task.argument(padding);
        let options = Arc::new(fake_task.options.clone());
        let completion = match Arc::new(fake_task) {
            fake_task if is_batch => {
                let sent = Arc::clone(&self.oracle.lock().divided);
                Completion::Batch(Batch::new(fake_task, Some(options), 0, self.map, sent, None))
            }
            fake_task => Completion::Task(fake_task),
        };
        let encoded = LocatedCall { call: self.fixture.call, argument, items: offsets };
        let remote = RemoteTask::new(completion, Arc::clone(&self.fixture.pool) as _, encoded, Vec::new(), None);
        if is_started {
            remote.note_start();
        }
        self.trace(|| format!("remote {} of {items:?}: {:?}", self.remotes.len(), remote.options()));
        self.remotes.push(Arc::clone(&remote));
        remote
    }

    fn submit(&mut self, remote: Arc<RemoteTask>, owned: bool, is_batch: bool) {
        // What a map has announced may come after the pool was closed.
        let accepted = is_batch && self.scheduler.expected > 0;
        if let Some(refusal) = self.scheduler.refusal(&remote, owned, accepted) {
            return self.turn_away(&remote, refusal);
        }
        if !owned && self.scheduler.is_full() {
            return self.blocked.push_back(remote);
        }
        remote.take_ticket(&self.tickets);
        if remote.items.is_none() {
            self.turns += 1;
            self.oracle.lock().calls[open_calls(&remote)[0]].turn = Some(self.turns);
        }
        let now = self.now();
        let limited = remote.limit().is_some();
        let submitted = self.scheduler.submit(remote, now);
        self.follow(now);
        if let Submitted::Sent(id, order) = submitted {
            self.pending_actions.push_back(PendingAction::Send(id, vec![order], limited));
        }
    }

    fn turn_away(&mut self, remote: &RemoteTask, refusal: Error) {
        // This does nothing if the task was taken back before.
        remote.refuse(refusal);
        *remote.place.lock() = Place::Revoked;
    }

    /// Lets the submitters that wait for room check again.
    pub(super) fn unblock(&mut self) {
        // All of them were woken.
        self.room = false;
        for _ in 0..self.blocked.len() {
            let remote = self.blocked.pop_front().expect("counted");
            self.submit(remote, false, false);
        }
    }

    fn cancel(&mut self, remote: &RemoteTask) {
        if is_over(&self.oracle, remote) {
            return;
        }
        if remote.is_started() && remote.items.is_some() {
            // The pool is not asked: the chunk is running for its caller.
            return;
        }
        self.call_off(remote);
        let taken = self.decide(|scheduler, now| scheduler.cancel(remote, now));
        self.trace(|| format!("cancel {:?}: {taken}", open_calls(remote)));
        match remote.task() {
            Some(_) if taken => self.end_outside(remote, true),
            None if taken => remote.fail(&Error::Cancelled),
            _ if remote.items.is_some() => {
                let mut oracle = self.oracle.lock();
                open_calls(remote).iter().for_each(|call| oracle.calls[*call].let_be());
            }
            _ => {}
        }
    }

    fn abort(&mut self, remote: &RemoteTask) {
        if remote.task().is_none() || is_over(&self.oracle, remote) {
            return;
        }
        self.call_off(remote);
        let sent = match *remote.place.lock() {
            Place::Sent { slot, sequence, .. } => Some((slot, sequence)),
            _ => None,
        };
        let stopped = self.decide(|scheduler, now| scheduler.stop(remote, now));
        self.trace(|| format!("abort {:?}: {stopped}", open_calls(remote)));
        if stopped {
            self.end_outside(remote, false);
            let place = remote.place.lock();
            if let (Place::Killing { worker }, Some(sent)) = (&*place, sent) {
                self.audit_stopped(*worker, sent);
                self.pending_actions.push_back(PendingAction::Kill(*worker));
            }
        }
    }

    /// Records in the oracle that a caller tries to cancel the task.
    pub(super) fn call_off(&self, remote: &RemoteTask) {
        let mut oracle = self.oracle.lock();
        open_calls(remote).iter().for_each(|call| oracle.calls[*call].call_off());
    }

    /// Records in the oracle that the caller has ended the future.
    fn end_outside(&mut self, remote: &RemoteTask, is_pending: bool) {
        let mut oracle = self.oracle.lock();
        let items = remote.items.as_ref().map_or(1, |items| items.ends.len());
        let first = remote.task().expect("a batch has no future").id().to_u64() as usize;
        for call in &mut oracle.calls[first..first + items] {
            call.end_outside(is_pending, remote.items.is_some());
        }
    }

    pub(super) fn cancel_pending(&mut self) {
        self.trace(|| "cancel_pending".into());
        self.remotes.iter().for_each(|remote| self.call_off(remote));
        let pending = self.decide(|scheduler, now| scheduler.cancel_pending(now));
        self.pending_actions.push_back(PendingAction::Refuse(pending, None));
    }

    /// Begins to wait for a task: the waiter looks for the reply, which the monitor may not have read yet.
    pub(super) fn begin_look(&mut self, remote: &RemoteTask) {
        if remote.items.is_some() || remote.task().is_none() {
            return;
        }
        let Some((id, _, slot, sequence)) = self.scheduler.only(remote) else { return };
        let monitor = self.monitors.get_mut(&id).expect("a worker has a monitor");
        if !monitor.is_gone() {
            monitor.wanted_reply.get_or_insert((slot, sequence));
        }
    }

    /// Ends the look of a waiter: it finds the reply, or has looked for long enough.
    pub(super) fn end_look(&mut self, id: WorkerId) {
        let monitor = self.monitors.get_mut(&id).expect("a worker has a monitor");
        let (slot, sequence) = monitor.wanted_reply.take().expect("a waiter looks");
        let message = {
            let mut processes = self.processes.borrow_mut();
            let outgoing = &mut processes.workers.get_mut(&id).expect("its worker is there").outgoing;
            let is_it = |message: &Message| matches!(message, Message::Value { slot: of, sequence: nth, .. } if (*of, *nth) == (slot, sequence));
            if outgoing.front().is_some_and(is_it) { outgoing.pop_front() } else { None }
        };
        let missed = !self.processes.borrow().workers[&id].outgoing.is_empty();
        if missed {
            self.ring(id);
        }
        let Some(message) = message else { return };
        let (remote, is_idle) = self.decide(|scheduler, now| scheduler.settle_only(id, slot, sequence, now));
        self.trace(|| format!("a waiter has a reply from {}, idle {is_idle}", id.0));
        if !is_idle || self.config.keep_alive.is_some() {
            self.ring(id);
        }
        if let Some(remote) = remote {
            self.pending_actions.push_back(PendingAction::Read(remote, message));
        }
    }

    /// Completes a task with a reply of its worker. The callback may submit.
    pub(super) fn deliver(&mut self, remote: Arc<RemoteTask>, message: Message, owned: bool) {
        let out_of_band = &self.fixture.pool.out_of_band;
        match message {
            Message::Value { bytes, .. } => remote.complete(Kind::Value, &bytes, out_of_band),
            Message::Items { first, count, last, bytes, .. } => {
                assert!(remote.note(first, count, &bytes), "the items belong to another task");
                if last {
                    remote.fail(&Error::Cancelled);
                }
            }
            Message::Hello | Message::Ready | Message::Unfit => unreachable!("not a reply"),
        }
        if owned && !self.is_settling && self.once_in(16) {
            self.submit_random(true);
        }
    }
}
