//! [`wait`], what can be waited for, and how a thread waits for one future.
//!
//! What can be waited for and the two ways to wait, for one future and for many, use the same private methods, so they
//! are in one file.
#![forbid(unsafe_code)]

pub(crate) mod hastened;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::look;
use crate::sync::{Condvar, Mutex};
use crate::task::listener::{Key, Listen, Listener, ListenerKey};
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::{BlockReason, Claim, Runnable, TaskOwner};
use crate::task::snapshot::End;
use crate::task::state::wait_for_itself;

/// A future, alone or with a key: `Future<T>`, `SharedFuture<T>`, `&W`, `Box<W>`, and `(K, W)` for any `K`.
///
/// With `&dyn Waitable`, one call can wait for futures of several types. Sealed: no other crate can implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future of this crate, nor a pair that ends with one",
    label = "cannot be waited for",
    note = "a future travels with what it is for as `(key, future)`, the future last; as the key of a map take `future.id()`"
)]
pub trait Waitable: sealed::Sealed {}

pub(crate) mod sealed {
    use std::sync::Arc;

    use crate::task::{Awaited, Runnable};

    /// Lends the task behind a future.
    #[expect(missing_debug_implementations, reason = "cannot be named outside")]
    pub struct Lent<'a>(pub(crate) &'a dyn Awaited);

    /// Shares the task behind a future with code that may run it.
    #[expect(missing_debug_implementations, reason = "cannot be named outside")]
    pub struct Owned(pub(crate) Arc<dyn Runnable>);

    pub trait Sealed {
        #[doc(hidden)]
        fn awaited(&self) -> Lent<'_>;
        #[doc(hidden)]
        fn runnable(&self) -> Owned;
    }
}

use sealed::{Lent, Owned, Sealed};

impl<W: Waitable + ?Sized> Waitable for &W {}
impl<W: Waitable + ?Sized> Sealed for &W {
    fn awaited(&self) -> Lent<'_> {
        (**self).awaited()
    }
    fn runnable(&self) -> Owned {
        (**self).runnable()
    }
}

impl<W: Waitable + ?Sized> Waitable for Box<W> {}
impl<W: Waitable + ?Sized> Sealed for Box<W> {
    fn awaited(&self) -> Lent<'_> {
        (**self).awaited()
    }
    fn runnable(&self) -> Owned {
        (**self).runnable()
    }
}

impl<K, W: Waitable> Waitable for (K, W) {}
impl<K, W: Waitable> Sealed for (K, W) {
    fn awaited(&self) -> Lent<'_> {
        self.1.awaited()
    }
    fn runnable(&self) -> Owned {
        self.1.runnable()
    }
}

pub(crate) fn is_done(future: &(impl Sealed + ?Sized)) -> bool {
    future.awaited().0.snapshot().state.is_done()
}

/// Returns the moment at which `timeout` is up, or `None` if there is no limit or it is too long for the clock.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Blocks until one task is done or the time is up. Returns `true` if the task is done.
#[track_caller]
pub(crate) fn wait_for(future: &(impl Sealed + ?Sized), timeout: Option<Duration>) -> bool {
    if is_done(future) {
        look::note_found(1);
        return true;
    }
    if timeout == Some(Duration::ZERO) {
        return false;
    }
    wait_until(future, deadline(timeout))
}

/// Blocks until one task, which was not done a moment ago, is done or the deadline passes. Returns `true` if it is
/// done.
///
/// A worker that waits without a deadline runs the task itself if the task is in the queue of its own executor. If it
/// cannot, another worker has to run it next, and a spare worker keeps the executor going.
#[track_caller]
pub(crate) fn wait_until(future: &(impl Sealed + ?Sized), deadline: Option<Instant>) -> bool {
    owner::assert_may_block();
    let Some(owner) = owner::current() else {
        return future.awaited().0.sleep(deadline);
    };
    let mut need = BlockReason::Worker;
    if deadline.is_none() {
        match claim(&future.runnable().0, &owner) {
            Some(reason) if !is_done(future) => need = reason,
            _ => return true,
        }
    }
    if need == BlockReason::Worker {
        hasten([future], &owner);
    }
    let _compensation = CompensationGuard::new(Some(owner), need);
    future.awaited().0.sleep(deadline)
}

/// Runs a task here if it is in the queue of this thread's executor, or what it needs if it is held back. Returns what
/// this thread needs of others if the task is not done then, or `None` if it is known to be done.
fn claim(task: &Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>) -> Option<BlockReason> {
    match task.claim(Arc::clone(task), owner) {
        Claim::Done => None,
        Claim::Elsewhere => Some(claim_inputs(task, owner)),
        Claim::NeedsWorker => Some(BlockReason::Worker),
    }
}

/// Runs what a task needs, each task after its own inputs, as far as that is in the queue of this thread's executor.
fn claim_inputs(task: &Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>) -> BlockReason {
    let mut reason = BlockReason::Progress;
    let mut inputs = task.inputs();
    if inputs.is_empty() {
        return reason;
    }
    // Inputs that are shared lead to a task by many ways.
    let mut seen = HashSet::from([task.id()]);
    inputs.reverse();
    let mut open = vec![(Arc::clone(task), inputs)];
    while let Some((next, inputs)) = open.last_mut() {
        if let Some(input) = inputs.pop() {
            if seen.insert(input.id()) {
                let mut of_input = input.inputs();
                of_input.reverse();
                open.push((input, of_input));
            }
            continue;
        }
        if next.claim(Arc::clone(next), owner) == Claim::NeedsWorker {
            reason = BlockReason::Worker;
        }
        if task.snapshot().state.is_done() {
            break;
        }
        open.pop();
    }
    reason
}

/// Has the next free worker first run a task that this worker is about to wait for, or what that needs, as far as it is in
/// the queue of this thread's executor.
///
/// Without this, a spare worker would begin the first task in the queue. If that waits too, and so do those behind it, each
/// would get a spare worker of its own before any of the tasks that they wait for runs.
///
/// The task that is hastened last runs first, so a deep task ends before the next one begins. A task that is held back is not
/// hastened, only its inputs are: once they are done, it goes to the end of the queue.
pub(crate) fn hasten<'a, W: Sealed + ?Sized + 'a>(
    futures: impl IntoIterator<Item = &'a W>,
    owner: &Arc<dyn TaskOwner>,
) {
    // Inputs that are shared lead to a task by many ways.
    let mut seen = HashSet::new();
    let mut open = Vec::new();
    for future in futures {
        open.push(future.runnable().0);
        while let Some(task) = open.pop() {
            let inputs = task.inputs();
            if inputs.is_empty() || seen.insert(task.id()) {
                task.hasten(Arc::clone(&task), owner);
                open.extend(inputs);
            }
        }
    }
}

/// Lets a poll of `.await` on a worker run the task if it is in the queue of the worker's own executor.
///
/// If it cannot, returns what keeps the executor going by a spare worker. The caller holds it until the task is done or
/// the `.await` is dropped, because a poll does not know how long its thread sleeps afterwards.
pub(crate) fn claim_polled(future: &impl Sealed) -> Option<Arc<CompensationGuard>> {
    if !owner::may_block() {
        return None;
    }
    let owner = owner::current()?;
    let need = claim(&future.runnable().0, &owner)?;
    if need == BlockReason::Worker {
        hasten([future], &owner);
    }
    (!is_done(future)).then(|| owner::compensate_await(&owner, need))
}

/// Panics if the only futures that are not done are those of tasks that this thread is running: the wait would never
/// end.
#[track_caller]
pub(crate) fn assert_not_itself<'a, W: Waitable + 'a>(futures: impl Iterator<Item = &'a W>) {
    let mut own = None;
    for future in futures {
        let Lent(task) = future.awaited();
        if task.runs_here() {
            own = Some(task.id());
        } else if !task.snapshot().state.is_done() {
            return;
        }
    }
    if let Some(id) = own {
        wait_for_itself(id);
    }
}

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// Returns as soon as one future is done.
    FirstCompleted,
    /// Returns as soon as one future ended with an error, or all are done. Cancellation is not an error here.
    FirstError,
    /// Returns when all futures are done.
    AllCompleted,
}

/// The futures that were passed to [`wait`], sorted by whether they are done.
#[derive(Debug)]
pub struct Waited<W> {
    /// The futures that are done, in input order.
    pub done: Vec<W>,
    /// The futures that are not done, in input order.
    pub not_done: Vec<W>,
}

/// Blocks until `return_when` is satisfied or the time is up, and sorts the futures by whether they are done.
///
/// The futures may belong to several executors. Each of them is returned exactly once, in input order. A zero timeout
/// polls; `None`, or a timeout too long for the clock, is no limit. The cost of a call is linear in the number of
/// futures, so a loop that handles one result at a time is faster with [`as_completed`](crate::as_completed).
///
/// # Panics
///
/// If called in a callback and it would block, or in a task that waits for itself.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use concurrent_futures::{ReturnWhen, ThreadPoolExecutor, Waited, wait};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let futures: Vec<_> = (1..=3_u64).map(|n| threads.submit(|n| n * n, n)).collect();
/// let Waited { done, not_done } = wait(futures, Duration::from_secs(60), ReturnWhen::AllCompleted);
/// assert_eq!((done.len(), not_done.len()), (3, 0));
/// ```
///
/// Futures of different types:
///
/// ```
/// use concurrent_futures::{ReturnWhen, ThreadPoolExecutor, Waitable, wait};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let (number, text) = (threads.spawn(|| 1), threads.spawn(|| "one"));
/// let waited = wait([&number as &dyn Waitable, &text], None, ReturnWhen::AllCompleted);
/// assert_eq!(waited.done.len(), 2);
/// ```
#[track_caller]
pub fn wait<W: Waitable>(
    futures: impl IntoIterator<Item = W>,
    timeout: impl Into<Option<Duration>>,
    return_when: ReturnWhen,
) -> Waited<W> {
    let mut futures: Vec<W> = futures.into_iter().collect();
    let timeout = timeout.into();
    let deadline = deadline(timeout);
    if timeout != Some(Duration::ZERO) {
        block(&futures, deadline, return_when);
    }
    // Usually most futures are done, and stay in the vector.
    let not_done = futures.extract_if(.., |future| !is_done(future)).collect();
    Waited { done: futures, not_done }
}

#[track_caller]
fn block<W: Waitable>(futures: &[W], deadline: Option<Instant>, return_when: ReturnWhen) {
    let set = Arc::new(WaitSet::new(futures.len(), return_when));
    let _leave = Leave { futures, set: &set };
    for (key, future) in futures.iter().enumerate() {
        let key = Key::of(key);
        let listener = Listener::Set(Arc::clone(&set) as _, key);
        if let Some(end) = future.awaited().0.listen(listener) {
            set.done(key, end);
        }
    }
    if set.is_satisfied() {
        return;
    }
    owner::assert_may_block();
    let owner = owner::current();
    if deadline.is_none() {
        assert_not_itself(futures.iter());
    }
    let mut need = BlockReason::Worker;
    if let Some(owner) = &owner
        && deadline.is_none()
        && return_when == ReturnWhen::AllCompleted
    {
        need = BlockReason::Progress;
        for future in futures {
            if claim(&future.runnable().0, owner) == Some(BlockReason::Worker) {
                need = BlockReason::Worker;
            }
        }
        if set.is_satisfied() {
            return;
        }
    }
    if let Some(owner) = &owner
        && need == BlockReason::Worker
    {
        // The first one last, so that it runs first.
        hasten(futures.iter().rev(), owner);
    }
    let _compensation = CompensationGuard::new(owner, need);
    set.sleep(deadline);
}

/// Removes the wait set from the futures when dropped, also if the wait panics.
struct Leave<'a, W: Waitable> {
    futures: &'a [W],
    set: &'a Arc<WaitSet>,
}

impl<W: Waitable> Drop for Leave<'_, W> {
    fn drop(&mut self) {
        for (key, future) in self.futures.iter().enumerate() {
            future.awaited().0.unlisten(ListenerKey::in_set(self.set, Key::of(key)));
        }
    }
}

/// Counts the futures of one `wait`. Each is counted once when it is done: by its listener, or when the listener is
/// registered.
struct WaitSet {
    return_when: ReturnWhen,
    progress: Mutex<Progress>,
    satisfied: Condvar,
}

struct Progress {
    remaining: usize,
    completed: bool,
    failed: bool,
}

impl WaitSet {
    fn new(futures: usize, return_when: ReturnWhen) -> Self {
        let progress = Progress { remaining: futures, completed: false, failed: false };
        Self { return_when, progress: Mutex::new(progress), satisfied: Condvar::new() }
    }

    fn satisfies(&self, progress: &Progress) -> bool {
        progress.remaining == 0
            || match self.return_when {
                ReturnWhen::FirstCompleted => progress.completed,
                ReturnWhen::FirstError => progress.failed,
                ReturnWhen::AllCompleted => false,
            }
    }

    fn is_satisfied(&self) -> bool {
        self.satisfies(&self.progress.lock())
    }

    fn sleep(&self, deadline: Option<Instant>) {
        let mut progress = self.progress.lock();
        while !self.satisfies(&progress) {
            match deadline {
                None => self.satisfied.wait(&mut progress),
                Some(deadline) => {
                    if self.satisfied.wait_until(&mut progress, deadline).timed_out() {
                        return;
                    }
                }
            }
        }
    }
}

impl Listen for WaitSet {
    fn done(&self, _key: Key, end: End) {
        let mut progress = self.progress.lock();
        progress.remaining -= 1;
        progress.completed = true;
        progress.failed |= end == End::Error;
        let satisfied = self.satisfies(&progress);
        drop(progress);
        if satisfied {
            self.satisfied.notify_all();
        }
    }
}
