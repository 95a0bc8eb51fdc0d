//! [`Scope`]: tasks that borrow from the stack of their caller.
//!
//! # Why this is sound
//!
//! The type of a scoped task borrows for `'scope`, but the queue and the handle hold it as if it borrowed nothing. So
//! when the scope ends, the task must not contain anything that borrows:
//!
//! - **The closure**: `scope` returns or unwinds only when the count of open tasks is zero. The count falls when an
//!   [`Ended`] guard drops. The guard is made together with the closure. It either drops after the closure as part of
//!   the same struct (a task that was cancelled or refused), or after the call has returned (a task that ran). An abort
//!   or a refusal does not drop it earlier: the guard is stored with the closure, not with the future.
//! - **The outcome**: the guard of a task that ran drops after its outcome was stored or dropped. A stored outcome
//!   belongs to the one handle, `Future<T>`, which cannot outlive what `T` borrows; dropping the handle takes the
//!   outcome out of the task. If the handle is leaked, it keeps the task, and with it the outcome, for ever without
//!   dropping it.
//! - **A fork**: the threads of the pool do not exist in the forked process, so the tasks they were running never end
//!   there, and nothing accesses them. The scope ends the tasks that have not started, including their closures, and
//!   then returns without waiting.
//! - **The ended task** may stay alive in a dead queue entry, a [`TaskContext`](crate::task::TaskContext), a wait-set or
//!   an [`AbortHandle`](crate::AbortHandle). What it still holds (options, callbacks) borrows nothing. `cancel` and
//!   `abort` have no effect on an ended task, and its state tells only whether a leaked outcome is an error.
//!
//! The argument is about every owner of a closure or an outcome, so they are in one file.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Weak};

use super::executor::ThreadPoolExecutor;
use super::pool::Pool;
use crate::error::{BoxError, Outcome};
use crate::fork;
use crate::future::Future;
use crate::held::{Held, is_large};
use crate::items::RangeExecutor;
use crate::map::has_time_limit;
use crate::options::TaskOptions;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex};
use crate::task::call::Call;
use crate::task::function::outcome;
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::{BlockReason, Claim};
use crate::task::{Runnable, TaskHandle, new_task};
use crate::with::With;

/// Spawns tasks that may borrow from outside the scope. Passed to the body by [`ThreadPoolExecutor::scope`], or
/// by `scope` of one [with options](crate::With).
///
/// [`map`](Scope::map) runs a function on each of many items that borrow, [`spawn`](Scope::spawn) one closure.
pub struct Scope<'scope, 'env: 'scope> {
    pool: Arc<Pool>,
    /// The options of each task.
    options: Option<Arc<TaskOptions>>,
    tasks: Arc<Tasks>,
    /// Invariant in both lifetimes, like std's scope, or a shorter borrow could be passed off as a longer one.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// The open tasks of a scope.
struct Tasks {
    /// The number of closures that have not returned and were not dropped. After the body has returned, it stays zero once
    /// it is zero: only open tasks of the scope spawn into it then. Each decrement releases what the closure has done, and `join`, which reads
    /// zero, acquires it.
    open: AtomicUsize,
    state: Mutex<State>,
    /// Notified when no task is open. The lock is taken in between, so a thread that has seen an open task under the lock
    /// sleeps by then.
    all_ended: Condvar,
    /// The [generation](fork::generation) of the process that created the scope.
    generation: u32,
}

#[derive(Default)]
struct State {
    /// Tasks that may be pending, oldest first. Tasks that no longer wait are swept out when the length has doubled.
    pending: VecDeque<Weak<dyn Runnable>>,
    swept_to: usize,
}

/// Decrements `Tasks::open` when it drops.
struct Ended(Arc<Tasks>);

impl Drop for Ended {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Release) == 1 {
            drop(self.0.state.lock());
            self.0.all_ended.notify_all();
        }
    }
}

/// A closure and its guard. Invariant: the closure is declared, and so drops, before the guard.
struct Scoped<F> {
    function: F,
    ended: Option<Ended>,
}

impl<F, T> Call<T> for Scoped<F>
where
    F: FnOnce() -> Outcome<T> + Send,
{
    type Guard = Option<Ended>;
    fn guard(&mut self) -> Option<Ended> {
        self.ended.take()
    }
    fn run(self) -> Outcome<T> {
        (self.function)()
    }
}

impl ThreadPoolExecutor {
    /// Runs `body` with a scope whose tasks may borrow from the caller's stack.
    ///
    /// Returns when `body` has returned and all tasks of the scope have *ended*: their closures have returned or were
    /// dropped. This includes tasks whose futures were done earlier because of an abort. If `body` panics, tasks that
    /// have not started are cancelled, the others are waited for, and then the panic resumes. If `scope` is called on a
    /// worker of this executor, it runs the scope's pending tasks itself while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let data = vec![1, 2, 3];
    /// let (sum, largest) = threads.scope(|scope| {
    ///     let sum = scope.spawn(|| data.iter().sum::<i32>());
    ///     let largest = scope.spawn(|| data.iter().max());
    ///     (sum.result(), largest.result())
    /// });
    /// assert_eq!((sum?, largest?), (6, Some(&3)));
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    ///
    /// Borrowed values must outlive the scope:
    ///
    /// ```compile_fail,E0373
    /// let threads = concurrent_futures::ThreadPoolExecutor::new(2);
    /// threads.scope(|scope| {
    ///     let inside = 1;
    ///     scope.spawn(|| inside + 1).detach();
    /// });
    /// ```
    pub fn scope<'env, R>(&self, body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
        open(&self.pool, None, body)
    }
}

impl With<'_, ThreadPoolExecutor> {
    /// Runs `body` with a scope whose tasks may borrow from the caller's stack, like [`ThreadPoolExecutor::scope`]. Each
    /// task of the scope has these options.
    ///
    /// Blocks like that until all tasks have ended. This includes a task past its time limit: what it borrows must live
    /// until it returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor, task};
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(1)));
    /// let needle = String::from("not there");
    /// let found = limited.scope(|scope| {
    ///     let search = scope.spawn(|| {
    ///         let words = (0..).map(|n: u64| n.to_string()).take_while(|_| task::check().is_ok());
    ///         words.filter(|word| *word == needle).count()
    ///     });
    ///     search.result()
    /// });
    /// assert!(matches!(found, Err(Error::TimeLimit(_))));
    /// ```
    pub fn scope<'env, R>(&self, body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
        open(&self.backend.pool, Some(&self.options), body)
    }
}

fn open<'env, R>(
    pool: &Arc<Pool>,
    options: Option<&Arc<TaskOptions>>,
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
) -> R {
    if const { is_large::<R>() } {
        return *open_held::<R, Box<R>>(pool, options, body);
    }
    open_held::<R, R>(pool, options, body)
}

/// Runs the body, and blocks until all tasks of the scope have ended.
fn open_held<'env, R, H: Held<R>>(
    pool: &Arc<Pool>,
    options: Option<&Arc<TaskOptions>>,
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
) -> H {
    let tasks = Tasks {
        open: AtomicUsize::new(0),
        state: Mutex::new(State::default()),
        all_ended: Condvar::new(),
        generation: fork::generation(),
    };
    let scope = Scope {
        pool: Arc::clone(pool),
        options: options.cloned(),
        tasks: Arc::new(tasks),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = panic::catch_unwind(AssertUnwindSafe(|| H::hold(|| body(&scope))));
    // From here to the end of `join` nothing may unwind: the borrows would end before the tasks.
    let bomb = AbortOnUnwind;
    if result.is_err() {
        scope.tasks.cancel_pending();
    }
    scope.tasks.join();
    std::mem::forget(bomb);
    match result {
        Ok(value) => value,
        Err(payload) => panic::resume_unwind(payload),
    }
}

struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Runs a closure on a worker. The closure may borrow what outlives the scope, and spawn into the same scope.
    ///
    /// Never fails and never panics: if the task is refused, its future is done and contains the reason. The scope waits
    /// for the task also if the future is detached; a panic of it is logged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let mut numbers = [1, 2, 3, 4];
    /// threads.scope(|scope| {
    ///     for half in numbers.chunks_mut(2) {
    ///         scope.spawn(|| half.iter_mut().for_each(|number| *number *= 10)).detach();
    ///     }
    /// });
    /// assert_eq!(numbers, [10, 20, 30, 40]);
    /// ```
    pub fn spawn<F, T>(&'scope self, function: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.queue(move || Ok(function()))
    }

    /// Runs a closure that returns `Result` on a worker. Its `Err` becomes the future's
    /// [`Error::Failed`](crate::Error::Failed).
    pub fn try_spawn<F, T, E>(&'scope self, function: F) -> Future<T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
        E: Into<BoxError>,
    {
        self.queue(move || outcome(function()))
    }

    pub(super) fn max_workers(&self) -> usize {
        self.pool.max_workers()
    }

    /// Returns `true` if each item of a map is to be a task of its own.
    pub(super) fn takes_only_tasks(&self) -> bool {
        self.pool.takes_only_tasks() || has_time_limit(self.options.as_ref())
    }

    fn queue<F, T>(&'scope self, function: F) -> Future<T>
    where
        F: FnOnce() -> Outcome<T> + Send + 'scope,
        T: Send + 'scope,
    {
        let ended = Some(self.tasks.open());
        let (options, owner) = (self.options.clone(), self.pool.as_owner());
        let task: Arc<dyn TaskHandle<T> + 'scope> = if const { is_large::<F>() } {
            let function: Box<dyn FnOnce() -> Outcome<T> + Send + 'scope> = Box::new(function);
            new_task(Some(Scoped { function, ended }), options, owner)
        } else {
            new_task(Some(Scoped { function, ended }), options, owner)
        };
        // SAFETY: only the lifetime bound of the trait object changes, so the layout is the same. The closure and the
        // outcome are all that borrows for `'scope`. Both are out of the task before `'scope` ends, as the head of this
        // file shows; after that, only methods that access neither are called on the task.
        #[allow(unsafe_code)]
        let task = unsafe { std::mem::transmute::<Arc<dyn TaskHandle<T> + 'scope>, Arc<dyn TaskHandle<T>>>(task) };
        let future = Future::new(Arc::clone(&task));
        let task: Arc<dyn Runnable> = task;
        self.tasks.remember(&task);
        self.pool.push(task);
        future
    }
}

impl Tasks {
    fn open(self: &Arc<Self>) -> Ended {
        self.open.fetch_add(1, Ordering::Relaxed);
        Ended(Arc::clone(self))
    }

    fn remember(&self, task: &Arc<dyn Runnable>) {
        const FEW: usize = 64;
        let mut state = self.state.lock();
        state.pending.push_back(Arc::downgrade(task));
        if state.pending.len() > FEW.max(2 * state.swept_to) {
            state.pending.retain(|task| task.upgrade().is_some_and(|task| task.is_waiting()));
            state.swept_to = state.pending.len();
        }
    }

    fn next_pending(&self) -> Option<Arc<dyn Runnable>> {
        let mut state = self.state.lock();
        while let Some(task) = state.pending.pop_front() {
            if let Some(task) = task.upgrade() {
                return Some(task);
            }
        }
        None
    }

    /// Ends the tasks that have not started, in a forked copy of the process.
    fn end_lost(&self) {
        while let Some(task) = self.next_pending() {
            // Taking a snapshot in a forked process ends the task.
            task.snapshot();
        }
    }

    fn cancel_pending(&self) {
        while let Some(task) = self.next_pending() {
            task.cancel();
        }
    }

    /// Blocks until no task is open. A worker of the pool runs the pending ones first.
    fn join(&self) {
        if self.generation != fork::generation() {
            // The threads that run the other tasks do not exist in this process.
            return self.end_lost();
        }
        let owner = owner::current();
        let mut left = Vec::new();
        // Not in a callback, where the tasks could not block to wait for others.
        if let Some(owner) = &owner
            && owner::may_block()
        {
            while let Some(task) = self.next_pending() {
                if task.claim(Arc::clone(&task), owner) == Claim::NeedsWorker {
                    left.push(task);
                }
            }
            // The first one last, so that it is run first.
            left.iter().rev().for_each(|task| task.hasten(Arc::clone(task), owner));
        }
        if self.open.load(Ordering::Acquire) == 0 {
            return;
        }
        let need = if left.is_empty() { BlockReason::Progress } else { BlockReason::Worker };
        drop(left);
        let _compensation = CompensationGuard::new(owner, need);
        let mut state = self.state.lock();
        while self.open.load(Ordering::Acquire) > 0 {
            self.all_ended.wait(&mut state);
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("open", &self.tasks.open.load(Ordering::Relaxed)).finish_non_exhaustive()
    }
}
