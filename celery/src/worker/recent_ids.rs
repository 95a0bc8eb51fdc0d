//! [`RecentIds`]: a set of ids, each of which is removed after a while.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Remembers ids for `kept_for`, and at most `max_len` of them, so that the memory of a worker stays bounded.
#[derive(Debug)]
pub(super) struct RecentIds {
    max_len: usize,
    kept_for: Duration,
    /// When each was added.
    added: HashMap<Box<str>, Instant>,
    /// The ids in the order of their addition. An id that was forgotten, and perhaps added again, still has an entry
    /// with its old time.
    order: VecDeque<(Instant, Box<str>)>,
}

impl RecentIds {
    pub(super) fn new(max_len: usize, kept_for: Duration) -> Self {
        Self { max_len, kept_for, added: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn add(&mut self, id: &str, now: Instant) {
        self.drop_old(now);
        if self.added.contains_key(id) {
            return;
        }
        self.added.insert(id.into(), now);
        self.order.push_back((now, id.into()));
        while self.order.len() > self.max_len {
            self.drop_oldest();
        }
    }

    pub(super) fn contains(&mut self, id: &str, now: Instant) -> bool {
        self.drop_old(now);
        self.added.contains_key(id)
    }

    /// Forgets an id. Returns `true` if it was remembered.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        self.added.remove(id).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.added.keys().map(|id| &**id)
    }

    fn drop_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(added, _)| now.saturating_duration_since(*added) >= self.kept_for) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((time, id)) = self.order.pop_front()
            && self.added.get(&id) == Some(&time)
        {
            self.added.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::RecentIds;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_newest_are_remembered_for_a_while() {
        let (start, mut ids) = (Instant::now(), RecentIds::new(2, MINUTE));
        ids.add("1", start);
        ids.add("1", start + MINUTE / 2);
        ids.add("2", start + MINUTE / 2);
        assert!(ids.contains("1", start + MINUTE / 2));
        assert!(!ids.contains("1", start + MINUTE), "it was there first, and a second time does not count");
        ids.add("3", start + MINUTE);
        ids.add("4", start + MINUTE);
        assert!(!ids.contains("2", start + MINUTE), "only two are remembered");
        assert_eq!(ids.iter().count(), 2);
    }

    #[test]
    fn an_id_that_was_forgotten_counts_from_when_it_is_added_again() {
        let (start, mut ids) = (Instant::now(), RecentIds::new(9, MINUTE));
        ids.add("1", start);
        assert!(ids.forget("1") && !ids.forget("1"));
        ids.add("1", start + MINUTE / 2);
        assert!(ids.contains("1", start + MINUTE));
        assert!(!ids.contains("1", start + 2 * MINUTE));
    }
}
