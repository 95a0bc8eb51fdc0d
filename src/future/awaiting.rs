//! [`Awaiting`]: a wait for a future without blocking.
#![forbid(unsafe_code)]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Future;
use crate::error::Outcome;
use crate::held::is_large;
use crate::task::listener::{Listener, ListenerKey, WakerKey};
use crate::wait::PolledClaim;

impl<T> IntoFuture for Future<T> {
    type Output = Outcome<T>;
    type IntoFuture = Awaiting<T>;

    fn into_future(self) -> Awaiting<T> {
        Awaiting { future: Some(self), claim: PolledClaim::default(), key: WakerKey::new() }
    }
}

/// Waits for a [`Future`] without blocking, under any async runtime. Made by `.await`.
///
/// Dropping it detaches the task, as dropping the future does. If the task has not started and a thread of its own
/// executor polls, the task runs in that thread.
///
/// # Panics
///
/// If it is polled again after it was ready.
#[must_use = "does nothing unless it is awaited"]
pub struct Awaiting<T> {
    future: Option<Future<T>>,
    claim: PolledClaim,
    key: WakerKey,
}

impl<T> std::future::Future for Awaiting<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let this = &mut *self;
        let future = this.future.as_ref().expect("an awaited future was polled after it was ready");
        this.claim.poll(future);
        let listener = Listener::Waker(context.waker().clone(), this.key);
        if future.task().listen(listener).is_none() {
            return Poll::Pending;
        }
        this.claim = PolledClaim::default();
        let future = this.future.take().expect("it was there a moment ago");
        if const { is_large::<T>() } {
            return Poll::Ready(*future.take_boxed());
        }
        Poll::Ready(future.take())
    }
}

impl<T> Drop for Awaiting<T> {
    fn drop(&mut self) {
        if let Some(future) = &self.future {
            future.task().unlisten(ListenerKey::Waker(self.key));
        }
    }
}

impl<T> fmt::Debug for Awaiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Awaiting").field(&self.future).finish()
    }
}
