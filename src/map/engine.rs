//! [`Engine`]: the caller's side of a map whose items an executor takes in ranges.
//!
//! Who runs the items is an [`ItemRunner`]: [threads](super::local::LocalItems) of this process, or workers
//! elsewhere. The items lie in ranges, one behind the other, from which they are taken, and into which their outcomes come.
//!
//! Items begin to run while more are pulled. In between they are in the [`InputBuffer`].
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::range::{Collect, Collected};
use super::source::InputBuffer;
use crate::fork;
use crate::outcomes::Outcomes;
use crate::sync::elapsed;
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::BlockReason;
use crate::unwind::drop_caught;

/// Input that takes longer an item is handed over item by item.
const QUICK: Duration = Duration::from_micros(1);

/// Runs the items of one map on the workers of an executor.
pub(crate) trait ItemRunner<A, R>: Send + Sync {
    /// Returns how many items a range should have at most.
    fn most(&self) -> usize;
    fn input(&self) -> &InputBuffer<A, R>;
    /// Ends items that the executor takes no more of the calling thread, because it was closed, say. Returns `true` if it did. Runs user
    /// code.
    fn refuse(&self, items: &mut Vec<A>) -> bool;
    /// Returns `true` if the workers have enough to do, and one will look into the input buffer before it rests. Also called under its lock.
    fn is_engaged(&self) -> bool;
    /// Takes items from the input buffer, and says where their outcomes come, and what is to be done then. Called under the buffer's lock;
    /// what is to be done is not, and may run user code.
    fn take_in(&self, items: Vec<A>) -> (Arc<dyn Collect<R>>, FollowUp<'_>);
    /// Cancels what has not begun: nobody wants more. Runs user code.
    fn dismiss(&self);
}

pub(crate) type FollowUp<'a> = Box<dyn FnOnce() + 'a>;

/// The side of the map, which [stops](Engine::stop) it in the end.
pub(crate) struct Engine<A, R> {
    runner: Arc<dyn ItemRunner<A, R>>,
    /// What was not collected, in input order.
    ranges: VecDeque<Arc<dyn Collect<R>>>,
    /// How many of their items were not taken.
    left: usize,
    /// That of the process whose pool has the items.
    generation: u32,
}

impl<A, R> Engine<A, R> {
    pub(crate) fn new(runner: Arc<dyn ItemRunner<A, R>>) -> Self {
        Self { runner, ranges: VecDeque::new(), left: 0, generation: fork::generation() }
    }

    /// Pulls all of the input, and returns how much it was.
    pub(crate) fn fill(&mut self, input: impl Iterator<Item = A>) -> usize {
        let (buffer, most) = (self.runner.input(), self.runner.most());
        let (mut count, mut handed_over, mut room) = (0, 0, 1);
        let mut since = Instant::now();
        let mut pulled = Vec::new();
        for item in input {
            count += 1;
            pulled.push(item);
            // The next one may take as long as any item: this one has to be where a worker finds it.
            if buffer.add(&mut pulled, room, &*self.runner) {
                let is_quick = elapsed(since) < QUICK * u32::try_from(count - handed_over).unwrap_or(u32::MAX);
                room = if is_quick { (2 * room).min(most) } else { 1 };
                handed_over = count;
                since = Instant::now();
            }
        }
        buffer.flush(&*self.runner);
        self.ranges = buffer.close();
        self.left = count;
        count
    }

    /// Sleeps until the next outcomes are there, and takes them. `None`: there are no more. Empty: the time is up.
    #[track_caller]
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<Outcomes<R>> {
        if self.is_lost() {
            return self.end_lost();
        }
        let range = self.ranges.front()?;
        let mut collected = range.try_collect();
        if collected.outcomes.len() == 0 {
            owner::assert_may_block();
            // A worker that sleeps here may wait for what only another one can take.
            let _compensation = owner::current().map(|owner| CompensationGuard::new(Some(owner), BlockReason::Worker));
            collected = range.collect(deadline);
        }
        let Collected { outcomes, is_over } = collected;
        if is_over {
            self.ranges.pop_front();
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
        std::mem::forget(std::mem::take(&mut self.ranges));
        let left = std::mem::take(&mut self.left);
        (left > 0).then(|| (0..left).map(|_| Err(fork::lost_in_fork())).collect())
    }

    /// How many items have no outcome.
    pub(crate) fn unfinished(&self) -> usize {
        self.ranges.iter().map(|range| range.unfinished()).sum()
    }

    /// How many items were not collected.
    pub(crate) fn left(&self) -> usize {
        self.ranges.iter().map(|range| range.left()).sum()
    }

    /// Nobody wants more: what has not begun will not.
    pub(crate) fn stop(&mut self) {
        if self.is_lost() {
            self.end_lost();
            return;
        }
        self.runner.input().clear();
        self.runner.dismiss();
        drop_caught(std::mem::take(&mut self.ranges));
    }
}
