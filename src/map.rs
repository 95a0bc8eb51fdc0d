//! [`Map`] and [`MapUnordered`]: one function over many arguments.
//!
//! Both are fed in the same way: [`Feed`] pulls inputs, makes batches of one or more items, and submits them. An item
//! counts as in flight from its submission until the batch it is in was seen to be done. Without `buffer_size` the
//! feed is drained by the constructor.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::completed::{AsCompleted, as_completed};
use crate::error::{Decode, Error, Outcome, Part, Timeout};
use crate::executor::{Backend, Payload, dispatch, submit};
use crate::future::Future;
use crate::options::TaskOptions;
use crate::state::Cell;
use crate::wait::sealed::{Lent, Owned, Sealed};
use crate::wait::{Waitable, deadline, is_done, wait_until};
use crate::work::{Chunk, Everywhere, Function};

/// Submits the items of a map.
pub(crate) trait Submit<A, R>: Send {
    fn one(&self, argument: A) -> Future<R>;
    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Vec<Outcome<R>>>;
}

/// Submits a plain function to any executor.
pub(crate) struct Via<'e, B: ?Sized, F> {
    pub(crate) executor: &'e B,
    pub(crate) function: F,
}

impl<B, F, A, R> Submit<A, R> for Via<'_, B, F>
where
    B: Backend + ?Sized,
    F: Function<A, R> + 'static,
    A: Payload,
    R: Payload,
{
    fn one(&self, argument: A) -> Future<R> {
        dispatch(self.executor, self.function, argument)
    }

    fn many(&self, arguments: Vec<A>, stop: Arc<AtomicBool>) -> Future<Vec<Outcome<R>>> {
        let work = Chunk { function: Everywhere(self.function), arguments, stop };
        let task = Cell::new(Some(work), self.executor.task_options().cloned(), None);
        submit(self.executor, task)
    }
}

/// One task of a map: an item, or a chunk of them.
enum Batch<R> {
    One(Future<R>),
    Many(Future<Vec<Outcome<R>>>, usize),
}

impl<R> Waitable for Batch<R> {}
impl<R> Sealed for Batch<R> {
    fn observed(&self) -> Lent<'_> {
        match self {
            Batch::One(future) => future.observed(),
            Batch::Many(future, _) => future.observed(),
        }
    }
    fn runnable(&self) -> Owned {
        match self {
            Batch::One(future) => future.runnable(),
            Batch::Many(future, _) => future.runnable(),
        }
    }
}

impl<R> Batch<R> {
    fn items(&self) -> usize {
        match self {
            Batch::One(_) => 1,
            Batch::Many(_, items) => *items,
        }
    }

    /// The outcomes of a batch that is done, one per item.
    fn into_outcomes(self) -> VecDeque<Outcome<R>> {
        match self {
            Batch::One(future) => VecDeque::from([future.result()]),
            Batch::Many(future, items) => {
                // They may come from elsewhere: one too few would shift all that follow.
                let complete = future.result().and_then(|outcomes| match outcomes.len() {
                    count if count == items => Ok(outcomes),
                    count => Err(Error::Decode(Decode::new(
                        Part::Result,
                        format!("{count} results came back for a chunk of {items} items"),
                    ))),
                });
                match complete {
                    Ok(outcomes) => outcomes.into(),
                    Err(error) => (0..items).map(|_| Err(error.clone())).collect(),
                }
            }
        }
    }
}

/// Pulls inputs and submits them.
struct Feed<'e, I: Iterator, R> {
    /// `None` once it ended, or when nobody wants more.
    input: Option<I>,
    submit: Box<dyn Submit<I::Item, R> + 'e>,
    chunk_size: usize,
    /// Items that may be in flight.
    capacity: usize,
    in_flight: usize,
    submitted: usize,
    stop: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl<'e, I: Iterator, R> Feed<'e, I, R> {
    fn new(submit: impl Submit<I::Item, R> + 'e, input: I, options: &TaskOptions) -> Self {
        Self {
            input: Some(input),
            submit: Box::new(submit),
            chunk_size: options.items_per_chunk(),
            capacity: options.items_in_flight().unwrap_or(usize::MAX),
            in_flight: 0,
            submitted: 0,
            stop: Arc::new(AtomicBool::new(false)),
            deadline: deadline(options.map_timeout()),
        }
    }

    /// Submits the next batch, if there is room and input; with the position of its first item.
    fn next_batch(&mut self) -> Option<(usize, Batch<R>)> {
        let size = self.chunk_size.min(self.capacity - self.in_flight);
        if size == 0 {
            return None;
        }
        let input = self.input.as_mut()?;
        let (items, batch) = if self.chunk_size == 1 {
            let item = input.next();
            (usize::from(item.is_some()), item.map(|item| Batch::One(self.submit.one(item))))
        } else {
            let items: Vec<I::Item> = input.take(size).collect();
            let count = items.len();
            let stop = Arc::clone(&self.stop);
            (count, (count > 0).then(|| Batch::Many(self.submit.many(items, stop), count)))
        };
        if items < size {
            self.input = None;
        }
        let position = self.submitted;
        self.in_flight += items;
        self.submitted += items;
        Some((position, batch?))
    }

    /// Nobody wants more: what has not started will not.
    fn stop<'b>(&mut self, batches: impl Iterator<Item = &'b Batch<R>>)
    where
        R: 'b,
    {
        self.input = None;
        self.stop.store(true, Ordering::Relaxed);
        for batch in batches {
            batch.observed().0.cancel();
        }
    }

    fn size_hint(&self, in_hand: usize) -> (usize, Option<usize>) {
        let (low, high) = self.input.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        if self.deadline.is_some() {
            // The time may run out; that is one item of its own.
            return (0, high.and_then(|high| high.checked_add(in_hand)?.checked_add(1)));
        }
        (low.saturating_add(in_hand), high.and_then(|high| high.checked_add(in_hand)))
    }
}

fn unfinished<'b, R: 'b>(batches: impl Iterator<Item = &'b Batch<R>>) -> usize {
    batches.filter(|batch| !is_done(*batch)).map(Batch::items).sum()
}

/// Yields the outcome of each item in input order; made by [`Executor::map`](crate::Executor::map).
///
/// `next` blocks until the next outcome is there. Dropping the iterator cancels what has not started.
#[must_use = "dropping a map cancels what has not started"]
pub struct Map<'e, I: Iterator, R> {
    feed: Feed<'e, I, R>,
    batches: VecDeque<Batch<R>>,
    /// Outcomes that are there, of items before those in `batches`.
    ready: VecDeque<Outcome<R>>,
}

impl<'e, I: Iterator, R> Map<'e, I, R> {
    pub(crate) fn new(
        submit: impl Submit<I::Item, R> + 'e,
        arguments: impl IntoIterator<IntoIter = I, Item = I::Item>,
        options: &TaskOptions,
    ) -> Self {
        let mut map = Self {
            feed: Feed::new(submit, arguments.into_iter(), options),
            batches: VecDeque::new(),
            ready: VecDeque::new(),
        };
        map.refill();
        map
    }

    fn refill(&mut self) {
        while let Some((_, batch)) = self.feed.next_batch() {
            self.batches.push_back(batch);
        }
    }
}

impl<I: Iterator, R> Iterator for Map<'_, I, R> {
    type Item = Outcome<R>;

    #[track_caller]
    fn next(&mut self) -> Option<Outcome<R>> {
        if self.ready.is_empty() {
            let first = self.batches.front()?;
            if !is_done(first) && !wait_until(first, self.feed.deadline) {
                let timeout = Timeout::new(unfinished(self.batches.iter()), self.feed.submitted);
                self.feed.stop(self.batches.iter());
                self.batches.clear();
                return Some(Err(Error::Timeout(timeout)));
            }
            let batch = self.batches.pop_front()?;
            self.feed.in_flight -= batch.items();
            self.ready = batch.into_outcomes();
            self.refill();
        }
        self.ready.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let in_hand = self.ready.len() + self.batches.iter().map(Batch::items).sum::<usize>();
        self.feed.size_hint(in_hand)
    }
}

impl<I: Iterator, R> FusedIterator for Map<'_, I, R> {}

impl<I: Iterator, R> Drop for Map<'_, I, R> {
    fn drop(&mut self) {
        self.feed.stop(self.batches.iter());
    }
}

impl<I: Iterator, R> fmt::Debug for Map<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("submitted", &self.feed.submitted)
            .field("in_flight", &self.feed.in_flight)
            .finish_non_exhaustive()
    }
}

/// Yields `(input position, outcome)` of each item as it is done; made by
/// [`Executor::map_unordered`](crate::Executor::map_unordered).
///
/// `next` blocks until an outcome is there. Dropping the iterator cancels what has not started.
#[must_use = "dropping a map cancels what has not started"]
pub struct MapUnordered<'e, I: Iterator, R> {
    feed: Feed<'e, I, R>,
    batches: AsCompleted<(usize, Batch<R>)>,
    /// Outcomes that are there, and the position of the first of them.
    ready: (usize, VecDeque<Outcome<R>>),
}

impl<'e, I: Iterator, R> MapUnordered<'e, I, R> {
    pub(crate) fn new(
        submit: impl Submit<I::Item, R> + 'e,
        arguments: impl IntoIterator<IntoIter = I, Item = I::Item>,
        options: &TaskOptions,
    ) -> Self {
        let mut map = Self {
            feed: Feed::new(submit, arguments.into_iter(), options),
            batches: as_completed([]),
            ready: (0, VecDeque::new()),
        };
        map.refill();
        map
    }

    fn refill(&mut self) {
        while let Some(batch) = self.feed.next_batch() {
            self.batches.push(batch);
        }
    }

    fn stop(&mut self) {
        self.feed.stop(self.batches.unfinished().map(|(_, batch)| batch));
    }
}

impl<I: Iterator, R> Iterator for MapUnordered<'_, I, R> {
    type Item = (usize, Outcome<R>);

    #[track_caller]
    fn next(&mut self) -> Option<(usize, Outcome<R>)> {
        if self.ready.1.is_empty() {
            match self.batches.next_until(self.feed.deadline) {
                Ok(batch) => {
                    let (position, batch) = batch?;
                    self.feed.in_flight -= batch.items();
                    self.ready = (position, batch.into_outcomes());
                    self.refill();
                }
                Err(_) => {
                    let batches = || self.batches.unfinished().map(|(_, batch)| batch);
                    let timeout = Timeout::new(unfinished(batches()), self.feed.submitted);
                    let position = self.batches.unfinished().next().map_or(0, |(position, _)| *position);
                    self.stop();
                    self.batches = as_completed([]);
                    return Some((position, Err(Error::Timeout(timeout))));
                }
            }
        }
        let outcome = self.ready.1.pop_front()?;
        let position = self.ready.0;
        self.ready.0 += 1;
        Some((position, outcome))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let in_hand: usize = self.batches.unfinished().map(|(_, batch)| batch.items()).sum();
        self.feed.size_hint(self.ready.1.len() + in_hand)
    }
}

impl<I: Iterator, R> FusedIterator for MapUnordered<'_, I, R> {}

impl<I: Iterator, R> Drop for MapUnordered<'_, I, R> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<I: Iterator, R> fmt::Debug for MapUnordered<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapUnordered")
            .field("submitted", &self.feed.submitted)
            .field("in_flight", &self.feed.in_flight)
            .finish_non_exhaustive()
    }
}
