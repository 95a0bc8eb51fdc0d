//! [`Map`] and [`MapUnordered`]: one function over many arguments.
//!
//! Without `buffer_size` the feed is drained by the constructor.
#![forbid(unsafe_code)]

mod engine;
mod feed;
mod local;
mod range;
mod remote;
mod source;

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use crate::completed::{AsCompleted, as_completed};
use crate::error::{Error, Outcome, Timeout};
use crate::held::is_large;
use crate::options::TaskOptions;
use crate::outcomes::Outcomes;
use crate::wait::{is_done, wait_until};
use engine::Engine;
pub(crate) use engine::ItemRunner;
use feed::{Batch, Feed, unfinished};
pub(crate) use feed::{Submit, Via, on_threads};

/// Yields the outcome of each item in input order; made by [`Executor::map`](crate::Executor::map).
///
/// `next` blocks until the next outcome is there. Dropping the iterator cancels what has not started.
#[must_use = "dropping a map cancels what has not started"]
pub struct Map<'e, I: Iterator, R> {
    feed: Feed<'e, I, R>,
    items: Items<I::Item, R>,
    /// Outcomes that are there, of items before those in `items`.
    ready: Outcomes<R>,
}

/// What has no outcome that was seen, in input order.
enum Items<A, R> {
    /// In tasks of their own, or several in one.
    Batches(VecDeque<Batch<R>>),
    /// Shared by the threads of a pool.
    Engine(Engine<A, R>),
}

impl<'e, I: Iterator, R> Map<'e, I, R> {
    pub(crate) fn new(
        submit: impl Submit<I::Item, R> + 'e,
        arguments: impl IntoIterator<IntoIter = I, Item = I::Item>,
        options: &TaskOptions,
    ) -> Self {
        let runner = submit.item_runner();
        let feed = Feed::new(submit, arguments.into_iter(), options);
        let items = runner.map_or_else(|| Items::Batches(VecDeque::new()), |runner| Items::Engine(Engine::new(runner)));
        let mut map = Self { feed, items, ready: Outcomes::new() };
        map.refill();
        map
    }

    fn refill(&mut self) {
        match &mut self.items {
            Items::Batches(batches) => {
                while let Some((_, batch)) = self.feed.next_batch() {
                    batches.push_back(batch);
                }
            }
            Items::Engine(engine) => {
                if let Some(input) = self.feed.input.take() {
                    self.feed.submitted = engine.fill(input);
                }
            }
        }
    }

    /// Blocks until there are outcomes. `None`: there are no more. Empty: the time is up.
    #[track_caller]
    fn next_outcomes(&mut self) -> Option<Outcomes<R>> {
        match &mut self.items {
            Items::Engine(engine) => engine.next(self.feed.deadline),
            Items::Batches(batches) => {
                let first = batches.front()?;
                if !is_done(first) && !wait_until(first, self.feed.deadline) {
                    return Some(Outcomes::new());
                }
                let batch = batches.pop_front()?;
                self.feed.in_flight -= batch.items();
                Some(batch.into_outcomes())
            }
        }
    }

    fn stop(&mut self) {
        match &mut self.items {
            Items::Batches(batches) => {
                self.feed.stop(batches.iter());
                batches.clear();
            }
            Items::Engine(engine) => engine.stop(),
        }
    }
}

impl<I: Iterator, R> Iterator for Map<'_, I, R> {
    type Item = Outcome<R>;

    #[track_caller]
    fn next(&mut self) -> Option<Outcome<R>> {
        if self.ready.len() == 0 {
            self.ready = self.next_outcomes()?;
            if self.ready.len() == 0 {
                let unfinished = match &self.items {
                    Items::Batches(batches) => unfinished(batches.iter()),
                    Items::Engine(engine) => engine.unfinished(),
                };
                self.stop();
                return Some(Err(Error::Timeout(Timeout::new(unfinished, self.feed.submitted, self.feed.timeout))));
            }
            self.refill();
        }
        if const { is_large::<R>() } {
            return Some(*self.ready.pop_boxed()?);
        }
        self.ready.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let behind = match &self.items {
            Items::Batches(batches) => batches.iter().map(Batch::items).sum(),
            Items::Engine(engine) => engine.left(),
        };
        self.feed.size_hint(self.ready.len() + behind)
    }
}

impl<I: Iterator, R> FusedIterator for Map<'_, I, R> {}

impl<I: Iterator, R> Drop for Map<'_, I, R> {
    fn drop(&mut self) {
        self.stop();
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
/// `next` blocks until an outcome is there. Dropping the iterator cancels what has not started. When a timeout runs out,
/// the position is that of the first item without an outcome.
#[must_use = "dropping a map cancels what has not started"]
pub struct MapUnordered<'e, I: Iterator, R> {
    feed: Feed<'e, I, R>,
    batches: AsCompleted<(usize, Batch<R>)>,
    /// Outcomes that are there, and the position of the first of them.
    ready: (usize, Outcomes<R>),
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
            ready: (0, Outcomes::new()),
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
        if self.ready.1.len() == 0 {
            match self.batches.next_until(self.feed.deadline) {
                Ok(batch) => {
                    let (position, batch) = batch?;
                    self.feed.in_flight -= batch.items();
                    self.ready = (position, batch.into_outcomes());
                    self.refill();
                }
                Err(_) => {
                    let batches = || self.batches.unfinished().map(|(_, batch)| batch);
                    let timeout = Timeout::new(unfinished(batches()), self.feed.submitted, self.feed.timeout);
                    let position = self.batches.unfinished().next().map_or(0, |(position, _)| *position);
                    self.stop();
                    self.batches = as_completed([]);
                    return Some((position, Err(Error::Timeout(timeout))));
                }
            }
        }
        let position = self.ready.0;
        self.ready.0 += 1;
        if const { is_large::<R>() } {
            return Some((position, *self.ready.1.pop_boxed()?));
        }
        Some((position, self.ready.1.pop()?))
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
