//! What becomes of outcomes that nobody takes, and [`Outcomes`], those of a chunk.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::error::{Error, Outcome};
use crate::panics::{discard, shield};

/// Drops an outcome that nobody took or looked at: an error is logged, but for a cancellation, which was somebody's wish.
pub(crate) fn lose<T>(outcome: Outcome<T>, task: impl FnOnce() -> String) {
    if let Err(error) = &outcome
        && !matches!(error, Error::Cancelled)
    {
        shield("the display of a task's error", || {
            log::warn!("{} ended with an error that nobody looked at: {error}", task());
        });
    }
    discard(outcome);
}

/// The outcomes of a chunk in input order. Those that nobody takes go one by one, each as that of a task alone would.
pub(crate) struct Outcomes<R>(VecDeque<Outcome<R>>);

impl<R> Outcomes<R> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, outcome: Outcome<R>) {
        self.0.push_back(outcome);
    }

    pub(crate) fn pop(&mut self) -> Option<Outcome<R>> {
        self.0.pop_front()
    }
}

impl<R> Default for Outcomes<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> FromIterator<Outcome<R>> for Outcomes<R> {
    fn from_iter<I: IntoIterator<Item = Outcome<R>>>(outcomes: I) -> Self {
        Self(outcomes.into_iter().collect())
    }
}

impl<R> Drop for Outcomes<R> {
    fn drop(&mut self) {
        while let Some(outcome) = self.pop() {
            lose(outcome, || "an item of a map".into());
        }
    }
}
