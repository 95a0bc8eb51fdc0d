//! [`TaskContext`]: what a running task can ask about itself.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::id::FutureId;
use crate::sync::{thread, thread_local};

thread_local! {
    static CURRENT: RefCell<Option<Current>> = RefCell::new(None);
}

/// A task as seen by the code that it runs.
pub(crate) trait RunningTask: Send + Sync {
    fn id(&self) -> FutureId;
    /// Returns the name that the caller gave the task.
    fn name(&self) -> Option<Arc<str>>;
    /// Returns `true` if the task was aborted or ran past its time limit. It may still run.
    fn is_aborted(&self) -> bool;
}

/// The task that a thread runs.
#[derive(Clone)]
enum Current {
    Own(Arc<dyn RunningTask>),
    /// The future is in another process.
    Remote(FutureId),
}

/// Returns the context of the task that this thread runs, or `None` outside of every task.
///
/// If a task waits for another one and runs it meanwhile, each gets its own context.
///
/// # Examples
///
/// A task that stops when it was aborted or is past its time limit:
///
/// ```
/// use concurrent_futures::{ThreadPoolExecutor, task};
///
/// let threads = ThreadPoolExecutor::new(1);
/// let (started, wait_for_start) = std::sync::mpsc::channel();
/// let future = threads.spawn(move || {
///     let context = task::current().expect("inside a task");
///     started.send(()).unwrap();
///     while !context.is_aborted() {
///         std::thread::yield_now(); // a piece of the work
///     }
/// });
/// wait_for_start.recv().unwrap();
/// assert!(future.abort());
/// ```
pub fn current() -> Option<TaskContext> {
    let task = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()?;
    let worker_name = thread::current().name().map(Into::into);
    Some(TaskContext { task, worker_name })
}

/// Returns an error if the task that this thread runs should stop: it was aborted, or ran past its time limit.
///
/// A task of many steps calls it between them, with `?`. Outside of every task, and in a worker process, which is killed
/// together with such a task, it is always `Ok`.
///
/// # Errors
///
/// [`Error::Cancelled`]. The future is done by then, as cancelled or with [`Error::TimeLimit`], so this error only ends
/// the function.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, ThreadPoolExecutor, task};
///
/// fn work_through(steps: impl Iterator<Item = u64>) -> Result<u64, Error> {
///     let mut sum = 0;
///     for step in steps {
///         task::check()?;
///         sum += step;
///     }
///     Ok(sum)
/// }
///
/// let threads = ThreadPoolExecutor::new(1);
/// let (started, wait_for_start) = std::sync::mpsc::channel();
/// let future = threads.try_spawn(move || {
///     started.send(()).unwrap();
///     work_through(std::iter::repeat(0))
/// });
/// wait_for_start.recv().unwrap();
/// assert!(future.abort()); // or the endless task would hold up the end of the program
/// assert_eq!(work_through(1..=3)?, 6);
/// # Ok::<(), Error>(())
/// ```
pub fn check() -> Result<(), Error> {
    match current() {
        Some(task) if task.is_aborted() => Err(Error::Cancelled),
        _ => Ok(()),
    }
}

/// Returns the name of the task that this thread runs.
pub(crate) fn current_name() -> Option<Arc<str>> {
    let task = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()?;
    match &task {
        Current::Own(task) => task.name(),
        Current::Remote(_) => None,
    }
}

/// The context of a running task. Can be cloned and sent to threads that help the task.
#[derive(Clone)]
pub struct TaskContext {
    task: Current,
    worker_name: Option<Arc<str>>,
}

impl TaskContext {
    /// Returns `true` if the task should stop: it was aborted, or ran past its time limit.
    ///
    /// Its future is done then, and the return value of the function will be dropped. A worker process is killed
    /// together with such a task, so there it is never `true`.
    pub fn is_aborted(&self) -> bool {
        match &self.task {
            Current::Own(task) => task.is_aborted(),
            Current::Remote(_) => false,
        }
    }

    /// Returns the name of the worker that runs the task.
    pub fn worker_name(&self) -> Option<&str> {
        self.worker_name.as_deref()
    }

    /// Returns the id of the task's future. Works in a worker process, too.
    pub fn id(&self) -> FutureId {
        match &self.task {
            Current::Own(task) => task.id(),
            Current::Remote(id) => *id,
        }
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("id", &self.id())
            .field("worker_name", &self.worker_name)
            .field("is_aborted", &self.is_aborted())
            .finish()
    }
}

/// The task that a thread runs, for another thread that runs code in place of the first.
pub(crate) struct Carried(Option<Current>);

/// Returns the task that this thread runs.
pub(crate) fn carry() -> Carried {
    Carried(CURRENT.try_with(|current| current.borrow().clone()).ok().flatten())
}

/// Runs `body` with the other thread's task as the current one.
pub(crate) fn enter_carried<R>(carried: Carried, body: impl FnOnce() -> R) -> R {
    match carried.0 {
        Some(task) => run_as(task, body),
        None => body(),
    }
}

/// Runs `body` as `task`. Restores the previous current task afterwards.
pub(crate) fn enter<R>(task: Arc<dyn RunningTask>, body: impl FnOnce() -> R) -> R {
    run_as(Current::Own(task), body)
}

/// Runs `body` as a task whose future is in another process.
pub(crate) fn enter_remote<R>(id: FutureId, body: impl FnOnce() -> R) -> R {
    run_as(Current::Remote(id), body)
}

fn run_as<R>(task: Current, body: impl FnOnce() -> R) -> R {
    let _restore = Restore::after(task);
    body()
}

/// Restores the previous current task when it drops.
struct Restore(Option<Current>);

impl Restore {
    /// Makes `task` the current one. When a thread ends, its thread-locals may be gone: a task that runs there has no
    /// context.
    fn after(task: Current) -> Self {
        Self(CURRENT.try_with(|current| current.replace(Some(task))).ok().flatten())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let outer = self.0.take();
        // The inner task is dropped after the borrow has ended.
        let _inner = CURRENT.try_with(|current| current.replace(outer));
    }
}
