//! How outcomes are dropped that nobody takes, and [`Outcomes`], the outcomes of a chunk.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::error::{Error, Outcome};
use crate::held::{Held, is_large};
use crate::unwind::{catch_and_log, drop_caught};

/// Drops an outcome that nobody took or looked at. An error is logged, unless it is a cancellation, which was
/// requested.
pub(crate) fn drop_unobserved<T>(outcome: impl Held<Outcome<T>>, task: &dyn Fn() -> String) {
    if let Err(error) = outcome.get() {
        log_lost(error, task);
    }
    drop_caught(outcome);
}

fn log_lost(error: &Error, task: &dyn Fn() -> String) {
    if !matches!(error, Error::Cancelled) {
        catch_and_log("the display of a task's error", || {
            log::warn!("{} ended with an error that nobody looked at: {error}", task());
        });
    }
}

/// The outcomes of a chunk in input order. Those that nobody takes are dropped one by one, each like that of a single
/// task.
pub(crate) struct Outcomes<R>(List<R>);

/// As long as none is an error, only the values are stored, which are shorter. Large outcomes are handed on in their
/// [boxes](crate::held).
enum List<R> {
    Values(VecDeque<R>),
    Mixed(VecDeque<Outcome<R>>),
    Large(VecDeque<Box<Outcome<R>>>),
}

impl<R> Outcomes<R> {
    pub(crate) fn new() -> Self {
        Self(if const { is_large::<R>() } { List::Large(VecDeque::new()) } else { List::Values(VecDeque::new()) })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            List::Values(values) => values.len(),
            List::Mixed(outcomes) => outcomes.len(),
            List::Large(outcomes) => outcomes.len(),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, outcome: impl Held<Outcome<R>>) {
        if const { is_large::<R>() } {
            if let List::Large(outcomes) = &mut self.0 {
                outcomes.push_back(outcome.boxed());
            }
            return;
        }
        match (&mut self.0, outcome.release()) {
            (List::Values(values), Ok(value)) => values.push_back(value),
            (List::Mixed(outcomes), outcome) => outcomes.push_back(outcome),
            (_, outcome) => self.mix().push_back(outcome),
        }
    }

    /// Changes the list so that it can hold errors.
    #[cold]
    fn mix(&mut self) -> &mut VecDeque<Outcome<R>> {
        if let List::Values(values) = &mut self.0 {
            self.0 = List::Mixed(std::mem::take(values).into_iter().map(Ok).collect());
        }
        match &mut self.0 {
            List::Mixed(outcomes) => outcomes,
            List::Values(_) | List::Large(_) => {
                unreachable!("values were mixed, and large outcomes are not pushed here")
            }
        }
    }

    /// Takes the next one, unless they are large.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Outcome<R>> {
        match &mut self.0 {
            List::Values(values) => values.pop_front().map(Ok),
            List::Mixed(outcomes) => outcomes.pop_front(),
            List::Large(_) => None,
        }
    }

    /// Takes the next one, if they are large.
    pub(crate) fn pop_boxed(&mut self) -> Option<Box<Outcome<R>>> {
        match &mut self.0 {
            List::Values(_) | List::Mixed(_) => None,
            List::Large(outcomes) => outcomes.pop_front(),
        }
    }
}

impl<R> Default for Outcomes<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, H: Held<Outcome<R>>> FromIterator<H> for Outcomes<R> {
    fn from_iter<I: IntoIterator<Item = H>>(outcomes: I) -> Self {
        let mut all = Self::new();
        outcomes.into_iter().for_each(|outcome| all.push(outcome));
        all
    }
}

impl<R> Drop for Outcomes<R> {
    fn drop(&mut self) {
        let of_a_map = &|| "an item of a map".into();
        while let Some(outcome) = self.pop_boxed() {
            drop_unobserved(outcome, of_a_map);
        }
        if const { !is_large::<R>() } {
            while let Some(outcome) = self.pop() {
                drop_unobserved(outcome, of_a_map);
            }
        }
    }
}
