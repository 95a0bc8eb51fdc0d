//! [`Engine`]: the caller's side of a map, which pulls input and takes outcomes.
//!
//! All maps work the same way. The engine pulls items and passes them to an [`ItemRunner`], which groups them into
//! ranges. Outcomes are stored in the ranges, and the engine takes them from there. The runners differ:
//!
//! | runner | a range is | used |
//! |---|---|---|
//! | [`JobItems`] | one job of the backend | in all other cases (see below) |
//! | [`LocalItems`](super::local::LocalItems) | items that threads take one by one | on threads |
//! | `RemoteItems` | items that are cut into batches | on processes |
//!
//! [`JobItems`] are used for a `chunk_size`, a `buffer_size` or a time limit, for large values, and for executors that
//! take nothing else.
//!
//! An item is in flight from when it is pulled until its outcome is taken from its range. Items begin to run while more
//! are pulled.
//!
//! It is one type, whose methods share the position of the caller in the map.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
#[cfg(feature = "stream")]
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::jobs::{JobItems, Submit};
use super::range::{Collect, Collected};
use super::runner::ItemRunner;
use super::runs::Order;
use super::source::Feeder;
#[cfg(feature = "stream")]
use super::timeout_waker::TimeoutWaker;
use crate::completed::queue::CompletionQueue;
use crate::error::{Error, Timeout};
use crate::fork;
use crate::held::is_large;
use crate::look::note_found;
use crate::options::MapOptions;
use crate::outcomes::Outcomes;
use crate::task::listener::Key;
use crate::task::owner;
use crate::task::state::wait_for_itself;
use crate::unwind::{Caught, drop_caught};
use crate::wait::deadline;
use crate::wait::hastened::Hastened;

pub(crate) struct Engine<'e, I: Iterator, R> {
    /// `None` once the input has ended, or when no more is wanted.
    input: Option<Caught<I>>,
    runner: Caught<Box<dyn ItemRunner<I::Item, R> + 'e>>,
    order: Order,
    /// Ranges with outcomes to come, in input order. `None` for a range whose outcomes were all taken.
    ranges: VecDeque<Option<Placed<R>>>,
    /// The number of ranges before those in `ranges`.
    ranges_before: usize,
    /// How many of `ranges` were hastened.
    hastened: Hastened,
    /// The number of items in all ranges so far, including those before `ranges`.
    ranged: usize,
    arrivals: Arrivals,
    /// The maximum number of items in flight.
    capacity: usize,
    in_flight: usize,
    pulled: usize,
    /// The item that was pulled last has ended as one does that the executor refuses, because it was shut down for example.
    is_refused: bool,
    deadline: Option<Instant>,
    /// The time from the call of `map` to `deadline`.
    timeout: Duration,
    /// Wakes the async task that polls the map, at the deadline. Made by the first poll that has to wait.
    #[cfg(feature = "stream")]
    timeout_waker: Option<TimeoutWaker>,
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// A range, and the position of its first item.
struct Placed<R> {
    first: usize,
    range: Box<dyn Collect<R>>,
}

/// The ranges that have reported outcomes, for a caller that takes outcomes in any order.
struct Arrivals {
    queue: CompletionQueue,
    /// The range that had outcomes the last time.
    last: Option<Key>,
}

/// What a map yields next.
pub(crate) enum Step<R> {
    /// The position of the first outcome, and the outcomes.
    Outcomes(usize, Outcomes<R>),
    /// The map's time is up. Has the position of the first item without an outcome.
    TimedOut(usize, Error),
}

impl<'e, I: Iterator, R> Engine<'e, I, R>
where
    I::Item: Send + 'static,
    R: Send + 'static,
{
    /// Makes an engine that has pulled no input.
    pub(crate) fn new(submit: impl Submit<I::Item, R> + 'e, options: &MapOptions, input: I, order: Order) -> Self {
        let (capacity, timeout) = (options.get_buffer_size().unwrap_or(usize::MAX), options.get_timeout());
        let shared = if options.leaves_ranges_open() { submit.shared_items() } else { None };
        let runner: Box<dyn ItemRunner<I::Item, R> + 'e> = match shared {
            Some(items) => Box::new(Feeder::new(items)),
            None => {
                let size = if submit.takes_only_tasks() { 1 } else { options.get_chunk_size().unwrap_or(1) };
                Box::new(JobItems::new(submit, size))
            }
        };
        Self {
            input: Some(Caught::new(input)),
            runner: Caught::new(runner),
            order,
            ranges: VecDeque::new(),
            ranges_before: 0,
            hastened: Hastened::default(),
            ranged: 0,
            arrivals: Arrivals { queue: CompletionQueue::new(), last: None },
            capacity,
            in_flight: 0,
            pulled: 0,
            is_refused: false,
            deadline: deadline(timeout),
            timeout: timeout.unwrap_or_default(),
            #[cfg(feature = "stream")]
            timeout_waker: None,
        }
    }
}

impl<I: Iterator, R> Engine<'_, I, R> {
    /// Pulls input as [`pull`](Self::pull) does, unless the executor has refused the last item.
    ///
    /// The input may have no end, or may have to be waited for. So the caller of the map sees the reason, and what became of
    /// the items before, first.
    pub(crate) fn pull_ahead(&mut self) {
        if !self.is_refused {
            self.pull();
        }
    }

    /// Pulls input until the capacity is reached, the input ends, or the executor refuses an item or a chunk. Input that may
    /// have no end is pulled only until the time is up.
    ///
    /// If the input panics, what was pulled before is in flight, and a later call goes on with the input.
    fn pull(&mut self) {
        let Some(input) = &mut self.input else { return };
        let deadline = self.deadline.filter(|_| input.size_hint().1.is_none());
        self.is_refused = false;
        while !self.is_refused && self.in_flight < self.capacity && !is_past(deadline) {
            let added = if const { is_large::<I::Item>() } {
                // Boxed directly from the input.
                input.next().map(Box::new).map(|item| self.runner.add_boxed(item))
            } else {
                input.next().map(|item| self.runner.add(item))
            };
            let Some(is_accepted) = added else {
                self.input = None;
                break;
            };
            self.is_refused = !is_accepted;
            self.in_flight += 1;
            self.pulled += 1;
        }
        self.is_refused |= !self.runner.submit_rest();
        for range in self.runner.ranges() {
            let (first, key) = (self.ranged, Key::of(self.ranges_before + self.ranges.len()));
            self.ranged += range.left();
            if self.order == Order::Any {
                range.listen(Arc::clone(self.arrivals.queue.listener()) as _, key);
            }
            self.ranges.push_back(Some(Placed { first, range }));
        }
    }

    /// As [`pull_ahead`](Self::pull_ahead), but also pulls when the outcomes of all items up to a refused one were taken.
    fn pull_if_needed(&mut self) {
        if !self.is_refused || self.ranges.is_empty() {
            self.pull();
        }
    }

    /// Blocks until there are outcomes, and takes them. Returns `None` if no more outcomes will come.
    ///
    /// The caller then [pulls](Self::pull_ahead) as much input as there is room for: the input may panic, and the outcomes
    /// must not be lost with it.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Step<R>> {
        if self.runner.is_lost() {
            return self.end_lost();
        }
        // There is input to pull only if it has panicked the last time, an item was refused, or the time is up.
        self.pull_if_needed();
        if self.ranges.is_empty() && self.input.is_some() {
            // The input may have forked the process.
            return if self.runner.is_lost() { self.end_lost() } else { Some(self.time_out()) };
        }
        let (first, outcomes) = match self.order {
            Order::Input => self.next_in_order()?,
            Order::Any => self.next_of_any()?,
        };
        if outcomes.len() == 0 {
            return Some(self.time_out());
        }
        self.in_flight -= outcomes.len();
        Some(Step::Outcomes(first, outcomes))
    }

    /// Blocks until the next outcomes in input order can be taken, and takes them. Takes none if the time is up.
    #[track_caller]
    fn next_in_order(&mut self) -> Option<(usize, Outcomes<R>)> {
        let key = Key::of(self.ranges_before);
        self.ranges.front()?;
        if let Some(run) = self.take(key) {
            note_found(run.1.len());
            return Some(run);
        }
        if self.deadline.is_some() {
            // Without one, this worker runs the ranges itself.
            self.hasten();
        }
        self.ranges.front()?.as_ref()?.range.wait(self.deadline);
        Some(self.take(key).unwrap_or_else(|| (0, Outcomes::new())))
    }

    /// Blocks until any outcomes can be taken, and takes them. Takes none if the time is up.
    #[track_caller]
    fn next_of_any(&mut self) -> Option<(usize, Outcomes<R>)> {
        loop {
            if let Some(run) = self.arrivals.last.and_then(|key| self.take(key)) {
                note_found(run.1.len());
                return Some(run);
            }
            self.arrivals.last = None;
            self.ranges.front()?;
            let Some(key) = self.next_arrival() else { return Some((0, Outcomes::new())) };
            self.arrivals.last = Some(key);
        }
    }

    /// Blocks until a range has outcomes to take. Returns `None` if the time is up.
    #[track_caller]
    fn next_arrival(&mut self) -> Option<Key> {
        if let Some(key) = self.arrivals.queue.look(self.deadline) {
            return Some(key);
        }
        owner::assert_may_block();
        if self.deadline.is_none() {
            let mut here = self.open_ranges().map(|placed| placed.range.runs_here());
            if let Some(Some(id)) = here.next()
                && here.all(|id| id.is_some())
            {
                wait_for_itself(id);
            }
        }
        self.hasten();
        self.arrivals.queue.sleep(self.deadline)
    }

    /// Has workers run first what this worker is about to wait for.
    fn hasten(&mut self) {
        if let Some((added, owner)) = self.hastened.take_added(&self.ranges, self.ranges_before) {
            added.for_each(|placed| placed.range.hasten(&owner));
        }
    }

    /// As [`next`](Self::next) for outcomes in any order, but has the task woken when there are some.
    #[cfg(feature = "stream")]
    pub(crate) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Step<R>>> {
        if self.runner.is_lost() {
            return Poll::Ready(self.end_lost());
        }
        self.pull_if_needed();
        if self.runner.is_lost() {
            // The input has forked the process.
            return Poll::Ready(self.end_lost());
        }
        loop {
            if let Some((first, outcomes)) = self.arrivals.last.and_then(|key| self.take(key)) {
                self.in_flight -= outcomes.len();
                return Poll::Ready(Some(Step::Outcomes(first, outcomes)));
            }
            self.arrivals.last = None;
            if self.ranges.is_empty() && self.input.is_none() {
                return Poll::Ready(None);
            }
            self.hasten();
            match self.arrivals.queue.poll(context) {
                Poll::Ready(key) => self.arrivals.last = Some(key),
                Poll::Pending => {
                    if let Some(deadline) = self.deadline {
                        self.timeout_waker
                            .get_or_insert_with(|| TimeoutWaker::new(deadline))
                            .set_waker(context.waker());
                    }
                    // This is checked after the timeout waker got the waker, because the deadline may have passed
                    // before.
                    if self.ranges.is_empty() || is_past(self.deadline) {
                        return Poll::Ready(Some(self.time_out()));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes outcomes of a range, and removes the range if those were its last.
    fn take(&mut self, key: Key) -> Option<(usize, Outcomes<R>)> {
        let place = self.ranges.get_mut(key.behind(self.ranges_before))?;
        let placed = place.as_mut()?;
        let Collected { outcomes, first, is_over } = placed.range.take(self.order)?;
        let first = placed.first + first;
        if is_over {
            *place = None;
            while let Some(None) = self.ranges.front() {
                self.ranges.pop_front();
                self.ranges_before += 1;
            }
        }
        Some((first, outcomes))
    }

    /// Returns an error for each outcome not yet taken. Leaks the ranges: in a forked process, their locks may be held
    /// by threads that do not exist.
    fn end_lost(&mut self) -> Option<Step<R>> {
        self.input = None;
        std::mem::forget(std::mem::take(&mut self.ranges));
        let left = std::mem::take(&mut self.in_flight);
        let outcomes = (0..left).map(|_| Err(fork::lost_in_fork())).collect();
        (left > 0).then(|| Step::Outcomes(self.pulled - left, outcomes))
    }

    fn time_out(&mut self) -> Step<R> {
        let unfinished = self.open_ranges().map(|placed| placed.range.unfinished()).sum();
        let position = self.open_ranges().next().map_or(self.pulled, |placed| placed.first + placed.range.first_left());
        let timeout = Timeout::new(unfinished, self.pulled, self.timeout);
        self.stop();
        Step::TimedOut(position, Error::Timeout(timeout))
    }

    fn open_ranges(&self) -> impl Iterator<Item = &Placed<R>> {
        self.ranges.iter().flatten()
    }

    /// Cancels the items that have not begun, and ends the map.
    pub(crate) fn stop(&mut self) {
        self.input = None;
        #[cfg(feature = "stream")]
        {
            self.timeout_waker = None;
        }
        if self.runner.is_lost() {
            self.end_lost();
            return;
        }
        self.runner.dismiss();
        self.open_ranges().for_each(|placed| placed.range.cancel());
        self.in_flight = 0;
        for placed in std::mem::take(&mut self.ranges) {
            drop_caught(placed);
        }
    }

    /// Returns the bounds of the number of items still to be yielded, where the caller has `in_hand` outcomes already.
    pub(crate) fn size_hint(&self, in_hand: usize) -> (usize, Option<usize>) {
        let in_hand = in_hand + self.in_flight;
        let (low, high) = self.input.as_ref().map_or((0, Some(0)), |input| input.size_hint());
        if self.deadline.is_some() {
            // The time may run out, which yields one item more.
            return (0, high.and_then(|high| high.checked_add(in_hand)?.checked_add(1)));
        }
        (low.saturating_add(in_hand), high.and_then(|high| high.checked_add(in_hand)))
    }

    pub(crate) fn pulled(&self) -> usize {
        self.pulled
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }
}
