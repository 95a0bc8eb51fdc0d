//! [`Shared`]: the state that an executor, its link and its tasks share.
//!
//! # Threads
//!
//! - *Callers* submit, cancel and wait. They change the state, and wake the link. They never touch the connection.
//! - The *link*, one thread, has the connection. It publishes, reads answers, and replaces a connection that was lost.
//!   It runs no code of a task: a callback that blocks does not hold up what others wait for.
//! - A few threads *complete* jobs: they read results and run callbacks.
//! - lapin has threads: one for the socket of each connection, and those of `async-global-executor`, `async-io` and
//!   `blocking`, which the whole program shares. Some of them stay when the executor is gone.
//!
//! # The lock
//!
//! There is one lock, around [`State`]. Under it, only the parts of the state are called, and `Arc`s are cloned.
//! Wakers, jobs and user code are called and dropped when the lock is free. Tasks call the methods of
//! [`Remote`](concurrent_futures::Remote) without their own lock, and no job is touched under this one, so the locks
//! need no order.
//!
//! # Waking
//!
//! All changes of the state go through [`Shared::change`], which then wakes the link, blocked callers and polls, except
//! changes that nobody waits for. A link that is woken polls all its loops. When nothing changes, only the heartbeat of
//! the connection wakes a thread.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use concurrent_futures::{
    Broken, Error, Executor as _, Full, FutureId, Job, Stats, Submitter, ThreadPoolExecutor, Waiting,
};
use uuid::Uuid;

use super::orders::Orders;
use super::window::{self, Finished, Overdue, Window};
use super::workers::Workers;
use crate::answer::Started;
use crate::json;
use crate::sync::{Condvar, Mutex, thread_local};

/// How many jobs are completed at the same time.
const COMPLETING: usize = 4;

/// How long the client waits for an answer after the time limit of a task, before it ends the task itself.
const GRACE: Duration = Duration::from_secs(30);

/// How long workers have to confirm that they will not run the tasks that a shutdown cancels.
const WITHDRAWAL: Duration = Duration::from_secs(2);

thread_local! {
    /// The executor whose jobs this thread completes, by the address of what it shares.
    static COMPLETES_FOR: Cell<usize> = const { Cell::new(0) };
}

/// The settings of a builder.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) queue: Arc<str>,
    pub(crate) in_flight: usize,
    pub(crate) max_pending: Option<usize>,
    pub(crate) max_message_size: usize,
    pub(crate) broker_timeout: Duration,
}

impl Settings {
    /// Returns how many tasks may be unfinished.
    pub(super) fn most_pending(&self) -> usize {
        self.max_pending.unwrap_or(usize::MAX)
    }

    /// Returns the error of a task for which there is no room.
    pub(super) fn full(&self) -> Error {
        Error::Full(Full::new(self.most_pending()))
    }
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// The queue for answers.
    pub(crate) reply_to: Box<str>,
    state: Mutex<State>,
    changed: Condvar,
    completing: ThreadPoolExecutor,
}

pub(crate) struct State {
    pub(crate) window: Window,
    /// What the link is to broadcast to the workers.
    pub(crate) orders: Orders,
    pub(crate) workers: Workers,
    pub(super) is_closed: bool,
    /// The reason why the executor cannot run tasks any more.
    pub(super) broken: Option<Error>,
    /// The link has ended, and all jobs are completed.
    has_ended: bool,
    completed: u64,
    failed: u64,
    /// The waker of the link, while it sleeps.
    link: Option<Waker>,
    /// The wakers of polls that wait for room or for the end.
    pub(super) polls: Vec<Waker>,
}

impl State {
    /// Returns `true` if the executor is closed and has no tasks. Control commands to workers may still be waiting.
    pub(crate) fn is_over(&self) -> bool {
        self.is_closed && self.window.is_empty()
    }

    /// Has a poll woken when there may be room, or when the executor has ended. One that comes again is there once.
    pub(super) fn wake_later(&mut self, waker: &mut Option<Waker>) {
        let is_known = waker.as_ref().is_some_and(|waker| self.polls.iter().any(|known| known.will_wake(waker)));
        if !is_known {
            self.polls.extend(waker.take());
        }
    }
}

/// Calls a waker, which may be user code, and catches its panic.
fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        log::error!("the waker of a poll that waits for an executor panicked");
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let builder = ThreadPoolExecutor::builder().max_workers(COMPLETING).thread_name_prefix("celery-answers");
        let state = State {
            window: Window::new(settings.in_flight),
            orders: Orders::default(),
            workers: Workers::default(),
            is_closed: false,
            broken: None,
            has_ended: false,
            completed: 0,
            failed: 0,
            link: None,
            polls: Vec::new(),
        };
        Ok(Self {
            settings,
            reply_to: format!("cf.reply.{}", Uuid::new_v4()).into(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            completing: builder.build()?,
        })
    }

    /// Changes the state, and wakes all that wait for a change. `change` must run no user code.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let before = state.window.len();
        let result = change(&mut state);
        let is_news = state.window.len() < before || state.is_closed || state.broken.is_some();
        let polls = if is_news { std::mem::take(&mut state.polls) } else { Vec::new() };
        let link = state.link.take();
        drop(state);
        self.changed.notify_all();
        link.into_iter().for_each(Waker::wake);
        polls.into_iter().for_each(wake);
        result
    }

    /// Looks at the state without changing it.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock())
    }

    /// Forgets workers that have been silent since then. Wakes nobody, because nobody waits for that.
    pub(super) fn forget_workers(&self, time: Instant) {
        self.state.lock().workers.forget_before(time);
    }

    /// Waits until `take` returns a value. Only the link may call this, since there is one place for a waker.
    pub(crate) async fn until<R>(&self, mut take: impl FnMut(&mut State) -> Option<R>) -> R {
        poll_fn(|context| {
            let mut state = self.state.lock();
            match take(&mut state) {
                Some(taken) => Poll::Ready(taken),
                None => {
                    state.link = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Returns a message that is overdue, or else the next deadline. Only the link may call this: it is woken when the
    /// state changes.
    pub(crate) fn overdue(&self, link: &Waker) -> Result<(Uuid, Overdue), Option<Instant>> {
        let mut state = self.state.lock();
        state.window.overdue(Instant::now()).ok_or_else(|| {
            state.link = Some(link.clone());
            state.window.deadline()
        })
    }

    /// Blocks until `take` returns a value or the deadline has passed.
    pub(crate) fn block_until<R>(
        &self,
        deadline: Option<Instant>,
        mut take: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        let mut state = self.state.lock();
        loop {
            if let Some(taken) = take(&mut state) {
                return Some(taken);
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) if self.changed.wait_until(&mut state, deadline).timed_out() => {
                    return take(&mut state);
                }
                Some(_) => {}
            }
        }
    }

    /// Returns `true` on a thread that completes jobs of this executor, which must not wait for it.
    pub(crate) fn is_own_thread(&self) -> bool {
        COMPLETES_FOR.with(Cell::get) == std::ptr::from_ref(self).addr()
    }

    /// Completes jobs on the threads for that.
    pub(crate) fn complete(&self, finished: impl IntoIterator<Item = Finished>) {
        let own = std::ptr::from_ref(self).addr();
        for Finished { job, replies } in finished {
            let complete = move || {
                COMPLETES_FOR.with(|mine| mine.set(own));
                json::complete(job, &replies);
            };
            self.completing.spawn(complete).detach();
            self.handed_over();
        }
    }

    /// Notes that a job is with a thread that completes it. Only the link may wait for that: to end.
    fn handed_over(&self) {
        let mut state = self.state.lock();
        state.window.handed_over();
        let link = if state.is_over() { state.link.take() } else { None };
        drop(state);
        link.into_iter().for_each(Waker::wake);
    }

    /// Puts a job that was away to its task.
    pub(super) fn put(&self, id: FutureId, job: Job) {
        match self.change(|state| state.window.put(id, job)) {
            Ok(finished) => self.complete(finished),
            // The task was cancelled meanwhile, which ended it, or the executor broke.
            Err(job) => job.fail(self.look(|state| state.broken.clone()).unwrap_or(Error::Cancelled)),
        }
    }

    /// For the link: notes which worker runs a message, and tells the job.
    pub(crate) fn started(&self, message: Uuid, who: Started) {
        if let Some((id, job)) = self.change(|state| state.window.started(message, who, Instant::now(), GRACE)) {
            job.start();
            self.put(id, job);
        }
    }

    /// For the link: takes the answer to a message, and completes the job if that was the last one.
    pub(crate) fn answered(&self, message: Uuid, reply: window::Reply) {
        let finished = self.change(|state| state.window.answered(message, reply));
        self.complete(finished);
    }

    /// Refuses everything from now on, and fails all tasks.
    pub(crate) fn fail_all(&self, cause: String) {
        let error = Error::Broken(Broken::new(cause));
        let jobs = self.change(|state| {
            state.broken = Some(error.clone());
            state.orders = Orders::default();
            state.window.take_all()
        });
        for job in jobs {
            let error = error.clone();
            self.completing.spawn(move || job.fail(error)).detach();
        }
    }

    /// Marks the executor as ended. Blocks until all jobs are completed. The link calls this last.
    pub(crate) fn end(&self) {
        self.completing.shutdown();
        self.change(|state| state.has_ended = true);
    }

    pub(crate) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.look(|state| state.is_closed)
    }

    /// Blocks until the closed executor has ended. Returns `false` if it has not.
    pub(crate) fn join(&self, timeout: Option<Duration>) -> bool {
        if self.is_own_thread() || !self.is_closed() {
            return false;
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.block_until(deadline, |state| state.has_ended.then_some(())).is_some()
    }

    /// Returns `true` if the closed executor has ended, or wakes the poll when it may have.
    pub(crate) fn poll_join(&self, waiting: &Waiting) -> bool {
        if self.is_own_thread() {
            return true;
        }
        // The waker may be user code, so it is cloned and dropped without the lock.
        let mut waker = Some(waiting.waker().clone());
        let mut state = self.state.lock();
        if !state.has_ended {
            state.wake_later(&mut waker);
        }
        state.has_ended
    }

    pub(crate) fn cancel_pending(&self) -> usize {
        // `start` returns `false` for a job that another thread cancels at the same time. That thread counts it.
        let unsent = self.change(|state| state.window.take_unsent());
        let cancelled = unsent.into_iter().filter(Job::start).map(|job| job.fail(Error::Cancelled)).count();
        let deadline = Instant::now() + WITHDRAWAL;
        let finished = self.change(|state| {
            let (published, finished) = state.window.withdraw(deadline);
            state.orders.revoked.extend(published);
            finished
        });
        self.complete(finished);
        cancelled
    }

    /// Counts a task that has ended. Nobody waits for counts.
    pub(crate) fn count(&self, failed: bool) {
        let mut state = self.state.lock();
        match failed {
            true => state.failed += 1,
            false => state.completed += 1,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.look(|state| {
            stats.running = state.window.running();
            stats.pending = state.window.len() - stats.running;
            (stats.completed, stats.failed) = (state.completed, state.failed);
        });
        stats
    }

    pub(crate) fn submitter(self: &Arc<Self>, queue: &Arc<str>) -> Submitter {
        let (shared, queue) = (Arc::clone(self), Arc::clone(queue));
        Submitter::new(move |job| shared.submit(job, &queue, false))
    }
}
