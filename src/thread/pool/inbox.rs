//! [`Inbox`]: where submitters leave tasks for which no thread is woken or started.
//!
//! A further task wakes or starts no thread while a searcher or a woken worker is on its way to the queue, or while no
//! worker is idle and there may be no more of them. Workers then *open* the inbox, unless the queue is bounded: a submitter
//! leaves its task there, under a lock that others hold only to open or shut the inbox, or to take out all tasks at once.
//! So in a flood, submitters do not wait for workers that take tasks from the queue.
//!
//! Invariant: *the inbox is open only while [a further task wakes no thread](super::queue::Queue::wakes_no_thread) and is
//! accepted.* It is opened and shut only under the lock of the queue. A thread that may end this state shuts the inbox
//! before it releases that lock; only workers that take a task, or look for one, open it. While the inbox is shut, all
//! queued tasks are in the queue.
//!
//! Invariant: *the tasks in the inbox come after all other queued tasks.* Their tickets are assigned under the lock of the
//! open inbox, and those of other tasks under the lock of the queue while the inbox is shut. So no two threads assign
//! tickets at the same time.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entries::Entries;
use crate::sync::Mutex;
use crate::task::Runnable;
use crate::ticket::{Shown, Ticket, Tickets};

/// Where submitters leave tasks for which no thread is woken or started.
pub(super) struct Inbox {
    tasks: Mutex<Entries>,
    /// Written under the lock of the queue and that of the inbox, so it is exact for a thread that holds one of them, and a
    /// hint for others.
    is_open: AtomicBool,
    /// The ticket of the first task, or `NEVER` if there is none. Written under the lock of the inbox. A hint.
    earliest: Shown,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { tasks: Mutex::default(), is_open: AtomicBool::new(false), earliest: Shown::new(Ticket::NEVER) }
    }
}

impl Inbox {
    /// Leaves a task in the inbox, behind all others. Returns the task as an error if the inbox is shut.
    pub(super) fn push(&self, task: Arc<dyn Runnable>, tickets: &Tickets) -> Result<(), Arc<dyn Runnable>> {
        if !self.is_open() {
            return Err(task);
        }
        let mut tasks = self.tasks.lock();
        if !self.is_open() {
            return Err(task);
        }
        let ticket = tickets.next_locked();
        if tasks.is_empty() {
            self.earliest.show(ticket);
        }
        tasks.push_back(ticket, task);
        Ok(())
    }

    /// Moves all tasks behind those in `queue`, and returns their number. The caller holds the lock of the queue.
    pub(super) fn drain(&self, queue: &mut Entries) -> usize {
        if self.is_open() { self.take_all(&mut self.tasks.lock(), queue) } else { 0 }
    }

    /// As [`drain`](Self::drain), and shuts the inbox.
    pub(super) fn shut(&self, queue: &mut Entries) -> usize {
        if !self.is_open() {
            return 0;
        }
        let mut tasks = self.tasks.lock();
        self.is_open.store(false, Ordering::Relaxed);
        let count = self.take_all(&mut tasks, queue);
        tasks.shrink();
        count
    }

    /// Opens the inbox. The caller holds the lock of the queue.
    pub(super) fn open(&self) {
        if !self.is_open() {
            let _tasks = self.tasks.lock();
            self.is_open.store(true, Ordering::Relaxed);
        }
    }

    /// Returns `true` if the inbox is open. Exact for a thread that holds the lock of the queue.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Returns `true` if there are tasks. A hint.
    pub(super) fn has_tasks(&self) -> bool {
        self.earliest() != Ticket::NEVER
    }

    /// Returns the ticket of the first task. A hint.
    pub(super) fn earliest(&self) -> Ticket {
        self.earliest.get()
    }

    fn take_all(&self, tasks: &mut Entries, queue: &mut Entries) -> usize {
        let count = tasks.len();
        if count > 0 {
            self.earliest.show(Ticket::NEVER);
            queue.append(tasks);
        }
        count
    }
}
