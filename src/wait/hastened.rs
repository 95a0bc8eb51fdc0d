//! [`Hastened`]: how many futures of a row a worker has hastened.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use crate::task::owner;
use crate::task::roles::TaskOwner;

/// Says how many futures of a row a worker has [hastened](super::hasten). A worker that takes one outcome after the other
/// sleeps often, so each future is hastened only once: for the pool of the first worker that sleeps. One that is held back
/// then takes its turn in the queue.
#[derive(Default)]
pub(crate) struct Hastened {
    /// Counted from the first future that was ever in the row.
    count: usize,
}

impl Hastened {
    /// Returns the futures that no earlier call has returned, the last one first, and the executor of this thread, if it is a
    /// worker that may sleep. The caller hastens them, and then sleeps. `before` is the number of futures that have left the
    /// row at its front.
    ///
    /// Returns `None` while a future that an earlier call has returned is in the row: those that are added must not pass it
    /// by, nor keep the tasks in the queue from ever being run.
    pub(crate) fn take_added<'r, T>(
        &mut self,
        row: &'r VecDeque<Option<T>>,
        before: usize,
    ) -> Option<(impl Iterator<Item = &'r T> + use<'r, T>, Arc<dyn TaskOwner>)> {
        if self.count > before || row.is_empty() {
            return None;
        }
        let owner = owner::current().filter(|_| owner::may_block())?;
        self.count = before + row.len();
        Some((row.iter().rev().flatten(), owner))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::Hastened;
    use crate::task::owner::enter_for;
    use crate::task::roles::TaskOwner;

    struct Nobody;
    impl TaskOwner for Nobody {}

    #[test]
    fn futures_are_hastened_once_and_when_no_earlier_one_is_left() {
        let mut row = VecDeque::from([Some(0), Some(1), Some(2)]);
        let mut hastened = Hastened::default();
        assert!(hastened.take_added(&row, 0).is_none(), "this thread is no worker");
        let mut added = |row: &VecDeque<_>, before| {
            let added = enter_for(Arc::new(Nobody), || hastened.take_added(row, before));
            added.map(|(added, _)| added.copied().collect::<Vec<_>>())
        };
        assert_eq!(added(&row, 0), Some(vec![2, 1, 0]));
        (row[1], row[2]) = (None, None);
        row.extend([Some(3), Some(4)]);
        assert_eq!(added(&row, 0), None, "the first one is left");
        row.drain(..3);
        assert_eq!(added(&row, 3), Some(vec![4, 3]));
        assert_eq!(added(&row, 3), None);
        row.clear();
        assert_eq!(added(&row, 5), None);
    }
}
