//! [`promise`]: a future that the program completes itself.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use super::Future;
use super::text::write_future;
use crate::error::{Error, Outcome};
use crate::task::call::NoCall;
use crate::task::owner_ref::OwnerRef;
use crate::task::{State, TaskHandle, new_task};

/// Makes a future and the promise that completes it, for authors of executors and for tests.
///
/// # Examples
///
/// ```
/// let (promise, future) = concurrent_futures::promise();
/// std::thread::spawn(move || {
///     if promise.start() {
///         promise.complete(Ok(42));
///     }
/// });
/// assert_eq!(future.result()?, 42);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
pub fn promise<T: Send + 'static>() -> (Promise<T>, Future<T>) {
    let task: Arc<dyn TaskHandle<T>> = new_task::<NoCall, T>(None, None, OwnerRef::NOBODY);
    (Promise { task: Arc::clone(&task) }, Future::new(task))
}

/// Completes the future that it was made with. If it is dropped first, the future ends with [`Error::Abandoned`].
#[must_use = "a promise that is dropped abandons its future"]
pub struct Promise<T> {
    task: Arc<dyn TaskHandle<T>>,
}

impl<T> Promise<T> {
    /// Marks the task as running. Returns `false` if it was cancelled; then do not run it.
    pub fn start(&self) -> bool {
        self.task.start()
    }

    /// Returns `true` if the future was cancelled or aborted.
    pub fn is_cancelled(&self) -> bool {
        self.task.snapshot().state == State::Cancelled
    }

    /// Completes the future, unless it is done already, and runs its callbacks in the calling thread.
    ///
    /// Returns `false` if the future was cancelled; then the outcome is dropped.
    pub fn complete(self, outcome: Outcome<T>) -> bool {
        self.task.finish(outcome)
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // Has no effect if the task is done.
        self.task.fail(Error::Abandoned);
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_future(f, "Promise", &self.task)
    }
}
