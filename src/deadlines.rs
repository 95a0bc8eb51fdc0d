//! [`Deadlines`]: values in the order of their deadlines.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Holds values until their deadlines. Those of the same moment are in the order in which their keys were made.
pub(crate) struct Deadlines<T>(BTreeMap<Key, T>);

/// Identifies a value, to remove it before its deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    deadline: Instant,
    number: u64,
}

impl Key {
    pub(crate) fn new(deadline: Instant) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { deadline, number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Deadlines<T> {
    pub(crate) fn add(&mut self, key: Key, value: T) {
        self.0.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.0.remove(&key)
    }

    /// Returns the earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        Some(self.0.first_key_value()?.0.deadline)
    }

    /// Takes the value with the earliest deadline, if that has been reached.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<T> {
        let first = self.0.first_entry()?;
        (first.key().deadline <= now).then(|| first.remove())
    }

    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.0).into_values()
    }

    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(&T) -> bool) {
        self.0.retain(|_, value| is_wanted(value));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Deadlines, Key};

    #[test]
    fn values_come_in_the_order_of_their_deadlines() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        for (second, value) in [(2, "second"), (1, "first"), (2, "third"), (3, "last")] {
            deadlines.add(Key::new(after(second)), value);
        }
        assert_eq!((deadlines.first(), deadlines.take_due(now)), (Some(after(1)), None));
        let due: Vec<_> = std::iter::from_fn(|| deadlines.take_due(after(2))).collect();
        assert_eq!((due, deadlines.len()), (vec!["first", "second", "third"], 1));
        assert_eq!(deadlines.take_all().collect::<Vec<_>>(), ["last"]);
    }

    #[test]
    fn a_value_that_was_removed_is_not_due() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        let (kept, removed) = (Key::new(now), Key::new(now));
        deadlines.add(kept, 1);
        deadlines.add(removed, 2);
        assert_eq!((deadlines.remove(removed), deadlines.remove(removed)), (Some(2), None));
        assert_eq!((deadlines.take_due(now), deadlines.take_due(now)), (Some(1), None));
    }
}
