//! [`ModelExecutor`]: the executor that models use.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::pool::Pool;
use super::task::RemoteTask;
use crate::backend::Backend;
use crate::error::Error;
use crate::job::Job;

/// An executor with one worker. What that does, and its monitor, are threads of the model.
#[derive(Clone)]
pub struct ModelExecutor(Arc<Pool>);

impl ModelExecutor {
    /// Makes one whose worker has begun nothing.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Pool::new())
    }

    /// Looks after the worker until it has ended.
    pub fn monitor(&self) {
        self.0.monitor();
    }

    /// Waits until the monitor has gone to sleep once.
    pub fn wait_for_monitor(&self) {
        self.0.connection.wait_for(|told| told.has_slept.then_some(()));
    }

    /// The worker waits for a task, and begins it. `None`: it was taken back.
    pub fn start(&self) -> Option<(u8, u64)> {
        let (slot, sequence) = self.0.connection.wait_for(|told| told.orders.pop_front());
        self.0.connection.table.slots().start(slot, sequence, 0).then_some((slot, sequence))
    }

    /// The worker runs its next task, and answers with the sequence number, unless it is to be killed. `false`: the task was taken back.
    pub fn work(&self) -> bool {
        let Some((slot, sequence)) = self.start() else { return false };
        let connection = &self.0.connection;
        if connection.table.slots().finish(slot, sequence) && connection.table.post(slot, sequence) {
            connection.ring();
        }
        true
    }

    /// The worker ends.
    pub fn exit(&self) {
        self.0.connection.tell(|told| told.exited = true);
    }

    /// The time of the first task is up.
    pub fn expire(&self) {
        self.0.connection.tell(|told| told.expired = true);
    }

    /// How many tasks have ended.
    pub fn completed(&self) -> usize {
        self.0.completed()
    }
}

impl Backend for ModelExecutor {
    fn execute(&self, job: Job) {
        let task = job.into_task();
        let remote = RemoteTask::new(Arc::clone(&task), Arc::clone(&self.0));
        if task.attach(Arc::clone(&remote) as _) && !self.0.send(&remote) {
            task.fail(Error::Abandoned);
        }
    }

    fn max_workers(&self) -> usize {
        1
    }

    fn close(&self) {}

    fn join(&self, _: Option<Duration>) -> bool {
        let mut scheduler = self.0.scheduler.lock();
        while !scheduler.is_empty() {
            self.0.ended.wait(&mut scheduler);
        }
        true
    }
}
