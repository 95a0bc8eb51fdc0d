//! [`Hastened`]: what a worker did about the tasks of a row of futures before it slept.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use crate::task::owner;
use crate::task::roles::{BlockReason, TaskOwner};

/// Says which futures of a row a worker has [hastened](super::hasten), and what it needs of other workers. A worker that
/// takes one outcome after the other sleeps often, so each future is hastened only once.
pub(crate) struct Hastened {
    /// The number of futures, from the first one that the row ever had.
    count: usize,
    need: BlockReason,
}

impl Hastened {
    pub(crate) fn nothing() -> Self {
        Self { count: 0, need: BlockReason::Progress }
    }

    /// Hastens the futures that were added to the row since the last call, and returns what this thread needs of other
    /// workers if it sleeps now. Does nothing if it is not a worker. `before` is the number of futures that have left the
    /// row at its front.
    pub(crate) fn update<T>(
        &mut self,
        row: &VecDeque<Option<T>>,
        before: usize,
        hasten: impl Fn(&T, &Arc<dyn TaskOwner>) -> BlockReason,
    ) -> BlockReason {
        if let Some(owner) = owner::current() {
            let new = row.range(self.count.saturating_sub(before)..);
            self.count = before + row.len();
            // The first one last, so that it is run first.
            self.need = new.rev().flatten().map(|future| hasten(future, &owner)).fold(self.need, Ord::max);
        }
        self.need
    }
}
