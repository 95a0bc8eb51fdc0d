//! [`InputBuffer`]: items of a map that were pulled, but not yet handed over to workers. [`Feeder`]: puts them there.
//!
//! Handing items over one by one takes longer than short items run, so they are held back until a worker asks for them.
//! But pulling the next item may take arbitrarily long, or even wait for the outcomes of earlier ones. So the invariant
//! is: *while an item is held back, a worker is coming that will look here before it runs anything.* The worker first
//! notes that it is no longer coming, *and then* looks here, under the lock; a caller that adds an item checks under
//! the lock whether a worker is coming, and hands the item over if not. So at least one of the two sees what the other
//! has done.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use super::range::{Collect, Range};
use super::runner::ItemRunner;
use crate::error::Error;
use crate::fork;
use crate::sync::{Mutex, MutexGuard};
use crate::ticket::Ticket;
use crate::unwind::drop_caught;

/// The items of one map, shared by the workers of an executor.
pub(crate) trait SharedItems<A, R>: Send + Sync {
    fn input(&self) -> &InputBuffer<A, R>;
    /// Returns the ticket of items that are pulled now, or why the executor refuses items from the calling thread, for
    /// example because it was closed.
    fn admit(&self) -> Result<Ticket, Error>;
    /// Returns `true` if a worker is coming that will look into the input buffer. Called under the buffer's lock.
    fn may_hold_back(&self) -> bool;
    /// Takes items from the input buffer. Returns where their outcomes will be stored, and a follow-up. Called under
    /// the buffer's lock; the follow-up is called without it, and may run user code.
    fn take_in(&self, items: Vec<A>, ticket: Ticket) -> (Box<dyn Collect<R>>, FollowUp<'_>);
    /// Cancels the items that have not begun: no more outcomes are wanted. Runs user code.
    fn dismiss(&self);
}

pub(crate) type FollowUp<'a> = Box<dyn FnOnce() + 'a>;

pub(crate) struct InputBuffer<A, R> {
    /// The maximum number of items in a range.
    max_range: usize,
    state: Mutex<State<A, R>>,
}

struct State<A, R> {
    /// The items that are held back, in input order.
    pulled: Vec<A>,
    /// The ticket of when they were pulled.
    ticket: Ticket,
    /// The ranges of the items before them that the caller has not asked for.
    ranges: VecDeque<Box<dyn Collect<R>>>,
}

impl<A: Send + 'static, R: Send + 'static> InputBuffer<A, R> {
    /// Adds an item, or ends it and returns `false` if the executor refuses it. Hands the buffered items over if there
    /// are as many as a range should have, or none may be held back. May run user code. `generation` is that of the
    /// process whose executor has the items: in a forked copy, nothing is done that could wait for a thread that does
    /// not exist.
    pub(crate) fn add(&self, item: A, items: &dyn SharedItems<A, R>, generation: u32) -> bool {
        let is_lost = || fork::generation() != generation;
        let ticket = match items.admit() {
            Ok(ticket) => ticket,
            Err(error) => {
                self.flush(items);
                Self::end(self.state.lock(), vec![item], &error);
                return false;
            }
        };
        // Reading the generation may be a system call, so it is not read for each item, but before waiting for a lock
        // that another thread holds.
        let mut state = match self.state.try_lock() {
            Some(state) => state,
            None if is_lost() => {
                drop_caught(item);
                return false;
            }
            None => self.state.lock(),
        };
        if state.ticket != ticket {
            // A task was submitted since the last item was pulled.
            if !state.pulled.is_empty() && !is_lost() {
                Self::hand_over(state, items);
                state = self.state.lock();
            }
            state.ticket = ticket;
        }
        state.pulled.push(item);
        if (state.pulled.len() >= self.max_range || !items.may_hold_back()) && !is_lost() {
            Self::hand_over(state, items);
        }
        true
    }

    /// Ends the buffered items with an error, and returns their number. Runs user code.
    pub(crate) fn call_off(&self, error: &Error) -> usize {
        let mut state = self.state.lock();
        let items = std::mem::take(&mut state.pulled);
        Self::end(state, items, error)
    }

    fn end(mut state: MutexGuard<'_, State<A, R>>, items: Vec<A>, error: &Error) -> usize {
        if items.is_empty() {
            return 0;
        }
        let range = Arc::new(Range::new(items.into_iter()));
        state.ranges.push_back(Box::new(Arc::clone(&range)));
        drop(state);
        range.call_off(error)
    }
}

impl<A, R> InputBuffer<A, R> {
    pub(crate) fn new(max_range: usize) -> Self {
        let state = State { pulled: Vec::new(), ticket: Ticket::default(), ranges: VecDeque::new() };
        Self { max_range, state: Mutex::new(state) }
    }

    /// Hands the buffered items over. Returns `true` if there were any. May run user code.
    pub(crate) fn flush(&self, items: &dyn SharedItems<A, R>) -> bool {
        Self::hand_over(self.state.lock(), items)
    }

    fn hand_over(mut state: MutexGuard<'_, State<A, R>>, items: &dyn SharedItems<A, R>) -> bool {
        if state.pulled.is_empty() {
            return false;
        }
        // The next time, there are usually as many.
        let room = Vec::with_capacity(state.pulled.len());
        let pulled = std::mem::replace(&mut state.pulled, room);
        let (range, follow_up) = items.take_in(pulled, state.ticket);
        state.ranges.push_back(range);
        drop(state);
        follow_up();
        true
    }

    /// Returns the number of buffered items.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().pulled.len()
    }

    /// Takes the ranges, in input order.
    pub(crate) fn ranges(&self) -> VecDeque<Box<dyn Collect<R>>> {
        std::mem::take(&mut self.state.lock().ranges)
    }

    /// Drops the buffered items and the ranges. Runs user code.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        let (pulled, ranges) = (std::mem::take(&mut state.pulled), std::mem::take(&mut state.ranges));
        drop(state);
        // One by one: two drops that panic together would end the process.
        pulled.into_iter().for_each(drop_caught);
        ranges.into_iter().for_each(drop_caught);
    }
}

/// The caller's side of shared items.
pub(crate) struct Feeder<A, R> {
    items: Arc<dyn SharedItems<A, R>>,
    /// The [generation](fork::generation) of the process whose executor has the items.
    generation: u32,
}

impl<A, R> Feeder<A, R> {
    pub(crate) fn new(items: Arc<dyn SharedItems<A, R>>) -> Self {
        Self { items, generation: fork::generation() }
    }
}

impl<A: Send + 'static, R: Send + 'static> ItemRunner<A, R> for Feeder<A, R> {
    fn add(&mut self, item: A) -> bool {
        self.items.input().add(item, &*self.items, self.generation)
    }

    fn add_boxed(&mut self, item: Box<A>) -> bool {
        self.add(*item)
    }

    fn ranges(&mut self) -> VecDeque<Box<dyn Collect<R>>> {
        if self.is_lost() {
            return VecDeque::new();
        }
        self.items.input().flush(&*self.items);
        self.items.input().ranges()
    }

    fn dismiss(&mut self) {
        self.items.input().clear();
        self.items.dismiss();
    }

    fn is_lost(&self) -> bool {
        self.generation != fork::generation()
    }
}
