//! [`Hastened`]: how many futures of a row a worker has hastened.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use crate::task::owner;
use crate::task::roles::{TaskOwner, Turn};

/// Says how many futures of a row a worker has [hastened](super::hasten). A worker that takes one outcome after the other
/// sleeps often, so each future is hastened only once.
#[derive(Default)]
pub(crate) struct Hastened {
    /// Counted from the first future that was ever in the row.
    count: usize,
}

/// Futures that a worker has to hasten.
pub(crate) struct ToHasten<'r, T> {
    /// In the order in which they are to be hastened.
    pub(crate) futures: Vec<&'r T>,
    pub(crate) owner: Arc<dyn TaskOwner>,
    pub(crate) turn: Turn,
}

impl Hastened {
    /// Returns the futures that were added to the row since the last call, for a worker that is about to sleep. They are
    /// hastened then. Returns `None` if there are none, or the calling thread is no worker that may sleep. `before` is the
    /// number of futures that have left the row at its front.
    pub(crate) fn added<'r, T>(&mut self, row: &'r VecDeque<Option<T>>, before: usize) -> Option<ToHasten<'r, T>> {
        let new = self.count.saturating_sub(before);
        if new == row.len() {
            return None;
        }
        let owner = owner::current().filter(|_| owner::may_block())?;
        let futures = row.range(new..).flatten();
        // If earlier ones are left, the new ones must not get in before them each time.
        let (futures, turn) = match new {
            0 => (futures.rev().collect(), Turn::Next),
            _ => (futures.collect(), Turn::Last),
        };
        self.count = before + row.len();
        Some(ToHasten { futures, owner, turn })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::Hastened;
    use crate::task::owner::enter_for;
    use crate::task::roles::{TaskOwner, Turn};

    struct Nobody;
    impl TaskOwner for Nobody {}

    #[test]
    fn each_future_is_hastened_once_and_behind_those_that_are_left() {
        let mut row = VecDeque::from([Some(0), Some(1), Some(2)]);
        let mut hastened = Hastened::default();
        assert!(hastened.added(&row, 0).is_none(), "this thread is no worker");
        let mut added = |row: &VecDeque<_>, before| {
            let added = enter_for(Arc::new(Nobody), || hastened.added(row, before));
            added.map(|added| (added.futures.into_iter().copied().collect::<Vec<_>>(), added.turn))
        };
        assert_eq!(added(&row, 0), Some((vec![2, 1, 0], Turn::Next)));
        assert_eq!(added(&row, 0), None);
        (row[1], row[2]) = (None, None);
        row.extend([Some(3), Some(4)]);
        assert_eq!(added(&row, 0), Some((vec![3, 4], Turn::Last)));
        // Once none of them is left, the next ones are first again.
        row.clear();
        row.push_back(Some(5));
        assert_eq!(added(&row, 5), Some((vec![5], Turn::Next)));
        row[0] = None;
        assert_eq!(added(&row, 5), None);
    }
}
