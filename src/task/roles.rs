//! The traits of a task without its types, as seen by executors, waiters and handles; and [`TaskOwner`], the executor
//! as seen by its tasks.
#![forbid(unsafe_code)]

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::arguments::Encoded;
use super::context::RunningTask;
use super::encoded::EncodedCall;
use super::formats::AnyFormat;
use super::listener::{Listener, ListenerKey};
use super::pool_id::PoolId;
use super::remote::Remote;
use super::snapshot::{End, Snapshot};
use super::times::{OnDone, OnStart};
use crate::bytes::OutOfBand;
use crate::error::{Error, Outcome};
use crate::options::TaskOptions;

/// The result of a run, for the executor's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It did not run: it was cancelled, or claimed by a waiter, before.
    Skipped,
    Completed,
    Failed,
    /// It was aborted while it ran, or is counted elsewhere.
    Uncounted,
}

/// The result of an attempt to run an awaited task in the waiting thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is done: it was done before, or ran here.
    Done,
    /// It belongs to another executor, or is running already.
    Elsewhere,
    /// It is in this executor's queue, but only another worker can run it: it has a time limit, or too little of this
    /// thread's stack is left.
    NeedsWorker,
}

/// A task without its types, as seen by executors.
///
/// `me` is the same `Arc` that the method is called on. A scoped task's own type borrows from a stack, so only its
/// type-erased handle can be passed on to the thread that runs it.
pub(crate) trait Runnable: Awaited + AnyFormat {
    /// Returns the options, if there are any. Takes the lock of the task only then.
    fn options(&self) -> Option<Arc<TaskOptions>>;
    /// Sets the options, unless the task has options already.
    fn set_options(&self, options: &Arc<TaskOptions>);
    /// Returns `true` if the task still holds its call, so that it can be run from a queue. True even if it was marked
    /// as started.
    fn is_waiting(&self) -> bool;
    /// Returns `true` if its completion will run hooks or callbacks, or may run tasks that are held back until then.
    fn has_callbacks(&self) -> bool;
    /// Sets the owner of the queue that the task is about to enter. Returns `false` if the task holds no call any more,
    /// so that it must not be queued.
    fn attach(&self, owner: Arc<dyn TaskOwner>) -> bool;
    /// Encodes the call for another process of this program, and drops it. Only the bytes are left.
    fn encode_call(&self) -> Result<EncodedCall, Error>;
    /// Sets the owner that the task is entrusted to. Returns `false` if the task is done.
    fn entrust(&self, owner: Arc<dyn TaskOwner>) -> bool;
    /// Returns `true` if the `Err` that its function returns is its error.
    fn is_fallible(&self) -> bool;
    /// Runs the task in this thread, unless its call has been taken. `here` is the executor that the thread belongs to,
    /// or `None` if the caller does not know it.
    fn run(&self, me: Arc<dyn Runnable>, here: Option<&Arc<dyn TaskOwner>>) -> Ran;
    /// Runs the task here if it is in this executor's queue, has no time limit, and half of this thread's stack is
    /// left.
    fn claim(&self, me: Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>) -> Claim;
    /// Has the next free worker run the task first, if it is in this executor's queue.
    fn hasten(&self, me: Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>);
    /// Returns the tasks that must be done before this one starts, if it is [held back](super::after) until then.
    fn inputs(&self) -> Vec<Arc<dyn Runnable>>;
    fn start(&self) -> bool;
    /// Cancels the task. Returns `false` if it was not pending, including if it was cancelled before.
    fn withdraw(&self) -> bool;
    /// Ends a queued task with an error, also if it was marked as started. Returns `false` if a thread of this process
    /// runs it, or it has ended.
    fn refuse(&self, error: Error) -> bool;
    /// Ends the task with an error, whether it has started or not.
    fn fail(&self, error: Error) -> bool;
    fn expire(&self, limit: Duration) -> bool;
    fn encode(&self) -> Result<Encoded, Error>;
    fn complete(&self, reply: Result<&[u8], Error>) -> bool;
    /// Completes a task that was encoded with an encoded result.
    fn complete_remote(&self, result: &[u8], out_of_band: &Arc<dyn OutOfBand>) -> bool;
    /// Completes the task with an encoded result, or an error, for each of its calls.
    fn complete_items(
        &self,
        replies: &mut dyn Iterator<Item = Result<&[u8], Error>>,
        out_of_band: Option<&Arc<dyn OutOfBand>>,
    ) -> bool;
    fn on_abort(&self, hook: Box<dyn FnOnce() + Send>);
    /// Adds a hook for the start of the task, or calls it if the task is running. Drops it if the task has ended.
    fn on_start(&self, hook: OnStart);
    /// Adds a hook for the end of the task, or calls it if the task has ended.
    fn on_done(&self, hook: OnDone);
    /// Drops the hooks: the executor that they were added for does not take the task now.
    fn drop_hooks(&self);
    /// Returns `true` if the task has hooks, so that its executor must tell when it starts.
    fn has_hooks(&self) -> bool;
    /// Calls the hooks for the start of a task that a worker elsewhere has started.
    fn note_start(&self, at: Instant, worker: &str, executor: &'static str);
    /// Notes the kind of the executor that runs the task, unless it is the task's owner.
    fn note_executor(&self, kind: &'static str);
}

/// A task without its types, as seen by waiters.
pub(crate) trait Awaited: RunningTask {
    fn snapshot(&self) -> Snapshot;
    /// As `snapshot`, but asks the `Remote` of an entrusted task whether it has started.
    fn look(&self) -> Snapshot;
    /// Returns `true` if this thread runs the task, further down its stack.
    fn runs_here(&self) -> bool;
    fn cancel(&self) -> bool;
    fn abort(&self) -> bool;
    /// Registers a listener. Returns how the task ended if it is done, and registers nothing then. A waker registered
    /// under the same key is replaced.
    fn listen(&self, listener: Listener) -> Option<End>;
    fn unlisten(&self, key: ListenerKey);
    /// Holds the value until the task is done, the handle is dropped, or another value is held.
    fn hold(&self, value: Arc<dyn Any + Send + Sync>);
    /// Blocks until the task is done or the deadline has passed. Returns `true` if the task is done.
    fn sleep(&self, deadline: Option<Instant>) -> bool;
    /// Returns the error of a done task. Blocks while a late callback has the outcome. Panics if the outcome was taken.
    fn error(&self) -> Option<Error>;
    /// Called when the handle is dropped: nobody will take the outcome.
    fn detach(&self);
}

pub(crate) type Callback<T> = Box<dyn FnOnce(&Outcome<T>) + Send>;

/// A task as seen by its handle.
pub(crate) trait TaskHandle<T>: Runnable {
    /// Takes the outcome of a done task. Returns it only once.
    fn take(&self) -> Option<Outcome<T>>;
    /// As `take`, without copying a large outcome.
    fn take_boxed(&self) -> Option<Box<Outcome<T>>>;
    /// Adds a callback, or runs it at once if the task is done. Must be called only through the handle that may take
    /// the outcome. Panics if it was taken.
    fn add_callback(&self, callback: Callback<T>);
    /// Adds a callback. Returns it as an error if the task is done.
    fn try_add_callback(&self, callback: Callback<T>) -> Result<(), Callback<T>>;
    /// Ends the task with an outcome, on behalf of whoever runs it.
    fn finish(&self, outcome: Outcome<T>) -> bool;
    /// As `finish`, without copying a large outcome.
    fn finish_boxed(&self, outcome: Box<Outcome<T>>) -> bool;
}

/// An executor, as seen by its tasks and their waiters.
///
/// The methods are called without any task's lock, except where stated, and may take the executor's lock. The defaults
/// do nothing: they fit an executor whose tasks run elsewhere.
pub(crate) trait TaskOwner: Send + Sync {
    /// Returns its number if its tasks know it by that, and hold no references to it.
    fn pool_id(&self) -> Option<PoolId> {
        None
    }
    /// Returns what kind of executor it is, for spans.
    fn kind(&self) -> Option<&'static str> {
        None
    }
    /// Called when a worker has taken a task from the queue and is about to start it.
    fn started(&self) {}
    /// Called when a pending task was cancelled, by an abort if `aborted`: its entries in the queue are dead.
    fn cancelled(&self, _aborted: bool) {}
    /// Called when a pending task that was taken out of the queue is refused.
    fn refused(&self) {}
    /// Called when an entrusted task has ended, with an error if `failed`, before its end is visible.
    fn ended(&self, _failed: bool) {}
    /// Called when a waiter has claimed a pending task: its entries in the queue are dead. `task` is the address of the
    /// task.
    fn claimed(&self, _task: *const ()) {}
    /// Called when a worker is about to wait for a queued task that it does not run itself: the next free worker should
    /// run that task first. Called at most once for each task.
    fn hasten(&self, _task: Arc<dyn Runnable>) {}
    /// Called when a claimed task has ended.
    fn claim_ended(&self, _ran: Ran) {}
    /// Returns the time limit of each of its tasks.
    fn time_limit(&self) -> Option<Duration> {
        None
    }
    /// Calls [`Runnable::expire`] on the task when it has run for `limit`.
    fn watch(&self, _task: Weak<dyn Runnable>, _limit: Duration) {}
    /// Called when a worker is about to sleep until other workers have done what it needs.
    fn block(&self, _need: BlockReason) {}
    /// Called when that worker has woken up.
    fn unblock(&self, _need: BlockReason) {}
    /// Returns the tasks that must be done before its task starts, if it holds the task back until then.
    fn inputs(&self) -> Vec<Arc<dyn Runnable>> {
        Vec::new()
    }
    /// Returns the [`Remote`] if the task was entrusted to one, which then decides about its end. Called under the
    /// task's lock.
    fn remote(&self) -> Option<&dyn Remote> {
        None
    }
}

/// What a worker that goes to sleep needs of the other workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockReason {
    /// Another worker must take a task from the queue: the pool has one more worker meanwhile.
    Worker,
    /// A task that was started elsewhere must make progress. It may need a queued task as well, so the workers must not
    /// all be asleep.
    Progress,
}
