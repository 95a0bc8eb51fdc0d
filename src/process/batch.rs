//! [`Batch`]: items of a map on their way through the process pool.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};

use crate::id::FutureId;
use crate::items::BatchOwner;
use crate::options::TaskOptions;
use crate::sync::Mutex;
use crate::task::items_span::ItemsSpan;
use crate::ticket::Ticket;

/// Items of a map that cross together and have no task of their own. `T` is what carries them: a remote task.
pub(super) struct Batch<T> {
    pub(super) id: FutureId,
    pub(super) options: Option<Arc<TaskOptions>>,
    /// Taken out once the outcomes are known: a remote task may live longer and be dropped under a lock, where user
    /// values, which an owner has, must not be dropped.
    pub(super) owner: Mutex<Option<Arc<dyn BatchOwner>>>,
    /// The position of the first item, as the owner counts.
    pub(super) first: usize,
    /// The ticket that the items got when they were pulled from the input.
    pub(super) ticket: Ticket,
    /// The batches of the same map that were sent.
    pub(super) sent: Arc<SentBatches<T>>,
    /// Set if spans are wanted.
    pub(super) span: Option<Box<ItemsSpan>>,
}

impl<T> Batch<T> {
    pub(super) fn new(
        owner: Arc<dyn BatchOwner>,
        options: Option<Arc<TaskOptions>>,
        first: usize,
        ticket: Ticket,
        sent: Arc<SentBatches<T>>,
        span: Option<Box<ItemsSpan>>,
    ) -> Self {
        Self { id: FutureId::next(), options, owner: Mutex::new(Some(owner)), first, ticket, sent, span }
    }

    /// Creates a batch of the items from `from` on, counted within this batch. Returns `None` if this batch already has
    /// its outcomes.
    pub(super) fn part(&self, from: usize) -> Option<Self> {
        let owner = self.owner.lock().clone()?;
        let (sent, span) = (Arc::clone(&self.sent), self.span.as_ref().map(|span| Box::new(span.part())));
        Some(Self::new(owner, self.options.clone(), self.first + from, self.ticket, sent, span))
    }
}

/// The batches of one map that were sent, and may not have ended yet.
pub(super) struct SentBatches<T>(Mutex<Vec<Weak<T>>>);

impl<T> Default for SentBatches<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> SentBatches<T> {
    pub(super) fn add(&self, sent: &Arc<T>) {
        let mut all = self.0.lock();
        all.retain(|sent| sent.strong_count() > 0);
        all.push(Arc::downgrade(sent));
    }

    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<Arc<T>> {
        let all = std::mem::take(&mut *self.0.lock());
        all.iter().map(|sent| sent.upgrade().expect("what was divided off is not dropped")).collect()
    }

    /// Calls `call_back` for each batch, to take back what has not begun.
    pub(super) fn call_back(&self, call_back: impl Fn(&T)) {
        // One at a time: a batch may be divided in two as long as it was not called back.
        while let Some(sent) = { self.0.lock().pop() } {
            if let Some(sent) = sent.upgrade() {
                call_back(&sent);
            }
        }
    }
}
