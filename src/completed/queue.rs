//! [`CompletionQueue`]: what is done, for a caller that takes it in any order.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use crate::sync::channel::{Receiver, Sender, unbounded};
use crate::sync::{thread, yields};
use crate::task::listener::Listen;
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::BlockReason;

/// The keys of what is done, in completion order, for the one caller that takes them.
pub(crate) struct CompletionQueue {
    listener: Arc<Completions>,
    keys: Receiver<usize>,
}

/// Sends the keys of what is done.
pub(crate) struct Completions(Sender<usize>);

impl Listen for Completions {
    fn done(&self, key: usize, _failed: bool) {
        // Fails only when the queue is gone, and then the key is not needed.
        let _ = self.0.send(key);
    }
}

impl CompletionQueue {
    pub(crate) fn new() -> Self {
        let (sender, keys) = unbounded();
        Self { listener: Arc::new(Completions(sender)), keys }
    }

    /// Returns what sends the keys.
    pub(crate) fn listener(&self) -> &Arc<Completions> {
        &self.listener
    }

    /// Takes a key, if there is one. Does not block.
    pub(crate) fn try_take(&self) -> Option<usize> {
        self.keys.try_recv().ok()
    }

    /// Takes a key, after some yields if there is none yet. Does not sleep.
    pub(crate) fn look(&self, deadline: Option<Instant>) -> Option<usize> {
        self.try_take().or_else(|| {
            (0..yields(deadline)).find_map(|_| {
                thread::yield_now();
                self.try_take()
            })
        })
    }

    /// Blocks until there is a key, and takes it. Returns `None` if the deadline has passed.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> Option<usize> {
        let _compensation = CompensationGuard::new(owner::current(), BlockReason::Worker);
        match deadline {
            // Never disconnected: the listener holds the sender.
            None => self.keys.recv().ok(),
            Some(deadline) => self.keys.recv_deadline(deadline).ok(),
        }
    }
}
