//! [`Remote`]: holds a task that another program may start.
#![forbid(unsafe_code)]

use crate::id::FutureId;

/// Holds tasks whose workers are out of reach, such as those of another program. For authors of executors.
///
/// [`Job::entrust`](crate::Job::entrust) sets it for a task. From then on the task asks it before it is cancelled or
/// aborted, since only the `Remote` knows whether a worker has started the task. One `Remote` may hold many tasks,
/// identified by `id`.
///
/// The methods are called without the task's lock: `revoke`, `curtail`, `stop`, `stopped` and `left` in the thread that cancels or
/// aborts, `ended` in the thread that completes the task, `has_started` and `help` in a thread that inspects the future
/// or waits for it. `left` and `ended` are called while the task ends: like a callback they must not block on a future,
/// and if they panic, that is logged and the task ends all the same.
///
/// # Examples
///
/// An executor that gives its tasks to whoever asks for one, and can take back those that nobody has asked for:
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use concurrent_futures::{Backend, Error, Executor, FutureId, Job, Remote};
///
/// #[derive(Default)]
/// struct Jobs {
///     waiting: VecDeque<Job>,
///     revoked: Vec<Job>,
/// }
///
/// #[derive(Clone, Default)]
/// struct Counter(Arc<Mutex<Jobs>>);
///
/// impl Remote for Counter {
///     fn revoke(&self, id: FutureId) -> bool {
///         let mut jobs = self.0.lock().unwrap();
///         let position = jobs.waiting.iter().position(|job| job.id() == id);
///         let Some(job) = position.and_then(|position| jobs.waiting.remove(position)) else {
///             return false;
///         };
///         // Not dropped yet: that would fail the task.
///         jobs.revoked.push(job);
///         true
///     }
///     fn left(&self, id: FutureId) {
///         let mut jobs = self.0.lock().unwrap();
///         let position = jobs.revoked.iter().position(|job| job.id() == id);
///         let job = position.map(|position| jobs.revoked.swap_remove(position));
///         // The job is dropped after the lock is free.
///         drop(jobs);
///         drop(job);
///     }
/// }
///
/// impl Backend for Counter {
///     fn execute(&self, job: Job) {
///         if job.entrust(Arc::new(self.clone())) {
///             self.0.lock().unwrap().waiting.push_back(job);
///         }
///     }
///     fn max_workers(&self) -> usize {
///         1
///     }
///     fn close(&self) {}
///     fn join(&self, _: Option<Duration>) -> bool {
///         true
///     }
/// }
///
/// let counter = Counter::default();
/// let (first, second) = (counter.submit(|n: u32| n + 1, 1), counter.submit(|n: u32| n + 1, 2));
/// let handed_out = counter.0.lock().unwrap().waiting.pop_front().unwrap();
/// assert!(!first.cancel(), "somebody has it");
/// assert!(second.cancel());
/// handed_out.run();
/// assert_eq!(first.result()?, 2);
/// # Ok::<(), Error>(())
/// ```
pub trait Remote: Send + Sync {
    /// Takes the task back. Returns `true` if no worker has started it and none ever will; the task is then cancelled.
    /// Not called after [`Job::start`](crate::Job::start), since the task cannot be cancelled then.
    ///
    /// Keep its [`Job`](crate::Job) until [`left`](Remote::left) is called, because a job that is dropped before its
    /// task has ended fails it.
    fn revoke(&self, id: FutureId) -> bool;

    /// Called when somebody tries to cancel a task on which [`Job::start`](crate::Job::start) was called. The task goes
    /// on. But the items of a chunk that have not begun are not wanted any more: a worker may leave them out.
    fn curtail(&self, _id: FutureId) {}

    /// Decides about an abort. Returns `true` if the future may end as cancelled: an outcome from a worker is ignored
    /// from then on. Returns `false` if the task has ended before.
    fn stop(&self, _id: FutureId) -> bool {
        true
    }

    /// Called after [`stop`](Remote::stop), once the future is done. The worker should give up the task.
    fn stopped(&self, _id: FutureId) {}

    /// Called when the task is cancelled, aborted or refused, before its callbacks. Its room is free.
    fn left(&self, _id: FutureId) {}

    /// Called when the task has ended in any other way, before its callbacks. Not called if
    /// [`Job::run`](crate::Job::run) ran the task. `failed` is `true` if it ended with an error.
    fn ended(&self, _id: FutureId, _failed: bool) {}

    /// Returns `true` if a worker has started a task on which [`Job::start`](crate::Job::start) was not called.
    fn has_started(&self, _id: FutureId) -> bool {
        false
    }

    /// Called by a thread that is about to sleep until the task is done. It may poll for the result for a moment (50
    /// us, say), and must not block.
    fn help(&self, _id: FutureId) {}
}
