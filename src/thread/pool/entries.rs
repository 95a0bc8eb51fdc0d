//! [`Entries`]: queued tasks, in the order of their tickets.
//!
//! Tasks that are submitted one after the other have tickets that follow one another. So only the first ticket of such a
//! *series* and its length are stored, and a task takes no more room in the queue than its pointer. A task that is inserted
//! into a series divides it.
//!
//! Invariant: *no series is empty, and the lengths of all series add up to the number of tasks.*
#![forbid(unsafe_code)]

use std::collections::{VecDeque, vec_deque};
use std::sync::Arc;

use crate::task::Runnable;
use crate::ticket::Ticket;

/// The capacity, in tasks, that an empty list may keep.
pub(super) const IDLE_CAPACITY: usize = 1 << 16;

/// A queued task, and its place in the order.
pub(super) type Entry = (Ticket, Arc<dyn Runnable>);

/// Queued tasks, in the order of their tickets.
#[derive(Default)]
pub(super) struct Entries {
    tasks: VecDeque<Arc<dyn Runnable>>,
    /// The tickets of `tasks`, in the same order.
    series: VecDeque<Series>,
}

/// The tickets of neighbouring tasks, which follow one another.
struct Series {
    first: Ticket,
    /// The number of tasks.
    length: usize,
}

impl Series {
    /// Returns the ticket that follows the last one.
    fn next(&self) -> Ticket {
        self.first.plus(self.length)
    }

    /// Takes the first ticket out.
    fn take_first(&mut self) -> Ticket {
        let first = self.first;
        self.first = first.plus(1);
        self.length -= 1;
        first
    }
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn iter(&self) -> vec_deque::Iter<'_, Arc<dyn Runnable>> {
        self.tasks.iter()
    }

    /// Returns the ticket of the first task.
    pub(super) fn first_ticket(&self) -> Option<Ticket> {
        self.series.front().map(|series| series.first)
    }

    /// Returns the ticket of the last task.
    pub(super) fn last_ticket(&self) -> Option<Ticket> {
        self.series.back().map(|series| series.first.plus(series.length - 1))
    }

    pub(super) fn pop_front(&mut self) -> Option<Entry> {
        let task = self.tasks.pop_front()?;
        let series = self.series.front_mut()?;
        let ticket = series.take_first();
        if series.length == 0 {
            self.series.pop_front();
        }
        Some((ticket, task))
    }

    /// Takes the last task, without its ticket.
    pub(super) fn pop_back(&mut self) -> Option<Arc<dyn Runnable>> {
        let task = self.tasks.pop_back()?;
        let series = self.series.back_mut()?;
        series.length -= 1;
        if series.length == 0 {
            self.series.pop_back();
        }
        Some(task)
    }

    /// Adds a task before all others.
    pub(super) fn push_front(&mut self, ticket: Ticket, task: Arc<dyn Runnable>) {
        self.tasks.push_front(task);
        match self.series.front_mut() {
            Some(series) if ticket.plus(1) == series.first => {
                series.first = ticket;
                series.length += 1;
            }
            _ => self.series.push_front(Series { first: ticket, length: 1 }),
        }
    }

    /// Adds a task behind all others.
    #[inline]
    pub(super) fn push_back(&mut self, ticket: Ticket, task: Arc<dyn Runnable>) {
        self.tasks.push_back(task);
        match self.series.back_mut() {
            Some(series) if ticket == series.next() => series.length += 1,
            _ => self.series.push_back(Series { first: ticket, length: 1 }),
        }
    }

    /// Moves all tasks of `later` behind these. They must have later tickets.
    pub(super) fn append(&mut self, later: &mut Self) {
        if self.is_empty() {
            return std::mem::swap(self, later);
        }
        self.tasks.append(&mut later.tasks);
        for series in later.series.drain(..) {
            match self.series.back_mut() {
                Some(last) if series.first == last.next() => last.length += series.length,
                _ => self.series.push_back(series),
            }
        }
    }

    /// Inserts a task behind all tasks with the same or an earlier ticket.
    pub(super) fn insert(&mut self, ticket: Ticket, task: Arc<dyn Runnable>) {
        // The series before `at` begin no later than the ticket, but the last of them may have later tasks at its end.
        let at = self.series.partition_point(|series| series.first <= ticket);
        let mut index = self.tasks.len() - self.series.range(at..).map(|series| series.length).sum::<usize>();
        if let Some(before) = at.checked_sub(1) {
            let series = &self.series[before];
            let later = series.length.saturating_sub(ticket.count_from(series.first));
            index -= later;
            self.divide(before, later);
        }
        self.series.insert(at, Series { first: ticket, length: 1 });
        self.tasks.insert(index, task);
    }

    /// Takes out the tasks for which `is_kept` returns `false`.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&dyn Runnable) -> bool) -> Vec<Arc<dyn Runnable>> {
        let mut all = std::mem::take(self);
        let mut removed = Vec::new();
        while let Some((ticket, task)) = all.pop_front() {
            if is_kept(&*task) {
                self.push_back(ticket, task);
            } else {
                removed.push(task);
            }
        }
        removed
    }

    /// Takes out all tasks.
    pub(super) fn take_all(&mut self) -> VecDeque<Arc<dyn Runnable>> {
        std::mem::take(self).tasks
    }

    /// Frees capacity beyond [`IDLE_CAPACITY`] that the tasks do not need.
    pub(super) fn shrink(&mut self) {
        self.tasks.shrink_to(IDLE_CAPACITY);
        self.series.shrink_to(IDLE_CAPACITY);
    }

    /// Makes the last `count` tasks of the series at this index a series of their own.
    fn divide(&mut self, at: usize, count: usize) {
        if count > 0 {
            let series = &mut self.series[at];
            series.length -= count;
            let rest = Series { first: series.next(), length: count };
            self.series.insert(at + 1, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Entries, Entry};
    use crate::task::call::LocalCall;
    use crate::task::owner_ref::OwnerRef;
    use crate::task::{Runnable, new_task};
    use crate::ticket::{Ticket, Tickets};

    fn task() -> Arc<dyn Runnable> {
        new_task(Some(LocalCall(|| Ok(()))), None, OwnerRef::NOBODY)
    }

    fn pushed(count: usize) -> (Entries, Tickets) {
        let (mut entries, tickets) = (Entries::default(), Tickets::default());
        (0..count).for_each(|_| entries.push_back(tickets.next(), task()));
        (entries, tickets)
    }

    #[test]
    fn tasks_that_follow_one_another_are_one_series() {
        let (mut entries, tickets) = pushed(100);
        for _ in 0..10 {
            let (ticket, task) = entries.pop_front().unwrap();
            entries.pop_back().unwrap();
            entries.push_front(ticket, task);
        }
        assert_eq!((entries.len(), entries.series.len()), (90, 1));
        // Items of a map, which are between two tasks.
        entries.push_back(tickets.now(), task());
        entries.push_back(tickets.next(), task());
        assert_eq!(entries.series.len(), 3);
    }

    /// After each of many random operations, the entries are those of a plain list to which the same was done.
    #[test]
    fn series_say_what_a_ticket_for_each_task_would() {
        let mut seed = 1_u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let (mut entries, mut plain, tickets) = (Entries::default(), Vec::<Entry>::new(), Tickets::default());
        for step in 0..5000 {
            let new = task();
            match random(8) {
                0 | 1 => {
                    let ticket = if random(4) == 0 { tickets.now() } else { tickets.next() };
                    entries.push_back(ticket, Arc::clone(&new));
                    plain.push((ticket, new));
                }
                2 | 3 => {
                    let last = plain.last().map_or(Ticket::FIRST, |(ticket, _)| *ticket);
                    let ticket = Ticket::FIRST.plus(random(last.count_from(Ticket::FIRST)));
                    let index = plain.partition_point(|(other, _)| *other <= ticket);
                    entries.insert(ticket, Arc::clone(&new));
                    plain.insert(index, (ticket, new));
                }
                4 if !plain.is_empty() => {
                    let (ticket, first) = entries.pop_front().unwrap();
                    assert!(ticket == plain[0].0 && Arc::ptr_eq(&first, &plain.remove(0).1));
                    if random(2) == 0 {
                        entries.push_front(Ticket::FIRST, Arc::clone(&first));
                        plain.insert(0, (Ticket::FIRST, first));
                    }
                }
                5 => {
                    let last = entries.pop_back();
                    assert_eq!(last.map(|task| task.id()), plain.pop().map(|(_, task)| task.id()));
                }
                6 => {
                    let (mut later, new) = (Entries::default(), [task(), task()]);
                    for task in new.iter().take(random(3)) {
                        let ticket = tickets.next();
                        later.push_back(ticket, Arc::clone(task));
                        plain.push((ticket, Arc::clone(task)));
                    }
                    entries.append(&mut later);
                    assert!(later.is_empty() && later.series.is_empty(), "step {step}");
                }
                _ if random(40) == 0 => {
                    let cut = random(3) as u64;
                    let removed = entries.retain(|task| task.id().to_u64() % 3 != cut);
                    let before = plain.len();
                    plain.retain(|(_, task)| task.id().to_u64() % 3 != cut);
                    assert_eq!(before - plain.len(), removed.len());
                }
                _ => {}
            }
            assert_eq!(entries.first_ticket(), plain.first().map(|(ticket, _)| *ticket), "step {step}");
            assert_eq!(entries.last_ticket(), plain.last().map(|(ticket, _)| *ticket), "step {step}");
            let series = entries.series.iter().flat_map(|series| (0..series.length).map(|n| series.first.plus(n)));
            assert!(series.eq(plain.iter().map(|(ticket, _)| *ticket)), "step {step}");
            assert!(entries.iter().map(|task| task.id()).eq(plain.iter().map(|(_, task)| task.id())), "step {step}");
            assert!(entries.series.iter().all(|series| series.length > 0), "step {step}");
        }
        assert_eq!(entries.take_all().len(), plain.len());
    }
}
