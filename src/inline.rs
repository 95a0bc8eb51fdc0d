//! [`InlineExecutor`]: no workers at all.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::executor::Backend;
use crate::job::Job;

/// Runs each task in the calling thread, inside `submit`: the sequential baseline, and a stand-in for tests.
///
/// Every future it returns is done. It is a unit, each mention of it is another one, so there is nothing that could be closed: it goes on
/// after [`close`](Backend::close) and [`shutdown`](crate::Executor::shutdown), and its statistics stay at zero. Where a test is about the end of an
/// executor, take [`ThreadPoolExecutor::new(1)`](crate::ThreadPoolExecutor::new). A time limit is ignored: nobody is there to
/// enforce it.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Executor, InlineExecutor};
///
/// let future = InlineExecutor.submit(|n: i32| n + 1, 1);
/// assert!(future.is_done());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineExecutor;

impl Backend for InlineExecutor {
    fn execute(&self, job: Job) {
        job.run();
    }
    fn max_workers(&self) -> usize {
        1
    }
    /// Changes nothing: there is no state.
    fn close(&self) {}
    /// Always `true`: there is no worker that could run on.
    fn join_timeout(&self, _timeout: Option<Duration>) -> bool {
        true
    }
}
