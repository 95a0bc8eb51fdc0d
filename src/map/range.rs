//! [`Range`]: some items of a map that lie next to each other, and what became of them.
#![forbid(unsafe_code)]

use std::time::Instant;

use crate::error::{Error, Outcome};
use crate::outcomes::Outcomes;
use crate::sync::{Condvar, Mutex, thread, yields};
use crate::task::owner::Ended;

/// Items that nobody has taken, in order.
pub(crate) trait Items {
    fn count(&self) -> usize;
    fn nothing() -> Self;
    /// Drops them. Runs user code.
    fn drop_caught(self);
}

/// Where the outcomes of items come, as the map sees it.
pub(crate) trait Collect<R>: Send + Sync {
    /// Collects the outcomes that are there, in order. Does not block.
    fn try_collect(&self) -> Collected<R>;
    /// Sleeps until there are outcomes, or the time is up, and collects them.
    fn collect(&self, deadline: Option<Instant>) -> Collected<R>;
    /// How many items have no outcome.
    fn unfinished(&self) -> usize;
    /// How many items were not collected.
    fn left(&self) -> usize;
}

/// What was collected.
pub(crate) struct Collected<R> {
    pub(crate) outcomes: Outcomes<R>,
    /// Nothing more will come.
    pub(crate) is_over: bool,
}

pub(crate) struct Range<S: Items, R> {
    state: Mutex<State<S, R>>,
    /// There are outcomes to collect. Notified when the collector sleeps.
    filled: Condvar,
}

struct State<S: Items, R> {
    stock: S,
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

impl<S: Items, R> Range<S, R> {
    pub(crate) fn new(stock: S) -> Self {
        let state = State {
            stock,
            taken: 0,
            done: Outcomes::new(),
            collected: 0,
            early: Vec::new(),
            wanted: false,
            ended: Ended::default(),
        };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Stores an outcome, if there is one, and takes the next item, or where there is none, how those went of which the pool was
    /// not told.
    pub(super) fn turn<A>(
        &self,
        made: &mut Option<(usize, Outcome<R>)>,
        next: impl FnOnce(&mut S) -> Option<A>,
    ) -> (Option<(usize, A)>, Ended) {
        let mut state = self.state.lock();
        let wakes = made.take().is_some_and(|(position, outcome)| state.end(position, outcome));
        let position = state.taken;
        let next = next(&mut state.stock).map(|item| (position, item));
        state.taken += usize::from(next.is_some());
        let ended = if next.is_none() { std::mem::take(&mut state.ended) } else { Ended::default() };
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        (next, ended)
    }

    /// Takes some, with the position of the first.
    pub(crate) fn take<T>(&self, some: impl FnOnce(&mut S) -> T) -> (usize, T) {
        let mut state = self.state.lock();
        let before = state.stock.count();
        let taken = some(&mut state.stock);
        let position = state.taken;
        state.taken += before - state.stock.count();
        (position, taken)
    }

    /// Stores outcomes of items that were taken, from this position on.
    pub(crate) fn end(&self, first: usize, outcomes: impl IntoIterator<Item = Outcome<R>>) {
        let mut state = self.state.lock();
        let mut wakes = false;
        for (position, outcome) in (first..).zip(outcomes) {
            wakes |= state.put(position, outcome);
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// Brings what there was a stand-in for.
    pub(crate) fn restock(&self, stock: S) {
        let stand_in = std::mem::replace(&mut self.state.lock().stock, stock);
        stand_in.drop_caught();
    }

    /// How many items nobody has taken.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().stock.count()
    }

    /// As `pending`, and how those went of which the pool was not told.
    pub(super) fn progress(&self) -> (usize, Ended) {
        let state = self.state.lock();
        (state.stock.count(), state.ended)
    }

    /// How those went of which the pool was not told, if nobody has anything left to take: it is to be told now.
    pub(super) fn spent(&self) -> Option<Ended> {
        let mut state = self.state.lock();
        (state.stock.count() == 0).then(|| std::mem::take(&mut state.ended))
    }

    /// Takes what nobody has taken, ends it with an error, and returns how much it was.
    pub(crate) fn call_off(&self, error: &Error) -> usize {
        let mut state = self.state.lock();
        let stock = std::mem::replace(&mut state.stock, S::nothing());
        let mut wakes = false;
        let count = stock.count();
        for _ in 0..count {
            let position = state.taken;
            state.taken += 1;
            wakes |= state.put(position, Err(error.clone()));
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        stock.drop_caught();
        count
    }
}

impl<S: Items + Send, R: Send> Collect<R> for Range<S, R> {
    fn try_collect(&self) -> Collected<R> {
        self.state.lock().collect()
    }

    fn collect(&self, deadline: Option<Instant>) -> Collected<R> {
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

    fn unfinished(&self) -> usize {
        let state = self.state.lock();
        state.taken + state.stock.count() - state.collected - state.done.len() - state.early.len()
    }

    fn left(&self) -> usize {
        let state = self.state.lock();
        state.taken + state.stock.count() - state.collected
    }
}

impl<S: Items, R> State<S, R> {
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
        let is_over = self.stock.count() == 0 && self.collected == self.taken;
        Collected { outcomes: std::mem::take(&mut self.done), is_over }
    }
}

impl<S: Items, R> Drop for State<S, R> {
    fn drop(&mut self) {
        self.early.drain(..).for_each(|(_, outcome)| self.done.push(outcome));
        std::mem::replace(&mut self.stock, S::nothing()).drop_caught();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};
    use std::vec;

    use super::{Collect, Range};
    use crate::error::Error;

    type LocalRange<A, R> = Range<vec::IntoIter<A>, R>;

    fn take(items: &LocalRange<u32, u32>) -> Option<(usize, u32)> {
        items.turn(&mut None, vec::IntoIter::next).0
    }

    fn end(items: &LocalRange<u32, u32>, position: usize) {
        items.turn(&mut Some((position, Ok(0))), |_| None::<u32>);
    }

    #[test]
    fn what_is_to_come_is_counted_whatever_the_order() {
        let items = LocalRange::<u32, u32>::new(vec![10, 11, 12, 13, 14].into_iter());
        let counts = || (items.unfinished(), items.left());
        assert_eq!(counts(), (5, 5));
        assert_eq!([take(&items), take(&items), take(&items)], [Some((0, 10)), Some((1, 11)), Some((2, 12))]);
        end(&items, 2);
        assert_eq!(counts(), (4, 5));
        end(&items, 0);
        assert_eq!(counts(), (3, 5));
        assert_eq!(items.try_collect().outcomes.len(), 1);
        assert_eq!(counts(), (3, 4));
        end(&items, 1);
        assert_eq!(counts(), (2, 4));
        assert_eq!(items.try_collect().outcomes.len(), 2);
        assert_eq!(counts(), (2, 2));
    }

    #[test]
    fn what_is_there_is_collected_at_once() {
        let items = LocalRange::<u32, u32>::new(vec![10].into_iter());
        take(&items);
        end(&items, 0);
        // It does not look before it would sleep, where there is a deadline.
        let collected = items.collect(Some(Instant::now() + Duration::from_secs(60)));
        assert_eq!((collected.outcomes.len(), collected.is_over), (1, true));
    }

    /// Panics when it is dropped: two at once end the process.
    struct Grenade;

    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("boom in a drop");
        }
    }

    #[test]
    fn items_whose_drops_panic_go_one_by_one() {
        let grenades = || vec![Grenade, Grenade].into_iter();
        drop(LocalRange::<Grenade, u32>::new(grenades()));
        let block = LocalRange::<Grenade, u32>::new(grenades());
        assert_eq!(block.call_off(&Error::Cancelled), 2);
        assert_eq!(block.left(), 2);
    }

    #[test]
    fn outcomes_whose_drops_panic_go_one_by_one() {
        let items = LocalRange::<u32, Grenade>::new(vec![0; 5].into_iter());
        for _ in 0..5 {
            items.turn(&mut None, vec::IntoIter::next);
        }
        // Two in a row, and two that are early.
        for position in [0, 1, 3, 4] {
            items.turn(&mut Some((position, Ok(Grenade))), |_| None::<u32>);
        }
        drop(items);
    }
}
