//! [`Map`] and [`MapUnordered`]: one function over many arguments.
//!
//! Without `buffer_size`, the constructor pulls all input, or as far as the executor accepts it.
#![forbid(unsafe_code)]

mod engine;
mod jobs;
mod local;
mod range;
mod remote;
mod runner;
mod runs;
mod source;
#[cfg(feature = "stream")]
mod timeout_waker;

use std::fmt;
use std::iter::FusedIterator;
#[cfg(feature = "stream")]
use std::task::{Context, Poll};

use crate::error::Outcome;
use crate::held::is_large;
use crate::options::MapOptions;
use crate::outcomes::Outcomes;
use engine::{Engine, Step};
pub(crate) use jobs::{Submit, Via, has_time_limit, on_threads};
use runs::Order;
pub(crate) use source::SharedItems;

/// Yields the outcome of each item in input order. Made by [`Executor::map`](crate::Executor::map).
///
/// `next` blocks until the next outcome is available. Dropping the iterator cancels the items that have not started.
#[must_use = "dropping a map cancels what has not started"]
pub struct Map<'e, I: Iterator, R> {
    engine: Engine<'e, I, R>,
    /// Outcomes that were taken from the engine and are not yielded yet.
    ready: Outcomes<R>,
}

impl<'e, I: Iterator, R> Map<'e, I, R>
where
    I::Item: Send + 'static,
    R: Send + 'static,
{
    pub(crate) fn new(
        submit: impl Submit<I::Item, R> + 'e,
        options: &MapOptions,
        arguments: impl IntoIterator<IntoIter = I, Item = I::Item>,
    ) -> Self {
        let engine = Engine::new(submit, options, arguments.into_iter(), Order::Input);
        let mut map = Self { engine, ready: Outcomes::new() };
        map.engine.pull_ahead();
        map
    }
}

impl<I: Iterator, R> Iterator for Map<'_, I, R> {
    type Item = Outcome<R>;

    #[inline]
    #[track_caller]
    fn next(&mut self) -> Option<Outcome<R>> {
        if self.ready.len() == 0 {
            match self.engine.next()? {
                Step::Outcomes(_, outcomes) => {
                    self.ready = outcomes;
                    self.engine.pull_ahead();
                }
                Step::TimedOut(_, error) => return Some(Err(error)),
            }
        }
        if const { is_large::<R>() } {
            return Some(*self.ready.pop_boxed()?);
        }
        self.ready.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.engine.size_hint(self.ready.len())
    }
}

impl<I: Iterator, R> FusedIterator for Map<'_, I, R> {}

impl<I: Iterator, R> Drop for Map<'_, I, R> {
    fn drop(&mut self) {
        self.engine.stop();
    }
}

impl<I: Iterator, R> fmt::Debug for Map<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("submitted", &self.engine.pulled())
            .field("in_flight", &self.engine.in_flight())
            .finish_non_exhaustive()
    }
}

/// Yields `(input position, outcome)` of each item as it is done. Made by
/// [`Executor::map_unordered`](crate::Executor::map_unordered).
///
/// `next` blocks until an outcome is available. Dropping the iterator cancels the items that have not started. If the
/// map times out, the position is that of the first item without an outcome.
#[must_use = "dropping a map cancels what has not started"]
pub struct MapUnordered<'e, I: Iterator, R> {
    engine: Engine<'e, I, R>,
    /// Outcomes that were taken from the engine and are not yielded yet, and the position of the first of them.
    ready: (usize, Outcomes<R>),
}

impl<'e, I: Iterator, R> MapUnordered<'e, I, R>
where
    I::Item: Send + 'static,
    R: Send + 'static,
{
    pub(crate) fn new(
        submit: impl Submit<I::Item, R> + 'e,
        options: &MapOptions,
        arguments: impl IntoIterator<IntoIter = I, Item = I::Item>,
    ) -> Self {
        let engine = Engine::new(submit, options, arguments.into_iter(), Order::Any);
        let mut map = Self { engine, ready: (0, Outcomes::new()) };
        map.engine.pull_ahead();
        map
    }
}

impl<I: Iterator, R> MapUnordered<'_, I, R> {
    /// Takes what the engine has, and yields the first of it.
    #[inline]
    fn step(&mut self, step: Step<R>) -> Option<(usize, Outcome<R>)> {
        match step {
            Step::Outcomes(first, outcomes) => {
                self.ready = (first, outcomes);
                self.engine.pull_ahead();
                self.pop()
            }
            Step::TimedOut(position, error) => Some((position, Err(error))),
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<(usize, Outcome<R>)> {
        let position = self.ready.0;
        self.ready.0 += 1;
        if const { is_large::<R>() } {
            return Some((position, *self.ready.1.pop_boxed()?));
        }
        Some((position, self.ready.1.pop()?))
    }

    /// As `next`, but has the task woken when there is an outcome.
    #[cfg(feature = "stream")]
    pub(crate) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<(usize, Outcome<R>)>> {
        if self.ready.1.len() > 0 {
            return Poll::Ready(self.pop());
        }
        self.engine.poll_next(context).map(|step| self.step(step?))
    }
}

impl<I: Iterator, R> Iterator for MapUnordered<'_, I, R> {
    type Item = (usize, Outcome<R>);

    #[inline]
    #[track_caller]
    fn next(&mut self) -> Option<(usize, Outcome<R>)> {
        if self.ready.1.len() == 0 {
            let step = self.engine.next()?;
            return self.step(step);
        }
        self.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.engine.size_hint(self.ready.1.len())
    }
}

impl<I: Iterator, R> FusedIterator for MapUnordered<'_, I, R> {}

impl<I: Iterator, R> Drop for MapUnordered<'_, I, R> {
    fn drop(&mut self) {
        self.engine.stop();
    }
}

impl<I: Iterator, R> fmt::Debug for MapUnordered<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapUnordered")
            .field("submitted", &self.engine.pulled())
            .field("in_flight", &self.engine.in_flight())
            .finish_non_exhaustive()
    }
}
