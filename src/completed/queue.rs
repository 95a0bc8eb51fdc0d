//! [`CompletionQueue`]: what is done, for a caller that takes it in any order.
#![forbid(unsafe_code)]

#[cfg(feature = "stream")]
mod polled;

use std::sync::Arc;
#[cfg(feature = "stream")]
use std::task::{Context, Poll};
use std::time::Instant;

#[cfg(feature = "stream")]
use crate::blocking;
use crate::look::look;
use crate::sync::channel::{Receiver, Sender, unbounded};
use crate::task::listener::{Key, Listen};
use crate::task::owner::{self, CompensationGuard};
use crate::task::roles::BlockReason;
use crate::task::snapshot::End;

/// The keys of what is done, in completion order, for the one caller that takes them.
pub(crate) struct CompletionQueue {
    listener: Arc<Completions>,
    keys: Receiver<Key>,
}

/// Sends the keys of what is done.
pub(crate) struct Completions {
    keys: Sender<Key>,
    #[cfg(feature = "stream")]
    poll: polled::Poll,
}

impl Listen for Completions {
    fn done(&self, key: Key, _end: End) {
        // Fails only when the queue is gone, and then the key is not needed.
        let _ = self.keys.send(key);
    }

    #[cfg(feature = "stream")]
    fn wake(&self) {
        self.poll.wake();
    }
}

impl CompletionQueue {
    pub(crate) fn new() -> Self {
        let (sender, keys) = unbounded();
        let listener = Completions {
            keys: sender,
            #[cfg(feature = "stream")]
            poll: polled::Poll::default(),
        };
        Self { listener: Arc::new(listener), keys }
    }

    /// Returns what sends the keys.
    pub(crate) fn listener(&self) -> &Arc<Completions> {
        &self.listener
    }

    /// Takes a key, if there is one. Does not block.
    pub(crate) fn try_take(&self) -> Option<Key> {
        self.keys.try_recv().ok()
    }

    /// Takes a key, after a [look](crate::look) if there is none yet. Does not sleep.
    pub(crate) fn look(&self, deadline: Option<Instant>) -> Option<Key> {
        look(deadline, || !self.keys.is_empty());
        self.try_take()
    }

    /// Takes a key if there is one. Otherwise has the task woken when there is one.
    #[cfg(feature = "stream")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Key> {
        blocking::note_poll();
        if let Some(key) = self.try_take() {
            return Poll::Ready(key);
        }
        self.listener.poll.set(context);
        self.try_take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Blocks until there is a key, and takes it. Returns `None` if the deadline has passed.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> Option<Key> {
        let _compensation = CompensationGuard::new(owner::current(), BlockReason::Worker);
        match deadline {
            // Never disconnected: the listener holds the sender.
            None => self.keys.recv().ok(),
            Some(deadline) => self.keys.recv_deadline(deadline).ok(),
        }
    }
}
