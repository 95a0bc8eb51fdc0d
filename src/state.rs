//! The state machine: one cell per task, in one allocation.
//!
//! An `Arc<Cell>` is unsized twice: [`Runnable`] for executors, [`Observable`] for the handle. Everything is
//! under the cell's one mutex; nothing of the user's (function, argument, outcome, callback, waker, serde
//! code) runs or drops while it is held, and no other lock is taken under it.
//!
//! # Who may leave a state
//!
//! | from | to | who | what it takes along |
//! |---|---|---|---|
//! | `Pending` | `Running` | the worker that popped it, a claiming waiter, [`Job::start`](crate::Job::start) | the work, to call it |
//! | `Pending` | `Delivering`, then done | `cancel`, `abort`, a refusal (`Broken`, `ShutDown`, ..), a promise | the work, to drop it |
//! | `Running` | `Delivering`, then done | whoever runs it, `abort`, its time limit | what is left of the work |
//! | `Delivering` | `Finished`, `Cancelled`, `Taken` | the thread that came into it | callbacks, then listeners |
//! | `Finished` | `Delivering` and back | `add_done_callback`, for the callback's time | the outcome |
//! | `Finished` | `Taken` | the handle: `result`, `.await`, its drop | the outcome |
//!
//! `Cancelled` and `Taken` are left by nobody. `Delivering` shows to the outside as the state before it, so
//! nobody sees a task done before its callbacks have run, and a callback added to a done task does not undo it.
//!
//! # The races, each decided by the lock
//!
//! - **Cancel against start**: whoever finds `Pending` wins. `cancel() == true` means that the work was taken out
//!   here, so it never runs; the loser finds no work and leaves the entry alone.
//! - **Finish against abort or time limit**: the first finds `Running` and publishes. The late outcome is dropped
//!   by its owner, outside the lock.
//! - **Finish against take**: taking needs a handle by value and a done cell; before, the taker sleeps on `changed`
//!   and is counted in `waiters`, under the same lock that publishes. Nobody is notified in vain.
//! - **Callback against finish**: added before `Delivering` ends, it is run by the delivering thread, whose loop
//!   ends under the lock that publishes; added after, by the adder. There is no in-between.
//! - **Callback against take**: the outcome is out of a `Finished` cell while a late callback looks at it. It
//!   cannot be taken then, because the adder borrows the handle that taking would consume.
//! - **Waker against finish**: registered under the lock that publishes: before, it is woken; after, it is not
//!   stored and the poll is ready.
//! - **Drop of the handle against finish**: `detached` is set before, and the finisher drops the outcome; or the
//!   outcome is there, and the handle takes it along.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Decode, Encode, Error, Outcome, Part, TimeLimit};
use crate::host::{self, Host};
use crate::listener::{Listener, ListenerKey};
use crate::options::TaskOptions;
use crate::panics::{self, discard, shield};
use crate::sync::{Condvar, Mutex, MutexGuard, YIELDS, thread, thread_local, with_room};
use crate::task;
use crate::work::{Encoded, Work};

/// Names a future. Unique in the program, also after the future is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FutureId(u64);

impl FutureId {
    /// Takes ids in blocks: threads that submit at the same time do not share a counter.
    fn next() -> Self {
        const BLOCK: u64 = 1024;
        static BLOCKS: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static NEXT: std::cell::Cell<u64> = std::cell::Cell::new(0);
        }
        let from_block = || BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK + 1;
        let id = NEXT.try_with(|next| {
            let id = match next.get() {
                0 => from_block(),
                id => id,
            };
            // Ids start at 1 in each block, so a multiple of the block's length is the last of one.
            next.set(if id % BLOCK == 0 { 0 } else { id + 1 });
            id
        });
        Self(id.unwrap_or_else(|_| from_block()))
    }
}

impl fmt::Display for FutureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Says how far a task has come. `Cancelled` and `Finished` together are done, and nothing leaves done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started: it can still be cancelled.
    Pending,
    /// A worker runs it.
    Running,
    /// Cancelled before it ran, or aborted while it ran.
    Cancelled,
    /// It has an outcome: a value or an error.
    Finished,
}

impl State {
    /// Is this one of the two states that nothing leaves?
    pub fn is_done(self) -> bool {
        matches!(self, State::Cancelled | State::Finished)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Cancelled => "cancelled",
            State::Finished => "finished",
        })
    }
}

/// What one look at a cell tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// The variant of the error a finished task ended with.
    pub(crate) raised: Option<&'static str>,
}

/// How a run went, for the executor's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It was not pending any more: cancelled, or claimed by a waiter.
    Skipped,
    Completed,
    Failed,
    /// It was aborted meanwhile.
    Aborted,
}

/// What came of asking to run an awaited task right here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is done: it was, or it ran here.
    Done,
    /// It is another's to run, or somebody runs it.
    Elsewhere,
    /// It waits in this executor's queue, but has a time limit: only another worker can run it.
    Limited,
}

/// A task without its types, as executors see it.
///
/// `me` is the very `Arc` that the method is called on. A scoped task's own type borrows from a stack, so only
/// its erased handle can be passed on to the thread that runs it.
pub(crate) trait Runnable: Observed {
    fn options(&self) -> &TaskOptions;
    fn is_pending(&self) -> bool;
    /// Is it over for its future, by abort or time limit, while it may still run?
    fn is_aborted(&self) -> bool;
    /// Says whose queue it is in. Before anybody else knows the cell.
    fn attach(&self, host: Arc<dyn Host>);
    /// Runs the task in this thread, unless somebody else has taken the work out.
    fn run(&self, me: Arc<dyn Runnable>) -> Ran;
    /// Runs it here if it waits in this executor's queue and has no time limit.
    fn claim(&self, me: Arc<dyn Runnable>, host: &Arc<dyn Host>) -> Claim;
    fn start(&self) -> bool;
    /// Ends a task that has not started with an error. False: it is not pending any more.
    fn refuse(&self, error: Error) -> bool;
    /// Ends the task with an error, whether it has started or not.
    fn fail(&self, error: Error) -> bool;
    fn expire(&self, limit: Duration) -> bool;
    fn encode(&self) -> Result<Encoded, Error>;
    fn complete(&self, reply: Result<&[u8], Error>) -> bool;
    fn on_abort(&self, hook: Box<dyn FnOnce() + Send>);
}

/// A task without its types, as waiters see it.
pub(crate) trait Observed: Send + Sync {
    fn id(&self) -> FutureId;
    fn snapshot(&self) -> Snapshot;
    fn cancel(&self) -> bool;
    fn abort(&self) -> bool;
    /// Registers a listener; `Some(failed)` if the task is done and nothing was registered. A waker that is
    /// registered under the same key is replaced.
    fn listen(&self, listener: Listener) -> Option<bool>;
    fn unlisten(&self, key: ListenerKey);
    /// Sleeps until the task is done or the time is up. Is it done?
    fn sleep(&self, deadline: Option<Instant>) -> bool;
    /// The error of a done task; sleeps while a late callback has the outcome.
    fn error(&self) -> Option<Error>;
    /// The handle is gone: nobody will take the outcome.
    fn detach(&self);
}

pub(crate) type Callback<T> = Box<dyn FnOnce(&Outcome<T>) + Send>;

/// A task as its handle sees it.
pub(crate) trait Observable<T>: Runnable {
    /// Takes the outcome of a done task. Once.
    fn take(&self) -> Option<Outcome<T>>;
    /// Adds a callback; to a done task, runs it here. Only the one handle that may take the outcome may ask.
    fn add_callback(&self, callback: Callback<T>);
    /// Adds a callback, or gives it back if the task is done.
    fn try_add_callback(&self, callback: Callback<T>) -> Result<(), Callback<T>>;
    /// Ends the task, on behalf of whose it is to run.
    fn finish(&self, outcome: Outcome<T>) -> bool;
}

pub(crate) struct Cell<W, T> {
    id: FutureId,
    options: Option<Arc<TaskOptions>>,
    inner: Mutex<Inner<W, T>>,
    /// Notified when the task is done, and when an outcome that was lent to a late callback is back.
    changed: Condvar,
}

struct Inner<W, T> {
    phase: Phase<W, T>,
    /// The pool whose queue the task is in. Taken by whoever makes it leave `Pending`.
    host: Option<Arc<dyn Host>>,
    /// The first listener is inline: most futures have at most one.
    first: Option<Listener>,
    extras: Option<Box<Extras<T>>>,
    /// Threads that sleep on `changed`.
    waiters: u32,
    /// The handle is gone.
    detached: bool,
    /// Somebody was shown the outcome.
    seen: bool,
    /// Abort or time limit came while it ran.
    aborted: bool,
}

/// What few tasks have.
struct Extras<T> {
    listeners: Vec<Listener>,
    callbacks: VecDeque<Callback<T>>,
    on_abort: Option<Box<dyn FnOnce() + Send>>,
}

enum Phase<W, T> {
    /// Not started. `None` while the work is out to be encoded, or for a promise.
    Pending(Option<W>),
    /// Started. The work is still here if it runs somewhere else; `thread` is the one that runs it, or 0.
    Running {
        work: Option<W>,
        thread: u64,
    },
    /// The outcome is with one thread, which runs callbacks or drops the work. Shows as `shown`.
    Delivering {
        shown: Snapshot,
        cancelled: bool,
    },
    Finished(Outcome<T>),
    Cancelled,
    /// Finished, and the outcome was handed over.
    Taken {
        raised: Option<&'static str>,
    },
}

/// Who wants to end a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Who runs it, or whose it is to run.
    Owner,
    Refusal,
    Cancel,
    Abort,
    Limit,
}

fn raised<T>(outcome: &Outcome<T>) -> Option<&'static str> {
    outcome.as_ref().err().map(Error::variant)
}

impl<W, T> Phase<W, T> {
    fn snapshot(&self) -> Snapshot {
        let (state, raised) = match self {
            Phase::Pending(_) => (State::Pending, None),
            Phase::Running { .. } => (State::Running, None),
            Phase::Delivering { shown, .. } => (shown.state, shown.raised),
            Phase::Finished(outcome) => (State::Finished, raised(outcome)),
            Phase::Cancelled => (State::Cancelled, None),
            Phase::Taken { raised } => (State::Finished, *raised),
        };
        Snapshot { state, raised }
    }

    fn is_done(&self) -> bool {
        self.snapshot().state.is_done()
    }

    fn work(&mut self) -> Option<&mut Option<W>> {
        match self {
            Phase::Pending(work) | Phase::Running { work, .. } => Some(work),
            _ => None,
        }
    }
}

impl<T> Default for Extras<T> {
    fn default() -> Self {
        Self { listeners: Vec::new(), callbacks: VecDeque::new(), on_abort: None }
    }
}

impl<W, T> Inner<W, T> {
    fn extras(&mut self) -> &mut Extras<T> {
        self.extras.get_or_insert_default()
    }

    fn next_callback(&mut self) -> Option<Callback<T>> {
        self.extras.as_mut()?.callbacks.pop_front()
    }

    fn take_listeners(&mut self) -> (Option<Listener>, Vec<Listener>) {
        let rest = self.extras.as_mut().map(|extras| std::mem::take(&mut extras.listeners));
        (self.first.take(), rest.unwrap_or_default())
    }

    fn listeners(&mut self) -> impl Iterator<Item = &mut Listener> {
        let rest = self.extras.iter_mut().flat_map(|extras| &mut extras.listeners);
        self.first.iter_mut().chain(rest)
    }
}

impl<W, T> Cell<W, T>
where
    W: Work<T>,
    T: Send,
{
    pub(crate) fn new(work: Option<W>, options: Option<Arc<TaskOptions>>, host: Option<Arc<dyn Host>>) -> Arc<Self> {
        Arc::new(Self {
            id: FutureId::next(),
            options,
            inner: Mutex::new(Inner {
                phase: Phase::Pending(work),
                host,
                first: None,
                extras: None,
                waiters: 0,
                detached: false,
                seen: false,
                aborted: false,
            }),
            changed: Condvar::new(),
        })
    }

    /// Ends the task, if `by` may end it in its present state. Publishes only when the work has been dropped and
    /// the callbacks have run.
    fn end(&self, outcome: Outcome<T>, by: By) -> bool {
        let mut inner = self.inner.lock();
        let allowed = match inner.phase {
            Phase::Pending(_) => by != By::Limit,
            Phase::Running { .. } => matches!(by, By::Owner | By::Abort | By::Limit),
            _ => false,
        };
        if !allowed {
            drop(inner);
            discard(outcome);
            return false;
        }
        let cancelled = matches!(outcome, Err(Error::Cancelled));
        let shown = inner.phase.snapshot();
        let was = std::mem::replace(&mut inner.phase, Phase::Delivering { shown, cancelled });
        let work = match was {
            Phase::Pending(work) | Phase::Running { work, .. } => work,
            _ => None,
        };
        let host = inner.host.take();
        let aborts = shown.state == State::Running && matches!(by, By::Abort | By::Limit);
        inner.aborted |= aborts;
        let hook = inner.extras.as_mut().and_then(|extras| extras.on_abort.take());
        let (on_abort, unused) = if aborts { (hook, None) } else { (None, hook) };
        if work.is_some() || host.is_some() || unused.is_some() {
            drop(inner);
            // A drop that waits for this very task would sleep for ever: it is refused, as in a callback.
            host::in_callback(|| {
                discard(work);
                discard(unused);
            });
            if matches!(by, By::Cancel | By::Abort)
                && let Some(host) = host
            {
                host.cancelled();
            }
            inner = self.inner.lock();
        }
        inner = self.deliver(inner, &outcome);
        self.publish(inner, outcome);
        if let Some(on_abort) = on_abort {
            shield("an on_abort hook", on_abort);
        }
        true
    }

    /// Runs callbacks until there is none, and returns with the lock that says so.
    fn deliver<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner<W, T>>,
        outcome: &Outcome<T>,
    ) -> MutexGuard<'a, Inner<W, T>> {
        while let Some(callback) = inner.next_callback() {
            inner.seen = true;
            drop(inner);
            host::in_callback(|| shield("a callback of a future", || callback(outcome)));
            inner = self.inner.lock();
        }
        inner
    }

    fn publish(&self, mut inner: MutexGuard<'_, Inner<W, T>>, outcome: Outcome<T>) {
        let raised = raised(&outcome);
        let mut unclaimed = None;
        inner.phase = if matches!(outcome, Err(Error::Cancelled)) {
            Phase::Cancelled
        } else if inner.detached {
            unclaimed = Some((outcome, inner.seen));
            Phase::Taken { raised }
        } else {
            Phase::Finished(outcome)
        };
        let failed = raised.is_some() && matches!(inner.phase.snapshot().state, State::Finished);
        let (first, rest) = inner.take_listeners();
        let waiters = inner.waiters;
        drop(inner);
        if waiters > 0 {
            self.changed.notify_all();
        }
        for listener in first.into_iter().chain(rest) {
            listener.notify(failed);
        }
        if let Some((outcome, seen)) = unclaimed {
            self.lose(outcome, seen);
        }
    }

    /// Drops an outcome that nobody will take. An error that nobody saw is logged.
    fn lose(&self, outcome: Outcome<T>, seen: bool) {
        if let Err(error) = &outcome
            && !seen
            && !matches!(error, Error::Cancelled)
        {
            let name = self.options.as_ref().and_then(|options| options.name_text());
            let task = name.map_or_else(|| format!("task {}", self.id), |name| format!("task {name}"));
            shield("the display of a task's error", || {
                log::warn!("{task} ended with an error that nobody looked at: {error}");
            });
        }
        discard(outcome);
    }

    /// Runs work that was taken out of `Pending`.
    fn perform(&self, me: Arc<dyn Runnable>, mut work: W, host: Option<&Arc<dyn Host>>) -> Ran {
        if let (Some(limit), Some(host)) = (self.limit(), host) {
            host.watch(Arc::downgrade(&me), limit);
        }
        // Lives until the outcome is stored or dropped: a scope ends when its guards have.
        let _guard = work.guard();
        let outcome = task::enter(me, || panics::catch(|| work.call()));
        let failed = outcome.is_err();
        match self.end(outcome, By::Owner) {
            true if failed => Ran::Failed,
            true => Ran::Completed,
            false if self.was_cancelled() => Ran::Aborted,
            false => Ran::Failed,
        }
    }

    fn limit(&self) -> Option<Duration> {
        self.options.as_ref().and_then(|options| options.limit())
    }
}

impl<W, T> Runnable for Cell<W, T>
where
    W: Work<T>,
    T: Send,
{
    fn options(&self) -> &TaskOptions {
        self.options.as_deref().unwrap_or(TaskOptions::NONE)
    }

    fn is_pending(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Pending(_))
    }

    fn is_aborted(&self) -> bool {
        self.inner.lock().aborted
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.inner.lock().host = Some(host);
    }

    fn run(&self, me: Arc<dyn Runnable>) -> Ran {
        let (work, host) = {
            let mut inner = self.inner.lock();
            let Some(work) = inner.phase.work().and_then(Option::take) else {
                return Ran::Skipped;
            };
            inner.phase = Phase::Running { work: None, thread: host::thread_token() };
            (work, inner.host.take())
        };
        if let Some(host) = &host {
            host.started();
        }
        self.perform(me, work, host.as_ref())
    }

    fn claim(&self, me: Arc<dyn Runnable>, host: &Arc<dyn Host>) -> Claim {
        let mut inner = self.inner.lock();
        if inner.phase.is_done() {
            return Claim::Done;
        }
        if let Phase::Running { thread, .. } = inner.phase
            && thread == host::thread_token()
        {
            drop(inner);
            panic!(
                "a task waits for itself: this thread runs task {} further down its stack, and cannot go on with it \
                 before the wait returns",
                self.id
            );
        }
        let own = inner.host.as_ref().is_some_and(|own| host::address(own) == host::address(host));
        let Phase::Pending(work) = &mut inner.phase else {
            return Claim::Elsewhere;
        };
        if !own {
            return Claim::Elsewhere;
        }
        if self.limit().is_some() {
            return Claim::Limited;
        }
        let Some(work) = work.take() else {
            return Claim::Elsewhere;
        };
        inner.phase = Phase::Running { work: None, thread: host::thread_token() };
        let released = inner.host.take();
        drop(inner);
        drop(released);
        host.claimed(Arc::as_ptr(&me).cast());
        let ran = with_room(|| self.perform(me, work, None));
        host.claim_ended(ran);
        Claim::Done
    }

    fn start(&self) -> bool {
        let mut inner = self.inner.lock();
        let Phase::Pending(work) = &mut inner.phase else {
            return matches!(inner.phase, Phase::Running { .. });
        };
        let work = work.take();
        inner.phase = Phase::Running { work, thread: 0 };
        true
    }

    fn refuse(&self, error: Error) -> bool {
        self.end(Err(error), By::Refusal)
    }

    fn fail(&self, error: Error) -> bool {
        self.end(Err(error), By::Owner)
    }

    fn expire(&self, limit: Duration) -> bool {
        self.end(Err(Error::TimeLimit(TimeLimit::new(limit))), By::Limit)
    }

    fn encode(&self) -> Result<Encoded, Error> {
        // Out of the cell: serde code is the user's, and must not run under the lock.
        let Some(work) = self.inner.lock().phase.work().and_then(Option::take) else {
            return Err(Error::Cancelled);
        };
        let encoded = panics::catch(|| work.encode()).map_err(|error| match error {
            Error::Panicked(panic) => Error::Encode(Encode::new(Part::Argument, panic.to_string())),
            error => error,
        });
        let mut work = Some(work);
        if let Some(slot) = self.inner.lock().phase.work() {
            *slot = work.take();
        }
        discard(work);
        encoded
    }

    fn complete(&self, reply: Result<&[u8], Error>) -> bool {
        let outcome = reply.and_then(|bytes| {
            panics::catch(|| W::decode(bytes)).map_err(|error| match error {
                Error::Panicked(panic) => Error::Decode(Decode::new(Part::Result, panic.to_string())),
                error => error,
            })
        });
        self.end(outcome, By::Owner)
    }

    fn on_abort(&self, hook: Box<dyn FnOnce() + Send>) {
        let mut inner = self.inner.lock();
        if inner.aborted {
            drop(inner);
            shield("an on_abort hook", hook);
        } else if inner.phase.work().is_some() {
            let replaced = inner.extras().on_abort.replace(hook);
            drop(inner);
            discard(replaced);
        } else {
            drop(inner);
            discard(hook);
        }
    }
}

impl<W, T> Observed for Cell<W, T>
where
    W: Work<T>,
    T: Send,
{
    fn id(&self) -> FutureId {
        self.id
    }

    fn snapshot(&self) -> Snapshot {
        self.inner.lock().phase.snapshot()
    }

    fn cancel(&self) -> bool {
        self.end(Err(Error::Cancelled), By::Cancel) || self.was_cancelled()
    }

    fn abort(&self) -> bool {
        self.end(Err(Error::Cancelled), By::Abort) || self.was_cancelled()
    }

    fn listen(&self, listener: Listener) -> Option<bool> {
        let mut inner = self.inner.lock();
        let snapshot = inner.phase.snapshot();
        if snapshot.state.is_done() {
            drop(inner);
            discard(listener);
            return Some(snapshot.raised.is_some());
        }
        let key = listener.key();
        let old = if let Some(slot) = inner.listeners().find(|slot| slot.key() == key) {
            Some(std::mem::replace(slot, listener))
        } else if inner.first.is_none() {
            inner.first.replace(listener)
        } else {
            inner.extras().listeners.push(listener);
            None
        };
        drop(inner);
        // A waker's drop is somebody else's code.
        discard(old);
        None
    }

    fn unlisten(&self, key: ListenerKey) {
        let mut inner = self.inner.lock();
        let removed = if inner.first.as_ref().is_some_and(|first| first.key() == key) {
            inner.first.take()
        } else {
            inner.extras.as_mut().and_then(|extras| {
                let at = extras.listeners.iter().position(|listener| listener.key() == key)?;
                Some(extras.listeners.swap_remove(at))
            })
        };
        drop(inner);
        discard(removed);
    }

    fn sleep(&self, deadline: Option<Instant>) -> bool {
        for _ in 0..YIELDS {
            if self.inner.lock().phase.is_done() {
                return true;
            }
            thread::yield_now();
        }
        let mut inner = self.inner.lock();
        while !inner.phase.is_done() {
            inner.waiters += 1;
            let timed_out = match deadline {
                Some(deadline) => self.changed.wait_until(&mut inner, deadline).timed_out(),
                None => {
                    self.changed.wait(&mut inner);
                    false
                }
            };
            inner.waiters -= 1;
            if timed_out {
                return inner.phase.is_done();
            }
        }
        true
    }

    fn error(&self) -> Option<Error> {
        let mut inner = self.inner.lock();
        loop {
            match &inner.phase {
                Phase::Finished(outcome) => {
                    let error = outcome.as_ref().err().cloned();
                    inner.seen = true;
                    return error;
                }
                Phase::Cancelled => return Some(Error::Cancelled),
                Phase::Delivering { .. } => {}
                _ => return None,
            }
            drop(inner);
            host::assert_may_block();
            inner = self.inner.lock();
            if matches!(inner.phase, Phase::Delivering { .. }) {
                inner.waiters += 1;
                self.changed.wait(&mut inner);
                inner.waiters -= 1;
            }
        }
    }

    fn detach(&self) {
        let mut inner = self.inner.lock();
        inner.detached = true;
        let seen = inner.seen;
        if !matches!(inner.phase, Phase::Finished(_)) {
            return;
        }
        let raised = inner.phase.snapshot().raised;
        let was = std::mem::replace(&mut inner.phase, Phase::Taken { raised });
        drop(inner);
        if let Phase::Finished(outcome) = was {
            self.lose(outcome, seen);
        }
    }
}

impl<W, T> Observable<T> for Cell<W, T>
where
    W: Work<T>,
    T: Send,
{
    fn take(&self) -> Option<Outcome<T>> {
        let mut inner = self.inner.lock();
        match &inner.phase {
            Phase::Cancelled => Some(Err(Error::Cancelled)),
            Phase::Finished(_) => {
                let raised = inner.phase.snapshot().raised;
                match std::mem::replace(&mut inner.phase, Phase::Taken { raised }) {
                    Phase::Finished(outcome) => Some(outcome),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn try_add_callback(&self, callback: Callback<T>) -> Result<(), Callback<T>> {
        let mut inner = self.inner.lock();
        if inner.phase.is_done() {
            return Err(callback);
        }
        inner.extras().callbacks.push_back(callback);
        Ok(())
    }

    fn finish(&self, outcome: Outcome<T>) -> bool {
        self.end(outcome, By::Owner)
    }

    fn add_callback(&self, callback: Callback<T>) {
        let mut inner = self.inner.lock();
        let shown = inner.phase.snapshot();
        let is_cancelled = match inner.phase {
            Phase::Finished(_) => false,
            Phase::Cancelled => true,
            _ => {
                inner.extras().callbacks.push_back(callback);
                return;
            }
        };
        inner.extras().callbacks.push_back(callback);
        let lent = Phase::Delivering { shown, cancelled: is_cancelled };
        let outcome = match std::mem::replace(&mut inner.phase, lent) {
            Phase::Finished(outcome) => outcome,
            _ => Err(Error::Cancelled),
        };
        inner = self.deliver(inner, &outcome);
        inner.phase = if is_cancelled { Phase::Cancelled } else { Phase::Finished(outcome) };
        let waiters = inner.waiters;
        drop(inner);
        if waiters > 0 {
            self.changed.notify_all();
        }
    }
}

impl<W, T> Cell<W, T> {
    fn was_cancelled(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Cancelled | Phase::Delivering { cancelled: true, .. })
    }
}
