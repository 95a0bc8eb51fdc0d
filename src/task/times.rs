//! [`Times`]: when a task was submitted, started and ended, and on which worker.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;

/// Called when a task starts.
pub(crate) type OnStart = Box<dyn FnOnce(&Times) + Send>;

/// Called when a task ends, with its error if it has one.
pub(crate) type OnDone = Box<dyn FnOnce(Result<(), &Error>, &Times) + Send>;

/// When a task was submitted, started and ended, and which worker ran it. Passed to the hooks of
/// [`Job::on_start`](crate::Job::on_start) and [`Job::on_done`](crate::Job::on_done).
#[derive(Clone, Debug)]
pub struct Times {
    submitted: Instant,
    started: Option<Instant>,
    ended: Option<Instant>,
    worker: Option<Arc<str>>,
}

impl Times {
    /// Returns the times of a task that is submitted now.
    pub(super) fn begin() -> Self {
        Self { submitted: Instant::now(), started: None, ended: None, worker: None }
    }

    /// Notes a start. The first one counts: a task that is retried stays running.
    pub(super) fn note_start(&mut self, at: Instant, worker: Option<Arc<str>>) {
        // In a worker process the worker reads the clock, and it may be damaged.
        self.started.get_or_insert(at.max(self.submitted));
        if worker.is_some() {
            self.worker = worker;
        }
    }

    pub(super) fn note_end(&mut self) {
        self.ended.get_or_insert_with(Instant::now);
    }

    /// Returns when the first hook was added to the job, which an executor does when it gets the job.
    pub fn submitted(&self) -> Instant {
        self.submitted
    }

    /// Returns when the task started, or `None` if it has not, or if its executor did not say so before it ended.
    pub fn started(&self) -> Option<Instant> {
        self.started
    }

    /// Returns when the task ended, or `None` if it has not.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// Returns how long the task was pending: until its start, or until its end if it never started, or until now.
    pub fn queued(&self) -> Duration {
        let until = self.started.or(self.ended).unwrap_or_else(Instant::now);
        until.saturating_duration_since(self.submitted)
    }

    /// Returns how long the task ran: until its end, or until now. `None` if it never started.
    pub fn ran(&self) -> Option<Duration> {
        let until = self.ended.unwrap_or_else(Instant::now);
        self.started.map(|started| until.saturating_duration_since(started))
    }

    /// Returns the name of the thread, or of the worker process, that runs the task. `None` if the executor has not
    /// named it.
    pub fn worker_name(&self) -> Option<&str> {
        self.worker.as_deref()
    }
}
