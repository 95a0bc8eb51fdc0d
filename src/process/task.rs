//! [`RemoteTask`]: a task on its way through a pool of processes, from its submission until its outcome is in.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::items::Items;
use super::pool::Pool;
use super::portion::Portion;
use super::program::call::{EncodedCall, FunctionAddress};
use super::protocol::frame::Kind;
use super::protocol::reply;
use super::relief::Relief;
use super::scheduler::WorkerId;
use super::shm::segments::SegmentRef;
use super::shm::table::{Progress, TaskTable};
use crate::bytes::OutOfBand;
use crate::error::Error;
use crate::id::FutureId;
use crate::options::{TaskOptions, sooner};
use crate::sync::Mutex;
use crate::task::Runnable;
use crate::task::owner::{Remote, TaskOwner};
use crate::ticket::{Shown, Ticket, Tickets};

/// A task without its work, which was encoded, and dropped. It keeps the bytes until the outcome is in: a worker may
/// die with them.
pub(super) struct RemoteTask {
    pub(super) completion: Completion,
    pub(super) pool: Arc<Pool>,
    pub(super) call: FunctionAddress,
    pub(super) argument: Vec<u8>,
    /// The segments that go along with the argument.
    pub(super) segments: Vec<SegmentRef>,
    /// The task has kept bytes of them.
    pub(super) kept: AtomicBool,
    /// Of a chunk.
    pub(super) items: Option<Items>,
    /// Where it stands in the queue, whenever it is there.
    ticket: Shown,
    /// Written under the lock of the scheduler only.
    pub(super) place: Mutex<Place>,
    /// Who waits for it, and receives meanwhile what its worker says.
    pub(super) relief: Relief,
    /// How often a worker died of it.
    deaths: AtomicU32,
    /// How often a worker died that was to start it next.
    misses: AtomicU32,
    /// Aborted between two tries.
    pub(super) stopped: AtomicBool,
    /// It has run, and is to run again: it is not pending, wherever it is.
    retried: AtomicBool,
    /// Nanoseconds that its worker took for it.
    took: AtomicU64,
}

/// Who gets the outcome of a task.
pub(super) enum Completion {
    Task(Arc<dyn Runnable>),
    Portion(Portion),
}

/// Where a task is.
pub(super) enum Place {
    /// On its way in.
    New,
    /// In the queue, or about to be there again.
    Queued,
    /// Sent to a worker, which may have started it.
    Sent { worker: WorkerId, slot: u8, sequence: u64, table: Arc<TaskTable> },
    /// Taken back before it started.
    Revoked,
    /// Aborted or out of time while it ran: the worker is to be killed.
    Killing { worker: WorkerId },
    /// Its worker has died of it, and it is not decided yet whether it runs again.
    WorkerLost,
    /// Its worker has answered, or has died of it.
    Done,
}

impl RemoteTask {
    pub(super) fn new(
        completion: Completion,
        pool: Arc<Pool>,
        encoded: EncodedCall,
        segments: Vec<SegmentRef>,
    ) -> Arc<Self> {
        let EncodedCall { call, argument, chunk } = encoded;
        let items = chunk.map(Items::new);
        let ticket = Shown::new(match &completion {
            Completion::Task(_) => Ticket::NEVER,
            Completion::Portion(portion) => portion.ticket,
        });
        let place = Mutex::new(Place::New);
        let (kept, deaths) = (AtomicBool::new(false), AtomicU32::new(0));
        let (retried, stopped, misses) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
        let (relief, took) = (Relief::default(), AtomicU64::new(0));
        Arc::new(Self {
            completion,
            pool,
            call,
            argument,
            segments,
            kept,
            items,
            ticket,
            place,
            relief,
            deaths,
            misses,
            stopped,
            retried,
            took,
        })
    }

    pub(super) fn id(&self) -> FutureId {
        match &self.completion {
            Completion::Task(task) => task.id(),
            Completion::Portion(portion) => portion.id,
        }
    }

    pub(super) fn options(&self) -> &TaskOptions {
        match &self.completion {
            Completion::Task(task) => task.options(),
            Completion::Portion(portion) => portion.options.as_deref().unwrap_or(TaskOptions::NONE),
        }
    }

    fn name(&self) -> Option<&str> {
        self.options().get_name()
    }

    /// The task, if it is one and not a portion.
    pub(super) fn task(&self) -> Option<&dyn Runnable> {
        match &self.completion {
            Completion::Task(task) => Some(&**task),
            Completion::Portion(_) => None,
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.ticket.get()
    }

    /// It is submitted: a task gets its ticket now. A portion has that of its items.
    pub(super) fn take_ticket(&self, tickets: &Tickets) {
        if self.task().is_some() {
            self.ticket.show(tickets.next());
        }
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        sooner(self.options().get_time_limit(), self.pool.settings.time_limit)
    }

    pub(super) fn note_time(&self, took: Duration) {
        self.took.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Ends it because the pool does not take it. Runs user code.
    pub(super) fn refuse(&self, error: Error) {
        match &self.completion {
            Completion::Task(task) => {
                task.refuse(error);
            }
            Completion::Portion(portion) => {
                let consignee = portion.consignee.lock().clone();
                if let Some(consignee) = consignee {
                    consignee.turn_away(&error);
                }
                self.fail(&error);
            }
        }
    }

    /// Takes a portion back if it has not begun, and if it has, what of it has not. Runs user code.
    pub(super) fn call_back(&self) {
        if self.pool.revoke(self) {
            self.fail(&Error::Cancelled);
        }
    }

    /// Makes a task of a portion's items from this one on, which no worker has begun and none is going to. Under the scheduler's lock.
    pub(super) fn divide(&self, from: u32, to: u32) -> Option<Arc<Self>> {
        let (Completion::Portion(portion), Some(items)) = (&self.completion, &self.items) else {
            return None;
        };
        let consignee = portion.consignee.lock().clone()?;
        let range = from as usize..to as usize;
        let rest =
            Portion::new(Arc::clone(&consignee), portion.options.clone(), portion.first + range.start, portion.ticket);
        let (argument, cut) = items.split_off(range, &self.argument);
        let encoded = EncodedCall { call: self.call, argument, chunk: Some(cut) };
        let rest = Self::new(Completion::Portion(rest), Arc::clone(&self.pool), encoded, Vec::new());
        consignee.divided(Arc::downgrade(&rest));
        Some(rest)
    }

    /// May what of it has not begun be given to another worker?
    pub(super) fn is_divisible(&self) -> bool {
        matches!(self.completion, Completion::Portion(_)) && self.segments.is_empty() && !self.is_curtailed()
    }

    /// Of a chunk: the first item that nothing is known of, and how many there are in all.
    pub(super) fn range(&self) -> Option<(u32, u32)> {
        let items = self.items.as_ref()?;
        Some((items.known() as u32, items.count() as u32))
    }

    /// Of a chunk: nobody wants the items that have not begun.
    pub(super) fn curtail(&self) {
        if let Some(items) = &self.items {
            items.curtail();
        }
    }

    /// A worker died that was to start it next. How often has that been?
    pub(super) fn misses(&self) -> u32 {
        self.misses.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Does nobody want the items of this chunk that have not begun?
    pub(super) fn is_curtailed(&self) -> bool {
        self.items.as_ref().is_some_and(Items::is_curtailed)
    }

    /// A worker died of it. May it be run again?
    pub(super) fn may_retry(&self) -> bool {
        self.deaths.fetch_add(1, Ordering::Relaxed) < self.options().get_retries()
    }

    /// Completes the future with what a worker answered, and took along. Runs user code.
    pub(super) fn complete(&self, kind: Kind, body: &[u8], out_of_band: &Arc<dyn OutOfBand>) {
        let Some(task) = self.task() else { return };
        match kind {
            Kind::Value => task.complete_remote(body, out_of_band),
            _ => task.complete(Err(reply::from_bytes(body).named(self.name()))),
        };
    }

    /// Completes the future with an error; of a chunk, those items that nothing is known of. Runs user code.
    pub(super) fn fail(&self, error: &Error) {
        match &self.items {
            None => {
                if let Some(task) = self.task() {
                    task.complete(Err(error.clone().named(self.name())));
                }
            }
            Some(items) => {
                let ledger = items.settle(error);
                // No item brings segments along, so any out-of-band channel reads it; some come from workers that are gone.
                let name = |reply: Result<_, Error>| reply.map_err(|error| error.named(self.name()));
                let (replies, out_of_band) = (ledger.in_order().map(name).collect(), &self.pool.out_of_band);
                match &self.completion {
                    Completion::Task(task) => {
                        task.complete_items(replies, out_of_band);
                    }
                    Completion::Portion(portion) => {
                        let took = Duration::from_nanos(self.took.load(Ordering::Relaxed));
                        let consignee = portion.consignee.lock().take();
                        if let Some(consignee) = consignee {
                            consignee.deliver(portion.first, replies, out_of_band, took);
                        }
                    }
                }
            }
        }
    }

    /// Of a chunk: notes the replies to `count` items from `first` on. `false`: they are not what was asked for.
    pub(super) fn note(&self, first: u32, count: u32, bytes: &[u8]) -> bool {
        self.items.as_ref().is_some_and(|items| self.learn(items, || items.note(first, count, bytes)))
    }

    /// Of a chunk: the next item ends with this error.
    pub(super) fn note_error(&self, error: Error) {
        if let Some(items) = &self.items {
            self.learn(items, || items.note_error(error));
        }
    }

    /// If more is known of the items then, no worker has died of the one that comes next.
    fn learn<T>(&self, items: &Items, note: impl FnOnce() -> T) -> T {
        let known = items.known();
        let noted = note();
        if items.known() > known {
            self.deaths.store(0, Ordering::Relaxed);
        }
        noted
    }

    /// Of a chunk: is there an item of which nothing is known, and that somebody wants?
    pub(super) fn has_more(&self) -> bool {
        self.items.as_ref().is_some_and(Items::has_more)
    }

    /// Of a chunk that a worker died of, after it had begun so many items: was it in one of them, or about to?
    pub(super) fn has_begun(&self, begun: u32) -> bool {
        self.items.as_ref().is_some_and(|items| items.known() < begun as usize || items.has_more())
    }

    /// Has it run before, and is to run again? Then it is not pending. Never so of a chunk, some items of which are.
    pub(super) fn is_retried(&self) -> bool {
        self.retried.load(Ordering::Relaxed)
    }

    /// It is to run again. Of a chunk: the item it died of is, and has this error if that does not come to pass.
    pub(super) fn retry(&self, error: Error) {
        if let Some(items) = &self.items {
            items.note_death(error);
        } else {
            // It stays running, also where nobody could see that it had begun.
            if let Some(task) = self.task() {
                task.start();
            }
            self.retried.store(true, Ordering::Relaxed);
        }
    }

    /// Cancels it, and returns how many tasks that was: a chunk, which is one, keeps the items that are done, and a portion is as many
    /// as it has items. Runs user code.
    pub(super) fn withdraw(&self) -> usize {
        let is_task = self.task().is_some();
        match &self.items {
            Some(items) if items.have_begun() || !is_task => {
                let left = items.count() - items.known();
                self.fail(&Error::Cancelled);
                if is_task { 1 } else { left }
            }
            _ => self.task().is_some_and(|task| task.withdraw()).into(),
        }
    }

    /// Ends it because its time was up. Runs user code.
    pub(super) fn expire(&self, limit: Duration) {
        if let Some(task) = self.task() {
            task.start();
            task.expire(limit);
        }
    }
}

impl Drop for RemoteTask {
    fn drop(&mut self) {
        if !self.segments.is_empty() {
            self.pool.segments.release(&self.segments, *self.kept.get_mut());
        }
    }
}

impl Remote for RemoteTask {
    fn has_started(&self) -> bool {
        match &*self.place.lock() {
            Place::New | Place::Queued | Place::Revoked => self.is_retried(),
            Place::Sent { slot, sequence, table, .. } => {
                matches!(table.words().progress(*slot, *sequence), Progress::Running(_) | Progress::Done)
            }
            Place::Killing { .. } | Place::WorkerLost | Place::Done => true,
        }
    }

    fn revoke(&self) -> bool {
        self.pool.revoke(self)
    }

    fn stop(&self) -> bool {
        self.pool.stop(self)
    }

    fn help(&self) {
        self.pool.help(self);
    }

    fn stopped(&self) {
        let worker = match &*self.place.lock() {
            Place::Killing { worker } => *worker,
            _ => return,
        };
        self.pool.kill_worker(worker);
    }
}

/// To the task, its task stands for the pool: there is nothing that a waiter could do for it.
impl TaskOwner for RemoteTask {
    fn cancelled(&self) {
        self.relief.ring();
    }
    fn refused(&self) {
        self.relief.ring();
    }
    fn ended(&self, failed: bool) {
        self.pool.count(failed);
        self.relief.ring();
    }
    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}
