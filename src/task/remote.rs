//! [`Remote`]: who has a task that another program may start.
#![forbid(unsafe_code)]

use crate::id::FutureId;

/// Has tasks whose workers are out of reach, such as those of another program; for authors of executors.
///
/// [`Job::entrust`](crate::Job::entrust) names it for a task. From then on the task asks it before it is cancelled or
/// aborted, since only it knows whether a worker has started the task. One `Remote` may have many tasks, which `id`
/// tells apart.
///
/// The methods are called with no lock of the task held: the first three and `left` in the thread that cancels or
/// aborts, `ended` in the thread that completes the task, `has_started` and `help` in a thread that looks at the future
/// or waits for it.
///
/// # Examples
///
/// An executor that hands out its tasks to whoever asks for one, and takes back those that nobody asked for:
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use concurrent_futures::{Backend, Error, Executor, FutureId, Job, Remote};
///
/// #[derive(Clone, Default)]
/// struct Counter(Arc<Mutex<VecDeque<Job>>>);
///
/// impl Remote for Counter {
///     fn revoke(&self, id: FutureId) -> bool {
///         // The job itself is dropped after the lock is free.
///         let mut jobs = self.0.lock().unwrap();
///         let position = jobs.iter().position(|job| job.id() == id);
///         let revoked = position.and_then(|position| jobs.remove(position));
///         drop(jobs);
///         revoked.is_some()
///     }
/// }
///
/// impl Backend for Counter {
///     fn execute(&self, job: Job) {
///         if job.entrust(Arc::new(self.clone())) {
///             self.0.lock().unwrap().push_back(job);
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
/// let handed_out = counter.0.lock().unwrap().pop_front().unwrap();
/// assert!(!first.cancel(), "somebody has it");
/// assert!(second.cancel());
/// handed_out.run();
/// assert_eq!(first.result()?, 2);
/// # Ok::<(), Error>(())
/// ```
pub trait Remote: Send + Sync {
    /// Takes the task back. Returns `true` if no worker has started it and none ever will; then it is cancelled.
    fn revoke(&self, id: FutureId) -> bool;

    /// Decides about an abort. Returns `true` if the future may end as cancelled: what a worker makes of the task does
    /// not count any more. `false` means that the task has come to an end before.
    fn stop(&self, _id: FutureId) -> bool {
        true
    }

    /// Called after [`stop`](Remote::stop), once the future is done: the worker should give up.
    fn stopped(&self, _id: FutureId) {}

    /// Called when the task is cancelled, aborted or refused, before its callbacks: the room it had is free.
    fn left(&self, _id: FutureId) {}

    /// Called when the task has ended in any other way, before its callbacks; not if [`Job::run`](crate::Job::run) ran
    /// it. `failed`: with an error.
    fn ended(&self, _id: FutureId, _failed: bool) {}

    /// Returns `true` if a worker has started a task that did not hear of it by [`Job::start`](crate::Job::start).
    fn has_started(&self, _id: FutureId) -> bool {
        false
    }

    /// Called by a thread that is about to sleep until the task is done. It may look for the result for a moment (50
    /// us, say), and must not block.
    fn help(&self, _id: FutureId) {}
}
