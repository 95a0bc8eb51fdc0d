//! Forms in which an executor is passed on, with what they refer to: each call goes through the form.

use std::time::Duration;

use concurrent_futures::{Backend, Executor, ItemExecutor, Job, Stats, Submitter, TaskOptions, Waiting, With};

/// Calls every method through a [`With`].
pub(crate) struct View<B>(pub(crate) B);

impl<B: Backend> View<B> {
    fn with(&self) -> With<'_, B> {
        self.0.with(TaskOptions::new())
    }
}

impl<B: Backend> Backend for View<B> {
    fn execute(&self, job: Job) {
        self.with().execute(job);
    }
    fn max_workers(&self) -> usize {
        self.with().max_workers()
    }
    fn close(&self) {
        self.with().close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.with().join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.with().cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.with().stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.with().try_execute(job, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        self.with().submitter()
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.with().poll_join(waiting)
    }
    fn item_executor(&self) -> ItemExecutor {
        self.with().item_executor()
    }
}

/// Calls every method through a `&dyn Backend`.
pub(crate) struct Lent<B>(pub(crate) B);

/// Names the implementation for the reference: a method call would find that of what it refers to.
fn through<'b>(backend: &'b &'b dyn Backend) -> &'b impl Backend {
    backend
}

impl<B: Backend> Backend for Lent<B> {
    fn execute(&self, job: Job) {
        through(&(&self.0 as &dyn Backend)).execute(job);
    }
    fn max_workers(&self) -> usize {
        through(&(&self.0 as &dyn Backend)).max_workers()
    }
    fn close(&self) {
        through(&(&self.0 as &dyn Backend)).close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        through(&(&self.0 as &dyn Backend)).join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        through(&(&self.0 as &dyn Backend)).cancel_pending()
    }
    fn stats(&self) -> Stats {
        through(&(&self.0 as &dyn Backend)).stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        through(&(&self.0 as &dyn Backend)).try_execute(job, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        through(&(&self.0 as &dyn Backend)).submitter()
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        through(&(&self.0 as &dyn Backend)).poll_join(waiting)
    }
    fn item_executor(&self) -> ItemExecutor {
        through(&(&self.0 as &dyn Backend)).item_executor()
    }
}

/// Passes on what it must, so that each item of a map is a job.
pub(crate) struct ByJobs<B>(pub(crate) B);

impl<B: Backend> Backend for ByJobs<B> {
    fn execute(&self, job: Job) {
        self.0.execute(job);
    }
    fn max_workers(&self) -> usize {
        self.0.max_workers()
    }
    fn close(&self) {
        self.0.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.0.join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.0.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
}
