//! [`Backend`]: what an executor provides.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::codec::Payload;
use crate::future::Future;
use crate::held::is_large;
use crate::items::ItemExecutor;
use crate::job::Job;
use crate::options::Stats;
use crate::panics;
use crate::task::call::EncodableCall;
use crate::task::function::{Function, Unboxing};
use crate::task::roles::TaskHandle;
use crate::task::state::new_task;

/// What authors of executors implement; every backend is an [`Executor`](crate::Executor).
///
/// See [`Job`] for a minimal backend. All methods of [`Executor`](crate::Executor) are built on
/// [`execute`](Backend::execute). A backend that passes its jobs to another executor also gets the features of that
/// executor, such as the `time_limit` of a pool, and its maps if it passes on
/// [`item_executor`](Backend::item_executor), as the example at [`ItemExecutor`] does. Otherwise it receives each item
/// of a map as a job, or `chunk_size` items as one job; the time limit of the executor that it wraps then applies to
/// the whole chunk.
///
/// The backend itself is responsible for refusing tasks once it is closed, joining its workers, time limits (end the
/// task with [`Job::fail`]), retries, a bounded queue, and keeping the executor going while a worker waits for a task
/// of its own executor. The trait is object-safe: `&dyn Backend`, `Box<dyn Backend>` and `Arc<dyn Backend>` are
/// backends too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an executor",
    label = "not an executor",
    note = "a pointer to a concrete executor is not one itself: pass what it points to, as in `totals(&*pool)`"
)]
pub trait Backend: Send + Sync {
    /// Accepts the job, or completes it with an error. Called by `submit`, in the thread of its caller.
    fn execute(&self, job: Job);

    /// Returns how many tasks can run at the same time.
    fn max_workers(&self) -> usize;

    /// Stops accepting tasks from outside. Queued tasks still run. Does not block.
    fn close(&self);

    /// Blocks until all workers have ended or the time is up. Returns `true` if they have ended, and `false` before
    /// [`close`](Backend::close).
    ///
    /// On a thread that belongs to the executor, and in a callback of any future, returns `false` at once.
    fn join(&self, timeout: Option<Duration>) -> bool;

    /// Cancels every task that has not started, and returns how many were cancelled. Does not block.
    ///
    /// By default, cancels nothing and returns 0; then [`shutdown_now`](crate::Executor::shutdown_now) lets the queued
    /// tasks run.
    fn cancel_pending(&self) -> usize {
        0
    }

    /// Returns counts of what the executor is doing and has done. By default, all counts are zero.
    fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Returns how the executor takes the items of a map. By default, each item, or each chunk of the requested size,
    /// is a job.
    ///
    /// A backend that passes its jobs to another executor should pass this on as well. To add options to the items too,
    /// it returns `self.inner.with(options).item_executor()`.
    fn item_executor(&self) -> ItemExecutor {
        ItemExecutor::default()
    }
}

macro_rules! delegate_backend {
    ($([$($generics:tt)*] $pointer:ty),*) => {$(
        impl<$($generics)*> Backend for $pointer {
            fn execute(&self, job: Job) {
                (**self).execute(job);
            }
            fn max_workers(&self) -> usize {
                (**self).max_workers()
            }
            fn close(&self) {
                (**self).close();
            }
            fn join(&self, timeout: Option<Duration>) -> bool {
                (**self).join(timeout)
            }
            fn cancel_pending(&self) -> usize {
                (**self).cancel_pending()
            }
            fn stats(&self) -> Stats {
                (**self).stats()
            }
            fn item_executor(&self) -> ItemExecutor {
                (**self).item_executor()
            }
        }
    )*};
}

delegate_backend!([B: Backend + ?Sized] &B, [] Box<dyn Backend + '_>, [] Arc<dyn Backend + '_>);

/// Closes an executor, cancels what is pending if that is not wanted any more, and blocks until the workers have ended.
pub(crate) fn shut_down(backend: &(impl Backend + ?Sized), cancels_pending: bool) {
    backend.close();
    if cancels_pending {
        backend.cancel_pending();
    }
    backend.join(None);
}

/// Submits a call that can run in any process.
pub(crate) fn dispatch<A, R>(
    backend: &(impl Backend + ?Sized),
    function: impl Function<A, R> + 'static,
    argument: A,
) -> Future<R>
where
    A: Payload,
    R: Payload,
{
    let task = if const { is_large::<A>() } {
        new_task(Some(EncodableCall { function: Unboxing(function), argument: Box::new(argument) }), None, None)
    } else {
        new_task(Some(EncodableCall { function, argument }), None, None)
    };
    submit(backend, task)
}

pub(crate) fn submit<T>(backend: &(impl Backend + ?Sized), task: Arc<dyn TaskHandle<T>>) -> Future<T> {
    // Installed here and not where the task runs: see the thread pool.
    panics::install_hook();
    let future = Future::new(Arc::clone(&task));
    backend.execute(Job::new(task));
    future
}
