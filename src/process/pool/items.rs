//! What the process pool offers to maps.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};

use super::Pool;
use crate::bytes::with_out_of_band;
use crate::error::Error;
use crate::items::{Attached, BatchExecutor, NewBatch, RangeExecutor};
use crate::process::batch::{Batch, SentBatches};
use crate::process::contexts::EncodedContext;
use crate::process::program::call::{FunctionAddress, LocatedCall};
use crate::process::shm::segments::{SegmentPool, SegmentRef};
use crate::process::task::{Completion, RemoteTask};
use crate::task::encoded::{EncodedCall, Entry};
use crate::task::items_span::ItemsSpan;
use crate::task::owner::{Ended, Shared};
use crate::task::trace::Caller;
use crate::ticket::Ticket;

/// The pool, as one map uses it.
struct MapBatches {
    pool: Arc<Pool>,
    sent: Arc<SentBatches<RemoteTask>>,
    /// The context that the function of the map is bound to. Set when the first items are encoded.
    context: OnceLock<Arc<EncodedContext>>,
    /// The caller of the map, if spans are wanted.
    caller: Option<Caller>,
}

/// Segments that are released unless a batch takes them.
struct Segments {
    segments: Vec<SegmentRef>,
    store: Arc<SegmentPool>,
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.store.release(&self.segments, false);
    }
}

impl RangeExecutor for Pool {
    fn takes_only_tasks(&self) -> bool {
        self.settings.time_limit.is_some()
    }

    /// Returns `None` if the pool counts or times tasks, or is a forked copy, in which each item is refused with the
    /// reason.
    fn elsewhere(self: Arc<Self>) -> Option<Arc<dyn BatchExecutor>> {
        let settings = &self.settings;
        let counts = settings.max_tasks_per_worker.is_some() || settings.max_pending.is_some();
        if counts || settings.time_limit.is_some() || self.is_copy() {
            return None;
        }
        let caller = Caller::here();
        Some(Arc::new(MapBatches { pool: self, sent: Arc::default(), context: OnceLock::new(), caller }))
    }
}

impl BatchExecutor for MapBatches {
    fn workers(&self) -> usize {
        self.pool.settings.max_workers
    }

    fn admit(&self) -> Result<Ticket, Error> {
        if self.pool.closing.load(Ordering::Relaxed) {
            let owned = self.pool.owns_thread();
            self.pool.scheduler.lock().refuses_all(owned, false).map_or(Ok(()), Err)?;
        }
        Ok(self.pool.tickets.now())
    }

    fn finds(&self, entry: Entry) -> bool {
        FunctionAddress::of(entry).is_ok()
    }

    fn enlist(&self, shared: Weak<dyn Shared>) {
        self.pool.enlist(shared);
    }

    fn expect_more(&self, first: bool) -> Result<(), Error> {
        self.pool.expect_more(first)
    }

    fn expect_no_more(&self) {
        self.pool.expect_no_more();
    }

    fn add(&self, ended: Ended) {
        self.pool.add(ended);
    }

    fn encode(
        &self,
        encode: &mut dyn FnMut() -> Result<EncodedCall, Error>,
    ) -> Result<(EncodedCall, Vec<(usize, Attached)>), Error> {
        let pool = &self.pool;
        let (encoded, taken) = with_out_of_band(&pool.out_of_band, encode);
        let segments = if taken.is_empty() { Vec::new() } else { pool.segments.references(&taken) };
        let mut segments = Segments { segments, store: Arc::clone(&pool.segments) };
        let mut encoded = pool.sized(encoded?, &mut segments.segments)?;
        if let Some(context) = encoded.context.take()
            && self.context.get().is_none()
        {
            let context = pool.encoded_context(&*context)?;
            self.context.get_or_init(|| context);
        }
        let stored = encoded.items.as_mut().map(|items| std::mem::take(&mut items.stored)).unwrap_or_default();
        let (mut attached, mut before) = (Vec::new(), 0);
        for (position, until) in stored.into_iter().enumerate() {
            let count = until - std::mem::replace(&mut before, until);
            if count > 0 {
                let segments = segments.segments.drain(..count).collect();
                let segments = Segments { segments, store: Arc::clone(&pool.segments) };
                attached.push((position, Attached(Box::new(segments))));
            }
        }
        Ok((encoded, attached))
    }

    fn batch(&self, batch: NewBatch) -> Box<dyn FnOnce()> {
        let NewBatch { encoded, attached, owner, options, first, ticket } = batch;
        let segments = attached.and_then(|attached| attached.0.downcast::<Segments>().ok());
        let segments = segments.map_or_else(Vec::new, |mut segments| std::mem::take(&mut segments.segments));
        let span = self.caller.clone().map(|caller| Box::new(ItemsSpan::new(caller)));
        let batch = Batch::new(owner, options, first, ticket, Arc::clone(&self.sent), span);
        let located = LocatedCall::of(encoded).expect("a map asks first whether its function is found");
        let context = self.context.get().cloned();
        let remote = RemoteTask::new(Completion::Batch(batch), Arc::clone(&self.pool) as _, located, segments, context);
        self.sent.add(&remote);
        let pool = Arc::clone(&self.pool);
        Box::new(move || pool.submit(remote, true))
    }

    fn call_back(&self) {
        self.sent.call_back(RemoteTask::call_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::OutOfBand;
    use crate::process::shm::segments::LONG;

    #[test]
    fn segments_that_no_batch_has_sent_are_free_again() {
        let store = Arc::<SegmentPool>::default();
        let number = store.put(&[7; LONG]).unwrap();
        let segments = Segments { segments: store.references(&[number]), store: Arc::clone(&store) };
        drop(Attached(Box::new(segments)));
        assert_eq!(store.put(&[7; LONG]), Some(number));
    }
}
