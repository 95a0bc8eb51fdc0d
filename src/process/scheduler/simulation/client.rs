//! What the threads of a program do with a pool: they submit tasks, cancel tasks, and close the pool.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::book::{self, CallRecord};
use super::due::Due;
use super::errand::{Errand, open_calls};
use super::worker::Said;
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
pub(super) fn is_over(book: &book::Shared, remote: &RemoteTask) -> bool {
    let book = book.lock();
    open_calls(remote).iter().all(|call| book.calls[*call].is_over())
}

impl World<'_> {
    /// Makes one random call.
    pub(super) fn call(&mut self) {
        let patience = self.weather.patience;
        if !self.once_in(patience) {
            return self.bring(false);
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
                self.dues.extend(connections.into_iter().map(Due::Kill));
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
                self.dues.push_back(Due::RingAll);
            }
        }
    }

    /// Submits a random task. `owned` says that this is in a callback.
    fn bring(&mut self, owned: bool) {
        let freights = self.weather.max_tasks.is_none() && self.weather.max_pending.is_none();
        let (is_portion, is_chunk) = (freights && self.once_in(3), self.once_in(4));
        let count = if is_portion || is_chunk { self.rng.usize(1..8) } else { 1 };
        let mut options = TaskOptions::new();
        if self.once_in(3) {
            options = options.retries(self.rng.u32(1..3));
        }
        if self.once_in(4) {
            options = options.refuse_when_full();
        }
        if !is_portion && !is_chunk && self.once_in(4) {
            options = options.time_limit(Duration::from_micros(self.rng.u64(1..20_000)));
        }
        let is_chunk = is_portion || is_chunk;
        let padding = if count == 1 && self.once_in(16) { 100 << 10 } else { 0 };
        let remote = self.remote(options, is_chunk.then_some(count), is_portion, padding);
        if self.once_in(32) {
            self.cancel(&remote);
        }
        self.submit(remote, owned, is_portion);
    }

    /// Creates a task, or with `items` a chunk or batch.
    pub(super) fn remote(
        &mut self,
        options: TaskOptions,
        items: Option<usize>,
        is_portion: bool,
        padding: usize,
    ) -> Arc<RemoteTask> {
        let mut book = self.book.lock();
        let first = book.calls.len();
        for _ in 0..items.unwrap_or(1) {
            let is_refused = items.is_some() && self.rng.u32(..16) == 0;
            book.calls.push(CallRecord::new(options.get_retries(), is_refused));
        }
        let calls = first..book.calls.len();
        drop(book);
        if self.once_in(4) {
            // The next batches belong to another map.
            self.map = self.tickets.now();
        }
        let is_started = !is_portion && self.once_in(8);
        let errand = Errand { options, calls, is_chunk: items.is_some(), is_started, book: Arc::clone(&self.book) };
        let (argument, offsets) = errand.argument(padding);
        let options = Arc::new(errand.options.clone());
        let completion = match Arc::new(errand) {
            errand if is_portion => {
                let sent = Arc::clone(&self.book.lock().divided);
                Completion::Batch(Batch::new(errand, Some(options), 0, self.map, sent))
            }
            errand => Completion::Task(errand),
        };
        let encoded = LocatedCall { call: self.stock.call, argument, items: offsets };
        let remote = RemoteTask::new(completion, Arc::clone(&self.stock.pool) as _, encoded, Vec::new());
        if is_started {
            remote.note_start();
        }
        self.trace(|| format!("remote {} of {items:?}: {:?}", self.remotes.len(), remote.options()));
        self.remotes.push(Arc::clone(&remote));
        remote
    }

    fn submit(&mut self, remote: Arc<RemoteTask>, owned: bool, is_portion: bool) {
        // What a map has announced may come after the pool was closed.
        let accepted = is_portion && self.scheduler.expected > 0;
        if let Some(refusal) = self.scheduler.refusal(&remote, owned, accepted) {
            return self.turn_away(&remote, refusal);
        }
        if !owned && self.scheduler.is_full() {
            return self.blocked.push_back(remote);
        }
        remote.take_ticket(&self.tickets);
        if remote.items.is_none() {
            self.turns += 1;
            self.book.lock().calls[open_calls(&remote)[0]].turn = Some(self.turns);
        }
        let now = self.now();
        let limited = remote.limit().is_some();
        let submitted = self.scheduler.submit(remote, now);
        self.follow(now);
        if let Submitted::Sent(id, order) = submitted {
            self.dues.push_back(Due::Send(id, vec![order], limited));
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
        if is_over(&self.book, remote) {
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
                let mut book = self.book.lock();
                open_calls(remote).iter().for_each(|call| book.calls[*call].let_be());
            }
            _ => {}
        }
    }

    fn abort(&mut self, remote: &RemoteTask) {
        if remote.task().is_none() || is_over(&self.book, remote) {
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
                self.dues.push_back(Due::Kill(*worker));
            }
        }
    }

    /// Notes in the book that a caller tries to cancel the task.
    pub(super) fn call_off(&self, remote: &RemoteTask) {
        let mut book = self.book.lock();
        open_calls(remote).iter().for_each(|call| book.calls[*call].call_off());
    }

    /// Notes in the book that the caller has ended the future.
    fn end_outside(&mut self, remote: &RemoteTask, is_pending: bool) {
        let mut book = self.book.lock();
        let items = remote.items.as_ref().map_or(1, |items| items.ends.len());
        let first = remote.task().expect("a portion has no future").id().to_u64() as usize;
        for call in &mut book.calls[first..first + items] {
            call.end_outside(is_pending, remote.items.is_some());
        }
    }

    pub(super) fn cancel_pending(&mut self) {
        self.trace(|| "cancel_pending".into());
        self.remotes.iter().for_each(|remote| self.call_off(remote));
        let pending = self.decide(|scheduler, now| scheduler.cancel_pending(now));
        self.dues.push_back(Due::Refuse(pending, None));
    }

    /// Begins to wait for a task: the waiter looks for the answer, which the monitor may not have read yet.
    pub(super) fn begin_look(&mut self, remote: &RemoteTask) {
        if remote.items.is_some() || remote.task().is_none() {
            return;
        }
        let Some((id, _, slot, sequence)) = self.scheduler.only(remote) else { return };
        let monitor = self.monitors.get_mut(&id).expect("a worker has a monitor");
        if !monitor.is_gone() {
            monitor.looked_for.get_or_insert((slot, sequence));
        }
    }

    /// Ends the look of a waiter: it finds the answer, or has looked for long enough.
    pub(super) fn look_for_answer(&mut self, id: WorkerId) {
        let monitor = self.monitors.get_mut(&id).expect("the monitor of who is looked at is there");
        let (slot, sequence) = monitor.looked_for.take().expect("somebody looks");
        let said = {
            let mut floor = self.floor.borrow_mut();
            let outgoing = &mut floor.workers.get_mut(&id).expect("its worker is there").outgoing;
            let is_it = |said: &Said| matches!(said, Said::Value { slot: of, sequence: nth, .. } if (*of, *nth) == (slot, sequence));
            if outgoing.front().is_some_and(is_it) { outgoing.pop_front() } else { None }
        };
        let missed = !self.floor.borrow().workers[&id].outgoing.is_empty();
        if missed {
            self.ring(id);
        }
        let Some(said) = said else { return };
        let (remote, is_idle) = self.decide(|scheduler, now| scheduler.settle_only(id, slot, sequence, now));
        self.trace(|| format!("who waits has heard from {}, idle {is_idle}", id.0));
        if !is_idle || self.weather.keep_alive.is_some() {
            self.ring(id);
        }
        if let Some(remote) = remote {
            self.dues.push_back(Due::Read(remote, said));
        }
    }

    /// Completes a task with what a worker has answered. The callback may submit.
    pub(super) fn deliver(&mut self, remote: Arc<RemoteTask>, said: Said, owned: bool) {
        let out_of_band = &self.stock.pool.out_of_band;
        match said {
            Said::Value { bytes, .. } => remote.complete(Kind::Value, &bytes, out_of_band),
            Said::Items { first, count, last, bytes, .. } => {
                assert!(remote.note(first, count, &bytes), "replies to something else");
                if last {
                    remote.fail(&Error::Cancelled);
                }
            }
            Said::Hello | Said::Ready | Said::Unfit => unreachable!("no answers"),
        }
        if owned && !self.is_calm && self.once_in(16) {
            self.bring(true);
        }
    }
}
