//! Forms in which an executor is passed on, with what they refer to: each call goes through the form.

use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, ItemExecutor, Job, Stats, Submitter, TaskOptions, Waiting, With};

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
    concurrent_futures_conformance::pass_on!();
}

/// Logs the end of each task, and of each item of a map: the executor that the guide shows, held to it by a test.
pub(crate) struct Logged<B>(pub(crate) B);

fn observe(job: Job) -> Job {
    let (id, name) = (job.id(), job.name().map(String::from).unwrap_or_default());
    job.on_done(move |outcome, times| {
        let (queued, ran, worker) = (times.queued(), times.ran(), times.worker_name());
        let result = outcome.map_or_else(Error::to_string, |()| "done".into());
        log::info!("task {id} {name}: {result}; queued {queued:?}, ran {ran:?} on {worker:?}");
    });
    job
}

impl<B: Backend> Backend for Logged<B> {
    fn execute(&self, job: Job) {
        self.0.execute(observe(job));
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.0.try_execute(observe(job), waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        Some(self.0.submitter()?.map(observe))
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
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.0.poll_join(waiting)
    }
    fn cancel_pending(&self) -> usize {
        self.0.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
}
