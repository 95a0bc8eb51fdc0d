//! [`Block`]: some items of a map that lie next to each other, and what became of them.
#![forbid(unsafe_code)]

use std::time::Instant;
use std::vec;

use crate::error::{Error, Outcome};
use crate::host::Ended;
use crate::outcomes::Outcomes;
use crate::panics::{self, discard};
use crate::sync::{Condvar, Mutex, thread, yields};

pub(super) struct Block<A, R> {
    state: Mutex<State<A, R>>,
    /// There are outcomes to collect. Notified when the collector sleeps.
    filled: Condvar,
}

struct State<A, R> {
    /// What nobody has taken.
    items: vec::IntoIter<A>,
    /// How many were taken.
    taken: usize,
    /// The outcomes of those that come next, in a row.
    done: Outcomes<R>,
    /// How many were collected before.
    collected: usize,
    /// Outcomes of later items, that were taken while an earlier one runs.
    early: Vec<(usize, Outcome<R>)>,
    /// Somebody sleeps until there is something to collect.
    wanted: bool,
    /// How those went of which the pool was not told.
    ended: Ended,
}

/// What was collected from a block.
pub(super) struct Collected<R> {
    pub(super) outcomes: Outcomes<R>,
    /// Nothing more will come.
    pub(super) is_over: bool,
}

impl<A, R> Block<A, R> {
    pub(super) fn new(items: Vec<A>) -> Self {
        let state = State {
            items: items.into_iter(),
            taken: 0,
            done: Outcomes::new(),
            collected: 0,
            early: Vec::new(),
            wanted: false,
            ended: Ended::default(),
        };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Runs one item after the other until none is left to take. How those went of which the pool was not told.
    pub(super) fn work(&self, call: impl Fn(A) -> Outcome<R>) -> Ended {
        let mut made = None;
        loop {
            // One turn of the lock an item: an outcome is there to be seen, and what was not begun to be taken by others or called off,
            // before the next item begins, which may take as long as it likes.
            let mut state = self.state.lock();
            let wakes = made.take().is_some_and(|(position, outcome)| state.end(position, outcome));
            let next = state.take();
            let ended = if next.is_none() { std::mem::take(&mut state.ended) } else { Ended::default() };
            drop(state);
            if wakes {
                self.filled.notify_one();
            }
            let Some((position, item)) = next else { return ended };
            made = Some((position, panics::catch(|| call(item))));
        }
    }

    /// How many items nobody has taken.
    pub(super) fn pending(&self) -> usize {
        self.state.lock().items.len()
    }

    /// As `pending`, and how those went of which the pool was not told.
    pub(super) fn progress(&self) -> (usize, Ended) {
        let state = self.state.lock();
        (state.items.len(), state.ended)
    }

    /// Collects the outcomes that are there. Does not block.
    pub(super) fn try_collect(&self) -> Collected<R> {
        self.state.lock().collect()
    }

    /// Sleeps until there are outcomes, or the time is up, and collects them.
    pub(super) fn collect(&self, deadline: Option<Instant>) -> Collected<R> {
        for _ in 0..yields(deadline) {
            thread::yield_now();
            let collected = self.try_collect();
            if collected.outcomes.len() > 0 {
                return collected;
            }
        }
        let mut state = self.state.lock();
        let mut timed_out = false;
        loop {
            let collected = state.collect();
            if collected.outcomes.len() > 0 || timed_out {
                state.wanted = false;
                return collected;
            }
            state.wanted = true;
            match deadline {
                None => self.filled.wait(&mut state),
                Some(deadline) => timed_out = self.filled.wait_until(&mut state, deadline).timed_out(),
            }
        }
    }

    /// How many items have no outcome.
    pub(super) fn unfinished(&self) -> usize {
        let state = self.state.lock();
        state.taken + state.items.len() - state.collected - state.done.len() - state.early.len()
    }

    /// How many items were not collected.
    pub(super) fn left(&self) -> usize {
        let state = self.state.lock();
        state.taken + state.items.len() - state.collected
    }

    /// Takes what nobody has taken, ends it with an error, and returns how much it was.
    pub(super) fn call_off(&self, error: &Error) -> usize {
        let mut state = self.state.lock();
        let items = std::mem::take(&mut state.items);
        let mut wakes = false;
        let count = items.len();
        for _ in 0..count {
            let position = state.taken;
            state.taken += 1;
            wakes |= state.put(position, Err(error.clone()));
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        items.for_each(discard);
        count
    }
}

impl<A, R> State<A, R> {
    fn take(&mut self) -> Option<(usize, A)> {
        let item = self.items.next()?;
        self.taken += 1;
        Some((self.taken - 1, item))
    }

    /// Stores the outcome of a call. Does somebody have to be woken?
    fn end(&mut self, position: usize, outcome: Outcome<R>) -> bool {
        let count = if outcome.is_ok() { &mut self.ended.completed } else { &mut self.ended.failed };
        *count += 1;
        self.put(position, outcome)
    }

    /// Stores an outcome. Does somebody have to be woken?
    fn put(&mut self, position: usize, outcome: Outcome<R>) -> bool {
        if position != self.collected + self.done.len() {
            self.early.push((position, outcome));
            return false;
        }
        self.done.push(outcome);
        while !self.early.is_empty()
            && let Some(index) = self.early.iter().position(|(early, _)| *early == self.collected + self.done.len())
        {
            let (_, outcome) = self.early.swap_remove(index);
            self.done.push(outcome);
        }
        std::mem::take(&mut self.wanted)
    }

    fn collect(&mut self) -> Collected<R> {
        self.collected += self.done.len();
        let is_over = self.items.as_slice().is_empty() && self.collected == self.taken;
        Collected { outcomes: std::mem::take(&mut self.done), is_over }
    }
}

impl<A, R> Drop for State<A, R> {
    fn drop(&mut self) {
        self.early.drain(..).for_each(|(_, outcome)| self.done.push(outcome));
        // One by one: two drops that panic together would end the process.
        std::mem::take(&mut self.items).for_each(discard);
    }
}
