//! [`Ticket`]: the position of a task or of map items in the queue of a pool.
//!
//! A pool runs tasks in the order of submission. A task has one ticket. The items of a shared map are queued a few at a
//! time, each time with the ticket of the moment when they were *pulled* from the input. So items that a map pulled
//! before a task was submitted run before the task, and items that it pulled later run after it: a map with infinite
//! input does not starve tasks.
//!
//! An entry that is put back into the queue keeps its ticket.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

/// A lower ticket runs earlier. Items with no submission between them have the same ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// Before all others. Shown while a task is hastened, so that map workers let it go first.
    pub(crate) const FIRST: Self = Self(0);
    /// Stands for no ticket: behind all others.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Returns the ticket of the task that was submitted `tasks` tasks after the one with this ticket.
    pub(crate) fn plus(self, tasks: usize) -> Self {
        Self(self.0 + 2 * tasks as u64)
    }

    /// Returns the number of tasks that were submitted from the one with the ticket `first` to the one with this ticket,
    /// both included. `first` is this ticket or an earlier one. If this is the ticket of items, the last task is the one
    /// before them.
    pub(crate) fn count_from(self, first: Self) -> usize {
        ((self.0 - first.0) / 2 + 1) as usize
    }
}

/// Assigns the tickets of one pool: odd ones to tasks, and the even ones in between to items.
#[derive(Debug, Default)]
pub(crate) struct Tickets(AtomicU64);

impl Tickets {
    /// Returns the ticket of a new task: behind everything that was submitted, and before everything that follows.
    pub(crate) fn next(&self) -> Ticket {
        Ticket(self.0.fetch_add(2, Ordering::Relaxed) + 1)
    }

    /// As [`next`](Self::next), but without an atomic addition: the callers must exclude one another, by one lock, or by two
    /// of which only one is in use at a time.
    pub(crate) fn next_locked(&self) -> Ticket {
        let last = self.0.load(Ordering::Relaxed);
        self.0.store(last + 2, Ordering::Relaxed);
        Ticket(last + 1)
    }

    /// Returns the ticket of items that are pulled now: behind all tasks that were submitted, and before the next one.
    pub(crate) fn now(&self) -> Ticket {
        Ticket(self.0.load(Ordering::Relaxed))
    }
}

/// A ticket that other threads read.
#[derive(Debug)]
pub(crate) struct Shown(AtomicU64);

impl Shown {
    pub(crate) const fn new(ticket: Ticket) -> Self {
        Self(AtomicU64::new(ticket.0))
    }

    pub(crate) fn show(&self, ticket: Ticket) {
        self.0.store(ticket.0, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Ticket {
        Ticket(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Ticket, Tickets};

    #[test]
    fn items_are_between_the_tasks_before_and_after_them() {
        let tickets = Tickets::default();
        let (items, task, also, again, next) =
            (tickets.now(), tickets.next(), tickets.now(), tickets.now(), tickets.next_locked());
        assert!(items < task && task < also && also == again && again < next && next < Ticket::NEVER);
    }
}
