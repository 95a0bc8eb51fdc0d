//! [`SharedFuture`]: several handles on one outcome.
//!
//! Most lines are the documentation of its methods.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Future;
use super::text::write_future;
use crate::error::{Error, Outcome};
use crate::held::is_large;
use crate::id::FutureId;
use crate::sync::{Mutex, OnceLock};
use crate::task::after::Input;
use crate::task::handle::TAKEN;
use crate::task::listener::{Listener, ListenerKey, WakerKey};
use crate::task::nested::with_room;
use crate::task::owner::{self, CompensationGuard};
use crate::task::{Callback, State, TaskHandle};
use crate::unwind::{catch_and_log, drop_caught};
use crate::wait::sealed::{Lent, Owned, Sealed};
use crate::wait::{Waitable, claim_polled, wait_for};

/// A handle on a task that can be cloned. Made by [`Future::share`](crate::Future::share).
///
/// A clone is another handle on the same task. The value is only lent; it is dropped with the last handle. Everything
/// else is as for [`Future`], including the rule about callbacks.
///
/// # Examples
///
/// ```
/// use concurrent_futures::ThreadPoolExecutor;
///
/// let threads = ThreadPoolExecutor::new(2);
/// let config = threads.spawn(|| String::from("verbose")).share();
/// let readers: Vec<_> = (0..3)
///     .map(|_| {
///         let config = config.clone();
///         threads.spawn(move || config.result().map(String::len))
///     })
///     .collect();
/// for reader in readers {
///     assert_eq!(reader.result()??, 7);
/// }
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
pub struct SharedFuture<T>(Arc<Shared<T>>);

struct Shared<T> {
    future: Future<T>,
    /// Taken from the task once it is done, by the first thread that asks for the outcome.
    outcome: OnceLock<Outcome<T>>,
    /// Callbacks that were added after the task was done; `None` while no thread runs them.
    late: Mutex<Option<VecDeque<Callback<T>>>>,
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // The last handle may be dropped anywhere, even inside another task.
        drop_caught(self.outcome.take());
    }
}

impl<T> SharedFuture<T> {
    pub(crate) fn new(future: Future<T>) -> Self {
        Self(Arc::new(Shared { future, outcome: OnceLock::new(), late: Mutex::new(None) }))
    }

    pub(crate) fn task(&self) -> &Arc<dyn TaskHandle<T>> {
        self.0.future.task()
    }

    /// Returns the task, as that of a future that others may have.
    pub(crate) fn input(&self) -> Input {
        Input { task: self.runnable().0, is_owned: false }
    }

    /// Lends the outcome of a done task. Does not block.
    pub(crate) fn lent(&self) -> Result<&T, Error> {
        let take = || {
            if const { is_large::<T>() } {
                return *self.task().take_boxed().expect(TAKEN);
            }
            self.task().take().expect(TAKEN)
        };
        self.0.outcome.get_or_init(take).as_ref().map_err(Clone::clone)
    }

    /// Returns the id of the future that this one was made from.
    pub fn id(&self) -> FutureId {
        self.task().id()
    }

    /// Returns the state of the task. Does not block.
    pub fn state(&self) -> State {
        self.task().look().state
    }

    /// Returns `true` if the task has ended. Does not block.
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

    /// Cancels the task if it has not started, for all handles; see [`Future::cancel`](crate::Future::cancel).
    pub fn cancel(&self) -> bool {
        self.task().cancel()
    }

    /// Cancels the task, even while it runs, for all handles; see [`Future::abort`](crate::Future::abort).
    pub fn abort(&self) -> bool {
        self.task().abort()
    }

    /// Blocks until the task is done.
    ///
    /// # Panics
    ///
    /// As for [`Future::wait`](crate::Future::wait).
    #[track_caller]
    pub fn wait(&self) {
        wait_for(self, None);
    }

    /// Blocks until the task is done or the time is up. Returns `true` if the task is done.
    ///
    /// # Panics
    ///
    /// If called in a callback and it would block.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        wait_for(self, Some(timeout))
    }

    /// Blocks until the task is done, and lends its value.
    ///
    /// # Errors
    ///
    /// The reason why the task has no value.
    ///
    /// # Panics
    ///
    /// As for [`Future::wait`](crate::Future::wait).
    #[track_caller]
    pub fn result(&self) -> Result<&T, Error> {
        self.wait();
        self.lent()
    }

    /// Blocks until the task is done or the time is up, and lends its value. Returns `None` if the time was up first.
    ///
    /// # Panics
    ///
    /// If called in a callback and it would block.
    #[track_caller]
    pub fn result_timeout(&self, timeout: Duration) -> Option<Result<&T, Error>> {
        self.wait_timeout(timeout).then(|| self.lent())
    }

    /// Lends the value if the task is done. Does not block.
    pub fn try_result(&self) -> Option<Result<&T, Error>> {
        self.is_done().then(|| self.lent())
    }

    /// Blocks until the task is done, and returns its error, or `None` if it succeeded.
    ///
    /// # Panics
    ///
    /// As for [`Future::wait`](crate::Future::wait).
    #[track_caller]
    pub fn error(&self) -> Option<Error> {
        self.result().err()
    }

    /// Runs `callback` with the outcome before the future becomes done, or at once in the calling thread if it is done.
    /// See [`Future::add_done_callback`](crate::Future::add_done_callback).
    pub fn add_done_callback(&self, callback: impl FnOnce(&Outcome<T>) + Send + 'static)
    where
        T: Send + Sync,
    {
        let Err(callback) = self.task().try_add_callback(Box::new(callback)) else {
            return;
        };
        let mut late = self.0.late.lock();
        match &mut *late {
            // Another thread, or a caller further up this stack, is running callbacks and runs this one next.
            Some(queue) => queue.push_back(callback),
            None => {
                *late = Some(VecDeque::from([callback]));
                drop(late);
                self.deliver_late();
            }
        }
    }

    /// Runs late callbacks until none is left, then sets `late` to `None` under the same lock.
    fn deliver_late(&self)
    where
        T: Send + Sync,
    {
        let _filled = self.lent();
        let next = || {
            let mut late = self.0.late.lock();
            let callback = late.as_mut().and_then(VecDeque::pop_front);
            if callback.is_none() {
                *late = None;
            }
            callback
        };
        while let Some(callback) = next() {
            if let Some(outcome) = self.0.outcome.get() {
                with_room(|| catch_and_log("a callback of a future", || owner::in_callback(|| callback(outcome))));
            }
        }
    }
}

impl<T> Clone for SharedFuture<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for SharedFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_future(f, "SharedFuture", self.task())
    }
}

impl<T> fmt::Display for SharedFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_future(f, "SharedFuture", self.task())
    }
}

impl<'a, T> IntoFuture for &'a SharedFuture<T> {
    type Output = Result<&'a T, Error>;
    type IntoFuture = AwaitingShared<'a, T>;

    fn into_future(self) -> AwaitingShared<'a, T> {
        AwaitingShared { future: self, spare: None, key: WakerKey::new() }
    }
}

/// Waits for a [`SharedFuture`] without blocking, under any async runtime. Made by `.await` on a reference to one.
#[must_use = "does nothing unless it is awaited"]
pub struct AwaitingShared<'a, T> {
    future: &'a SharedFuture<T>,
    /// Keeps the pool of the polling thread going until the future is done.
    spare: Option<Arc<CompensationGuard>>,
    key: WakerKey,
}

impl<'a, T> std::future::Future for AwaitingShared<'a, T> {
    type Output = Result<&'a T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.spare = claim_polled(this.future);
        match this.future.task().listen(Listener::Waker(Box::new((context.waker().clone(), this.key)))) {
            None => Poll::Pending,
            Some(_) => {
                this.spare = None;
                Poll::Ready(this.future.lent())
            }
        }
    }
}

impl<T> Drop for AwaitingShared<'_, T> {
    fn drop(&mut self) {
        self.future.task().unlisten(ListenerKey::Waker(self.key));
    }
}

impl<T> fmt::Debug for AwaitingShared<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AwaitingShared").field(self.future).finish()
    }
}

impl<T> Future<T> {
    /// Makes a handle that can be cloned, and that only lends the value.
    ///
    /// All handles share one copy of the value. The first access takes it from the task and needs stack for three
    /// copies, so put a large value into a `Box` or `Arc`.
    ///
    /// # Panics
    ///
    /// The first access, if the outcome was taken before: by polling a reference to this future until it was ready.
    pub fn share(self) -> SharedFuture<T>
    where
        T: Send + Sync,
    {
        // A poll before may have left its waker. What it holds stays until the task is done.
        self.task.unlisten(ListenerKey::Handle);
        SharedFuture::new(self)
    }
}

impl<T> Waitable for SharedFuture<T> {}
impl<T> Sealed for SharedFuture<T> {
    fn awaited(&self) -> Lent<'_> {
        Lent(&**self.task())
    }
    fn runnable(&self) -> Owned {
        Owned(Arc::clone(self.task()) as _)
    }
}
