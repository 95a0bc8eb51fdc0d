//! The queue of a thread pool and its protocol.
//!
//! One lock guards everything, with two exceptions: workers take tasks from the [`front`] of a long queue without it, and
//! submitters leave tasks for which no thread is woken or started in the [`inbox`]. In this comment, both are part of the
//! queue. A worker that takes a task from the front is busy before and after, and the queue gets shorter, so the invariant
//! below still holds. It also holds when a submitter leaves a task in the inbox: that is open only while no thread need be
//! woken or started for a further task. The proof depends on no atomic that is written without the lock, except the length
//! of the front, which is never too small for a thread that holds the lock.
//!
//! # No queued task is forgotten
//!
//! Invariant: *if the queue is not empty when the lock is free, then a thread is on its way to it, or every worker is
//! busy.* A thread is on its way if it is a searcher, which looks again under the lock before it sleeps; a sleeper that
//! was given a permit; or a thread that was started and has not looked at the queue yet. A thread that pushes a task
//! under the lock ([`push`](Pool::push)), pops one while more are queued, or leaves ([`leave`](Pool::leave)), calls
//! [`decide`](Queue::decide) under the same lock, which restores the invariant: it gives a permit to a sleeper, or
//! counts a new worker, unless another thread is on its way already, which will call it in turn. Without the call after
//! a pop, two tasks that wait for each other would deadlock. Hastening a task gives it a second entry, which is counted as
//! dead at once and needs no thread: the worker that does it decides when it sleeps, or looks at the queue again.
//!
//! Starting a thread and running its initializer take long, so several threads may be coming at a time, one for each
//! task: a thread is started only if more tasks are queued than threads are coming, and no worker is idle, woken or
//! searching. All other workers are busy then, so *there are never more workers than there were unfinished tasks at one
//! time*. A thread that was started looks at the queue even if the task that it was started for is gone. If its
//! initializer sleeps in a wait, perhaps for a queued task, it no longer counts as coming.
//!
//! Workers that sleep in a task run nothing, so they do not count towards the limit of workers. Two rules apply. Each
//! *blocked* worker makes room for one more. *Waiting* workers make room only if no other worker is awake: the task
//! that they wait for is running, but may itself be blocked or wait, and at the end of such a chain is a task in the
//! queue.
//!
//! A permit is given together with `idle -= 1`: the waker claims the sleeper, so the counts are exact however late the
//! sleeper wakes. A wake-up without a permit has no effect.
//!
//! # Counters
//!
//! | counter | incremented by | decremented by |
//! |---|---|---|
//! | `workers` | `decide`, when it decides to start one | `leave`; a failed start |
//! | `starting` | the same | storing the thread's handle; a failed start |
//! | `coming` | the same | the worker's first look at the queue; a wait in its initializer; a failed start |
//! | `running` | pop | the worker's next look at the queue under the lock |
//! | `blocked` | a worker that sleeps until another one has taken a queued task | its wake-up |
//! | `waiting` | a worker that sleeps until a task that was started elsewhere has ended | its wake-up |
//! | `pending` | push under the lock; draining or shutting the inbox; draining the front | filling the front; the task leaving `Pending`: start, claim, cancel, refusal; once for each task |
//! | `dead` | a claim or cancellation of a queued task; hastening one, which gives it a second entry | popping, sweeping or refusing the entry of a task that is not pending |
//!
//! `pending` is exact in a bounded queue, which uses neither front nor inbox. Without a bound, the pop counts as the start, which saves a
//! lock, and is undone if the task did not start. The tasks in the front and in the inbox are not in it;
//! [`stats`](Pool::stats) drains both first. `dead` may be negative for a moment.
//!
//! Lock order: a task's lock (to sweep) and that of the inbox may be taken under the queue's lock, never the other way
//! round. No other lock is taken under the lock of the inbox.
//!
//! The proof is about every method that takes the lock, here and in the modules below.
#![forbid(unsafe_code)]

mod compensation;
mod counts;
mod ending;
mod entries;
mod expired;
mod expiry;
mod front;
mod inbox;
mod queue;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::timer::Timer;
use crate::condition::{Condition, Room, Waiting};
use crate::error::{Error, Full};
use crate::fork;
use crate::look::{look, note_found};
use crate::options::{Stats, TaskOptions};
use crate::panics;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::task::owner::{self, Ended, Shared};
use crate::task::owner_ref::{self, OwnerRef};
use crate::task::pool_id::PoolId;
use crate::task::{Ran, Runnable};
use crate::ticket::{Shown, Ticket, Tickets};
use crate::unwind::drop_caught;
use crate::upcoming::Upcoming;
use crate::wait::deadline;
pub(super) use counts::Counts;
use front::Front;
use inbox::Inbox;
use queue::{Action, Queue};

/// The checked settings of the builder.
pub(super) struct Settings {
    pub(super) max_workers: usize,
    pub(super) prefix: String,
    pub(super) initializer: Option<Box<dyn Fn() + Send + Sync>>,
    pub(super) stack_size: Option<usize>,
    pub(super) keep_alive: Option<Duration>,
    pub(super) max_pending: Option<usize>,
    pub(super) time_limit: Option<Duration>,
}

/// A pool of threads. Its alignment keeps the reference counts of its `Arc`, which jobs from outside and cancelled tasks
/// change, on another cache line than what every submit reads.
#[repr(align(64))]
pub(super) struct Pool {
    pub(super) settings: Settings,
    queue: Mutex<Queue>,
    /// The front of the queue, for workers that do not hold the lock.
    front: Arc<Front>,
    /// The back of the queue, for submitters that do not hold the lock.
    inbox: Arc<Inbox>,
    /// Sleeping workers: one is notified for each permit, and all when they are to leave.
    work: Condvar,
    /// Submitters that wait for room in a bounded queue.
    room: Condition,
    /// Those that wait for the workers to end.
    ended: Condition,
    timer: Timer,
    /// Tasks that the queue will get later.
    pub(super) upcoming: Arc<Upcoming>,
    /// The length of the queue without the front and the inbox, for a searcher that [looks](look) without the lock. Stored
    /// by `show`. A hint.
    length: AtomicUsize,
    /// The ticket of the first queued task that is not in the inbox, for map workers that check whether they may
    /// continue. Stored by `show`. A hint.
    earliest: Shown,
    /// Changed under the lock of the queue while the inbox is shut, and under that of the inbox while it is open.
    tickets: Tickets,
    /// Completed and failed calls that are in the [`Counts`] of no worker: tasks that a waiter ran, and items of maps.
    claims_completed: AtomicU64,
    claims_failed: AtomicU64,
    /// The items that map workers share.
    shared: Mutex<Vec<Weak<dyn Shared>>>,
    /// Set when the pool is closed or broken. A copy, for readers that do not hold the lock.
    closing: AtomicBool,
    /// The [generation](fork::generation) of the process that made the pool; differs in a forked copy.
    generation: u32,
    /// The number by which its tasks find it.
    id: PoolId,
    me: Weak<Pool>,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        // Here and not in a worker: a panicking thread holds the lock of the hook, and code that it then runs may wait
        // for a worker.
        panics::install_hook();
        let is_bounded = settings.max_pending.is_some();
        let queue = Queue { max_workers: settings.max_workers, is_bounded, ..Queue::default() };
        Arc::new_cyclic(|me| Self {
            settings,
            front: Arc::clone(&queue.front),
            inbox: Arc::clone(&queue.inbox),
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condition::new(),
            ended: Condition::new(),
            timer: Timer::new(),
            upcoming: Upcoming::new(),
            length: AtomicUsize::new(0),
            earliest: Shown::new(Ticket::NEVER),
            tickets: Tickets::default(),
            claims_completed: AtomicU64::new(0),
            claims_failed: AtomicU64::new(0),
            shared: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            generation: fork::generation(),
            id: owner_ref::register(me.clone() as _),
            me: me.clone(),
        })
    }

    pub(super) fn max_workers(&self) -> usize {
        self.settings.max_workers
    }

    /// Returns the pool as the owner of its tasks.
    pub(super) fn as_owner(&self) -> OwnerRef {
        OwnerRef::Uncounted(Some(self.id))
    }

    fn me(&self) -> Arc<Self> {
        self.me.upgrade().expect("a pool that is called is alive")
    }

    /// Returns `true` in a forked copy of the process that made the pool. Its threads do not exist here, and its locks
    /// may be held for ever.
    fn is_copy(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Returns `true` if the calling thread belongs to this pool.
    fn owns_thread(&self) -> bool {
        owner::is_current(std::ptr::from_ref(self).cast())
    }

    /// Acquires the lock of the queue, and shuts the inbox: all queued tasks are in the queue then, or in its front.
    ///
    /// Code that acquires the lock in another way neither reads nor changes the queued tasks, assigns no ticket, and changes
    /// nothing that `wakes_no_thread` or `refusal` reads; or it is [`next`](Self::next), which shuts the inbox when it must.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue.lock();
        if queue.shut_inbox() > 0 {
            self.show(&queue);
        }
        queue
    }

    /// Stores what threads read that do not hold the lock.
    fn show(&self, queue: &Queue) {
        self.length.store(queue.outside_front(), Ordering::Relaxed);
        self.earliest.show(queue.earliest());
    }

    fn release(&self, queue: MutexGuard<'_, Queue>, action: Action) {
        debug_assert!(
            !queue.inbox.is_open() || queue.wakes_no_thread(),
            "the inbox is open, but a task may need a thread"
        );
        self.show(&queue);
        drop(queue);
        match action {
            Action::Nothing => {}
            Action::Notify => {
                self.work.notify_one();
            }
            Action::Start(number, counts) => self.start(number, counts),
        }
    }

    /// Queues a task that is attached to this pool, or ends it with the reason for the refusal. Waits for room.
    pub(super) fn push(&self, task: Arc<dyn Runnable>) {
        self.push_into(task, Room::NotReserved);
    }

    /// Takes a task from outside, if it can still be run.
    pub(super) fn execute(&self, task: Arc<dyn Runnable>, room: Room) {
        if task.attach(self.me()) {
            self.push_into(task, room);
        } else {
            self.give_back(room);
        }
    }

    /// As [`push`](Self::push), but waits only if there is no [`Room`] for the task yet.
    pub(super) fn push_into(&self, task: Arc<dyn Runnable>, room: Room) {
        self.push_if(task, None, room, || self.owns_thread());
    }

    /// Reserves room for a task, if it needs some, or registers the poll if there is none. The task that is pushed, or
    /// [`give_back`](Self::give_back), takes it.
    pub(super) fn reserve(&self, options: &TaskOptions, waiting: &mut Waiting) -> Option<Room> {
        if !self.is_bounded() || options.get_refuse_when_full() || self.is_copy() || self.owns_thread() {
            return Some(Room::NotReserved);
        }
        let mut queue = self.lock();
        if queue.refusal(|| false).is_some() {
            return Some(Room::NotReserved);
        }
        if !self.is_full(&queue) {
            queue.pending += 1;
            return Some(Room::Reserved);
        }
        let replaced = self.room.register(waiting);
        drop(queue);
        drop(replaced);
        None
    }

    /// Makes reserved room available to others.
    pub(super) fn give_back(&self, room: Room) {
        if room == Room::Reserved {
            self.left_pending(self.lock());
        }
    }

    /// As [`push`](Self::push), for a task that may have a ticket already. Calls `is_accepted` only if the pool was
    /// closed.
    fn push_if(&self, task: Arc<dyn Runnable>, ticket: Option<Ticket>, room: Room, is_accepted: impl Fn() -> bool) {
        if self.is_copy() {
            task.refuse(fork::lost_in_fork());
            return;
        }
        let options = task.options();
        let options = options.as_deref().unwrap_or(TaskOptions::NONE);
        if (self.settings.time_limit.is_some() || options.get_time_limit().is_some())
            && let Err(error) = self.start_timer()
        {
            self.give_back(room);
            task.fail(error);
            return;
        }
        let task = if ticket.is_none() {
            let Err(task) = self.inbox.push(task, &self.tickets) else { return };
            task
        } else {
            task
        };
        let mut queue = self.lock();
        let is_reserved = room == Room::Reserved;
        queue.pending -= isize::from(is_reserved);
        loop {
            if let Some(refusal) = self.refusal(&queue, options, &is_accepted) {
                let last = queue.is_last();
                drop(queue);
                if last {
                    // No worker is left to stop a timer that was started just now.
                    self.timer.stop();
                }
                task.fail(refusal);
                return;
            }
            if room != Room::NotReserved || !self.is_full(&queue) || self.owns_thread() {
                break;
            }
            self.room.wait(&mut queue);
        }
        queue.pending += 1;
        queue.insert(ticket.unwrap_or_else(|| self.tickets.next_locked()), task);
        let action = queue.decide();
        self.release(queue, action);
    }

    fn refusal(&self, queue: &Queue, options: &TaskOptions, is_accepted: impl Fn() -> bool) -> Option<Error> {
        let refusal = queue.refusal(is_accepted);
        if refusal.is_some() {
            return refusal;
        }
        let limit = self.settings.max_pending?;
        (self.is_full(queue) && options.get_refuse_when_full()).then(|| Error::Full(Full::new(limit)))
    }

    fn shared(&self) -> Vec<Arc<dyn Shared>> {
        self.shared.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn is_bounded(&self) -> bool {
        self.settings.max_pending.is_some()
    }

    fn is_full(&self, queue: &Queue) -> bool {
        self.settings.max_pending.is_some_and(|limit| queue.pending >= isize::try_from(limit).unwrap_or(isize::MAX))
    }

    /// Blocks until there is a task. Returns `None` if this worker is to end; the counts reflect that already. A worker
    /// whose task forked the process ends in the copy when the task returns there.
    ///
    /// `ran` says how the previous task of the worker went, if there was one. It is counted here, and counts as running
    /// until then.
    pub(super) fn next(&self, number: usize, ran: Option<Ran>, counts: &Counts) -> Option<Arc<dyn Runnable>> {
        if self.is_copy() {
            return None;
        }
        // After a dead entry, the worker takes the lock to uncount it: until then, the entry hides a task that needs a
        // thread.
        if let Some(ran) = ran.filter(|ran| *ran != Ran::Skipped)
            && let Some(task) = self.front.take()
        {
            counts.count(ran);
            note_found(1);
            return Some(task);
        }
        let mut queue = self.queue.lock();
        queue.arrive();
        if let Some(ran) = ran {
            counts.count(ran);
            queue.running -= 1;
            if ran == Ran::Skipped {
                queue.dead -= 1;
                queue.pending += isize::from(!self.is_bounded());
            }
        }
        let (mut may_search, mut is_at_once) = (true, true);
        loop {
            if queue.workers > queue.limit() {
                self.leave(queue, number);
                return None;
            }
            queue.shut_inbox_if_needed();
            if let Some(task) = queue.pop() {
                queue.running += 1;
                if !self.is_bounded() {
                    queue.pending -= 1;
                }
                let action = queue.decide();
                queue.open_inbox_if_possible();
                self.release(queue, action);
                // A search has noted what it found, and a sleep has saved nothing.
                note_found(usize::from(is_at_once));
                return Some(task);
            }
            if queue.is_over() {
                self.leave(queue, number);
                return None;
            }
            is_at_once = false;
            if may_search && queue.begin_search() {
                may_search = false;
                queue.open_inbox_if_possible();
                drop(queue);
                look(None, || self.length.load(Ordering::Relaxed) > 0 || self.inbox.has_tasks());
                queue = self.queue.lock();
                queue.searching = false;
                continue;
            }
            queue.idle += 1;
            queue.shut_inbox_if_needed();
            if !queue.tasks.is_empty() {
                // Submitters left them in the inbox after `pop` had drained it.
                queue.idle -= 1;
                continue;
            }
            queue.shrink();
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
            may_search = true;
        }
    }

    pub(super) fn stats(&self) -> Stats {
        if self.is_copy() {
            return Stats::default();
        }
        let mut pending = self.upcoming.count().cast_signed();
        let mut ended = Ended::default();
        for (more, also) in self.shared().iter().map(|shared| shared.progress()) {
            pending += more;
            ended += also;
        }
        let mut queue = self.lock();
        // From here no worker begins a task. One that has just done so may be about to count the task before it.
        queue.drain_front();
        ended += queue.ended();
        Stats {
            workers: queue.workers,
            idle: queue.workers.saturating_sub(queue.running),
            pending: usize::try_from(queue.pending + pending).unwrap_or(0),
            running: queue.running,
            completed: self.claims_completed.load(Ordering::Relaxed) + ended.completed,
            failed: self.claims_failed.load(Ordering::Relaxed) + ended.failed,
            respawned: 0,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.is_copy() {
            owner_ref::forget(self.id);
        }
        // The last worker of a detached pool drops it at the end of its thread, where a panic is fatal.
        drop_caught(self.settings.initializer.take());
    }
}
