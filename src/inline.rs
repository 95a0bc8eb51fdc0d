//! [`InlineExecutor`]: runs tasks in the calling thread, without workers.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::backend::Backend;
use crate::job::Job;

/// Runs each task in the calling thread, inside `submit`, as a sequential baseline or for tests.
///
/// Tasks that submit tasks nest like function calls. If little of the stack is left, a task runs on a new thread, which
/// has its own thread-locals, while the calling thread waits for it. If no thread can be started, the task ends with
/// [`Error::Broken`](crate::Error::Broken).
///
/// Every future that it returns is done. The executor has no state: it accepts tasks even after
/// [`close`](Backend::close) and [`shutdown`](crate::Executor::shutdown), and its statistics stay at zero. To test how
/// code handles a closed executor, use [`ThreadPoolExecutor::new(1)`](crate::ThreadPoolExecutor::new). Time limits are
/// ignored, because no other thread could enforce them.
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
    /// Does nothing: there is no state.
    fn close(&self) {}
    /// Returns `true`: there are no workers.
    fn join(&self, _timeout: Option<Duration>) -> bool {
        true
    }
}
