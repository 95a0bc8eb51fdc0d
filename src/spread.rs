//! [`Spread`]: a map whose items are shared among the workers of a pool as these come for them, instead of being a task each.
//!
//! Who makes that possible is a [`Crew`]: the [threads](Hands) of a pool, or its processes. The items lie in blocks, one
//! behind the other, from which they are taken, and into which their outcomes come.
//!
//! Items begin to run while more are pulled. How many are pulled before they are offered follows from how long that takes: one by one,
//! where the input is slow, or does not know its length.
#![forbid(unsafe_code)]

mod block;
mod hands;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::host::{self, Need, Spare};
use crate::outcomes::Outcomes;
use crate::panics::discard;
use crate::sync::elapsed;
#[cfg(processes)]
pub(crate) use block::{Block, Stock};
pub(crate) use block::{Collect, Collected};
pub(crate) use hands::Hands;

/// Input that takes longer an item is offered item by item.
const QUICK: Duration = Duration::from_micros(1);

/// Workers that take the items of a map among them.
pub(crate) trait Crew<A, R>: Send + Sync {
    /// How many items a block should have at most.
    fn most(&self) -> usize;
    /// Somebody has found nothing to take: what was pulled is to be offered. A hint.
    fn is_hungry(&self) -> &AtomicBool;
    /// Takes items in, the next in input order, and says where their outcomes come. May run user code.
    fn offer(&self, items: Vec<A>) -> Arc<dyn Collect<R>>;
    /// Cancels what has not begun: nobody wants more.
    fn dismiss(&self);
}

fn knows_its_length(input: &impl Iterator) -> bool {
    let (least, most) = input.size_hint();
    most == Some(least)
}

/// The side of the map.
pub(crate) struct Spread<A, R> {
    crew: Arc<dyn Crew<A, R>>,
    /// What was not collected, in input order.
    blocks: VecDeque<Arc<dyn Collect<R>>>,
}

impl<A, R> Spread<A, R> {
    pub(crate) fn new(crew: Arc<dyn Crew<A, R>>) -> Self {
        Self { crew, blocks: VecDeque::new() }
    }

    /// Pulls all of the input, and returns how much it was.
    pub(crate) fn fill(&mut self, input: impl Iterator<Item = A>) -> usize {
        let crew = Arc::clone(&self.crew);
        // Input that does not know its length may be a channel, whose next item waits for what becomes of those before it.
        let most = if knows_its_length(&input) { crew.most() } else { 1 };
        let is_hungry = crew.is_hungry();
        let mut count = 0;
        let mut room = 1;
        let mut since = Instant::now();
        let mut pulled = Vec::new();
        for item in input {
            pulled.push(item);
            if pulled.len() < room && !is_hungry.load(Ordering::Relaxed) {
                continue;
            }
            let is_quick = elapsed(since) < QUICK * pulled.len() as u32;
            room = if is_quick { (2 * room).min(most) } else { 1 };
            count += self.offer(std::mem::replace(&mut pulled, Vec::with_capacity(room)));
            since = Instant::now();
        }
        count + self.offer(pulled)
    }

    fn offer(&mut self, items: Vec<A>) -> usize {
        let count = items.len();
        if count > 0 {
            self.crew.is_hungry().store(false, Ordering::Relaxed);
            self.blocks.push_back(self.crew.offer(items));
        }
        count
    }

    /// Sleeps until the next outcomes are there, and takes them. `None`: there are no more. Empty: the time is up.
    #[track_caller]
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<Outcomes<R>> {
        let block = self.blocks.front()?;
        let mut collected = block.try_collect();
        if collected.outcomes.len() == 0 {
            host::assert_may_block();
            // A worker that sleeps here may wait for what only another one can take.
            let _spare = host::current().map(|host| Spare::new(Some(host), Need::Worker));
            collected = block.collect(deadline);
        }
        let Collected { outcomes, is_over } = collected;
        if is_over {
            self.blocks.pop_front();
        }
        Some(outcomes)
    }

    /// How many items have no outcome.
    pub(crate) fn unfinished(&self) -> usize {
        self.blocks.iter().map(|block| block.unfinished()).sum()
    }

    /// How many items were not collected.
    pub(crate) fn left(&self) -> usize {
        self.blocks.iter().map(|block| block.left()).sum()
    }

    /// Nobody wants more: what has not begun will not.
    pub(crate) fn stop(&mut self) {
        self.crew.dismiss();
        discard(std::mem::take(&mut self.blocks));
    }
}

impl<A, R> Drop for Spread<A, R> {
    fn drop(&mut self) {
        self.stop();
    }
}
