//! [`Spread`]: a map whose items are shared among the workers of a pool as these come for them, instead of being a task each.
//!
//! Who makes that possible is a [`Crew`]: the [threads](Hands) of a pool, or its processes. The items lie in blocks, one
//! behind the other, from which they are taken, and into which their outcomes come.
//!
//! Items begin to run while more are pulled. In between they are in the [`Inlet`].
#![forbid(unsafe_code)]

mod block;
mod hands;
mod inlet;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fork;
use crate::outcomes::Outcomes;
use crate::sync::elapsed;
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::BlockReason;
use crate::unwind::drop_caught;
#[cfg(processes)]
pub(crate) use block::{Block, Stock};
pub(crate) use block::{Collect, Collected};
pub(crate) use hands::Hands;
pub(crate) use inlet::Inlet;

/// Input that takes longer an item is handed over item by item.
const QUICK: Duration = Duration::from_micros(1);

/// Workers that take the items of a map among them.
pub(crate) trait Crew<A, R>: Send + Sync {
    /// How many items a block should have at most.
    fn most(&self) -> usize;
    fn inlet(&self) -> &Inlet<A, R>;
    /// Ends items that the pool takes no more of the calling thread, because it was closed, say. Is that so? Runs user code.
    fn refuse(&self, items: &mut Vec<A>) -> bool;
    /// Have the workers enough to do, and will one look into the inlet before it rests? Also called under its lock.
    ///
    /// `may_wait`: the input may, for as long as any item takes.
    fn is_engaged(&self, may_wait: bool) -> bool;
    /// Takes items from the inlet, and says where their outcomes come, and what is to be done then. Called under its lock; what is to
    /// be done is not, and may run user code.
    fn take_in(&self, items: Vec<A>) -> (Arc<dyn Collect<R>>, FollowUp<'_>);
    /// Cancels what has not begun: nobody wants more. Runs user code.
    fn dismiss(&self);
}

pub(crate) type FollowUp<'a> = Box<dyn FnOnce() + 'a>;

/// May the next item take its time? Not where the items are there already, or are counted, as can be told from the name of the type. With
/// any other name each item costs a turn of a lock, no more.
fn may_wait<I: Iterator>(_: &I) -> bool {
    const PLAIN: [&str; 4] = [
        "core::ops::range::Range",
        "alloc::vec::into_iter::IntoIter<",
        "core::array::iter::IntoIter<",
        "core::slice::iter::Iter<",
    ];
    let name = std::any::type_name::<I>();
    !PLAIN.iter().any(|plain| name.starts_with(plain))
}

/// The side of the map, which [stops](Spread::stop) it in the end.
pub(crate) struct Spread<A, R> {
    crew: Arc<dyn Crew<A, R>>,
    /// What was not collected, in input order.
    blocks: VecDeque<Arc<dyn Collect<R>>>,
    /// How many of their items were not taken.
    left: usize,
    /// That of the process whose pool has the items.
    generation: u32,
}

impl<A, R> Spread<A, R> {
    pub(crate) fn new(crew: Arc<dyn Crew<A, R>>) -> Self {
        Self { crew, blocks: VecDeque::new(), left: 0, generation: fork::generation() }
    }

    /// Pulls all of the input, and returns how much it was.
    pub(crate) fn fill(&mut self, input: impl Iterator<Item = A>) -> usize {
        let (inlet, most) = (self.crew.inlet(), self.crew.most());
        let may_wait = may_wait(&input);
        let (mut count, mut handed_over, mut room) = (0, 0, 1);
        let mut since = Instant::now();
        let mut pulled = Vec::new();
        for item in input {
            count += 1;
            pulled.push(item);
            if !may_wait && pulled.len() < room && self.crew.is_engaged(may_wait) {
                continue;
            }
            if inlet.add(&mut pulled, room, &*self.crew, may_wait) {
                let is_quick = elapsed(since) < QUICK * u32::try_from(count - handed_over).unwrap_or(u32::MAX);
                room = if is_quick { (2 * room).min(most) } else { 1 };
                handed_over = count;
                since = Instant::now();
            }
        }
        inlet.add(&mut pulled, 1, &*self.crew, may_wait);
        self.blocks = inlet.close();
        self.left = count;
        count
    }

    /// Sleeps until the next outcomes are there, and takes them. `None`: there are no more. Empty: the time is up.
    #[track_caller]
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<Outcomes<R>> {
        if self.is_lost() {
            return self.end_lost();
        }
        let block = self.blocks.front()?;
        let mut collected = block.try_collect();
        if collected.outcomes.len() == 0 {
            owner::assert_may_block();
            // A worker that sleeps here may wait for what only another one can take.
            let _compensation = owner::current().map(|owner| CompensationGuard::new(Some(owner), BlockReason::Worker));
            collected = block.collect(deadline);
        }
        let Collected { outcomes, is_over } = collected;
        if is_over {
            self.blocks.pop_front();
        }
        self.left -= outcomes.len();
        Some(outcomes)
    }

    /// Is this a forked copy of the process whose pool has the items?
    fn is_lost(&self) -> bool {
        self.generation != fork::generation()
    }

    /// What is not collected is lost: its locks may be held by threads that are not here.
    fn end_lost(&mut self) -> Option<Outcomes<R>> {
        std::mem::forget(std::mem::take(&mut self.blocks));
        let left = std::mem::take(&mut self.left);
        (left > 0).then(|| (0..left).map(|_| Err(fork::lost_in_fork())).collect())
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
        if self.is_lost() {
            self.end_lost();
            return;
        }
        self.crew.inlet().clear();
        self.crew.dismiss();
        drop_caught(std::mem::take(&mut self.blocks));
    }
}
