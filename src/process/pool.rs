//! [`Pool`]: a process pool. Holds the scheduler under one lock, and carries out what is decided under it.
//!
//! # Lock order
//!
//! The right to read a worker's mailbox comes first: a waiter settles what it has read before it returns the right.
//! Then comes the scheduler's lock, and under it only the lock of a task's place. A write queue has its own lock, which
//! is taken with no other held: a task is assigned to a worker under the scheduler's lock, and sent after that lock is
//! released. If the worker dies in between, its tasks are taken from it under the scheduler's lock, and its write queue
//! discards what is still sent. Under these two, no task's own lock is taken, and no user code runs.
//!
//! # Lifetimes
//!
//! Each worker has a thread of the pool, its [monitor](super::monitor), which spawns it, looks after it, reaps it, and
//! then ends. The kernel kills a worker when the thread that spawned it ends, so only the monitor may spawn it. A
//! remote task is owned by the queue, worker or caller that has to end it, and by its task until the task has ended.
//! The pool has ended when its last monitor has.
//!
//! These rules are about one lock, so the methods that take it are in one file; `pool/` has those of single tasks, maps
//! and waiters.
#![forbid(unsafe_code)]

mod help;
mod items;
mod tasks;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::connection::Connection;
use super::program::{entry, obstacle};
use super::scheduler::{Limits, Scheduler};
use super::shm::segments::{SegmentPool, SegmentRef};
use super::task::{RemoteTask, RemoteTaskOwner};
use crate::bytes::OutOfBand;
use crate::codec::READING_STACK;
use crate::condition::{Condition, Waiting};
use crate::error::{Broken, Error};
use crate::fork;
use crate::options::Stats;
use crate::panics;
use crate::process::program::call::LocatedCall;
use crate::process::worker_id::WorkerId;
use crate::stack;
use crate::sync::Mutex;
use crate::task::owner::{self, Ended, Shared};
use crate::task::roles::TaskOwner;
use crate::ticket::Tickets;
use crate::upcoming::Upcoming;
use crate::wait::deadline;

/// The settings from the builder.
pub(super) struct Settings {
    pub(super) max_workers: usize,
    pub(super) initializer: Option<LocatedCall>,
    pub(super) max_tasks_per_worker: Option<u64>,
    pub(super) memory_limit: Option<u64>,
    pub(super) time_limit: Option<Duration>,
    pub(super) keep_alive: Option<Duration>,
    pub(super) max_pending: Option<usize>,
    pub(super) max_message_size: u64,
    pub(super) environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    pub(super) current_dir: Option<PathBuf>,
}

/// The function that a worker's monitor thread runs, from the start of the worker to its end.
pub(super) type Monitor = fn(&Arc<Pool>, WorkerId);

pub(crate) struct Pool {
    pub(super) settings: Settings,
    monitor: Monitor,
    /// Distinguishes executors in the names of workers.
    number: u32,
    /// Shared memory for long bytes on their way to workers.
    pub(super) segments: Arc<SegmentPool>,
    pub(super) out_of_band: Arc<dyn OutOfBand>,
    scheduler: Mutex<Scheduler<Arc<Connection>>>,
    pub(super) tickets: Tickets,
    /// Where submitters wait for room in the queue.
    room: Condition,
    /// Where threads wait for the workers to end, and the monitor of the last worker for the end of a pause.
    ended: Condition,
    /// Tasks that the scheduler will get later.
    pub(super) upcoming: Arc<Upcoming>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The maps whose ranges the batches are taken from.
    shared: Mutex<Vec<Weak<dyn Shared>>>,
    completed: AtomicU64,
    failed: AtomicU64,
    /// `true` once the pool is closed or broken. A copy, for threads that do not hold the lock.
    closing: AtomicBool,
    /// The generation of the process that made the pool. A forked copy of the process has another one.
    generation: u32,
    me: Weak<Pool>,
}

/// What has to be done once the lock is released.
#[must_use]
struct FollowUp {
    new_workers: Vec<WorkerId>,
    to_wake: Vec<Arc<Connection>>,
    removed: Vec<Arc<RemoteTask>>,
    has_room: bool,
    keeper_may_go: bool,
}

impl Pool {
    /// Creates a pool whose worker threads run `monitor`.
    pub(super) fn new(settings: Settings, monitor: Monitor) -> Arc<Self> {
        static POOLS: AtomicU32 = AtomicU32::new(0);
        // Not in a thread of the pool: a thread that panics holds the hook.
        panics::install_hook();
        super::program::fork::watch();
        #[cfg(feature = "tracing")]
        crate::task::trace::names::set_name_resolver(super::program::symbol::name_of);
        let limits = Limits {
            max_workers: settings.max_workers,
            max_pending: settings.max_pending,
            max_tasks: settings.max_tasks_per_worker,
        };
        let mut scheduler = Scheduler::new(limits);
        scheduler.broken = obstacle::for_good().map(|cause| Error::Broken(Broken::new(cause)));
        scheduler.is_first_try = !entry::has_come_up();
        let segments = Arc::<SegmentPool>::default();
        Arc::new_cyclic(|me| Self {
            settings,
            monitor,
            out_of_band: Arc::clone(&segments) as _,
            segments,
            number: POOLS.fetch_add(1, Ordering::Relaxed),
            scheduler: Mutex::new(scheduler),
            tickets: Tickets::default(),
            room: Condition::new(),
            ended: Condition::new(),
            upcoming: Upcoming::new(),
            threads: Mutex::default(),
            shared: Mutex::new(Vec::new()),
            completed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            generation: fork::generation(),
            me: me.clone(),
        })
    }

    pub(super) fn worker_name(&self, id: WorkerId) -> String {
        format!("ProcessPoolExecutor-{}-{}", self.number, id.0)
    }

    /// Returns `true` in a forked copy of the process that made the pool. There the pool's threads are missing, and its
    /// locks may be held for ever.
    pub(super) fn is_copy(&self) -> bool {
        self.generation != fork::generation()
    }

    fn owns_thread(&self) -> bool {
        owner::is_current(std::ptr::from_ref(self).cast())
    }

    /// Makes a decision under the lock, then starts the workers that it requires. Starting may run user code.
    pub(super) fn decide<R>(&self, decision: impl FnOnce(&mut Scheduler<Arc<Connection>>, Instant) -> R) -> R {
        let (result, follow_up) = self.decide_first(decision);
        self.follow(follow_up);
        result
    }

    /// Makes a decision under the lock, and returns what has to be done after it.
    fn decide_first<R>(&self, decision: impl FnOnce(&mut Scheduler<Arc<Connection>>, Instant) -> R) -> (R, FollowUp) {
        let now = Instant::now();
        let mut scheduler = self.scheduler.lock();
        let result = decision(&mut scheduler, now);
        let new_workers = scheduler.spawn_missing(now);
        let to_wake = scheduler.take_to_wake();
        let removed = scheduler.take_removed();
        let has_room = scheduler.has_room();
        let keeper_may_go = scheduler.keeper_may_go(now);
        (result, FollowUp { new_workers, to_wake, removed, has_room, keeper_may_go })
    }

    fn follow(&self, follow_up: FollowUp) {
        let FollowUp { new_workers, to_wake, removed, has_room, keeper_may_go } = follow_up;
        drop(removed);
        if has_room {
            self.room.notify_in_turn();
        }
        if keeper_may_go {
            self.ended.notify_all();
        }
        for connection in to_wake {
            connection.ring();
        }
        for id in new_workers {
            self.start(id);
        }
    }

    // Tasks.

    /// Counts a task that has ended.
    pub(super) fn count(&self, failed: bool) {
        let count = if failed { &self.failed } else { &self.completed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts items of maps that have ended.
    pub(super) fn add(&self, ended: Ended) {
        self.completed.fetch_add(ended.completed, Ordering::Relaxed);
        self.failed.fetch_add(ended.failed, Ordering::Relaxed);
    }

    // Workers.

    /// Starts the monitor thread of a worker that is already counted.
    fn start(&self, id: WorkerId) {
        let Some(pool) = self.me.upgrade() else { return };
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        // Results are decoded in this thread, so its stack has to suffice for the most deeply nested.
        let thread = std::thread::Builder::new().name(self.worker_name(id)).stack_size(READING_STACK);
        let spawned = thread.spawn(move || {
            stack::begin(READING_STACK);
            (pool.monitor)(&pool, id)
        });
        match spawned {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                drop(threads);
                self.not_started(id, &error);
                self.forget(id);
            }
        }
    }

    /// Handles that no process could be started for a worker. If no worker is left, the queued tasks end with the
    /// error.
    pub(super) fn not_started(&self, id: WorkerId, error: &std::io::Error) {
        let unstarted = self.decide(|scheduler, now| scheduler.not_started(id, now));
        self.ring_all();
        let error = Error::Broken(Broken::new(format!("no worker process can be started: {error}")));
        self.end_queued(unstarted, &error);
    }

    /// Ends the queued tasks, if there were any, and the pending items of maps with `error`: no worker comes up. Otherwise
    /// the next items would wait for the next try, and so on.
    pub(super) fn end_queued(&self, queued: Vec<Arc<RemoteTask>>, error: &Error) {
        if !queued.is_empty() {
            for shared in self.shared() {
                shared.call_off(error);
            }
            self.refuse(queued, Some(error));
        }
    }

    /// Ends all tasks that have not started, and each later one, with `error`.
    pub(super) fn break_down(&self, error: &Error) {
        let unstarted = self.decide(|scheduler, now| scheduler.break_down(error, now));
        self.closing.store(true, Ordering::Relaxed);
        self.ring_all();
        for shared in self.shared() {
            shared.call_off(error);
        }
        self.refuse(unstarted, Some(error));
    }

    /// Keeps a pause of the scheduler if nobody else can, in the monitor thread of a worker that has ended.
    pub(super) fn keep_pause(&self, id: WorkerId) {
        let mut scheduler = self.scheduler.lock();
        while let Some(until) = scheduler.must_stay(id, Instant::now()) {
            self.ended.wait_until(&mut scheduler, Some(until));
        }
    }

    /// Removes a worker whose monitor thread is about to end.
    pub(super) fn forget(&self, id: WorkerId) {
        let left = self.decide(|scheduler, _| scheduler.forget(id));
        // No task is left, unless the monitor failed.
        self.refuse(left, Some(&Error::Abandoned));
        self.ended.notify_all();
    }

    /// Tells the workers which segments have been freed.
    pub(super) fn trim_segments(&self) {
        let gone = self.segments.trim();
        if !gone.is_empty() {
            let connections = self.scheduler.lock().connections();
            for connection in connections {
                connection.forget(&gone);
            }
        }
    }

    /// Wakes the monitor of every worker, which then looks for work.
    pub(super) fn ring_all(&self) {
        let connections = self.scheduler.lock().connections();
        for connection in connections {
            connection.ring();
        }
    }

    pub(super) fn kill_worker(&self, id: WorkerId) {
        let connection = self.scheduler.lock().connection(id);
        if let Some(connection) = connection {
            connection.signal(Signal::KILL);
        }
    }

    /// Sends a signal to every worker.
    pub(super) fn signal_all(&self, signal: Signal) {
        if self.is_copy() {
            return;
        }
        let mut scheduler = self.scheduler.lock();
        scheduler.expect_deaths();
        let connections = scheduler.connections();
        drop(scheduler);
        for connection in connections {
            connection.signal(signal);
        }
    }

    // The end.

    pub(super) fn close(&self) {
        if self.is_copy() {
            return;
        }
        self.scheduler.lock().closed = true;
        self.closing.store(true, Ordering::Relaxed);
        self.room.notify_all();
        self.ended.notify_all();
        self.ring_all();
        self.upcoming.close();
    }

    pub(super) fn join(&self, timeout: Option<Duration>) -> bool {
        // A callback may block the very task that is waited for.
        if self.is_copy() || self.owns_thread() || !owner::may_block() {
            return false;
        }
        let until = deadline(timeout);
        let mut scheduler = self.scheduler.lock();
        if !scheduler.closed {
            return false;
        }
        while !scheduler.is_empty() {
            if self.ended.wait_until(&mut scheduler, until) && !scheduler.is_empty() {
                return false;
            }
        }
        drop(scheduler);
        if timeout.is_none() {
            // The threads have nothing left to do but to end.
            let threads = std::mem::take(&mut *self.threads.lock());
            for thread in threads {
                // Panics in threads of the pool are caught further in.
                let _ = thread.join();
            }
        }
        true
    }

    /// Returns `true` if there is nothing to wait for: the workers of the closed pool have ended, or the calling thread
    /// would wait for itself. Otherwise registers the poll.
    pub(super) fn poll_join(&self, waiting: &mut Waiting) -> bool {
        if self.is_copy() || self.owns_thread() {
            return true;
        }
        let scheduler = self.scheduler.lock();
        if scheduler.closed && scheduler.is_empty() {
            return true;
        }
        let replaced = self.ended.register(waiting);
        drop(scheduler);
        drop(replaced);
        false
    }

    pub(super) fn stats(&self) -> Stats {
        if self.is_copy() {
            return Stats::default();
        }
        let shared: isize = self.shared().iter().map(|shared| shared.progress().0).sum();
        let upcoming = self.upcoming.count();
        let scheduler = self.scheduler.lock();
        Stats {
            workers: scheduler.workers(),
            idle: scheduler.idle(),
            pending: scheduler.pending() + shared.cast_unsigned() + upcoming,
            running: scheduler.running(),
            completed: self.completed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            respawned: scheduler.respawned,
        }
    }
}

/// The owner of the pool's own threads, in which callbacks run. They never wait for tasks.
impl TaskOwner for Pool {
    fn time_limit(&self) -> Option<Duration> {
        self.settings.time_limit
    }
}

impl RemoteTaskOwner for Pool {
    fn revoke(&self, remote: &RemoteTask) -> bool {
        !self.is_copy() && self.decide(|scheduler, now| scheduler.cancel(remote, now))
    }
    fn stop(&self, remote: &RemoteTask) -> bool {
        !self.is_copy() && self.decide(|scheduler, now| scheduler.stop(remote, now))
    }
    fn help(&self, remote: &RemoteTask) {
        self.help(remote);
    }
    fn kill_worker(&self, id: WorkerId) {
        self.kill_worker(id);
    }
    fn count(&self, failed: bool) {
        self.count(failed);
    }
    fn out_of_band(&self) -> &Arc<dyn OutOfBand> {
        &self.out_of_band
    }
    fn release(&self, segments: &[SegmentRef], kept: bool) {
        self.segments.release(segments, kept);
    }
}
