//! [`ShuttingDown`]: waits for the end of an executor without blocking.
#![forbid(unsafe_code)]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::backend::Backend;
use crate::condition::Waiting;

/// Closes an executor, and waits without blocking until its workers have ended. Made by
/// [`Executor::shutdown_async`](crate::Executor::shutdown_async).
///
/// The executor is closed when this is polled first. Dropping this leaves the executor closed.
#[must_use = "the executor is closed when this is awaited"]
pub struct ShuttingDown<'e, B: ?Sized> {
    backend: &'e B,
    waiting: Waiting,
}

impl<'e, B: ?Sized> ShuttingDown<'e, B> {
    pub(crate) fn new(backend: &'e B) -> Self {
        Self { backend, waiting: Waiting::new() }
    }
}

impl<B: Backend + ?Sized> std::future::Future for ShuttingDown<'_, B> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.backend.close();
        if this.backend.poll_join(this.waiting.poll(context)) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<B: ?Sized> fmt::Debug for ShuttingDown<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShuttingDown").finish_non_exhaustive()
    }
}
