//! [`EncodedContext`]: an encoded context on its way to workers. Each worker gets it once, and drops it when no task
//! needs it any more.
//!
//! # Ownership
//!
//! The encoding is attached to the context, and each remote task that needs it has a share. So it lives until the last
//! handle, the last map and the last task that need it are gone. The connection to a worker knows, under its own lock,
//! which contexts that worker has:
//!
//! | event | what follows |
//! |---|---|
//! | a task is sent to a worker that lacks its context | the context is sent, and right behind it the task |
//! | a task is sent to a worker that has its context | the task is sent |
//! | the context is dropped here | the monitor of each worker that has it wakes. It sends `Drop` to its worker, and tells all workers which shared memory has gone |
//! | a worker dies | nothing: the worker that replaces it has a new connection, which knows no contexts |
//!
//! A task that is sent again, to the same worker or another one, takes the same path, so its context is always there.
//!
//! # Why the monitor sends `Drop`
//!
//! The last remote task may be dropped under any lock of the pool, and the context with it. So the drop only adds the
//! number of the context to the [`Releases`] of each worker that has it, and rings the bell of the monitor. The lock of
//! the `Releases` is taken last, and only for a moment. A number is not used again, so a late `Drop` hits no other
//! context.
//!
//! The shared memory of a context is not used again either, because a value in a worker may have kept a part of it.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::os::Bell;
use super::shm::segments::{SegmentPool, SegmentRef, message_size};
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::error::{Error, Part, TooLarge};
use crate::fork;
use crate::sync::Mutex;
use crate::task::shared_context::{AnyContext, Attachment};

/// Stands for no context in a frame: numbers begin above it.
pub(super) const NO_CONTEXT: u64 = 0;

pub(super) struct EncodedContext {
    pub(super) number: u64,
    pub(super) encoded: Vec<u8>,
    /// The segments that go along with the encoding.
    pub(super) segments: Vec<SegmentRef>,
    /// The pool that the segments belong to. Each process pool has its own, so this tells process pools apart.
    store: Arc<SegmentPool>,
    /// The workers that it was sent to. Empty until it is sent for the first time. Some of them may have ended.
    receivers: Mutex<Vec<Weak<Releases>>>,
    generation: u32,
}

impl EncodedContext {
    /// Returns the encoding of the context for the pool with these segments. If there is none yet, encodes the context,
    /// which runs user code.
    ///
    /// # Errors
    ///
    /// If the context cannot be encoded, or is longer than `limit`. The next call that needs it tries again.
    pub(super) fn of(context: &dyn AnyContext, store: &Arc<SegmentPool>, limit: u64) -> Result<Arc<Self>, Error> {
        let attached = Self::find(&context.attachments().lock(), store);
        if let Some(attached) = attached {
            return Ok(attached);
        }
        let out_of_band: Arc<dyn OutOfBand> = Arc::clone(store) as _;
        let (encoded, taken) = with_out_of_band(&out_of_band, || context.encode());
        let segments = store.references(&taken);
        let encoded = encoded.and_then(|encoded| match message_size(encoded.len(), &segments) {
            size if size > limit => Err(Error::TooLarge(TooLarge::new(size, limit).with_part(Part::Context))),
            _ => Ok(encoded),
        });
        let encoded = encoded.inspect_err(|_| store.release(&segments, false))?;
        Ok(Self::new(encoded, segments, Arc::clone(store)).attach(context))
    }

    fn new(encoded: Vec<u8>, segments: Vec<SegmentRef>, store: Arc<SegmentPool>) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(NO_CONTEXT + 1);
        Arc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            encoded,
            segments,
            store,
            receivers: Mutex::default(),
            generation: fork::generation(),
        })
    }

    /// Returns the one among the attachments that the pool with these segments has made.
    fn find(attachments: &[Attachment], store: &Arc<SegmentPool>) -> Option<Arc<Self>> {
        let mut encoded = attachments.iter().filter_map(|attachment| Arc::clone(attachment).downcast::<Self>().ok());
        encoded.find(|encoded| Arc::ptr_eq(&encoded.store, store))
    }

    /// Attaches this to the context. If another thread was faster, returns what that has attached.
    fn attach(self: Arc<Self>, context: &dyn AnyContext) -> Arc<Self> {
        let mut attachments = context.attachments().lock();
        if let Some(first) = Self::find(&attachments, &self.store) {
            return first;
        }
        attachments.push(Arc::clone(&self) as _);
        self
    }

    /// Notes that the context is about to be sent to a worker.
    pub(super) fn note_sent(&self, to: &Arc<Releases>) {
        let mut receivers = self.receivers.lock();
        receivers.retain(|receiver| receiver.strong_count() > 0);
        receivers.push(Arc::downgrade(to));
    }
}

impl Drop for EncodedContext {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // This is a forked copy of the process: locks may be held for ever, and the bells belong to the original.
            return;
        }
        // The segments are released before the monitors wake, because a monitor tells all workers which ones have gone.
        let is_sent = !self.receivers.get_mut().is_empty();
        self.store.release(&self.segments, is_sent);
        for receiver in self.receivers.get_mut().drain(..) {
            if let Some(releases) = receiver.upgrade() {
                releases.add(self.number);
            }
        }
    }
}

/// The numbers of contexts that a worker has and no longer needs, until its monitor tells it. Also the bell that wakes
/// the monitor, so that a context can ring it when it is dropped.
pub(super) struct Releases {
    pub(super) bell: Bell,
    numbers: Mutex<Vec<u64>>,
}

impl Releases {
    pub(super) fn new(bell: Bell) -> Arc<Self> {
        Arc::new(Self { bell, numbers: Mutex::default() })
    }

    fn add(&self, number: u64) {
        self.numbers.lock().push(number);
        self.bell.ring();
    }

    pub(super) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock())
    }
}
