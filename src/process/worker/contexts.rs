//! [`Contexts`]: the contexts of a worker, from their arrival until the pool says that no task needs them.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::task::shared_context::ReceivedContext;
use crate::unwind::drop_caught;

/// The contexts that a worker has, by their numbers.
#[derive(Default)]
pub(super) struct Contexts(HashMap<u64, ReceivedContext>);

impl Contexts {
    /// Adds a context that has arrived. If there is no memory for it, only the tasks that need it fail.
    pub(super) fn add(&mut self, number: u64, encoded: &[u8]) {
        let mut bytes = Vec::new();
        let context = match bytes.try_reserve_exact(encoded.len()) {
            Ok(()) => {
                bytes.extend_from_slice(encoded);
                ReceivedContext::new(bytes)
            }
            Err(error) => ReceivedContext::unreadable(format!("the worker cannot keep it: {error}")),
        };
        drop_caught(self.0.insert(number, context));
    }

    pub(super) fn find(&self, number: u64) -> Option<&ReceivedContext> {
        self.0.get(&number)
    }

    /// Drops a context. A panic of its `Drop` does not end the worker.
    pub(super) fn drop(&mut self, number: u64) {
        drop_caught(self.0.remove(&number));
    }
}
