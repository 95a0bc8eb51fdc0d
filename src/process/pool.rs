//! [`Pool`]: the one lock of a pool of processes, and what is done with what was decided under it.
//!
//! # Who takes which lock
//!
//! The right to read the mailbox of a worker comes first: a waiter settles what it has read before it gives the right back. Then comes the
//! scheduler's lock; under it that of a task's place, and nothing else. A write queue has its own, taken
//! with no other held: a task is given to a worker under the scheduler's lock, and sent after it. A worker that died in between
//! has its tasks taken from it under that lock, and its write queue swallows what is still sent. Cells are never touched, and no user
//! code runs, under any of them.
//!
//! # Who frees what
//!
//! Each worker has a thread here, in [`monitor`](super::monitor), which spawns it, looks after it, reaps it, and then ends. The kernel kills a
//! worker when the thread that spawned it ends, so that is the only thread that may. A task is held by whoever
//! is to end it, and by its task until that is done. The last thread to end makes the pool ended.
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
use crate::error::{Broken, Error};
use crate::fork;
use crate::options::Stats;
use crate::panics;
use crate::process::program::call::LocatedCall;
use crate::process::worker_id::WorkerId;
use crate::stack;
use crate::sync::{Condvar, Mutex};
use crate::task::owner::{self, Ended, Shared};
use crate::task::roles::TaskOwner;
use crate::ticket::Tickets;
use crate::wait::deadline;

/// What the builder was told.
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

/// What the thread does that looks after a worker, from its start to its end.
pub(super) type Monitor = fn(&Arc<Pool>, WorkerId);

pub(crate) struct Pool {
    pub(super) settings: Settings,
    monitor: Monitor,
    /// Tells executors apart in the names of workers.
    number: u32,
    /// Long bytes on their way to workers.
    pub(super) segments: Arc<SegmentPool>,
    pub(super) out_of_band: Arc<dyn OutOfBand>,
    scheduler: Mutex<Scheduler<Arc<Connection>>>,
    pub(super) tickets: Tickets,
    /// Submitters that wait for room.
    room: Condvar,
    /// Whoever waits for the workers to end.
    ended: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What the portions of maps are taken from.
    shared: Mutex<Vec<Weak<dyn Shared>>>,
    completed: AtomicU64,
    failed: AtomicU64,
    /// Closed or broken. A copy, for who does not have the lock.
    closing: AtomicBool,
    /// A fork of this process has another one.
    generation: u32,
    me: Weak<Pool>,
}

/// What is to be done once the lock is free.
#[must_use]
struct FollowUp {
    hired: Vec<WorkerId>,
    to_wake: Vec<Arc<Connection>>,
    has_room: bool,
}

impl Pool {
    /// Makes a pool whose workers are looked after by threads that run `monitor`.
    pub(super) fn new(settings: Settings, monitor: Monitor) -> Arc<Self> {
        static POOLS: AtomicU32 = AtomicU32::new(0);
        // Here and not in a thread of the pool: one that panics holds the hook.
        panics::install_hook();
        super::program::fork::watch();
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
            room: Condvar::new(),
            ended: Condvar::new(),
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

    /// Is this a forked copy of the process that made the pool? Its threads are not here, and its locks may be held for ever.
    pub(super) fn is_copy(&self) -> bool {
        self.generation != fork::generation()
    }

    fn owns_thread(&self) -> bool {
        owner::is_current(std::ptr::from_ref(self).cast())
    }

    /// Does what is to be decided, and then starts the workers that it takes. That may run user code.
    pub(super) fn decide<R>(&self, decision: impl FnOnce(&mut Scheduler<Arc<Connection>>, Instant) -> R) -> R {
        let (result, follow_up) = self.decide_first(decision);
        self.follow(follow_up);
        result
    }

    /// Does what is to be decided, and says what follows.
    fn decide_first<R>(&self, decision: impl FnOnce(&mut Scheduler<Arc<Connection>>, Instant) -> R) -> (R, FollowUp) {
        let now = Instant::now();
        let mut scheduler = self.scheduler.lock();
        let result = decision(&mut scheduler, now);
        let hired = scheduler.spawn_missing(now);
        let to_wake = scheduler.take_to_wake();
        let has_room = scheduler.has_room();
        (result, FollowUp { hired, to_wake, has_room })
    }

    fn follow(&self, follow_up: FollowUp) {
        let FollowUp { hired, to_wake, has_room } = follow_up;
        if has_room {
            self.room.notify_all();
        }
        for connection in to_wake {
            connection.ring();
        }
        for id in hired {
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

    /// Starts the thread of a worker that is counted already.
    fn start(&self, id: WorkerId) {
        let Some(pool) = self.me.upgrade() else { return };
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        // Results are decoded there: it is to do for the deepest.
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

    /// No process could be made. If no worker is left, nobody is there for the tasks.
    pub(super) fn not_started(&self, id: WorkerId, error: &std::io::Error) {
        let unstarted = self.decide(|scheduler, now| scheduler.not_started(id, now));
        self.ring_all();
        let error = Error::Broken(Broken::new(format!("no worker process can be started: {error}")));
        self.refuse(unstarted, Some(&error));
    }

    /// Nothing more can be run: ends what has not started, and each later task, with `error`.
    pub(super) fn break_down(&self, error: &Error) {
        let unstarted = self.decide(|scheduler, now| scheduler.break_down(error, now));
        self.closing.store(true, Ordering::Relaxed);
        self.ring_all();
        for shared in self.shared() {
            shared.call_off(error);
        }
        self.refuse(unstarted, Some(error));
    }

    /// The thread of a worker ends.
    pub(super) fn forget(&self, id: WorkerId) {
        let left = self.decide(|scheduler, _| scheduler.forget(id));
        // There are none, unless something went wrong in here.
        self.refuse(left, Some(&Error::Abandoned));
        self.ended.notify_all();
    }

    /// Tells the workers of segments that are gone.
    pub(super) fn trim_segments(&self) {
        let gone = self.segments.trim();
        if !gone.is_empty() {
            let connections = self.scheduler.lock().connections();
            for connection in connections {
                connection.forget(&gone);
            }
        }
    }

    /// Lets every worker's thread look what there is to do.
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
    }

    pub(super) fn join(&self, timeout: Option<Duration>) -> bool {
        // A callback may stand in the way of the very task that is waited for.
        if self.is_copy() || self.owns_thread() || !owner::may_block() {
            return false;
        }
        let until = deadline(timeout);
        let mut scheduler = self.scheduler.lock();
        if !scheduler.closed {
            return false;
        }
        while !scheduler.is_empty() {
            match until {
                None => self.ended.wait(&mut scheduler),
                Some(until) => {
                    if self.ended.wait_until(&mut scheduler, until).timed_out() && !scheduler.is_empty() {
                        return false;
                    }
                }
            }
        }
        drop(scheduler);
        if timeout.is_none() {
            // They have nothing more to do than to end.
            let threads = std::mem::take(&mut *self.threads.lock());
            for thread in threads {
                // What a thread of the pool could panic of is caught further in.
                let _ = thread.join();
            }
        }
        true
    }

    pub(super) fn stats(&self) -> Stats {
        if self.is_copy() {
            return Stats::default();
        }
        let shared: isize = self.shared().iter().map(|shared| shared.progress().0).sum();
        let scheduler = self.scheduler.lock();
        Stats {
            workers: scheduler.workers(),
            idle: scheduler.idle(),
            pending: scheduler.pending() + shared.cast_unsigned(),
            running: scheduler.running(),
            completed: self.completed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            respawned: scheduler.respawned,
        }
    }
}

/// For the threads of the pool, in which callbacks run: they belong to the executor. Nobody waits in them.
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
