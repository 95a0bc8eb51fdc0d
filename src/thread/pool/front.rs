//! [`Front`]: the first tasks of a long queue, which workers take without the lock.
//!
//! A worker that takes a task from a long queue moves the tasks that follow into the front. Then it and all others take
//! those first, one by one and in the same order. So a worker need not acquire the lock, which submitters may need, for
//! each task of a flood. Tasks begin in the order in which they would begin without a front: none of them waits for the
//! one before it to end.
//!
//! Invariant: *the tasks in the front come before all other queued tasks but hastened ones.* A thread that inserts a task
//! before them first [drains](Front::drain) the front. A worker may take a task from the front although another one was
//! hastened, until the worker that waits for that one sleeps.
//!
//! Invariant: *the front is empty while a worker sleeps in a task, and while there are more workers than the limit.* In
//! both cases, each worker must look at the counts, under the lock, before it takes a task.
//!
//! The front is filled only under the lock, so a thread that holds the lock finds at most as many tasks in it as
//! [`len`](Front::len) returned. If it decides by that whether a worker is needed, it may wake one too many, and never
//! one too few.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entries::{Entries, Entry};
use crate::sync::IS_MODEL;
use crate::sync::channel::{Receiver, Sender, bounded};
use crate::task::Runnable;
use crate::ticket::Ticket;

/// The number of tasks that the front has room for. A worker takes as many in a few microseconds if they are short.
const ROOM: usize = 32;

/// From this length on, a queue is long. Half as many tasks stay behind the front: the newest may soon be claimed by
/// threads that wait for them.
const LONG: usize = if IS_MODEL { 2 } else { 16 };

/// The first tasks of a long queue, in a channel.
pub(super) struct Front {
    sender: Sender<Entry>,
    receiver: Receiver<Entry>,
    /// `true` from a fill until a thread that holds the lock finds the front empty, or drains it. Written under the
    /// lock; a hint for a worker that does not hold it.
    is_filled: AtomicBool,
}

impl Default for Front {
    fn default() -> Self {
        let (sender, receiver) = bounded(ROOM);
        Self { sender, receiver, is_filled: AtomicBool::new(false) }
    }
}

impl Front {
    /// Takes the first task, if there is one. Needs no lock.
    pub(super) fn take(&self) -> Option<Arc<dyn Runnable>> {
        if !self.is_filled.load(Ordering::Relaxed) {
            return None;
        }
        self.receiver.try_recv().ok().map(|(_, task)| task)
    }

    /// As [`take`](Self::take), for a thread that holds the lock. Notes that the front is empty if it is.
    pub(super) fn take_locked(&self) -> Option<Arc<dyn Runnable>> {
        let task = self.take();
        if task.is_none() {
            self.is_filled.store(false, Ordering::Relaxed);
        }
        task
    }

    /// Returns `true` if there may be tasks, to a thread that holds the lock.
    pub(super) fn is_filled(&self) -> bool {
        self.is_filled.load(Ordering::Relaxed)
    }

    /// Returns the number of tasks, to a thread that holds the lock.
    pub(super) fn len(&self) -> usize {
        if self.is_filled() { self.receiver.len() } else { 0 }
    }

    /// Moves the first tasks of a long queue into the front, if that is empty. Returns their number, and the tickets of
    /// the first and the last.
    pub(super) fn fill(&self, tasks: &mut Entries) -> Option<(usize, Ticket, Ticket)> {
        if tasks.len() < LONG || self.len() > 0 {
            return None;
        }
        let count = ROOM.min(tasks.len() - LONG / 2);
        let first = tasks.first_ticket()?;
        let mut last = first;
        for entry in std::iter::from_fn(|| tasks.pop_front()).take(count) {
            last = entry.0;
            self.sender.try_send(entry).expect("an empty front has room");
        }
        self.is_filled.store(true, Ordering::Relaxed);
        Some((count, first, last))
    }

    /// Moves the tasks that are left back into the queue. Returns their number.
    pub(super) fn drain(&self, tasks: &mut Entries) -> usize {
        if !self.is_filled() {
            return 0;
        }
        let left: Vec<_> = std::iter::from_fn(|| self.receiver.try_recv().ok()).collect();
        self.is_filled.store(false, Ordering::Relaxed);
        let count = left.len();
        left.into_iter().rev().for_each(|(ticket, task)| tasks.push_front(ticket, task));
        count
    }
}
