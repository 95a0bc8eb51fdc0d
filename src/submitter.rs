//! [`Submitter`]: a handle on an executor that does not borrow it.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::job::Job;

/// Passes jobs to an executor without a borrow of it. Returned by [`Backend::submitter`](crate::Backend::submitter), for
/// tasks that are submitted once others are done.
///
/// An executor may end while there are handles on it. It then refuses the jobs, as it does after `close`.
#[derive(Clone)]
pub struct Submitter(Arc<dyn Fn(Job) + Send + Sync>);

impl Submitter {
    /// Makes a handle of a function that does with a job what [`Backend::execute`](crate::Backend::execute) does.
    ///
    /// It is called in the thread that completes the last input of a task. Like a callback, it must not block, not even for
    /// room in a queue: take the job although the queue is full, or fail it.
    pub fn new(execute: impl Fn(Job) + Send + Sync + 'static) -> Self {
        Self(Arc::new(execute))
    }

    /// Passes a job to the executor, which accepts it or completes it with an error.
    pub fn submit(&self, job: Job) {
        (self.0)(job);
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").finish_non_exhaustive()
    }
}
