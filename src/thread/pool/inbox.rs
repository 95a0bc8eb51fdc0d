//! [`Inbox`]: where submitters leave tasks that need no thread.
//!
//! While a thread is on its way to the queue, or every worker is busy, a further task need not wake or start one. Then the
//! inbox is *open*: a submitter leaves its task there, under a lock that workers hold only to take out all tasks at once.
//! So in a flood, submitters do not wait for workers that take tasks from the queue.
//!
//! Invariant: *the inbox is open only while the pool is [attended](super::queue::Queue::is_attended) and accepts tasks.* It
//! is opened and shut only under the lock of the queue. A thread that is about to change that shuts the inbox first, and
//! only workers that take a task, or look for one, open it. With the inbox shut, all queued tasks are in the queue.
//!
//! Invariant: *the tasks in the inbox come after all other queued tasks.* Their tickets are assigned under the lock of the
//! open inbox, and all others under the lock of the queue while the inbox is shut. So no two threads assign tickets at the
//! same time.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entries::Entries;
use crate::sync::Mutex;
use crate::task::Runnable;
use crate::ticket::{Shown, Ticket, Tickets};

/// Where submitters leave tasks that need no thread.
pub(super) struct Inbox {
    state: Mutex<State>,
    /// A copy. Exact for a thread that holds the lock of the queue, and a hint for others.
    is_open: AtomicBool,
    /// The ticket of the first task in the inbox. A hint.
    earliest: Shown,
}

#[derive(Default)]
struct State {
    is_open: bool,
    tasks: Entries,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { state: Mutex::default(), is_open: AtomicBool::new(false), earliest: Shown::new(Ticket::NEVER) }
    }
}

impl Inbox {
    /// Leaves a task in the inbox, behind all others. Returns the task if the inbox is shut.
    pub(super) fn push(&self, task: Arc<dyn Runnable>, tickets: &Tickets) -> Option<Arc<dyn Runnable>> {
        if !self.is_open() {
            return Some(task);
        }
        let mut state = self.state.lock();
        if !state.is_open {
            return Some(task);
        }
        let ticket = tickets.next_locked();
        if state.tasks.is_empty() {
            self.earliest.show(ticket);
        }
        state.tasks.push_back(ticket, task);
        None
    }

    /// Moves all tasks behind `tasks`, and returns their number. The caller holds the lock of the queue.
    pub(super) fn empty_into(&self, tasks: &mut Entries) -> usize {
        if self.is_open() { self.take(&mut self.state.lock(), tasks) } else { 0 }
    }

    /// Shuts the inbox. Moves all tasks behind `tasks`, and returns their number. The caller holds the lock of the queue.
    pub(super) fn shut(&self, tasks: &mut Entries) -> usize {
        if !self.is_open() {
            return 0;
        }
        let mut state = self.state.lock();
        state.is_open = false;
        self.is_open.store(false, Ordering::Relaxed);
        let count = self.take(&mut state, tasks);
        state.tasks.shrink();
        count
    }

    /// Opens the inbox. The caller holds the lock of the queue.
    pub(super) fn open(&self) {
        if !self.is_open() {
            self.state.lock().is_open = true;
            self.is_open.store(true, Ordering::Relaxed);
        }
    }

    /// Returns `true` if the inbox is open. A hint for a thread that does not hold the lock of the queue.
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

    fn take(&self, state: &mut State, tasks: &mut Entries) -> usize {
        let count = state.tasks.len();
        if count > 0 {
            self.earliest.show(Ticket::NEVER);
            tasks.append(&mut state.tasks);
        }
        count
    }
}
