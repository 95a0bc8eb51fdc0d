//! [`InlineExecutor`](struct@InlineExecutor): runs tasks in the calling thread, without workers.
//!
//! An executor that can be closed has a [`State`] with the threads that run a task of it. After a close, only those may
//! still submit, and `join` sleeps until there are none.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::condition::Condition;
use crate::error::Error;
use crate::job::Job;
use crate::submitter::Submitter;
use crate::sync::Mutex;
use crate::task::owner::{may_block, thread_token};
use crate::wait::deadline;

/// Runs each task in the calling thread, inside `submit`, as a sequential baseline or for tests.
///
/// There are two ways to get one. The constant `InlineExecutor` has no state: it never closes, and accepts tasks even
/// after [`close`](Backend::close) and [`shutdown`](crate::Executor::shutdown).
/// [`InlineExecutor::new()`](InlineExecutor::new) makes an executor that can be closed, like a pool.
///
/// Every future that it returns is done. Tasks that submit tasks nest like function calls. If little of the stack is
/// left, a task runs on a new thread, which has its own thread-locals, while the calling thread waits for it. If no
/// thread can be started, the task ends with [`Error::Broken`].
///
/// Its statistics stay at zero. Time limits are ignored, because no other thread could enforce them.
///
#[doc = include_str!("executor/methods.md")]
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, InlineExecutor};
///
/// let future = InlineExecutor.submit(|n: i32| n + 1, 1);
/// assert!(future.is_done());
///
/// let inline = InlineExecutor::new();
/// assert_eq!(inline.submit(|n: i32| n + 1, 1).result()?, 2);
/// inline.shutdown();
/// assert!(matches!(inline.submit(|n: i32| n + 1, 1).result(), Err(Error::ShutDown)));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct InlineExecutor {
    /// `None` for an executor that never closes.
    state: Option<Arc<State>>,
}

/// The [`InlineExecutor`](struct@InlineExecutor) that never closes.
#[allow(non_upper_case_globals)]
pub const InlineExecutor: InlineExecutor = InlineExecutor { state: None };

/// The name of this kind of executor, in spans.
const KIND: &str = "InlineExecutor";

struct State {
    inner: Mutex<Inner>,
    /// Notified when the last task of a closed executor has ended.
    ended: Condition,
}

struct Inner {
    is_closed: bool,
    /// The thread of each task that runs. A thread with nested tasks is there several times.
    running: Vec<u64>,
}

impl InlineExecutor {
    /// Makes an executor that can be closed. Its clones are the same executor.
    pub fn new() -> Self {
        let inner = Mutex::new(Inner { is_closed: false, running: Vec::new() });
        Self { state: Some(Arc::new(State { inner, ended: Condition::new() })) }
    }
}

/// Makes an executor that can be closed.
impl Default for InlineExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for InlineExecutor {
    fn execute(&self, job: Job) {
        let Some(state) = &self.state else { return job.run_on(KIND) };
        match Running::begin(state) {
            Some(_running) => job.run_on(KIND),
            None => job.fail(Error::ShutDown),
        }
    }

    /// A task whose inputs are not done yet runs in the thread that completes the last of them, as a callback does.
    fn submitter(&self) -> Option<Submitter> {
        let executor = self.clone();
        Some(Submitter::new(move |job| executor.execute(job)).inside_submit())
    }

    fn max_workers(&self) -> usize {
        1
    }

    /// Refuses tasks from now on, except from tasks that run. Has no effect on the constant `InlineExecutor`.
    fn close(&self) {
        if let Some(state) = &self.state {
            state.inner.lock().is_closed = true;
        }
    }

    /// After a close, blocks until the tasks that other threads run have ended. The constant `InlineExecutor` has
    /// nothing to wait for: returns `true`.
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.state.as_ref().is_none_or(|state| state.join(timeout))
    }
}

impl State {
    fn join(&self, timeout: Option<Duration>) -> bool {
        let until = deadline(timeout);
        let mut inner = self.inner.lock();
        if !inner.is_closed || inner.running.contains(&thread_token()) || !may_block() {
            return false;
        }
        let mut timed_out = false;
        while !inner.running.is_empty() && !timed_out {
            timed_out = self.ended.wait_until(&mut inner, until);
        }
        inner.running.is_empty()
    }
}

/// A task that runs in this thread.
struct Running<'a>(&'a State);

impl<'a> Running<'a> {
    /// Returns `None` if the executor is closed, unless this thread runs a task of it already.
    fn begin(state: &'a State) -> Option<Self> {
        let mut inner = state.inner.lock();
        let thread = thread_token();
        if inner.is_closed && !inner.running.contains(&thread) {
            return None;
        }
        inner.running.push(thread);
        Some(Self(state))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock();
        let thread = thread_token();
        if let Some(at) = inner.running.iter().rposition(|running| *running == thread) {
            inner.running.swap_remove(at);
        }
        let is_over = inner.is_closed && inner.running.is_empty();
        drop(inner);
        if is_over {
            self.0.ended.notify_all();
        }
    }
}

/// No code that can panic runs under the lock.
impl UnwindSafe for InlineExecutor {}
impl RefUnwindSafe for InlineExecutor {}

impl fmt::Debug for InlineExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_closed = self.state.as_ref().map(|state| state.inner.lock().is_closed);
        f.debug_struct("InlineExecutor").field("is_closed", &is_closed.unwrap_or(false)).finish_non_exhaustive()
    }
}
