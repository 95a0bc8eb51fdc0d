//! [`Engine`]: the caller's side of a map: it pulls input, and takes outcomes.
//!
//! Every map goes one way. The engine pulls items and gives them to an [`ItemRunner`], which makes ranges of them;
//! outcomes come into the ranges, from which the engine takes them. Who runs the items makes the difference:
//!
//! | runner | a range is | used |
//! |---|---|---|
//! | [`JobItems`] | one job of the backend | for a `chunk_size`, a `buffer_size` or a time limit, for large values, and for executors that take nothing else |
//! | [`LocalItems`](super::local::LocalItems) | what threads take items from one by one | on threads |
//! | `RemoteItems` | what batches are cut from | on processes |
//!
//! An item counts as in flight from when it is pulled until its outcome is taken from its range. Items begin to run
//! while more are pulled.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::jobs::{JobItems, Submit};
use super::range::{Collect, Collected};
use super::runner::ItemRunner;
use super::runs::Order;
use super::source::Feeder;
use crate::completed::Completions;
use crate::error::{Error, Timeout};
use crate::fork;
use crate::held::is_large;
use crate::options::TaskOptions;
use crate::outcomes::Outcomes;
use crate::sync::channel::{Receiver, unbounded};
use crate::sync::{thread, yields};
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::BlockReason;
use crate::task::state::wait_for_itself;
use crate::unwind::drop_caught;
use crate::wait::deadline;

pub(crate) struct Engine<'e, I: Iterator, R> {
    /// `None` once it has ended, or when nobody wants more.
    input: Option<I>,
    runner: Box<dyn ItemRunner<I::Item, R> + 'e>,
    order: Order,
    /// Ranges with outcomes to come, in input order. `None`: one of which all was taken.
    ranges: VecDeque<Option<Placed<R>>>,
    /// How many ranges there were before those.
    ranges_before: usize,
    /// How many items the ranges had, those counted that were there before.
    ranged: usize,
    arrivals: Arrivals,
    /// How many items may be in flight.
    capacity: usize,
    in_flight: usize,
    pulled: usize,
    deadline: Option<Instant>,
    /// How long that was from the call.
    timeout: Duration,
}

/// A range, and the position of its first item.
struct Placed<R> {
    first: usize,
    range: Box<dyn Collect<R>>,
}

/// The ranges that have said that there is something to take, for a caller that takes it in any order.
struct Arrivals {
    listener: Arc<Completions>,
    receiver: Receiver<usize>,
    /// Where there was something the last time.
    last: Option<usize>,
}

impl Arrivals {
    fn new() -> Self {
        let (sender, receiver) = unbounded();
        Self { listener: Arc::new(Completions(sender)), receiver, last: None }
    }
}

/// What a map yields next.
pub(crate) enum Step<R> {
    /// Outcomes, and the position of the first.
    Outcomes(usize, Outcomes<R>),
    /// The time is up: the position of the first item without an outcome.
    TimedOut(usize, Error),
}

impl<'e, I: Iterator, R> Engine<'e, I, R>
where
    I::Item: Send + 'static,
    R: Send + 'static,
{
    /// Makes one that has pulled no input.
    pub(crate) fn new(
        submit: impl Submit<I::Item, R> + 'e,
        input: I,
        options: Option<&Arc<TaskOptions>>,
        order: Order,
    ) -> Self {
        let options = options.map_or(TaskOptions::NONE, |options| options);
        let range_size = if submit.takes_only_tasks() { 1 } else { options.items_per_chunk() };
        let runner: Box<dyn ItemRunner<I::Item, R> + 'e> = match submit.shared_items() {
            Some(items) => Box::new(Feeder::new(items)),
            None => Box::new(JobItems::new(submit, range_size)),
        };
        Self {
            input: Some(input),
            runner,
            order,
            ranges: VecDeque::new(),
            ranges_before: 0,
            ranged: 0,
            arrivals: Arrivals::new(),
            capacity: options.items_in_flight().unwrap_or(usize::MAX),
            in_flight: 0,
            pulled: 0,
            deadline: deadline(options.map_timeout()),
            timeout: options.map_timeout().unwrap_or_default(),
        }
    }
}

impl<I: Iterator, R> Engine<'_, I, R> {
    /// Pulls input as far as it may.
    pub(crate) fn pull(&mut self) {
        let Some(input) = &mut self.input else { return };
        let mut has_ended = false;
        while self.in_flight < self.capacity && !has_ended {
            if const { is_large::<I::Item>() } {
                // From the input into its box.
                match input.next().map(Box::new) {
                    Some(item) => self.runner.add_boxed(item),
                    None => has_ended = true,
                }
            } else {
                match input.next() {
                    Some(item) => self.runner.add(item),
                    None => has_ended = true,
                }
            }
            self.in_flight += usize::from(!has_ended);
            self.pulled += usize::from(!has_ended);
        }
        if has_ended {
            self.input = None;
        }
        for range in self.runner.ranges() {
            let (first, key) = (self.ranged, self.ranges_before + self.ranges.len());
            self.ranged += range.left();
            if self.order == Order::Any {
                range.listen(Arc::clone(&self.arrivals.listener) as _, key);
            }
            self.ranges.push_back(Some(Placed { first, range }));
        }
    }

    /// Blocks until there are outcomes, takes them, and pulls as much input as that makes room for. `None`: there are
    /// no more.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Step<R>> {
        if self.runner.is_lost() {
            return self.end_lost();
        }
        let (first, outcomes) = match self.order {
            Order::Input => self.next_in_order()?,
            Order::Any => self.next_of_any()?,
        };
        if outcomes.len() == 0 {
            return Some(self.time_out());
        }
        self.in_flight -= outcomes.len();
        self.pull();
        Some(Step::Outcomes(first, outcomes))
    }

    /// Returns no outcomes if the time is up.
    #[track_caller]
    fn next_in_order(&mut self) -> Option<(usize, Outcomes<R>)> {
        let key = self.ranges_before;
        self.ranges.front()?;
        if let Some(run) = self.take(key) {
            return Some(run);
        }
        self.ranges.front()?.as_ref()?.range.wait(self.deadline);
        Some(self.take(key).unwrap_or_else(|| (0, Outcomes::new())))
    }

    /// Returns no outcomes if the time is up.
    #[track_caller]
    fn next_of_any(&mut self) -> Option<(usize, Outcomes<R>)> {
        loop {
            if let Some(run) = self.arrivals.last.and_then(|key| self.take(key)) {
                return Some(run);
            }
            self.arrivals.last = None;
            self.ranges.front()?;
            let Some(key) = self.next_arrival() else { return Some((0, Outcomes::new())) };
            self.arrivals.last = Some(key);
        }
    }

    /// Sleeps until a range has something to take. `None`: the time is up.
    #[track_caller]
    fn next_arrival(&self) -> Option<usize> {
        let receiver = &self.arrivals.receiver;
        if let Ok(key) = receiver.try_recv() {
            return Some(key);
        }
        for _ in 0..yields(self.deadline) {
            thread::yield_now();
            if let Ok(key) = receiver.try_recv() {
                return Some(key);
            }
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
        let _compensation = CompensationGuard::new(owner::current(), BlockReason::Worker);
        match self.deadline {
            // Never disconnected: the listener is here.
            None => receiver.recv().ok(),
            Some(deadline) => receiver.recv_deadline(deadline).ok(),
        }
    }

    /// Takes outcomes of a range, and forgets it if that was all.
    fn take(&mut self, key: usize) -> Option<(usize, Outcomes<R>)> {
        let place = self.ranges.get_mut(key.checked_sub(self.ranges_before)?)?;
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

    /// What was not taken is lost: its locks may be held by threads that are not here.
    fn end_lost(&mut self) -> Option<Step<R>> {
        self.input = None;
        std::mem::forget(std::mem::take(&mut self.ranges));
        let left = std::mem::take(&mut self.in_flight);
        let outcomes = (0..left).map(|_| Err(fork::lost_in_fork())).collect();
        (left > 0).then(|| Step::Outcomes(self.pulled - left, outcomes))
    }

    fn time_out(&mut self) -> Step<R> {
        let unfinished = self.open_ranges().map(|placed| placed.range.unfinished()).sum();
        let position = self.open_ranges().next().map_or(0, |placed| placed.first + placed.range.first_left());
        let timeout = Timeout::new(unfinished, self.pulled, self.timeout);
        self.stop();
        Step::TimedOut(position, Error::Timeout(timeout))
    }

    fn open_ranges(&self) -> impl Iterator<Item = &Placed<R>> {
        self.ranges.iter().flatten()
    }

    /// Cancels what has not begun, and ends: nobody wants more.
    pub(crate) fn stop(&mut self) {
        self.input = None;
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

    /// The bounds of what is to be yielded, where so many outcomes are in the hand of the caller.
    pub(crate) fn size_hint(&self, in_hand: usize) -> (usize, Option<usize>) {
        let in_hand = in_hand + self.in_flight;
        let (low, high) = self.input.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        if self.deadline.is_some() {
            // The time may run out; that is one item of its own.
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
