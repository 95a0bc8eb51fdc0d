//! [`Submitting`]: submits a task once there is room for it, without blocking.
#![forbid(unsafe_code)]

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::backend::Backend;
use crate::blocking;
use crate::condition::Waiting;
use crate::future::Future;
use crate::job::Job;
use crate::options::TaskOptions;
use crate::panics;
use crate::task::TaskHandle;

/// Submits a task, and waits for room in a bounded queue without blocking. Made by
/// [`Executor::submit_async`](crate::Executor::submit_async).
///
/// `.await` gives the [`Future`] of the submitted task. The task is submitted when this is polled. Dropping this before
/// it is ready cancels the task.
///
/// # Panics
///
/// If it is polled again after it was ready.
#[must_use = "the task is submitted when this is awaited"]
pub struct Submitting<'e, B: ?Sized, R> {
    backend: &'e B,
    /// `None` while the backend has it, and once it was submitted.
    job: Option<Job>,
    /// `None` once it was returned.
    future: Option<Future<R>>,
    waiting: Waiting,
}

impl<'e, B: Backend + ?Sized, R> Submitting<'e, B, R> {
    pub(crate) fn new(backend: &'e B, task: Arc<dyn TaskHandle<R>>, options: Option<Arc<TaskOptions>>) -> Self
    where
        R: 'static,
    {
        panics::install_hook();
        let future = Future::new(Arc::clone(&task));
        let job = Job::new(task);
        let job = match options {
            Some(options) => job.with_options(options),
            None => job,
        };
        Self { backend, job: Some(job), future: Some(future), waiting: Waiting::new() }
    }
}

impl<B: Backend + ?Sized, R> std::future::Future for Submitting<'_, B, R> {
    type Output = Future<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Future<R>> {
        blocking::note_poll();
        let this = &mut *self;
        if let Some(job) = this.job.take()
            && let Err(job) = this.backend.try_execute(job, this.waiting.poll(context))
        {
            // At the next poll, every executor on the way adds its hooks again.
            job.drop_hooks();
            this.job = Some(job);
            return Poll::Pending;
        }
        Poll::Ready(this.future.take().expect("a submission was polled again after it was ready"))
    }
}

impl<B: ?Sized, R> Drop for Submitting<'_, B, R> {
    fn drop(&mut self) {
        // The end of the job would be logged as an error that nobody looked at.
        if let Some(future) = &self.future {
            future.cancel();
        }
    }
}

impl<B: ?Sized, R> fmt::Debug for Submitting<'_, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Submitting").field(&self.future).finish()
    }
}
