//! [`OnQueue`]: an executor whose tasks go to another queue.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{Backend, Future, Job, Payload, Stats, Submitter, Waiting};

use super::CeleryExecutor;

/// A view of a [`CeleryExecutor`] whose tasks go to another queue. Made by [`CeleryExecutor::on`].
///
/// Everything else is passed to the executor: closing this closes the executor.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use concurrent_futures_celery::CeleryExecutor;
///
/// let cluster = CeleryExecutor::from_env()?;
/// let gpu = cluster.on("gpu");
/// if gpu.wait_for_workers(1, Duration::from_secs(10)) == 1 {
///     let resized = gpu.call::<_, String>("img.resize", ("flag.png".to_owned(), 640));
///     println!("{}", resized.result()?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OnQueue<'e> {
    pub(super) executor: &'e CeleryExecutor,
    pub(super) queue: Arc<str>,
}

impl OnQueue<'_> {
    /// Calls a task by its name, as [`CeleryExecutor::call`] does.
    pub fn call<A: Payload, R: Payload>(&self, task: &str, arguments: A) -> Future<R> {
        super::call(self, task, arguments)
    }

    /// Blocks until `count` workers read this queue, or until the time is up. Returns how many do, as
    /// [`CeleryExecutor::wait_for_workers`] does for the queue of the executor.
    pub fn wait_for_workers(&self, count: usize, timeout: Duration) -> usize {
        self.executor.shared.wait_for_workers(&self.queue, count, timeout)
    }
}

impl Backend for OnQueue<'_> {
    fn execute(&self, job: Job) {
        self.executor.shared.submit(job, &self.queue, true);
    }
    fn max_workers(&self) -> usize {
        self.executor.max_workers()
    }
    fn close(&self) {
        self.executor.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.executor.join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.executor.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.executor.stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.executor.shared.try_submit(job, &self.queue, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        Some(self.executor.shared.submitter(&self.queue))
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.executor.poll_join(waiting)
    }
}
