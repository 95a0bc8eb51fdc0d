//! [`InputBuffer`]: items of a map that were pulled, and that no worker was given yet.
//!
//! To hand items over one by one takes longer than short ones run, so they are held back until they are many. But the input may take
//! as long as it likes for the next one, or even wait for what becomes of those before it. So: *what is in the input buffer, a worker will look
//! for that is [engaged](ItemRunner::is_engaged) now.* It is engaged no more *and then* looks here, under the lock; whoever adds an item asks
//! under the lock whether enough are engaged, and hands it over if not. One that goes to sleep in an item hands over what was left to it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::ItemRunner;
use super::range::{Collect, Range};
use crate::error::Error;
use crate::sync::{Mutex, MutexGuard};
use crate::unwind::drop_caught;

pub(crate) struct InputBuffer<A, R> {
    state: Mutex<State<A, R>>,
}

struct State<A, R> {
    /// The next ones in input order.
    pulled: Vec<A>,
    /// The ranges of those before them.
    ranges: VecDeque<Arc<dyn Collect<R>>>,
}

impl<A, R> Default for InputBuffer<A, R> {
    fn default() -> Self {
        Self { state: Mutex::new(State { pulled: Vec::new(), ranges: VecDeque::new() }) }
    }
}

impl<A: Send + 'static, R: Send + 'static> InputBuffer<A, R> {
    /// Ends items, which come after all that is there, instead of adding them, if there is a reason to. Was there? Runs user code.
    pub(crate) fn refuse(&self, items: &mut Vec<A>, runner: &dyn ItemRunner<A, R>, reason: Option<Error>) -> bool {
        let Some(error) = reason else { return false };
        self.flush(runner);
        Self::end(self.state.lock(), std::mem::take(items), &error);
        true
    }

    /// Ends what is there with an error, and returns how much it was. Runs user code.
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
        state.ranges.push_back(Arc::clone(&range) as _);
        drop(state);
        range.call_off(error)
    }
}

impl<A, R> InputBuffer<A, R> {
    /// Adds items, or has them refused. LocalItems over what is there if that is so many, or if too few workers are engaged. Was it?
    pub(super) fn add(&self, items: &mut Vec<A>, most: usize, runner: &dyn ItemRunner<A, R>) -> bool {
        if runner.refuse(items) {
            return true;
        }
        let mut state = self.state.lock();
        state.pulled.append(items);
        let is_due = state.pulled.len() >= most || !runner.is_engaged();
        is_due && Self::hand_over(state, most, runner)
    }

    /// LocalItems over what is there. Was there something? May run user code.
    pub(crate) fn flush(&self, runner: &dyn ItemRunner<A, R>) -> bool {
        Self::hand_over(self.state.lock(), 0, runner)
    }

    fn hand_over(mut state: MutexGuard<'_, State<A, R>>, capacity: usize, runner: &dyn ItemRunner<A, R>) -> bool {
        let items = std::mem::replace(&mut state.pulled, Vec::with_capacity(capacity));
        if items.is_empty() {
            return false;
        }
        let (range, follow_up) = runner.take_in(items);
        state.ranges.push_back(range);
        drop(state);
        follow_up();
        true
    }

    /// How many items are there.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().pulled.len()
    }

    /// Takes the ranges, in input order, when nothing more is to come.
    pub(super) fn close(&self) -> VecDeque<Arc<dyn Collect<R>>> {
        std::mem::take(&mut self.state.lock().ranges)
    }

    /// Drops what nobody wants any more. Runs user code.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        let (pulled, ranges) = (std::mem::take(&mut state.pulled), std::mem::take(&mut state.ranges));
        drop(state);
        // One by one: two drops that panic together would end the process.
        pulled.into_iter().for_each(drop_caught);
        drop_caught(ranges);
    }
}
