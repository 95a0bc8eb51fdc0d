//! The queue of a thread pool and its protocol.
//!
//! Everything is under one lock, and no atomic takes part in the proof: wake-ups are the cost, not locks.
//!
//! # Nothing that is queued is left alone
//!
//! *If the queue is not empty when the lock is free, then a thread is on its way to it, or every worker is busy.* On
//! its way are: a searcher, which looks again under the lock before it sleeps; a sleeper whose permit was given;
//! a thread that is being started. Whoever pushes a task ([`push`](Pool::push)), takes one while more are there, or
//! goes away ([`leave`](Pool::leave)), calls [`decide`](Queue::decide) under the same lock, which restores the sentence:
//! it gives a permit to a sleeper, or counts a new worker, unless somebody is on the way already, who will call it
//! in turn. Without the call after a pop two tasks that wait for each other would deadlock.
//!
//! A permit is given together with `idle -= 1`: the waker claims the sleeper, so the counts are exact however late it
//! wakes, and a wake-up without a permit means nothing.
//!
//! # Who counts what
//!
//! | number | up | down |
//! |---|---|---|
//! | `workers` | `decide`, with the decision to start one | `leave`; a start that failed |
//! | `starting` | the same | when its handle is stored or its start failed |
//! | `running` | pop | the worker's next look at the queue |
//! | `limit` | a worker blocks on what only another worker can do | it goes on |
//! | `pending` | push | the task leaves `Pending`: start, claim, cancel, refusal. Each task once. Exact in a bounded queue; without a bound the pop counts for the start, which saves a lock, and is undone if there was none |
//! | `dead` | a task in the queue was claimed or cancelled | its entry was popped or swept. May be negative for a moment |
//!
//! A cell's lock may be taken under the queue's (to sweep), never the other way round.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::timer::Timer;
use super::worker;
use crate::error::{Broken, Error, Full};
use crate::host::{self, Host};
use crate::options::Stats;
use crate::state::{Ran, Runnable};
use crate::sync::{Condvar, Mutex, MutexGuard, YIELDS, is_finished, thread};
use crate::wait::deadline;

/// What the builder was told.
pub(super) struct Settings {
    pub(super) max_workers: usize,
    pub(super) prefix: String,
    pub(super) initializer: Option<Box<dyn Fn() + Send + Sync>>,
    pub(super) stack_size: Option<usize>,
    pub(super) keep_alive: Option<Duration>,
    pub(super) max_pending: Option<usize>,
}

pub(super) struct Pool {
    pub(super) settings: Settings,
    queue: Mutex<Queue>,
    /// Sleepers: notified once for each permit, and all when they are to leave.
    work: Condvar,
    /// Submitters that wait for room.
    room: Condvar,
    /// Whoever waits for the threads to end.
    ended: Condvar,
    timer: Timer,
    /// The length of the queue, for a searcher that yields without the lock. A hint.
    length: AtomicUsize,
    /// Tasks that ran in a waiter, which has no reason to take the lock afterwards.
    claims_completed: AtomicU64,
    claims_failed: AtomicU64,
    me: Weak<Pool>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Arc<dyn Runnable>>,
    dead: isize,
    pending: isize,
    idle: usize,
    permits: usize,
    searching: bool,
    workers: usize,
    starting: usize,
    limit: usize,
    running: usize,
    closed: bool,
    broken: Option<Error>,
    timer_runs: bool,
    started: usize,
    completed: u64,
    failed: u64,
    handles: HashMap<usize, thread::JoinHandle<()>>,
    /// Threads that left before their handle was stored.
    left_early: HashSet<usize>,
    /// Handles of threads that have left and are about to end.
    leaving: Vec<thread::JoinHandle<()>>,
}

/// What to do once the lock is released.
#[must_use]
enum Action {
    Nothing,
    Notify,
    /// Start the worker of this number, which is counted already.
    Start(usize),
}

impl Queue {
    fn decide(&mut self) -> Action {
        if self.tasks.is_empty() || self.searching || self.permits > 0 {
            // Whoever is on the way decides again.
            return Action::Nothing;
        }
        if self.idle > 0 {
            self.idle -= 1;
            self.permits += 1;
            return Action::Notify;
        }
        if self.workers < self.limit {
            self.workers += 1;
            self.starting += 1;
            self.started += 1;
            return Action::Start(self.started - 1);
        }
        Action::Nothing
    }

    fn count(&mut self, ran: Ran) {
        match ran {
            Ran::Skipped => self.dead -= 1,
            Ran::Completed => self.completed += 1,
            Ran::Failed => self.failed += 1,
            Ran::Aborted => {}
        }
    }

    /// Nothing is running that could submit more, and nothing more is accepted.
    fn is_over(&self) -> bool {
        self.broken.is_some() || (self.closed && self.running == 0)
    }

    fn all_ended(&self) -> bool {
        self.workers == 0 && self.starting == 0 && !self.timer_runs
    }

    /// Takes dead entries out, when they are more than the living.
    fn sweep(&mut self) -> Vec<Arc<dyn Runnable>> {
        const FEW: isize = 64;
        if self.dead <= FEW || 2 * self.dead <= self.tasks.len().cast_signed() {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.tasks);
        let (live, dead): (Vec<_>, Vec<_>) = all.into_iter().partition(|task| task.is_pending());
        self.tasks = live.into();
        self.dead -= dead.len().cast_signed();
        dead
    }
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        let queue = Queue { limit: settings.max_workers, ..Queue::default() };
        Arc::new_cyclic(|me| Self {
            settings,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condvar::new(),
            ended: Condvar::new(),
            timer: Timer::new(),
            length: AtomicUsize::new(0),
            claims_completed: AtomicU64::new(0),
            claims_failed: AtomicU64::new(0),
            me: me.clone(),
        })
    }

    pub(super) fn max_workers(&self) -> usize {
        self.settings.max_workers
    }

    fn me(&self) -> Arc<Self> {
        self.me.upgrade().expect("a pool that is called is alive")
    }

    /// Does the calling thread belong to this pool?
    fn owns_thread(&self) -> bool {
        host::is_current(std::ptr::from_ref(self).cast())
    }

    fn release(&self, queue: MutexGuard<'_, Queue>, action: Action) {
        self.length.store(queue.tasks.len(), Ordering::Relaxed);
        drop(queue);
        match action {
            Action::Nothing => {}
            Action::Notify => {
                self.work.notify_one();
            }
            Action::Start(number) => self.start(number),
        }
    }

    /// Queues a task that is attached to this pool, or ends it with the reason why not.
    pub(super) fn push(&self, task: Arc<dyn Runnable>) {
        if task.options().limit().is_some()
            && let Err(error) = self.start_timer()
        {
            task.fail(error);
            return;
        }
        let mut queue = self.queue.lock();
        loop {
            if let Some(refusal) = self.refusal(&queue, &*task) {
                let last = queue.workers == 0 && queue.closed;
                drop(queue);
                if last {
                    // Nobody is left to stop a timer that was started a moment ago.
                    self.timer.stop();
                }
                task.fail(refusal);
                return;
            }
            if !self.is_full(&queue) || self.owns_thread() {
                break;
            }
            self.room.wait(&mut queue);
        }
        queue.pending += 1;
        queue.tasks.push_back(task);
        let action = queue.decide();
        self.release(queue, action);
    }

    fn refusal(&self, queue: &Queue, task: &dyn Runnable) -> Option<Error> {
        if let Some(error) = &queue.broken {
            return Some(error.clone());
        }
        // What belongs to the executor may go on submitting while workers are left to run it.
        if queue.closed && (queue.workers == 0 || !self.owns_thread()) {
            return Some(Error::ShutDown);
        }
        let limit = self.settings.max_pending?;
        (self.is_full(queue) && task.options().refuses_when_full()).then(|| Error::Full(Full::new(limit)))
    }

    fn is_bounded(&self) -> bool {
        self.settings.max_pending.is_some()
    }

    fn is_full(&self, queue: &Queue) -> bool {
        self.settings.max_pending.is_some_and(|limit| queue.pending >= limit.cast_signed())
    }

    /// Blocks until there is a task; `None` when this worker is to end, which it is counted as already.
    pub(super) fn next(&self, number: usize, ran: Option<Ran>) -> Option<Arc<dyn Runnable>> {
        let mut queue = self.queue.lock();
        if let Some(ran) = ran {
            queue.running -= 1;
            queue.count(ran);
            if ran == Ran::Skipped && !self.is_bounded() {
                queue.pending += 1;
            }
        }
        let mut searched = false;
        loop {
            if queue.workers > queue.limit || queue.broken.is_some() {
                self.leave(queue, number);
                return None;
            }
            if let Some(task) = queue.tasks.pop_front() {
                queue.running += 1;
                if !self.is_bounded() {
                    queue.pending -= 1;
                }
                let action = queue.decide();
                self.release(queue, action);
                return Some(task);
            }
            if queue.is_over() {
                self.leave(queue, number);
                return None;
            }
            if !searched && !queue.searching {
                searched = true;
                queue.searching = true;
                drop(queue);
                for _ in 0..YIELDS {
                    if self.length.load(Ordering::Relaxed) > 0 {
                        break;
                    }
                    thread::yield_now();
                }
                queue = self.queue.lock();
                queue.searching = false;
                continue;
            }
            queue.idle += 1;
            let until = deadline(self.settings.keep_alive);
            let mut expired = false;
            loop {
                if queue.permits > 0 {
                    queue.permits -= 1;
                    break;
                }
                if expired || queue.is_over() {
                    queue.idle -= 1;
                    self.leave(queue, number);
                    return None;
                }
                match until {
                    None => self.work.wait(&mut queue),
                    Some(until) => expired = self.work.wait_until(&mut queue, until).timed_out(),
                }
            }
            searched = false;
        }
    }

    fn leave(&self, mut queue: MutexGuard<'_, Queue>, number: usize) {
        queue.workers -= 1;
        match queue.handles.remove(&number) {
            Some(handle) => queue.leaving.push(handle),
            None => {
                queue.left_early.insert(number);
            }
        }
        let action = queue.decide();
        let over = queue.is_over();
        let last = queue.workers == 0 && (queue.closed || queue.broken.is_some());
        self.release(queue, action);
        if over {
            self.work.notify_all();
        }
        if last {
            self.timer.stop();
        }
        self.ended.notify_all();
    }

    /// Starts a worker that is counted already.
    fn start(&self, number: usize) {
        let pool = self.me();
        let spawned = self.spawn(format!("{}-{number}", self.settings.prefix), move || worker::run(&pool, number));
        let mut queue = self.queue.lock();
        queue.starting -= 1;
        match spawned {
            Ok(handle) => {
                if queue.left_early.remove(&number) {
                    queue.leaving.push(handle);
                } else {
                    queue.handles.insert(number, handle);
                }
                // Nobody needs to join a thread that has ended.
                queue.leaving.retain(|handle| !is_finished(handle));
                drop(queue);
            }
            Err(error) => {
                queue.workers -= 1;
                // Workers that are blocked cannot run anything.
                let blocked = queue.limit - self.settings.max_workers;
                let orphans = if queue.workers <= blocked { std::mem::take(&mut queue.tasks) } else { VecDeque::new() };
                drop(queue);
                self.refuse(orphans, &Error::Broken(Broken::new(format!("no thread can be started: {error}"))));
            }
        }
        self.ended.notify_all();
    }

    pub(super) fn spawn(
        &self,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let mut builder = thread::Builder::new().name(name);
        if let Some(bytes) = self.settings.stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(body)
    }

    /// Ends tasks that were taken out of the queue.
    fn refuse(&self, orphans: VecDeque<Arc<dyn Runnable>>, error: &Error) {
        let (mut refused, mut dead) = (0, 0);
        for task in &orphans {
            if task.refuse(error.clone()) { refused += 1 } else { dead += 1 }
        }
        if !orphans.is_empty() {
            let mut queue = self.queue.lock();
            queue.pending -= refused;
            queue.dead -= dead;
            drop(queue);
            self.room.notify_all();
        }
    }

    /// Ends every pending task, and each later one, with `error`.
    pub(super) fn break_down(&self, error: Error) {
        let mut queue = self.queue.lock();
        queue.broken.get_or_insert_with(|| error.clone());
        let orphans = std::mem::take(&mut queue.tasks);
        drop(queue);
        self.work.notify_all();
        self.room.notify_all();
        self.refuse(orphans, &error);
    }

    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let last = queue.workers == 0;
        drop(queue);
        self.work.notify_all();
        self.room.notify_all();
        if last {
            self.timer.stop();
        }
        self.ended.notify_all();
    }

    pub(super) fn join(&self, timeout: Option<Duration>) -> bool {
        if self.owns_thread() {
            return false;
        }
        let until = deadline(timeout);
        let mut queue = self.queue.lock();
        if !queue.closed {
            return false;
        }
        while !queue.all_ended() {
            match until {
                None => self.ended.wait(&mut queue),
                Some(until) => {
                    if self.ended.wait_until(&mut queue, until).timed_out() && !queue.all_ended() {
                        return false;
                    }
                }
            }
        }
        let leaving = std::mem::take(&mut queue.leaving);
        drop(queue);
        for thread in leaving {
            // A worker catches what its tasks throw; there is nothing to learn from how it ended.
            let _ = thread.join();
        }
        true
    }

    pub(super) fn cancel_pending(&self) -> usize {
        let tasks: Vec<_> = self.queue.lock().tasks.iter().cloned().collect();
        // Those that are cancelled already say so as well: only pending ones count.
        tasks.iter().filter(|task| task.is_pending() && task.cancel()).count()
    }

    pub(super) fn stats(&self) -> Stats {
        let queue = self.queue.lock();
        Stats {
            workers: queue.workers,
            idle: queue.workers.saturating_sub(queue.running),
            pending: usize::try_from(queue.pending).unwrap_or(0),
            running: queue.running,
            completed: queue.completed + self.claims_completed.load(Ordering::Relaxed),
            failed: queue.failed + self.claims_failed.load(Ordering::Relaxed),
            respawned: 0,
        }
    }

    fn start_timer(&self) -> Result<(), Error> {
        let started = self.timer.start(|body| {
            self.queue.lock().timer_runs = true;
            let pool = self.me();
            let spawned = self.spawn(format!("{}-timer", self.settings.prefix), move || body(pool));
            let mut queue = self.queue.lock();
            match spawned {
                Ok(handle) => queue.leaving.push(handle),
                Err(error) => {
                    queue.timer_runs = false;
                    return Err(error);
                }
            }
            Ok(())
        });
        started.map_err(|error| {
            self.ended.notify_all();
            Error::Broken(Broken::new(format!("no thread can be started to watch the time limit: {error}")))
        })
    }

    /// The timer thread is about to end.
    pub(super) fn timer_ended(&self) {
        self.queue.lock().timer_runs = false;
        self.ended.notify_all();
    }

    /// A task left `Pending`.
    fn left_pending(&self, mut queue: MutexGuard<'_, Queue>, action: Action) {
        queue.pending -= 1;
        self.release(queue, action);
        if self.is_bounded() {
            self.room.notify_one();
        }
    }
}

impl Host for Pool {
    fn started(&self) {
        if self.is_bounded() {
            self.left_pending(self.queue.lock(), Action::Nothing);
        }
    }

    fn cancelled(&self) {
        let mut queue = self.queue.lock();
        queue.dead += 1;
        let swept = queue.sweep();
        self.left_pending(queue, Action::Nothing);
        drop(swept);
    }

    fn claimed(&self, cell: *const ()) {
        let mut queue = self.queue.lock();
        let newest = queue.tasks.back().is_some_and(|task| Arc::as_ptr(task).cast::<()>() == cell);
        let swept = if newest {
            queue.tasks.pop_back().into_iter().collect()
        } else {
            queue.dead += 1;
            queue.sweep()
        };
        self.left_pending(queue, Action::Nothing);
        drop(swept);
    }

    fn claim_ended(&self, ran: Ran) {
        match ran {
            Ran::Completed => self.claims_completed.fetch_add(1, Ordering::Relaxed),
            Ran::Failed => self.claims_failed.fetch_add(1, Ordering::Relaxed),
            Ran::Skipped | Ran::Aborted => return,
        };
    }

    fn watch(&self, task: Weak<dyn Runnable>, limit: Duration) {
        self.timer.watch(task, limit);
    }

    fn block(&self) {
        let mut queue = self.queue.lock();
        queue.limit += 1;
        let action = queue.decide();
        self.release(queue, action);
    }

    fn unblock(&self) {
        let mut queue = self.queue.lock();
        queue.limit -= 1;
        let mut action = Action::Nothing;
        if queue.workers > queue.limit && queue.idle > 0 {
            // One too many now: let a sleeper leave.
            queue.idle -= 1;
            queue.permits += 1;
            action = Action::Notify;
        }
        self.release(queue, action);
    }
}
