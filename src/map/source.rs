//! [`InputBuffer`]: items of a map that were pulled, and that no worker was given yet; and the [`Feeder`], which puts them there.
//!
//! To hand items over one by one takes longer than short ones run, so they are held back until they are many. But the input may take
//! as long as it likes for the next one, or even wait for what becomes of those before it. So: *what is in the input buffer, a worker will look
//! for that is [engaged](SharedItems::is_engaged) now.* It is engaged no more *and then* looks here, under the lock; whoever adds an item asks
//! under the lock whether enough are engaged, and hands it over if not. One that goes to sleep in an item hands over what was left to it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::range::{Collect, Range};
use super::runner::ItemRunner;
use crate::error::Error;
use crate::fork;
use crate::sync::{Mutex, MutexGuard, elapsed};
use crate::unwind::drop_caught;

/// Input that takes longer an item is handed over item by item.
const QUICK: Duration = Duration::from_micros(1);

/// The items of one map that the workers of an executor share.
pub(crate) trait SharedItems<A, R>: Send + Sync {
    /// Returns how many items a range should have at most.
    fn most(&self) -> usize;
    fn input(&self) -> &InputBuffer<A, R>;
    /// Returns why the executor takes no more items of the calling thread, if that is so, because it was closed, say.
    fn refusal(&self) -> Option<Error>;
    /// Returns `true` if the workers have enough to do, and one will look into the input buffer before it rests. Also called under its lock.
    fn is_engaged(&self) -> bool;
    /// Takes items from the input buffer, and says where their outcomes come, and what is to be done then. Called under the buffer's lock;
    /// what is to be done is not, and may run user code.
    fn take_in(&self, items: Vec<A>) -> (Box<dyn Collect<R>>, FollowUp<'_>);
    /// Cancels what has not begun: nobody wants more. Runs user code.
    fn dismiss(&self);
}

pub(crate) type FollowUp<'a> = Box<dyn FnOnce() + 'a>;

pub(crate) struct InputBuffer<A, R> {
    state: Mutex<State<A, R>>,
}

struct State<A, R> {
    /// The next ones in input order.
    pulled: Vec<A>,
    /// The ranges of those before them, which the caller has not asked for.
    ranges: VecDeque<Box<dyn Collect<R>>>,
}

impl<A, R> Default for InputBuffer<A, R> {
    fn default() -> Self {
        Self { state: Mutex::new(State { pulled: Vec::new(), ranges: VecDeque::new() }) }
    }
}

impl<A: Send + 'static, R: Send + 'static> InputBuffer<A, R> {
    /// Adds an item, or has it refused. Hands the buffered items over if there are at least `most` of them or too few workers are engaged.
    /// Returns `true` if it did. May run user code.
    pub(crate) fn add(&self, item: A, most: usize, items: &dyn SharedItems<A, R>) -> bool {
        if let Some(error) = items.refusal() {
            self.flush(items);
            Self::end(self.state.lock(), vec![item], &error);
            return true;
        }
        let mut state = self.state.lock();
        state.pulled.push(item);
        let is_due = state.pulled.len() >= most || !items.is_engaged();
        is_due && Self::hand_over(state, most, items)
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
        state.ranges.push_back(Box::new(Arc::clone(&range)));
        drop(state);
        range.call_off(error)
    }
}

impl<A, R> InputBuffer<A, R> {
    /// Hands over what is there. Returns `true` if there was something. May run user code.
    pub(crate) fn flush(&self, items: &dyn SharedItems<A, R>) -> bool {
        Self::hand_over(self.state.lock(), 0, items)
    }

    fn hand_over(mut state: MutexGuard<'_, State<A, R>>, capacity: usize, items: &dyn SharedItems<A, R>) -> bool {
        let pulled = std::mem::replace(&mut state.pulled, Vec::with_capacity(capacity));
        if pulled.is_empty() {
            return false;
        }
        let (range, follow_up) = items.take_in(pulled);
        state.ranges.push_back(range);
        drop(state);
        follow_up();
        true
    }

    /// Counts the items that are there.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().pulled.len()
    }

    /// Takes the ranges, in input order.
    pub(crate) fn ranges(&self) -> VecDeque<Box<dyn Collect<R>>> {
        std::mem::take(&mut self.state.lock().ranges)
    }

    /// Drops what nobody wants any more. Runs user code.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        let (pulled, ranges) = (std::mem::take(&mut state.pulled), std::mem::take(&mut state.ranges));
        drop(state);
        // One by one: two drops that panic together would end the process.
        pulled.into_iter().for_each(drop_caught);
        ranges.into_iter().for_each(drop_caught);
    }
}

/// The caller's side of items that workers share: it says how many are held back, by how quickly they come.
pub(crate) struct Feeder<A, R> {
    items: Arc<dyn SharedItems<A, R>>,
    /// How many items are held back at most.
    room: usize,
    /// Counts items since the last were handed over.
    added: u32,
    /// When that was.
    since: Instant,
    /// That of the process whose executor has the items.
    generation: u32,
}

impl<A, R> Feeder<A, R> {
    pub(crate) fn new(items: Arc<dyn SharedItems<A, R>>) -> Self {
        Self { items, room: 1, added: 0, since: Instant::now(), generation: fork::generation() }
    }
}

impl<A: Send + 'static, R: Send + 'static> ItemRunner<A, R> for Feeder<A, R> {
    fn add(&mut self, item: A) {
        self.added = self.added.saturating_add(1);
        // The next one may take as long as any item: this one has to be where a worker finds it.
        if self.items.input().add(item, self.room, &*self.items) {
            let is_quick = elapsed(self.since) < QUICK * self.added;
            self.room = if is_quick { (2 * self.room).min(self.items.most()) } else { 1 };
            self.added = 0;
            self.since = Instant::now();
        }
    }

    fn add_boxed(&mut self, item: Box<A>) {
        self.add(*item);
    }

    fn ranges(&mut self) -> VecDeque<Box<dyn Collect<R>>> {
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
