//! [`Front`]: the first tasks of a long queue, which workers take without the lock.
//!
//! A worker that takes a task from a long queue moves the tasks that follow into the front. Then it and all others take
//! those first, one by one and in the same order. So a task of a flood costs its worker no acquisition of the lock that
//! the submitters need, and tasks begin in the order in which they would begin without a front: none of them waits for
//! the one before it to end.
//!
//! Invariant: *the tasks in the front are before all tasks in the queue.* What would come before them, or has to be
//! found among them, first [drains](Front::drain) the front.
//!
//! Invariant: *the front is empty while a worker sleeps in a task, and while there are more workers than may be.* Then
//! each worker must look at the counts, under the lock, before it takes a task.
//!
//! Tasks are only put in under the lock, so under the lock the front has at most as many tasks as [`len`](Front::len)
//! says. Whoever decides by it whether a worker is needed may wake one too many, and never one too few.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::IS_MODEL;
use crate::sync::channel::{Receiver, Sender, bounded};
use crate::task::Runnable;
use crate::ticket::Ticket;

/// A queued task, and its place in the order.
pub(super) type Entry = (Ticket, Arc<dyn Runnable>);

/// The number of tasks that the front has room for. A worker takes as many in a few microseconds if they are short.
const ROOM: usize = 32;

/// The length of a queue that is long. Half as many tasks stay in it: the newest may soon be claimed by who waits for
/// them.
const LONG: usize = if IS_MODEL { 2 } else { 16 };

pub(super) struct Front {
    sender: Sender<Entry>,
    receiver: Receiver<Entry>,
    /// There may be tasks. Written under the lock; a hint for a worker that does not hold it.
    is_open: AtomicBool,
}

impl Default for Front {
    fn default() -> Self {
        let (sender, receiver) = bounded(ROOM);
        Self { sender, receiver, is_open: AtomicBool::new(false) }
    }
}

impl Front {
    /// Takes the first task, if there is one. Needs no lock.
    pub(super) fn take(&self) -> Option<Arc<dyn Runnable>> {
        if !self.is_open.load(Ordering::Relaxed) {
            return None;
        }
        self.receiver.try_recv().ok().map(|(_, task)| task)
    }

    /// As [`take`](Self::take), under the lock.
    pub(super) fn take_locked(&self) -> Option<Arc<dyn Runnable>> {
        let task = self.take();
        if task.is_none() {
            self.is_open.store(false, Ordering::Relaxed);
        }
        task
    }

    /// Returns `true` if there may be tasks. For whoever holds the lock.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        if self.is_open() { self.receiver.len() } else { 0 }
    }

    /// Moves the first tasks of a long queue into the front, if that is empty. Returns their number, and the tickets of
    /// the first and the last.
    pub(super) fn fill(&self, tasks: &mut VecDeque<Entry>) -> Option<(usize, Ticket, Ticket)> {
        if tasks.len() < LONG || self.len() > 0 {
            return None;
        }
        let some = ROOM.min(tasks.len() - LONG / 2);
        let (first, last) = (tasks[0].0, tasks[some - 1].0);
        for entry in tasks.drain(..some) {
            self.sender.try_send(entry).expect("an empty front has room");
        }
        self.is_open.store(true, Ordering::Relaxed);
        Some((some, first, last))
    }

    /// Moves the tasks that are left back into the queue. Returns their number.
    pub(super) fn drain(&self, tasks: &mut VecDeque<Entry>) -> usize {
        if !self.is_open() {
            return 0;
        }
        let left: Vec<_> = std::iter::from_fn(|| self.receiver.try_recv().ok()).collect();
        self.is_open.store(false, Ordering::Relaxed);
        let count = left.len();
        left.into_iter().rev().for_each(|entry| tasks.push_front(entry));
        count
    }
}
