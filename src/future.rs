//! [`Future`], the caller's handle on one task.
//!
//! Most lines are the documentation of its methods.
#![forbid(unsafe_code)]

pub(crate) mod abort;
mod chain;
pub(crate) mod promise;
pub(crate) mod shared;
mod text;

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::blocking;
use crate::error::{Error, Outcome};
use crate::held::is_large;
use crate::id::FutureId;
use crate::look;
use crate::sync::Mutex;
use crate::task::handle::TAKEN;
use crate::task::listener::Listener;
use crate::task::{State, TaskHandle};
use crate::wait::sealed::{Lent, Owned, Sealed};
use crate::wait::{Waitable, claim_polled, wait_for};
use text::write_future;

/// The caller's handle on one task: waits for it, cancels it, or takes its outcome.
///
/// A task has one future, and taking the outcome consumes it. [`share`](Future::share) makes a handle that can be
/// cloned. Dropping a future detaches the task, which still runs. If the task fails and nobody has looked at its error,
/// the error is logged once, at `warn`.
///
/// # Blocking
///
/// Methods that block may be called anywhere except in a callback, where they panic if they would block. A task may
/// wait for another task of its own executor. If that one has not started, it runs in the waiting thread.
///
/// # Examples
///
/// ```
/// use concurrent_futures::ThreadPoolExecutor;
///
/// let threads = ThreadPoolExecutor::new(2);
/// let future = threads.submit(|n: u64| (1..=n).sum::<u64>(), 10_000);
/// assert_eq!(future.result()?, 50_005_000);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
///
/// # In async code
///
/// A future is also a [`std::future::Future`], under any runtime: `.await` it, or pass it to `tokio::spawn`,
/// `join_all`, `select!` or `timeout`. Unlike most of those, its task runs whether it is polled or not, and dropping
/// the future does not stop the task: see [`abort_on_drop`](Future::abort_on_drop). If the task has not started and a
/// thread of its own executor polls, the task runs in that thread, and the poll returns when it has ended: a `select!`
/// in a task of the executor is not over before.
///
/// ```
/// use concurrent_futures::ThreadPoolExecutor;
/// # fn block_on<F: Future>(future: F) -> F::Output { smol::block_on(future) }
///
/// let threads = ThreadPoolExecutor::new(2);
/// let sum = block_on(async {
///     let sum = |from: u64, to| threads.spawn(move || (from..=to).sum::<u64>());
///     let (one, other) = (sum(1, 5_000), sum(5_001, 10_000));
///     Ok::<_, concurrent_futures::Error>(one.await? + other.await?)
/// });
/// assert_eq!(sum?, 50_005_000);
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
///
/// A reference can be polled too, as in `select!`. Once that was ready, the outcome is taken, and everything but
/// [`id`](Future::id), [`state`](Future::state) and the like panics.
///
/// # Sending
///
/// A future can be sent to another thread only if its value can:
///
/// ```
/// fn crosses<T: Send + Sync>() {}
/// crosses::<concurrent_futures::Future<std::cell::Cell<u8>>>();
/// ```
///
/// ```compile_fail,E0277
/// fn crosses<T: Send + Sync>() {}
/// crosses::<concurrent_futures::Future<std::rc::Rc<u8>>>();
/// ```
#[must_use = "a future that is dropped detaches its task, and an error nobody looked at is only logged"]
pub struct Future<T> {
    // Not an `Option`, so that `Option<Future<T>>` is no larger than `Future<T>`.
    task: Arc<dyn TaskHandle<T>>,
    /// Makes the future `Send` and `Sync` if `T` is `Send`: like a shared mutex, it moves the one `T` between threads.
    owns: PhantomData<Arc<Mutex<T>>>,
}

impl<T> Future<T> {
    pub(crate) fn new(task: Arc<dyn TaskHandle<T>>) -> Self {
        Self { task, owns: PhantomData }
    }

    pub(crate) fn task(&self) -> &Arc<dyn TaskHandle<T>> {
        &self.task
    }

    /// Returns the id of this future, which is unique in the program.
    pub fn id(&self) -> FutureId {
        self.task().id()
    }

    /// Returns the state of the task. Does not block.
    pub fn state(&self) -> State {
        self.task().look().state
    }

    /// Returns `true` if the task has ended: it was cancelled, or it finished. Does not block.
    pub fn is_done(&self) -> bool {
        self.task().snapshot().state.is_done()
    }

    /// Returns `true` if a worker is running the task. Does not block.
    pub fn is_running(&self) -> bool {
        self.state() == State::Running
    }

    /// Returns `true` if the task was cancelled or aborted. Does not block.
    pub fn is_cancelled(&self) -> bool {
        self.task().snapshot().state == State::Cancelled
    }

    /// Cancels the task if it has not started. Returns `true` if it is cancelled; then it has not run and never will,
    /// unless it was aborted while it ran.
    ///
    /// Wakes everything that waits for the future, drops the function and its argument, and runs the callbacks in the
    /// calling thread. A running task is not affected, and `false` is returned. Does not block: if another thread is
    /// cancelling the task at this moment, the future may be done a moment after `true` is returned.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, promise};
    ///
    /// let (promise, future) = promise::<u8>();
    /// assert!(future.cancel());
    /// assert!(!promise.start(), "a cancelled task is not to be run");
    /// assert!(matches!(future.result(), Err(Error::Cancelled)));
    /// ```
    pub fn cancel(&self) -> bool {
        self.task().cancel()
    }

    /// Cancels the task, even while it runs. Returns `true` if the future is cancelled.
    ///
    /// The future of a running task is cancelled at once, and the task is asked to stop: on a thread,
    /// [`TaskContext::is_aborted`](crate::task::TaskContext::is_aborted) becomes `true`. Its worker is busy until the
    /// function returns, and the returned value is dropped. Callbacks run in the calling thread. Does not block.
    ///
    /// # Examples
    ///
    /// See [`task::current`](crate::task::current) for a task that stops when it is aborted.
    pub fn abort(&self) -> bool {
        self.task().abort()
    }

    /// Blocks until the task is done.
    ///
    /// # Panics
    ///
    /// If called in a callback while the task is not done, or in the task itself, which would wait for ever.
    #[track_caller]
    pub fn wait(&self) {
        wait_for(self, None);
    }

    /// Blocks until the task is done or the time is up. Returns `true` if the task is done.
    ///
    /// A zero timeout polls; a timeout too long for the clock is no limit.
    ///
    /// # Panics
    ///
    /// If called in a callback and it would block.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        wait_for(self, Some(timeout))
    }

    /// Blocks until the task is done, and takes its outcome.
    ///
    /// # Errors
    ///
    /// The reason why the task has no value.
    ///
    /// # Panics
    ///
    /// As for [`wait`](Future::wait).
    #[track_caller]
    pub fn result(self) -> Outcome<T> {
        // Small outcomes are checked for and taken in one acquisition of the task's lock.
        if const { !is_large::<T>() }
            && let Some(outcome) = self.task.take()
        {
            look::note_found(1);
            return outcome;
        }
        self.wait();
        self.take()
    }

    /// Blocks until the task is done or the time is up, and takes its outcome.
    ///
    /// If the task is done, its outcome is returned, no matter how late. A zero timeout polls.
    ///
    /// # Errors
    ///
    /// The future itself, if the time was up first.
    ///
    /// # Panics
    ///
    /// If called in a callback and it would block.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::promise;
    ///
    /// let (promise, future) = promise();
    /// let Err(future) = future.result_timeout(Duration::from_millis(1)) else {
    ///     panic!("nobody has completed it");
    /// };
    /// promise.complete(Ok(1));
    /// assert_eq!(future.result_timeout(Duration::ZERO).unwrap()?, 1);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    #[track_caller]
    pub fn result_timeout(self, timeout: Duration) -> Result<Outcome<T>, Self> {
        if !self.wait_timeout(timeout) {
            return Err(self);
        }
        Ok(self.take())
    }

    /// Takes the outcome if the task is done. Does not block.
    ///
    /// # Errors
    ///
    /// The future itself, if the task is not done.
    pub fn try_result(self) -> Result<Outcome<T>, Self> {
        if self.is_done() { Ok(self.take()) } else { Err(self) }
    }

    /// Takes the outcome of a done task.
    #[inline]
    #[track_caller]
    pub(crate) fn take(&self) -> Outcome<T> {
        if const { is_large::<T>() } {
            return *self.take_boxed();
        }
        self.task.take().expect(TAKEN)
    }

    /// Takes a large outcome in its box, so that the caller can move it straight to its destination.
    #[track_caller]
    pub(crate) fn take_boxed(&self) -> Box<Outcome<T>> {
        self.task.take_boxed().expect(TAKEN)
    }

    /// Blocks until the task is done, and returns its error, or `None` if it succeeded.
    ///
    /// The outcome is not taken, and its error is not logged when the future is dropped.
    ///
    /// # Panics
    ///
    /// As for [`wait`](Future::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(1);
    /// let future = threads.try_spawn(|| "seven".parse::<u8>());
    /// assert_eq!(future.error().unwrap().to_string(), "invalid digit found in string");
    /// ```
    #[track_caller]
    pub fn error(&self) -> Option<Error> {
        self.wait();
        self.task().error()
    }

    /// Runs `callback` with the outcome before the future becomes done.
    ///
    /// Callbacks run in the order in which they were added, in the thread that completes the task (for `cancel` and
    /// `abort`, the calling thread), outside every lock. A thread that sees the future done also sees what its
    /// callbacks did. A callback that is added to a done future runs at once in the calling thread; if another thread
    /// is running callbacks of this future, that thread runs it next. Callbacks that complete each other's futures
    /// nest. If little of the stack is left, the next callback runs on a new thread, and this thread waits for it. A
    /// panic of a callback is reported through `log::error!`, and the other callbacks still run. A callback must not
    /// block on a future: that panics. The same holds for all other user code that a process pool runs on its own
    /// threads, or on your thread while it waits for a result: a `Deserialize`, the `Serialize` of an item of a map, the
    /// `Drop` of a value that nobody takes, a waker, a logger. (Blocking by other means, such as `block_on`, is not detected; it delays the results
    /// of that worker.)
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(1);
    /// let (send, receive) = std::sync::mpsc::channel();
    /// let future = threads.spawn(|| 6 * 7);
    /// future.add_done_callback(move |outcome| send.send(*outcome.as_ref().unwrap()).unwrap());
    /// future.wait();
    /// assert_eq!(receive.try_recv(), Ok(42));
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Outcome<T>) + Send + 'static) {
        self.task().add_callback(Box::new(callback));
    }

    /// Lets the task run without a handle. Same as dropping the future, but explicit.
    pub fn detach(self) {
        drop(self);
    }
}

impl<T> std::future::Future for Future<T> {
    type Output = Outcome<T>;

    /// Takes the outcome if the task is done. Otherwise has the waker woken when it is; a later poll replaces the waker.
    ///
    /// # Panics
    ///
    /// If it is polled again after it was ready.
    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        blocking::note_poll();
        let spare = claim_polled(&*self);
        if self.task.listen(Listener::Handle(context.waker().clone())).is_some() {
            return Poll::Ready(self.take());
        }
        if let Some(spare) = spare {
            self.task.hold(spare);
        }
        Poll::Pending
    }
}

/// What `.await` on a [`Future`] polls: the future itself.
pub type Awaiting<T> = Future<T>;

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        self.task.detach();
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_future(f, "Future", self.task())
    }
}

impl<T> fmt::Display for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_future(f, "Future", self.task())
    }
}

impl<T> Waitable for Future<T> {}
impl<T> Sealed for Future<T> {
    fn awaited(&self) -> Lent<'_> {
        Lent(&**self.task())
    }
    fn runnable(&self) -> Owned {
        Owned(Arc::clone(self.task()) as _)
    }
}
