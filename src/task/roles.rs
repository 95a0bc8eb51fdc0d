//! What executors, waiters and handles may do with a task whose types they do not know, and what a task asks of the
//! executor that has it.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::call::Encoded;
use super::context::RunningTask;
use super::encoded::EncodedCall;
use super::listener::{Listener, ListenerKey};
use super::remote::Remote;
use super::snapshot::Snapshot;
use crate::bytes::OutOfBand;
use crate::error::{Error, Outcome};
use crate::options::TaskOptions;

/// How a run went, for the executor's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It was not pending any more: cancelled, or claimed by a waiter.
    Skipped,
    Completed,
    Failed,
    /// It was aborted meanwhile, or is counted otherwise.
    Uncounted,
}

/// What came of asking to run an awaited task right here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is done: it was, or it ran here.
    Done,
    /// It is another's to run, or somebody runs it.
    Elsewhere,
    /// It waits in this executor's queue, and only another worker can run it: it has a time limit, or too little of
    /// this stack is left.
    NeedsWorker,
}

impl Claim {
    /// What a thread that asked needs of others when it goes to sleep.
    pub(crate) fn block_reason(self) -> BlockReason {
        match self {
            Claim::Done | Claim::Elsewhere => BlockReason::Progress,
            Claim::NeedsWorker => BlockReason::Worker,
        }
    }
}

/// A task without its types, as executors see it.
///
/// `me` is the very `Arc` that the method is called on. A scoped task's own type borrows from a stack, so only its
/// erased handle can be passed on to the thread that runs it.
pub(crate) trait Runnable: Awaited {
    fn options(&self) -> &TaskOptions;
    /// Has no effect if it has options.
    fn set_options(&self, options: &Arc<TaskOptions>);
    /// Does it still hold its call? Then it is to be run from a queue, also where it was marked as started before.
    fn is_waiting(&self) -> bool;
    /// Will its completion run callbacks, as far as is known by now?
    fn has_callbacks(&self) -> bool;
    /// Says whose queue it is going to be in. False: it holds no call any more, and does not belong in one.
    fn attach(&self, owner: Arc<dyn TaskOwner>) -> bool;
    /// Encodes the call for another process of this program, and drops the call: its bytes are what is left of it.
    fn encode_call(&self) -> Result<EncodedCall, Error>;
    /// Says who has what was encoded. False: it is over.
    fn entrust(&self, owner: Arc<dyn TaskOwner>) -> bool;
    /// Runs the task in this thread, unless somebody else has taken the call out.
    fn run(&self, me: Arc<dyn Runnable>) -> Ran;
    /// Runs it here if it waits in this executor's queue, has no time limit, and half of this stack is left.
    fn claim(&self, me: Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>) -> Claim;
    fn start(&self) -> bool;
    /// Cancels the task. False: it was not pending any more, also where it was cancelled before.
    fn withdraw(&self) -> bool;
    /// Ends a task that waits in a queue with an error. False: it holds no call any more.
    fn refuse(&self, error: Error) -> bool;
    /// Ends the task with an error, whether it has started or not.
    fn fail(&self, error: Error) -> bool;
    fn expire(&self, limit: Duration) -> bool;
    fn encode(&self) -> Result<Encoded, Error>;
    fn complete(&self, reply: Result<&[u8], Error>) -> bool;
    /// Completes what was encoded with an encoded result.
    fn complete_remote(&self, result: &[u8], out_of_band: &Arc<dyn OutOfBand>) -> bool;
    /// Completes a chunk with an encoded result, or an error, for each of its items.
    fn complete_items(&self, replies: Vec<Result<&[u8], Error>>, out_of_band: &Arc<dyn OutOfBand>) -> bool;
    fn on_abort(&self, hook: Box<dyn FnOnce() + Send>);
}

/// A task without its types, as waiters see it.
pub(crate) trait Awaited: RunningTask {
    fn snapshot(&self) -> Snapshot;
    /// As `snapshot`, but asks whoever has the task whether it has started.
    fn look(&self) -> Snapshot;
    /// Does this very thread run it, further down its stack?
    fn runs_here(&self) -> bool;
    fn cancel(&self) -> bool;
    fn abort(&self) -> bool;
    /// Registers a listener; `Some(failed)` if the task is done and nothing was registered. A waker that is registered
    /// under the same key is replaced.
    fn listen(&self, listener: Listener) -> Option<bool>;
    fn unlisten(&self, key: ListenerKey);
    /// Sleeps until the task is done or the time is up. Is it done?
    fn sleep(&self, deadline: Option<Instant>) -> bool;
    /// The error of a done task; sleeps while a late callback has the outcome.
    fn error(&self) -> Option<Error>;
    /// The handle is gone: nobody will take the outcome.
    fn detach(&self);
}

pub(crate) type Callback<T> = Box<dyn FnOnce(&Outcome<T>) + Send>;

/// A task as its handle sees it.
pub(crate) trait TaskHandle<T>: Runnable {
    /// Takes the outcome of a done task. Once.
    fn take(&self) -> Option<Outcome<T>>;
    /// As `take`; without a copy where the outcome is large.
    fn take_boxed(&self) -> Option<Box<Outcome<T>>>;
    /// Adds a callback; to a done task, runs it here. Only the one handle that may take the outcome may ask.
    fn add_callback(&self, callback: Callback<T>);
    /// Adds a callback, or gives it back if the task is done.
    fn try_add_callback(&self, callback: Callback<T>) -> Result<(), Callback<T>>;
    /// Ends the task, on behalf of whose it is to run.
    fn finish(&self, outcome: Outcome<T>) -> bool;
}

/// An executor with threads of its own, as its tasks and their waiters see it.
///
/// Called with no lock of a task held; may take the executor's. By default there is nothing to be done: for an executor
/// whose tasks run elsewhere.
pub(crate) trait TaskOwner: Send + Sync {
    /// A worker took a task from the queue and starts it now.
    fn started(&self) {}
    /// A pending task was cancelled: the queue holds a dead entry.
    fn cancelled(&self) {}
    /// A pending task that was taken out of the queue is refused.
    fn refused(&self) {}
    /// A task that was entrusted has ended, with an error or without; nobody sees it yet.
    fn ended(&self, _failed: bool) {}
    /// A waiter took a pending task to run it: its entry is dead. `task` is the address of the task.
    fn claimed(&self, _task: *const ()) {}
    /// A waiter has too little stack left to run a pending task: the next free worker is to take that task first.
    fn hasten(&self, _task: *const ()) {}
    /// A claimed task has ended.
    fn claim_ended(&self, _ran: Ran) {}
    /// How long each of its tasks may run.
    fn time_limit(&self) -> Option<Duration> {
        None
    }
    /// Calls [`Runnable::expire`] on the task when it has run for `limit`.
    fn watch(&self, _task: Weak<dyn Runnable>, _limit: Duration) {}
    /// A worker is about to sleep until others have done what it needs.
    fn block(&self, _need: BlockReason) {}
    /// The worker goes on.
    fn unblock(&self, _need: BlockReason) {}
    /// Has the task been entrusted? Then what has become of it is decided elsewhere. Called under the task's lock.
    fn remote(&self) -> Option<&dyn Remote> {
        None
    }
}

/// What a worker that goes to sleep needs of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockReason {
    /// That one takes a task from the queue: the pool has one worker more while this lasts.
    Worker,
    /// That a task goes on that has started somewhere. That may take a task from the queue as well, so the workers must
    /// not all be asleep.
    Progress,
}
