//! [`Runs`]: outcomes of items, by position, until the caller takes them.
//!
//! A *run* is outcomes of adjacent items. A worker that takes one item after the other makes one run that grows; if
//! several workers share a range, there are several runs. A caller that wants input order takes the run that begins
//! where the last one ended.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::error::Outcome;
use crate::outcomes::Outcomes;

/// The order in which a caller takes outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The order of the input.
    Input,
    /// The order of completion.
    Any,
}

pub(crate) struct Runs<R> {
    /// The run that grows, and the position of its first item.
    last: (usize, Outcomes<R>),
    /// The other runs.
    others: BTreeMap<usize, Outcomes<R>>,
    /// The number of outcomes in all runs.
    stored: usize,
    /// Counts the outcomes that were taken.
    taken: usize,
    /// All outcomes before this position were taken.
    prefix: usize,
    /// The outcomes taken beyond `prefix`: from the first position of each stretch to its end.
    beyond: BTreeMap<usize, usize>,
}

impl<R> Runs<R> {
    pub(crate) fn new() -> Self {
        Self {
            last: (0, Outcomes::new()),
            others: BTreeMap::new(),
            stored: 0,
            taken: 0,
            prefix: 0,
            beyond: BTreeMap::new(),
        }
    }

    #[inline]
    pub(crate) fn put(&mut self, position: usize, outcome: Outcome<R>) {
        let (first, outcomes) = &mut self.last;
        if outcomes.len() == 0 {
            *first = position;
        } else if position != *first + outcomes.len() {
            self.others.insert(*first, std::mem::take(outcomes));
            *first = position;
        }
        outcomes.push(outcome);
        self.stored += 1;
    }

    /// Returns `true` if the next outcome in input order is stored.
    pub(crate) fn has_next(&self) -> bool {
        let (first, outcomes) = &self.last;
        (*first == self.prefix && outcomes.len() > 0) || self.others.contains_key(&self.prefix)
    }

    /// Takes a run. Returns the position of its first outcome, and the outcomes.
    pub(crate) fn take(&mut self, order: Order) -> Option<(usize, Outcomes<R>)> {
        let (first, outcomes) = &mut self.last;
        let run = if outcomes.len() > 0 && (order == Order::Any || *first == self.prefix) {
            Some((*first, std::mem::take(outcomes)))
        } else if order == Order::Any {
            self.others.pop_first()
        } else {
            self.others.remove_entry(&self.prefix)
        };
        let (first, outcomes) = run?;
        self.note(first, outcomes.len());
        Some((first, outcomes))
    }

    fn note(&mut self, first: usize, count: usize) {
        self.stored -= count;
        self.taken += count;
        self.beyond.insert(first, first + count);
        while let Some(end) = self.beyond.remove(&self.prefix) {
            self.prefix = end;
        }
    }

    /// Returns the number of stored outcomes.
    pub(crate) fn stored(&self) -> usize {
        self.stored
    }

    /// Counts the outcomes that were taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Returns the first position whose outcome was not taken.
    pub(crate) fn first_left(&self) -> usize {
        self.prefix
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, Runs};

    fn values(run: Option<(usize, crate::outcomes::Outcomes<u32>)>) -> Option<(usize, Vec<u32>)> {
        let (first, mut outcomes) = run?;
        Some((first, std::iter::from_fn(|| outcomes.pop()).map(Result::unwrap).collect()))
    }

    #[test]
    fn outcomes_are_taken_in_input_order_however_they_come() {
        let mut runs = Runs::new();
        for position in [2, 3, 0, 5, 1] {
            runs.put(position, Ok(10 * position as u32));
        }
        assert_eq!((runs.stored(), runs.taken()), (5, 0));
        assert_eq!(values(runs.take(Order::Input)), Some((0, vec![0])));
        assert_eq!(values(runs.take(Order::Input)), Some((1, vec![10])));
        assert!(runs.has_next());
        assert_eq!(values(runs.take(Order::Input)), Some((2, vec![20, 30])));
        assert!(!runs.has_next());
        assert!(runs.take(Order::Input).is_none());
        assert_eq!((runs.stored(), runs.taken(), runs.first_left()), (1, 4, 4));
        runs.put(4, Ok(40));
        assert_eq!(values(runs.take(Order::Input)), Some((4, vec![40])));
        assert_eq!(values(runs.take(Order::Input)), Some((5, vec![50])));
    }

    #[test]
    fn in_any_order_each_outcome_is_taken_once() {
        let mut runs = Runs::new();
        for position in [4, 1, 2, 0] {
            runs.put(position, Ok(position as u32));
        }
        let mut seen: Vec<u32> = std::iter::from_fn(|| values(runs.take(Order::Any))).flat_map(|run| run.1).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 4]);
        assert_eq!((runs.stored(), runs.taken(), runs.first_left()), (0, 4, 3));
        runs.put(3, Ok(3));
        assert!(runs.take(Order::Any).is_some());
        assert_eq!(runs.first_left(), 5);
    }
}
