//! [`Hastened`]: which tasks of a row of futures a worker has moved ahead.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use crate::task::owner;
use crate::task::roles::TaskOwner;

/// Says which futures of a row a worker has [hastened](super::hasten). A worker that takes one outcome after the other
/// sleeps often, and each future is hastened only once.
#[derive(Default)]
pub(crate) struct Hastened {
    /// The number of futures, from the first one that the row ever had.
    count: usize,
}

impl Hastened {
    /// Hastens the futures that were added to the row since the last call, for a worker that is about to sleep. Does
    /// nothing on other threads. `before` is the number of futures that have left the row at its front.
    pub(crate) fn update<T>(
        &mut self,
        row: &VecDeque<Option<T>>,
        before: usize,
        hasten: impl Fn(&T, &Arc<dyn TaskOwner>),
    ) {
        let Some(owner) = owner::current() else { return };
        let new = row.range(self.count.saturating_sub(before)..);
        self.count = before + row.len();
        // The first one last, so that it is run first.
        new.rev().flatten().for_each(|future| hasten(future, &owner));
    }
}
