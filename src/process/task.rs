//! [`RemoteTask`]: a task on its way through the process pool, from its submission until its outcome is known.
//!
//! It is one type with one lock, the place of the task, and every method here reads or changes that.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::contexts::EncodedContext;
use super::items::Items;
use super::protocol::frame::Kind;
use super::protocol::reply;
use super::shm::segments::SegmentRef;
use super::shm::table::{Progress, TaskTable};
use crate::bytes::OutOfBand;
use crate::error::Error;
use crate::id::FutureId;
use crate::options::{TaskOptions, sooner};
use crate::process::program::call::{FunctionAddress, LocatedCall};
use crate::process::worker_id::WorkerId;
use crate::sync::Mutex;
use crate::task::Runnable;
use crate::task::items_span::BatchInfo;
use crate::task::remote::Remote;
use crate::task::roles::TaskOwner;
use crate::ticket::{Shown, Ticket, Tickets};

/// The name of this kind of executor, in spans.
const KIND: &str = "ProcessPoolExecutor";

/// A task whose call was encoded and dropped. It keeps the encoded bytes until the outcome is known, because a worker
/// may die with its copy.
pub(super) struct RemoteTask {
    pub(super) completion: Completion,
    /// The options of the task, if it has any. They are kept here because the scheduler reads them under its lock, and the
    /// task has them under its own. A batch has its options itself.
    task_options: Option<Arc<TaskOptions>>,
    pub(super) owner: Arc<dyn RemoteTaskOwner>,
    pub(super) call: FunctionAddress,
    pub(super) argument: Vec<u8>,
    /// The segments that go along with the argument.
    pub(super) segments: Vec<SegmentRef>,
    /// The context that its function is bound to. It is sent to each worker once, ahead of the first task that needs
    /// it.
    pub(super) context: Option<Arc<EncodedContext>>,
    /// Set if the worker's task kept bytes of these segments.
    pub(super) kept: AtomicBool,
    /// The items, if it is a chunk or a batch.
    pub(super) items: Option<Items>,
    /// Its place in the order of the queue, which it keeps when it is put back.
    ticket: Shown,
    /// Written only under the lock of the scheduler.
    pub(super) place: Mutex<Place>,
    /// How many workers died of it. Counted by `may_retry`; a chunk or batch starts from 0 again when more of its items
    /// are known.
    deaths: AtomicU32,
    /// How many workers died that were to start it next.
    misses: AtomicU32,
    /// Set if it was aborted between two tries.
    pub(super) stopped: AtomicBool,
    /// Set if it is running for its caller although no worker has it: its job was started before it came here, or it
    /// has run and will be retried. It then does not count as pending, wherever it is: it cannot be cancelled.
    started: AtomicBool,
    /// `true` if hooks or a span need the time of its start, so that its worker must report that.
    pub(super) is_observed: bool,
    /// How many nanoseconds its worker took for it.
    took: AtomicU64,
}

/// The pool that owns a remote task.
pub(super) trait RemoteTaskOwner: TaskOwner {
    /// Takes the task back. Returns `true` if no worker has started it, and none will.
    fn revoke(&self, remote: &RemoteTask) -> bool;
    /// Takes the task back, or decides that its worker's result is discarded. Returns `false` if it had already ended.
    fn stop(&self, remote: &RemoteTask) -> bool;
    /// Spins for the answer to the task for a moment, in a thread that is about to wait for it.
    fn help(&self, remote: &RemoteTask);
    /// Kills the worker of a task that was stopped.
    fn kill_worker(&self, id: WorkerId);
    /// Counts a task that has ended.
    fn count(&self, failed: bool);
    /// Returns the out-of-band channel that results from workers are read with.
    fn out_of_band(&self) -> &Arc<dyn OutOfBand>;
    /// Gives back segments that the task no longer needs. `kept` says that a worker may still read them.
    fn release(&self, segments: &[SegmentRef], kept: bool);
}

/// What receives the outcome of a remote task.
pub(super) enum Completion {
    Task(Arc<dyn Runnable>),
    Batch(Batch<RemoteTask>),
}

/// Where a remote task is.
pub(super) enum Place {
    /// Not submitted yet.
    New,
    /// In the queue, or about to be put back there.
    Queued,
    /// Sent to a worker, which may have started it.
    Sent { worker: WorkerId, slot: u8, sequence: u64, table: Arc<TaskTable> },
    /// Taken back before it started.
    Revoked,
    /// Aborted or out of time while it ran. Its worker is about to be killed.
    Killing { worker: WorkerId },
    /// Its worker died of it, and whether it runs again is not decided yet.
    WorkerLost,
    /// Its worker has answered, or died of it.
    Done,
}

impl RemoteTask {
    pub(super) fn new(
        completion: Completion,
        owner: Arc<dyn RemoteTaskOwner>,
        encoded: LocatedCall,
        segments: Vec<SegmentRef>,
        context: Option<Arc<EncodedContext>>,
    ) -> Arc<Self> {
        let LocatedCall { call, argument, items } = encoded;
        let items = items.map(Items::new);
        let ticket = Shown::new(match &completion {
            Completion::Task(_) => Ticket::NEVER,
            Completion::Batch(batch) => batch.ticket,
        });
        let is_observed = match &completion {
            Completion::Task(task) => task.has_hooks(),
            Completion::Batch(batch) => batch.span.is_some(),
        };
        let task_options = match &completion {
            Completion::Task(task) => task.options(),
            Completion::Batch(_) => None,
        };
        Arc::new(Self {
            completion,
            task_options,
            owner,
            call,
            argument,
            segments,
            context,
            kept: AtomicBool::new(false),
            items,
            ticket,
            place: Mutex::new(Place::New),
            deaths: AtomicU32::new(0),
            misses: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
            started: AtomicBool::new(false),
            is_observed,
            took: AtomicU64::new(0),
        })
    }

    pub(super) fn id(&self) -> FutureId {
        match &self.completion {
            Completion::Task(task) => task.id(),
            Completion::Batch(batch) => batch.id,
        }
    }

    pub(super) fn options(&self) -> &TaskOptions {
        let options = match &self.completion {
            Completion::Task(_) => &self.task_options,
            Completion::Batch(batch) => &batch.options,
        };
        options.as_deref().unwrap_or(TaskOptions::NONE)
    }

    fn name(&self) -> Option<&str> {
        self.options().get_name()
    }

    /// Returns the task, or `None` for a batch.
    pub(super) fn task(&self) -> Option<&dyn Runnable> {
        match &self.completion {
            Completion::Task(task) => Some(&**task),
            Completion::Batch(_) => None,
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.ticket.get()
    }

    /// Gives a task its ticket when it is submitted. A batch keeps the ticket of its items.
    pub(super) fn take_ticket(&self, tickets: &Tickets) {
        if self.task().is_some() {
            self.ticket.show(tickets.next());
        }
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        sooner(self.options().get_time_limit(), self.owner.time_limit())
    }

    pub(super) fn note_time(&self, took: Duration) {
        self.took.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Ends it with `error` because the pool does not accept it. Runs user code.
    pub(super) fn refuse(&self, error: Error) {
        match &self.completion {
            Completion::Task(task) => {
                task.refuse(error);
            }
            Completion::Batch(batch) => {
                let owner = batch.owner.lock().clone();
                if let Some(owner) = owner {
                    owner.turn_away(&error);
                }
                self.fail(&error);
            }
        }
    }

    /// Takes a batch back if it has not begun; otherwise the items of it that have not begun. Runs user code.
    pub(super) fn call_back(&self) {
        if self.owner.revoke(self) {
            self.fail(&Error::Cancelled);
        }
    }

    /// Makes a remote task of the batch's items `from..to`, which no worker has begun or will begin. Called under the
    /// scheduler's lock.
    pub(super) fn divide(&self, from: u32, to: u32) -> Option<Arc<Self>> {
        let (Completion::Batch(batch), Some(items)) = (&self.completion, &self.items) else {
            return None;
        };
        let range = from as usize..to as usize;
        let rest = batch.part(range.start)?;
        let owner = rest.owner.lock().clone()?;
        let (argument, cut) = items.split_off(range, &self.argument);
        let encoded = LocatedCall { call: self.call, argument, items: Some(cut) };
        let owner_of_rest = Arc::clone(&self.owner);
        let rest = Self::new(Completion::Batch(rest), owner_of_rest, encoded, Vec::new(), self.context.clone());
        batch.sent.add(&rest);
        owner.divided();
        Some(rest)
    }

    /// Returns `true` if the items that have not begun may be given to another worker.
    pub(super) fn is_divisible(&self) -> bool {
        matches!(self.completion, Completion::Batch(_)) && self.segments.is_empty() && !self.is_curtailed()
    }

    /// For a chunk or batch, returns the first item without a known outcome, and the number of items.
    pub(super) fn range(&self) -> Option<(u32, u32)> {
        let items = self.items.as_ref()?;
        Some((items.known() as u32, items.count() as u32))
    }

    /// Notes that the items of a chunk or batch that have not begun are no longer wanted.
    pub(super) fn curtail(&self) {
        if let Some(items) = &self.items {
            items.curtail();
        }
    }

    /// Counts a worker that died before it started this task, which was its next. Returns the number of such workers.
    pub(super) fn misses(&self) -> u32 {
        self.misses.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns `true` if the items that have not begun are no longer wanted.
    pub(super) fn is_curtailed(&self) -> bool {
        self.items.as_ref().is_some_and(Items::is_curtailed)
    }

    /// Counts a worker that died of it. Returns `true` if it may be run again.
    pub(super) fn may_retry(&self) -> bool {
        self.deaths.fetch_add(1, Ordering::Relaxed) < self.options().get_retries()
    }

    /// Notes that a worker has started it. Runs user code.
    pub(super) fn note_started(&self, at: Instant, worker: &str) {
        match &self.completion {
            Completion::Task(task) => task.note_start(at, worker, KIND),
            Completion::Batch(Batch { id, span: Some(span), .. }) => {
                let items = self.items.as_ref().map_or(0, Items::count);
                let info = BatchInfo { id: *id, name: self.name(), items, executor: KIND };
                span.start(at, worker, info, &|| self.call.name().into_owned());
            }
            Completion::Batch(_) => {}
        }
    }

    /// Completes the future with a worker's answer and the segments that came with it. Runs user code.
    pub(super) fn complete(&self, kind: Kind, body: &[u8], out_of_band: &Arc<dyn OutOfBand>) {
        let Some(task) = self.task() else { return };
        match kind {
            Kind::Value => task.complete_remote(body, out_of_band),
            _ => task.complete(Err(reply::from_bytes(body).named(self.name()))),
        };
    }

    /// Completes the future with an error; for a chunk or batch, the items without a known outcome. Runs user code.
    pub(super) fn fail(&self, error: &Error) {
        match &self.items {
            None => {
                if let Some(task) = self.task() {
                    task.complete(Err(error.clone().named(self.name())));
                }
            }
            Some(items) => {
                let ledger = items.settle(error);
                // No item brings segments along, so any out-of-band channel can read it. Some replies come from workers
                // that are gone.
                let name = |reply: Result<_, Error>| reply.map_err(|error| error.named(self.name()));
                let (mut replies, out_of_band) = (ledger.in_order().map(name), self.owner.out_of_band());
                match &self.completion {
                    Completion::Task(task) => {
                        task.complete_items(&mut replies, Some(out_of_band));
                    }
                    Completion::Batch(batch) => {
                        let took = Duration::from_nanos(self.took.load(Ordering::Relaxed));
                        let owner = batch.owner.lock().take();
                        if let Some(owner) = owner {
                            let replies: Vec<_> = replies.collect();
                            if let Some(span) = &batch.span {
                                let failed = replies.iter().find_map(|reply| reply.as_ref().err());
                                span.end(failed.map_or(Ok(()), Err));
                            }
                            owner.deliver(batch.first, replies, out_of_band, took);
                        }
                    }
                }
            }
        }
    }

    /// Notes the replies to `count` items of a chunk or batch, starting at `first`. Returns `false` if they are not the
    /// ones asked for.
    pub(super) fn note(&self, first: u32, count: u32, bytes: &[u8]) -> bool {
        self.items.as_ref().is_some_and(|items| self.learn(items, || items.note(first, count, bytes)))
    }

    /// Notes that the next item of a chunk or batch ends with this error.
    pub(super) fn note_error(&self, error: Error) {
        if let Some(items) = &self.items {
            self.learn(items, || items.note_error(error));
        }
    }

    /// Runs `note`. If it adds outcomes, resets the deaths: no worker has died of the item that is next now.
    fn learn<T>(&self, items: &Items, note: impl FnOnce() -> T) -> T {
        let known = items.known();
        let noted = note();
        if items.known() > known {
            self.deaths.store(0, Ordering::Relaxed);
        }
        noted
    }

    /// Returns `true` if a chunk or batch has a wanted item without a known outcome.
    pub(super) fn has_more(&self) -> bool {
        self.items.as_ref().is_some_and(Items::has_more)
    }

    /// Returns `true` if a worker that died after it had begun `begun` items of this chunk or batch was in one of them
    /// or about to begin one.
    pub(super) fn has_begun(&self, begun: u32) -> bool {
        self.items.as_ref().is_some_and(|items| items.known() < begun as usize || items.has_more())
    }

    /// Returns `true` if it was started before it came here, or has run and will be retried, so that it is not pending.
    /// Never set by a retry of a chunk or batch, some items of which may be pending.
    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Notes that its job was started before it came here. Called before it is submitted.
    pub(super) fn note_start(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// Notes that it will be retried. In a chunk or batch, this is the item that the worker died of, which ends with
    /// `error` if it is not.
    pub(super) fn retry(&self, error: Error) {
        if let Some(items) = &self.items {
            items.note_death(error);
        } else {
            // The task stays running, even if nobody could see that it had begun.
            if let Some(task) = self.task() {
                task.start();
            }
            self.started.store(true, Ordering::Relaxed);
        }
    }

    /// Cancels it, and returns how many tasks that was: 1 for a chunk, which keeps the outcomes that it has, or the
    /// number of items without an outcome for a batch. Runs user code.
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

    /// Ends it because its time limit has passed. Runs user code.
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
            self.owner.release(&self.segments, *self.kept.get_mut());
        }
    }
}

impl Remote for RemoteTask {
    fn has_started(&self, _: FutureId) -> bool {
        match &*self.place.lock() {
            Place::New | Place::Queued | Place::Revoked => self.is_started(),
            Place::Sent { slot, sequence, table, .. } => {
                matches!(table.slots().progress(*slot, *sequence), Progress::Running(_) | Progress::Done)
            }
            Place::Killing { .. } | Place::WorkerLost | Place::Done => true,
        }
    }

    fn revoke(&self, _: FutureId) -> bool {
        self.owner.revoke(self)
    }

    fn stop(&self, _: FutureId) -> bool {
        self.owner.stop(self)
    }

    fn help(&self, _: FutureId) {
        self.owner.help(self);
    }

    fn stopped(&self, _: FutureId) {
        let worker = match &*self.place.lock() {
            Place::Killing { worker } => *worker,
            _ => return,
        };
        self.owner.kill_worker(worker);
    }
}

/// Represents the pool to the task.
impl TaskOwner for RemoteTask {
    fn kind(&self) -> Option<&'static str> {
        Some(KIND)
    }
    fn ended(&self, failed: bool) {
        self.owner.count(failed);
    }
    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}
