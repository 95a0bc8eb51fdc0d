//! [`Backend`]: what an executor provides.
//!
//! The trait is one item, and most lines are the documentation of its methods.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::blocking;
use crate::codec::Payload;
use crate::condition::Waiting;
use crate::future::Future;
use crate::held::is_large;
use crate::inputs::Inputs;
use crate::items::ItemExecutor;
use crate::job::Job;
use crate::options::Stats;
use crate::panics;
use crate::submitter::Submitter;
use crate::task::after::{Decided, HandOver, Until, hold_back};
use crate::task::call::{EncodableCall, LateCall};
use crate::task::function::{Function, Unboxing};
use crate::task::owner;
use crate::task::owner_ref::OwnerRef;
use crate::task::roles::{Runnable, TaskHandle};
use crate::task::state::new_task;
use crate::unwind::catch_and_log;
use crate::wait::sealed::{Lent, Owned, Sealed};
use crate::wait::{ReturnWhen, Waitable, wait};

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
    /// A pool of this crate also cancels the tasks that it will get later: those that wait for others
    /// ([`submit_after`](crate::Executor::submit_after)), or for their next attempt
    /// ([`RetryOptions`](crate::RetryOptions)). So `shutdown_now` leaves none behind.
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

    /// Takes the job, as [`execute`](Backend::execute) does, or gives it back if that would block until there is room
    /// in the queue. Then wakes the [`waker`](Waiting::waker) once there may be room. Does not block.
    ///
    /// By default, calls `execute`. A backend that passes its jobs to another executor should pass this on as well.
    ///
    /// A job that is given back has the hooks ([`Job::on_start`], [`Job::on_done`]) of all executors that it has passed, until
    /// its caller, who gets it last, drops them. So a backend that offers a job to one executor and within the same call to
    /// another one adds the hooks itself. Those of a wrapper around the first executor would be called for a task that the
    /// second one has run.
    ///
    /// # Errors
    ///
    /// The job, which was not taken.
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        let _ = waiting;
        self.execute(job);
        Ok(())
    }

    /// Returns a handle that outlives this borrow, for [`submit_after`](crate::Executor::submit_after): a task that waits for
    /// others is passed to it once they are done. So is each attempt after the first of a task that is
    /// [tried again](crate::RetryOptions).
    ///
    /// By default, returns `None`. Then `submit_after` blocks until the inputs are done, and calls
    /// [`execute`](Backend::execute), and a task that is tried again blocks its caller until the last attempt is done. A
    /// backend that passes its jobs to another executor should pass this on as well, with what it adds to a job by
    /// [`Submitter::map`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use concurrent_futures::{Backend, Executor, Job, Submitter, ThreadPoolExecutor};
    ///
    /// struct FreshThreads;
    ///
    /// impl Backend for FreshThreads {
    ///     fn execute(&self, job: Job) {
    ///         std::thread::spawn(move || job.run());
    ///     }
    ///     fn submitter(&self) -> Option<Submitter> {
    ///         // An executor with a state clones its `Arc`, to keep it in the closure.
    ///         Some(Submitter::new(|job| FreshThreads.execute(job)))
    ///     }
    ///     # fn max_workers(&self) -> usize { 1 }
    ///     # fn close(&self) {}
    ///     # fn join(&self, _: Option<Duration>) -> bool { true }
    ///     // ...
    /// }
    ///
    /// let threads = ThreadPoolExecutor::new(1);
    /// let text = threads.spawn(|| String::from("seven"));
    /// let length = FreshThreads.submit_after(text, |text: String| text.len());
    /// assert_eq!(length.result()?, 5);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    fn submitter(&self) -> Option<Submitter> {
        None
    }

    /// Returns `true` if the workers of the closed executor have ended, or if this thread must not wait for them because
    /// it belongs to the executor. Otherwise wakes the [`waker`](Waiting::waker) once it is worth asking again. Does not
    /// block.
    ///
    /// By default, calls [`join`](Backend::join), which does block, and returns `true`. A backend that passes its jobs
    /// to another executor should pass this on as well.
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        let _ = waiting;
        self.join(None);
        true
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
            fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
                (**self).try_execute(job, waiting)
            }
            fn submitter(&self) -> Option<Submitter> {
                (**self).submitter()
            }
            fn poll_join(&self, waiting: &mut Waiting) -> bool {
                (**self).poll_join(waiting)
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

/// Shuts an executor down that is dropped. While the thread unwinds, cancels what is pending.
///
/// Blocking a thread of an async runtime holds up its other tasks, so that is logged, for those who look for the cause.
pub(crate) fn shut_down_dropped(backend: &(impl Backend + ?Sized), name: &str) {
    backend.close();
    if std::thread::panicking() {
        backend.cancel_pending();
    }
    let blocks = blocking::may_block() && owner::current().is_none();
    if blocks && blocking::polls() && !backend.join(Some(Duration::ZERO)) {
        catch_and_log("the logger", || {
            log::debug!(
                "the drop of a {name} blocks a thread that runs async code until the workers have ended; await \
                 `shutdown_async` before, or `detach` it"
            );
        });
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
    submit(backend, plain_task(function, argument))
}

/// Makes a task of a call that can run in any process.
pub(crate) fn plain_task<A, R>(function: impl Function<A, R> + 'static, argument: A) -> Arc<dyn TaskHandle<R>>
where
    A: Payload,
    R: Payload,
{
    if const { is_large::<A>() } {
        new_task(
            Some(EncodableCall { function: Unboxing(function), argument: Box::new(argument) }),
            None,
            OwnerRef::NOBODY,
        )
    } else {
        new_task(Some(EncodableCall { function, argument }), None, OwnerRef::NOBODY)
    }
}

pub(crate) fn submit<T>(backend: &(impl Backend + ?Sized), task: Arc<dyn TaskHandle<T>>) -> Future<T> {
    // Installed here and not where the task runs: see the thread pool.
    panics::install_hook();
    let future = Future::new(Arc::clone(&task));
    backend.execute(Job::new(task));
    future
}

/// Submits a call that can run in any process, once its inputs are done.
pub(crate) fn dispatch_after<I, R>(
    backend: &(impl Backend + ?Sized),
    inputs: I,
    function: impl Function<I::Values, R> + 'static,
) -> Future<R>
where
    I: Inputs<Values: Payload>,
    R: Payload,
{
    submit_after(backend, inputs, |inputs, decided| {
        let values = move || inputs.values(decided.by());
        if const { is_large::<I::Values>() } {
            new_task(Some(LateCall::new(Unboxing(function), move || values().map(Box::new))), None, OwnerRef::NOBODY)
        } else {
            new_task(Some(LateCall::new(function, values)), None, OwnerRef::NOBODY)
        }
    })
}

/// Submits a task, made of the inputs, once these are done. Blocks until then if the backend has no submitter.
pub(crate) fn submit_after<I: Inputs, R>(
    backend: &(impl Backend + ?Sized),
    inputs: I,
    make: impl FnOnce(I, Decided) -> Arc<dyn TaskHandle<R>>,
) -> Future<R>
where
    R: Send + 'static,
{
    panics::install_hook();
    let tasks: Vec<_> = inputs.tasks().into_iter().map(|task| task.0).collect();
    let submitter = backend.submitter();
    if submitter.is_none() {
        let inputs = tasks.iter().map(|input| InputTask(Arc::clone(&input.task)));
        wait(inputs, None, ReturnWhen::FirstError);
    }
    let decided = Decided::new();
    let task = make(inputs, decided.clone());
    let future = Future::new(Arc::clone(&task));
    let task: Arc<dyn Runnable> = task;
    let hand_over: HandOver = match submitter {
        Some(submitter) => {
            let entry = submitter.hold_back(&task);
            Box::new(move |task| {
                // The executor has it, or refuses it and ends it, before the call returns.
                drop(entry);
                submitter.submit(Job::new(task));
            })
        }
        // Not called: if no input has failed, the task is returned.
        None => Box::new(|task| drop(Job::new(task))),
    };
    if let Some(task) = hold_back(task, tasks, Until::Values, decided, Some(hand_over)) {
        backend.execute(Job::new(task));
    }
    future
}

/// An input, to wait for it.
struct InputTask(Arc<dyn Runnable>);

impl Waitable for InputTask {}
impl Sealed for InputTask {
    fn awaited(&self) -> Lent<'_> {
        Lent(&*self.0)
    }
    fn runnable(&self) -> Owned {
        Owned(Arc::clone(&self.0))
    }
}
