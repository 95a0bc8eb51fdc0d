//! [`Range`]: some adjacent items of a map, and their outcomes.
//!
//! One lock guards the outcomes and the items that are not taken. A thread that runs items stores an outcome and takes
//! the next item in one acquisition. So before the next item begins, which may take arbitrarily long, the outcome can
//! be collected, and the remaining items can be taken by others or called off.
//!
//! | waiting caller | its state under the lock | notified by |
//! |---|---|---|
//! | wants input order | `wanted`; it sleeps on `filled` | storing the next outcome |
//! | takes any outcome | `listener`; `told` is reset when it finds no outcome | storing an outcome if not `told` |
//!
//! If items are quick, two workers that take from one range would spend their time with its lock. So a worker that
//! comes to a range of quick items takes the later half of those that are not taken, as a *part*: a range with its own
//! lock, which can be divided again. To the caller the part belongs to the range.
//!
//! Invariant: dividing leaves the next item in the range, so a caller that waits for its outcome sleeps on the right
//! lock.
//!
//! Lock order: the lock of a range, then that of one of its parts.
//!
//! Taking, dividing and collecting are under the same lock, so they are in one file.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::runs::{Order, Runs};
use crate::error::{Error, Outcome};
use crate::id::FutureId;
use crate::look::look;
use crate::outcomes::Outcomes;
use crate::sync::{Condvar, Mutex, MutexGuard, elapsed};
use crate::task::listener::{Key, Listen};
use crate::task::owner::{self, CompensationGuard, Ended};
use crate::task::roles::{BlockReason, TaskOwner};
use crate::task::snapshot::End;

/// The number of items that must have been taken before their duration is known. A model has few items, which take no
/// time.
const SAMPLE: usize = if cfg!(any(model = "loom", model = "shuttle")) { 1 } else { 16 };

/// Items that are not taken, in order.
pub(crate) trait Items {
    fn count(&self) -> usize;
    fn nothing() -> Self;
    /// Drops the items. Runs user code.
    fn drop_caught(self);
    /// Takes the later half out, if there are two or more items and they can be divided.
    fn split(&mut self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

/// The outcomes of a range, as seen by the caller of the map.
pub(crate) trait Collect<R>: Send {
    /// Takes outcomes that are stored. Does not block.
    fn take(&mut self, order: Order) -> Option<Collected<R>>;
    /// Blocks until the next outcome in input order is stored, or the deadline has passed.
    fn wait(&self, deadline: Option<Instant>);
    /// Registers a listener, which is told when there may be outcomes to take in any order: once, and again after each
    /// `take` that found none.
    fn listen(&self, listener: Arc<dyn Listen>, key: Key);
    /// Returns the number of items without an outcome.
    fn unfinished(&self) -> usize;
    /// Returns the number of items whose outcome was not taken.
    fn left(&self) -> usize;
    /// Returns the first position whose outcome was not taken.
    fn first_left(&self) -> usize;
    /// Returns the id of the range's task, if this thread runs that task, further down its stack.
    fn runs_here(&self) -> Option<FutureId> {
        None
    }
    /// Has the next free worker run the range's task first, if it has one in the queue of `owner`.
    fn hasten(&self, _owner: &Arc<dyn TaskOwner>) {}
    /// Cancels the items that have not begun, unless the executor does that. Runs user code.
    fn cancel(&self) {}
}

/// Outcomes that were taken from a range.
pub(crate) struct Collected<R> {
    pub(crate) outcomes: Outcomes<R>,
    /// The position of the first outcome, relative to the range.
    pub(crate) first: usize,
    /// No more outcomes will come.
    pub(crate) is_over: bool,
}

pub(crate) struct Range<S: Items, R> {
    state: Mutex<State<S, R>>,
    /// Notified when the next outcome is stored, if a caller sleeps.
    filled: Condvar,
}

struct State<S: Items, R> {
    items: S,
    /// The number of items that were taken.
    taken: usize,
    /// When the first item was taken.
    since: Option<Instant>,
    /// The parts with outcomes to come, and the position of the first item of each. The last part comes first in the
    /// input.
    parts: Vec<(usize, Arc<Range<S, R>>)>,
    runs: Runs<R>,
    /// A caller sleeps until the next outcome is stored. Set by the caller; cleared by the thread that notifies it, and
    /// when it wakes.
    wanted: bool,
    /// The listener that is told of outcomes, and the key by which it knows this range.
    listener: Option<(Arc<dyn Listen>, Key)>,
    /// The listener was told, and has not found the runs empty since.
    told: bool,
    /// The counts not yet reported to the pool.
    ended: Ended,
}

impl<S: Items, R> Range<S, R> {
    pub(crate) fn new(items: S) -> Self {
        Self::with_listener(items, None)
    }

    fn with_listener(items: S, listener: Option<(Arc<dyn Listen>, Key)>) -> Self {
        let state = State {
            items,
            taken: 0,
            since: None,
            parts: Vec::new(),
            runs: Runs::new(),
            wanted: false,
            listener,
            told: false,
            ended: Ended::default(),
        };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Stores the outcome of the previous item, if there is one, then takes the next one. Returns the counts not yet
    /// reported to the pool if no item is left.
    pub(super) fn turn<A>(
        &self,
        made: Option<(usize, Outcome<R>)>,
        next: impl FnOnce(&mut S) -> Option<A>,
    ) -> Result<(usize, A), Ended> {
        let mut state = self.state.lock();
        if let Some((position, outcome)) = made {
            let count = if outcome.is_ok() { &mut state.ended.completed } else { &mut state.ended.failed };
            *count += 1;
            state.runs.put(position, outcome);
        }
        let position = state.taken;
        let next = match next(&mut state.items) {
            Some(item) => {
                if position == 0 {
                    state.since = Some(Instant::now());
                }
                state.taken += 1;
                Ok((position, item))
            }
            None => Err(std::mem::take(&mut state.ended)),
        };
        self.tell(state);
        next
    }

    /// Divides off the later half of the items that are not taken, if an item takes less than `quick` and there are two
    /// or more.
    pub(super) fn split(&self, quick: Duration) -> Option<Arc<Self>> {
        let mut state = self.state.lock();
        let is_quick = state.taken >= SAMPLE
            && state.since.is_some_and(|since| {
                elapsed(since) < quick.saturating_mul(u32::try_from(state.taken).unwrap_or(u32::MAX))
            });
        let items = if is_quick { state.items.split()? } else { return None };
        let first = state.taken + state.items.count();
        let part = Arc::new(Self::with_listener(items, state.listener.clone()));
        state.parts.push((first, Arc::clone(&part)));
        Some(part)
    }

    /// Takes some items by calling `some`. Returns the position of the first, and what `some` returns.
    pub(crate) fn take_some<T>(&self, some: impl FnOnce(&mut S) -> T) -> (usize, T) {
        let mut state = self.state.lock();
        let before = state.items.count();
        let taken = some(&mut state.items);
        let position = state.taken;
        state.taken += before - state.items.count();
        (position, taken)
    }

    /// Stores outcomes of items that were taken, from this position on.
    pub(crate) fn end(&self, first: usize, outcomes: impl IntoIterator<Item = Outcome<R>>) {
        let mut state = self.state.lock();
        for (position, outcome) in (first..).zip(outcomes) {
            state.runs.put(position, outcome);
        }
        self.tell(state);
    }

    /// Replaces stand-ins by the items that they stand for.
    pub(crate) fn restock(&self, items: S) {
        let stand_in = std::mem::replace(&mut self.state.lock().items, items);
        stand_in.drop_caught();
    }

    /// Returns the number of items that are not taken.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().items.count()
    }

    /// As `pending`, and the counts not yet reported to the pool.
    pub(super) fn progress(&self) -> (usize, Ended) {
        let state = self.state.lock();
        (state.items.count(), state.ended)
    }

    /// Returns the counts not yet reported to the pool if no item is left to take. The caller must report them.
    pub(super) fn spent(&self) -> Option<Ended> {
        let mut state = self.state.lock();
        (state.items.count() == 0).then(|| std::mem::take(&mut state.ended))
    }

    /// Ends the items that are not taken with an error, and returns their number. Runs user code.
    pub(crate) fn call_off(&self, error: &Error) -> usize {
        let mut state = self.state.lock();
        let items = std::mem::replace(&mut state.items, S::nothing());
        let count = items.count();
        for _ in 0..count {
            let position = state.taken;
            state.taken += 1;
            state.runs.put(position, Err(error.clone()));
        }
        self.tell(state);
        items.drop_caught();
        count
    }

    /// Unlocks, and notifies the waiting caller if there are outcomes for it.
    #[inline]
    fn tell(&self, mut state: MutexGuard<'_, State<S, R>>) {
        let mut told = None;
        if let Some((listener, key)) = &state.listener
            && !state.told
            && state.runs.stored() > 0
        {
            // A caller's wait-set, which takes no other lock.
            listener.done(*key, End::Value);
            told = Some(Arc::clone(listener));
            state.told = true;
        }
        let wakes = state.wanted && state.runs.has_next();
        state.wanted &= !wakes;
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        if let Some(told) = told {
            told.wake();
        }
    }
}

impl<S: Items, R> Range<S, R> {
    /// Returns the range or part that has the next outcome. That outcome stays in it.
    fn awaited(self: &Arc<Self>) -> Arc<Self> {
        let state = self.state.lock();
        match state.parts.last() {
            Some((_, part)) if state.own_left() == 0 => part.awaited(),
            _ => Arc::clone(self),
        }
    }

    fn is_ready(&self) -> bool {
        self.state.lock().runs.has_next()
    }

    fn sleep(&self, deadline: Option<Instant>) {
        let mut state = self.state.lock();
        let mut timed_out = false;
        while !state.runs.has_next() && !timed_out {
            state.wanted = true;
            match deadline {
                None => self.filled.wait(&mut state),
                Some(deadline) => timed_out = self.filled.wait_until(&mut state, deadline).timed_out(),
            }
        }
        state.wanted = false;
    }

    fn take_run(&self, order: Order) -> Option<Collected<R>> {
        let mut state = self.state.lock();
        if let Some((first, outcomes)) = state.runs.take(order) {
            return Some(Collected { outcomes, first, is_over: state.is_over() });
        }
        state.told = false;
        if order == Order::Input && state.own_left() > 0 {
            return None;
        }
        // In input order, only the first of the remaining parts may have the next outcome.
        let asked = if order == Order::Input { 1 } else { state.parts.len() };
        for index in (0..state.parts.len()).rev().take(asked) {
            let (begin, part) = &state.parts[index];
            if let Some(Collected { outcomes, first, is_over }) = part.take_run(order) {
                let first = begin + first;
                if is_over {
                    state.parts.remove(index);
                }
                return Some(Collected { outcomes, first, is_over: state.is_over() });
            }
        }
        None
    }

    fn unfinished(&self) -> usize {
        let state = self.state.lock();
        let in_parts: usize = state.parts.iter().map(|(_, part)| part.unfinished()).sum();
        in_parts + state.own_left() - state.runs.stored()
    }

    fn left(&self) -> usize {
        let state = self.state.lock();
        state.own_left() + state.parts.iter().map(|(_, part)| part.left()).sum::<usize>()
    }

    fn first_left(&self) -> usize {
        let state = self.state.lock();
        match state.parts.last() {
            Some((first, part)) if state.own_left() == 0 => first + part.first_left(),
            _ => state.runs.first_left(),
        }
    }
}

impl<S: Items, R> State<S, R> {
    /// Returns the number of outcomes not yet taken, without the parts.
    fn own_left(&self) -> usize {
        self.taken + self.items.count() - self.runs.taken()
    }

    fn is_over(&self) -> bool {
        self.own_left() == 0 && self.parts.is_empty()
    }
}

impl<S: Items + Send, R: Send> Collect<R> for Arc<Range<S, R>> {
    fn take(&mut self, order: Order) -> Option<Collected<R>> {
        self.take_run(order)
    }

    fn wait(&self, deadline: Option<Instant>) {
        owner::assert_may_block();
        // A worker that sleeps here may wait for an item that only another worker can take.
        let _compensation = owner::current().map(|owner| CompensationGuard::new(Some(owner), BlockReason::Worker));
        let part = self.awaited();
        if !look(deadline, || part.is_ready()) {
            part.sleep(deadline);
        }
    }

    fn listen(&self, listener: Arc<dyn Listen>, key: Key) {
        let mut state = self.state.lock();
        for (_, part) in &state.parts {
            part.listen(Arc::clone(&listener), key);
        }
        state.listener = Some((listener, key));
        self.tell(state);
    }

    fn unfinished(&self) -> usize {
        Range::unfinished(self)
    }

    fn left(&self) -> usize {
        Range::left(self)
    }

    fn first_left(&self) -> usize {
        Range::first_left(self)
    }
}

impl<S: Items, R> Drop for State<S, R> {
    fn drop(&mut self) {
        std::mem::replace(&mut self.items, S::nothing()).drop_caught();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use std::vec;

    use super::{Collect, Order, Range};
    use crate::error::Error;
    use crate::sync::Mutex;
    use crate::task::listener::{Key, Listen};
    use crate::task::snapshot::End;

    type LocalRange<A, R> = Range<vec::IntoIter<A>, R>;

    fn take(items: &LocalRange<u32, u32>) -> Option<(usize, u32)> {
        items.turn(None, vec::IntoIter::next).ok()
    }

    fn end(items: &LocalRange<u32, u32>, position: usize) {
        let _ = items.turn(Some((position, Ok(0))), |_| None::<u32>);
    }

    /// Returns the number of outcomes that can be taken in input order now.
    fn collect(items: &Arc<LocalRange<u32, u32>>) -> usize {
        let items: &mut Arc<_> = &mut Arc::clone(items);
        std::iter::from_fn(|| Some(items.take(Order::Input)?.outcomes.len())).sum()
    }

    #[test]
    fn unfinished_items_are_counted_in_any_order() {
        let items = Arc::new(LocalRange::<u32, u32>::new(vec![10, 11, 12, 13, 14].into_iter()));
        let counts = || (items.unfinished(), items.left());
        assert_eq!(counts(), (5, 5));
        assert_eq!([take(&items), take(&items), take(&items)], [Some((0, 10)), Some((1, 11)), Some((2, 12))]);
        end(&items, 2);
        assert_eq!(counts(), (4, 5));
        end(&items, 0);
        assert_eq!(counts(), (3, 5));
        assert_eq!(collect(&items), 1);
        assert_eq!(counts(), (3, 4));
        end(&items, 1);
        assert_eq!(counts(), (2, 4));
        assert_eq!(collect(&items), 2);
        assert_eq!(counts(), (2, 2));
    }

    #[test]
    fn an_outcome_is_collected_at_once() {
        let mut items = Arc::new(LocalRange::<u32, u32>::new(vec![10].into_iter()));
        take(&items);
        end(&items, 0);
        // With a deadline, it does not spin before it would sleep.
        items.wait(Some(Instant::now() + Duration::from_secs(60)));
        let collected = items.take(Order::Input).unwrap();
        assert_eq!((collected.outcomes.len(), collected.is_over), (1, true));
    }

    /// Logs the keys it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<usize>>);

    impl Listen for Told {
        fn done(&self, key: Key, _: End) {
            self.0.lock().push(key.behind(0));
        }
    }

    #[test]
    fn a_listener_for_any_outcome_is_told_once_until_it_finds_none() {
        let mut items = Arc::new(LocalRange::<u32, u32>::new(vec![10, 11, 12].into_iter()));
        let told = Arc::new(Told::default());
        (0..3).for_each(|_| assert!(take(&items).is_some()));
        end(&items, 2);
        items.listen(Arc::clone(&told) as _, Key::of(7));
        assert_eq!(*told.0.lock(), [7], "an outcome was there before");
        end(&items, 0);
        assert_eq!(items.take(Order::Any).unwrap().first, 0);
        assert_eq!(items.take(Order::Any).unwrap().first, 2);
        assert!(items.take(Order::Any).is_none());
        assert_eq!(*told.0.lock(), [7], "the listener was about to look");
        end(&items, 1);
        assert_eq!(*told.0.lock(), [7, 7]);
        assert!(items.take(Order::Any).unwrap().is_over);
    }

    #[test]
    fn a_part_split_off_belongs_to_its_range() {
        const COUNT: usize = 100;
        let numbers: Vec<u32> = (0..COUNT as u32).collect();
        let mut items = Arc::new(LocalRange::<u32, u32>::new(numbers.into_iter()));
        let told = Arc::new(Told::default());
        items.listen(Arc::clone(&told) as _, Key::of(7));
        for position in 0..super::SAMPLE {
            assert_eq!(take(&items), Some((position, position as u32)));
        }
        let whole = items.split(Duration::MAX).expect("short items are split off");
        let (later, earlier) = (whole.pending(), items.pending());
        assert!(later + earlier + super::SAMPLE == COUNT && (later == earlier || later == earlier + 1));
        // Parts are behind the rest of the range.
        let part = items.split(Duration::MAX).unwrap();
        let begin = super::SAMPLE + items.pending();
        assert_eq!(take(&part), Some((0, begin as u32)));
        end(&part, 0);
        assert_eq!(*told.0.lock(), [7], "the listener gets the key of the whole range");
        assert!(items.take(Order::Input).is_none());
        assert_eq!(items.take(Order::Any).unwrap().first, begin);
        assert_eq!((items.left(), items.unfinished(), items.first_left()), (COUNT - 1, COUNT - 1, 0));
        (0..super::SAMPLE).for_each(|position| end(&items, position));
        assert_eq!(items.call_off(&Error::Cancelled), begin - super::SAMPLE);
        part.call_off(&Error::Cancelled);
        whole.call_off(&Error::Cancelled);
        let mut next = 0;
        while let Some(collected) = items.take(Order::Any) {
            next += collected.outcomes.len();
            assert_eq!(collected.is_over, next == COUNT - 1);
        }
        assert_eq!(items.left(), 0);
    }

    #[test]
    fn in_input_order_the_parts_follow_their_range() {
        let numbers: Vec<u32> = (0..100).collect();
        let mut items = Arc::new(LocalRange::<u32, u32>::new(numbers.into_iter()));
        (0..super::SAMPLE).for_each(|_| assert!(take(&items).is_some()));
        let parts = [items.split(Duration::MAX).unwrap(), items.split(Duration::MAX).unwrap()];
        parts.iter().for_each(|part| assert!(part.call_off(&Error::Cancelled) > 0));
        assert!(items.take(Order::Input).is_none(), "the parts come after the range");
        items.call_off(&Error::Cancelled);
        (0..super::SAMPLE).rev().for_each(|position| end(&items, position));
        items.wait(Some(Instant::now() + Duration::from_secs(60)));
        let mut next = 0;
        while let Some(collected) = items.take(Order::Input) {
            assert_eq!(collected.first, next);
            next += collected.outcomes.len();
            assert_eq!(collected.is_over, next == 100);
        }
        assert_eq!(next, 100);
    }

    /// Panics when it is dropped. Two such panics at once end the process.
    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("boom in a drop");
        }
    }

    #[test]
    fn items_whose_drops_panic_are_dropped_one_by_one() {
        let items = || vec![PanicsOnDrop, PanicsOnDrop].into_iter();
        drop(LocalRange::<PanicsOnDrop, u32>::new(items()));
        let range = Arc::new(LocalRange::<PanicsOnDrop, u32>::new(items()));
        assert_eq!(range.call_off(&Error::Cancelled), 2);
        assert_eq!(range.left(), 2);
    }

    #[test]
    fn outcomes_whose_drops_panic_are_dropped_one_by_one() {
        let items = LocalRange::<u32, PanicsOnDrop>::new(vec![0; 5].into_iter());
        for _ in 0..5 {
            let _ = items.turn(None, vec::IntoIter::next);
        }
        // Two in a row, and two out of order.
        for position in [0, 1, 3, 4] {
            let _ = items.turn(Some((position, Ok(PanicsOnDrop))), |_| None::<u32>);
        }
        drop(items);
    }
}
