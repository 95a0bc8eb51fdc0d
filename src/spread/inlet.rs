//! [`Inlet`]: items of a map that were pulled, and that no worker was given yet.
//!
//! To hand items over one by one takes longer than short ones run, so they are held back until they are many. But the input may take
//! as long as it likes for the next one, or even wait for what becomes of those before it. So: *what is in the inlet, a worker will look
//! for that is [engaged](Crew::is_engaged) now.* It is engaged no more *and then* looks here, under the lock; whoever adds an item asks
//! under the lock whether enough are engaged, and hands it over if not. One that goes to sleep in an item hands over what was left to it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::Block;
use super::{Collect, Crew};
use crate::error::Error;
use crate::sync::{Mutex, MutexGuard};
use crate::unwind::drop_caught;

pub(crate) struct Inlet<A, R> {
    state: Mutex<State<A, R>>,
}

struct State<A, R> {
    /// The next ones in input order.
    pulled: Vec<A>,
    /// The blocks of those before them.
    blocks: VecDeque<Arc<dyn Collect<R>>>,
}

impl<A, R> Default for Inlet<A, R> {
    fn default() -> Self {
        Self { state: Mutex::new(State { pulled: Vec::new(), blocks: VecDeque::new() }) }
    }
}

impl<A: Send + 'static, R: Send + 'static> Inlet<A, R> {
    /// Ends items, which come after all that is there, instead of adding them, if there is a reason to. Was there? Runs user code.
    pub(crate) fn refuse(&self, items: &mut Vec<A>, crew: &dyn Crew<A, R>, reason: Option<Error>) -> bool {
        let Some(error) = reason else { return false };
        self.flush(crew);
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
        let block = Arc::new(Block::new(items.into_iter()));
        state.blocks.push_back(Arc::clone(&block) as _);
        drop(state);
        block.call_off(error)
    }
}

impl<A, R> Inlet<A, R> {
    /// Adds items, or has them refused. Hands over what is there if that is so many, or if too few workers are engaged. Was it?
    pub(super) fn add(&self, items: &mut Vec<A>, most: usize, crew: &dyn Crew<A, R>, may_wait: bool) -> bool {
        if crew.refuse(items) {
            return true;
        }
        let mut state = self.state.lock();
        state.pulled.append(items);
        let is_due = state.pulled.len() >= most || !crew.is_engaged(may_wait);
        is_due && Self::hand_over(state, most, crew)
    }

    /// Hands over what is there. Was there something? May run user code.
    pub(crate) fn flush(&self, crew: &dyn Crew<A, R>) -> bool {
        Self::hand_over(self.state.lock(), 0, crew)
    }

    fn hand_over(mut state: MutexGuard<'_, State<A, R>>, capacity: usize, crew: &dyn Crew<A, R>) -> bool {
        let items = std::mem::replace(&mut state.pulled, Vec::with_capacity(capacity));
        if items.is_empty() {
            return false;
        }
        let (block, follow_up) = crew.take_in(items);
        state.blocks.push_back(block);
        drop(state);
        follow_up();
        true
    }

    /// How many items are there.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().pulled.len()
    }

    /// Takes the blocks, in input order, when nothing more is to come.
    pub(super) fn close(&self) -> VecDeque<Arc<dyn Collect<R>>> {
        std::mem::take(&mut self.state.lock().blocks)
    }

    /// Drops what nobody wants any more. Runs user code.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        let (pulled, blocks) = (std::mem::take(&mut state.pulled), std::mem::take(&mut state.blocks));
        drop(state);
        // One by one: two drops that panic together would end the process.
        pulled.into_iter().for_each(drop_caught);
        drop_caught(blocks);
    }
}
