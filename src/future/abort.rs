//! [`AbortHandle`] and [`AbortOnDrop`]: stop a task without waiting for it.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Future;
use super::text::write_future;
use crate::error::Outcome;
use crate::id::FutureId;
use crate::task::Runnable;
use crate::wait::Waitable;
use crate::wait::sealed::{Lent, Owned, Sealed};

/// Cancels or aborts a task without its future. Made by [`Future::abort_handle`].
///
/// A clone stops the same task. A handle keeps neither the function nor the outcome alive.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, promise};
///
/// let (_promise, future) = promise::<u8>();
/// let stop = future.abort_handle();
/// let waiting = std::thread::spawn(move || future.result());
/// assert!(stop.abort());
/// assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
/// ```
#[derive(Clone)]
pub struct AbortHandle(Arc<dyn Runnable>);

impl AbortHandle {
    /// Returns the id of the future that this handle was made from.
    pub fn id(&self) -> FutureId {
        self.0.id()
    }

    /// Returns `true` if the task has ended. Does not block.
    pub fn is_done(&self) -> bool {
        self.0.snapshot().state.is_done()
    }

    /// Cancels the task if it has not started; see [`Future::cancel`].
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// Cancels the task, even while it runs; see [`Future::abort`].
    pub fn abort(&self) -> bool {
        self.0.abort()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AbortHandle").field(&self.id()).finish()
    }
}

/// A [`Future`] that [aborts](Future::abort) its task when it is dropped. Made by [`Future::abort_on_drop`].
///
/// It dereferences to the future, and can be awaited or waited for like one.
#[must_use = "dropping it aborts the task"]
pub struct AbortOnDrop<T> {
    /// Dropped before the future.
    aborts: Aborts,
    future: Future<T>,
}

/// Aborts a task when dropped, unless it is empty.
struct Aborts(Option<AbortHandle>);

impl Drop for Aborts {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

impl<T> AbortOnDrop<T> {
    /// Returns the future, whose drop leaves the task alone.
    pub fn into_inner(mut self) -> Future<T> {
        self.aborts.0 = None;
        self.future
    }
}

impl<T> Deref for AbortOnDrop<T> {
    type Target = Future<T>;

    fn deref(&self) -> &Future<T> {
        &self.future
    }
}

impl<T> std::future::Future for AbortOnDrop<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        Pin::new(&mut self.future).poll(context)
    }
}

impl<T> fmt::Debug for AbortOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_future(f, "AbortOnDrop", self.task())
    }
}

impl<T> Waitable for AbortOnDrop<T> {}
impl<T> Sealed for AbortOnDrop<T> {
    fn awaited(&self) -> Lent<'_> {
        self.future.awaited()
    }
    fn runnable(&self) -> Owned {
        self.future.runnable()
    }
}

impl<T> Future<T> {
    /// Makes a handle that can cancel or abort the task, and nothing else. It can be cloned.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.runnable().0)
    }

    /// Aborts the task when the returned future is dropped, as a runtime does with what it no longer wants.
    ///
    /// Callbacks of the task then run in the thread that drops it.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::promise;
    ///
    /// let (promise, future) = promise::<u8>();
    /// drop(future.abort_on_drop());
    /// assert!(promise.is_cancelled());
    /// ```
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop { aborts: Aborts(Some(self.abort_handle())), future: self }
    }
}
