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

/// Provides what an [`Executor`](crate::Executor) needs; for authors of executors.
///
/// See [`Job`] for a minimal one. With [`execute`](Backend::execute) come all of [`Executor`](crate::Executor)'s ways
/// to submit and to wait. A backend that passes its jobs to another executor also gets that executor's features, such
/// as a pool's `time_limit`, and its maps if it passes on [`item_executor`](Backend::item_executor). Without that it
/// receives each item of a map as a job, or `chunk_size` items as one job, and then a time limit applies to the whole
/// chunk.
///
/// The backend itself is responsible for refusing tasks once it is closed, joining its workers, time limits (end the
/// task with [`Job::fail`]), retries, a bounded queue, and help for a worker that waits for a task of its own executor.
/// Object-safe: `&dyn Backend`, `Box<dyn Backend>` and `Arc<dyn Backend>` are backends too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an executor",
    label = "not an executor",
    note = "a pointer to a concrete executor is not one itself: pass what it points to, as in `totals(&*pool)`"
)]
pub trait Backend: Send + Sync {
    /// Takes the job, or completes it with an error. Called by `submit`, in its caller's thread.
    fn execute(&self, job: Job);

    /// Returns how many tasks can run at the same time.
    fn max_workers(&self) -> usize;

    /// Accepts nothing more from outside; queued tasks still run. Does not block.
    fn close(&self);

    /// Blocks until all workers have ended, or the time is up. Have they? Before [`close`](Backend::close): `false`.
    ///
    /// On a thread that belongs to the executor, and in a callback of any future, it is `false` at once.
    fn join(&self, timeout: Option<Duration>) -> bool;

    /// Cancels every task that has not started, and returns how many that were. Does not block.
    fn cancel_pending(&self) -> usize {
        0
    }

    /// Counts what the executor is doing and has done.
    fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Says how it takes the items of a map. By default, each item, or each chunk of the size that was asked for, is a
    /// job.
    ///
    /// A backend that passes its jobs to another executor passes this on as well.
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

/// Submits a call that can go anywhere.
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
    // Here and not where the task runs: see the pool's.
    panics::install_hook();
    let future = Future::new(Arc::clone(&task));
    backend.execute(Job::new(task));
    future
}
