//! [`EncodedContext`]: a context of calls on its way to workers. Each worker gets it once, and drops it when nobody needs
//! it any more.
//!
//! # Who has it
//!
//! The context itself has the encoding attached, and each remote task that needs it has a share. So it lives until the
//! last handle, the last map and the last task that need it are gone. The way to a worker, under its own lock, knows which
//! contexts that worker has:
//!
//! | this worker | then |
//! |---|---|
//! | does not have it, and a task that needs it is sent | the context is sent, and right behind it the task |
//! | has it, and a task that needs it is sent | the task is sent |
//! | has it, and the context is dropped here | its monitor is woken, and sends `Drop`, and to all workers which shared memory has gone |
//! | dies | nothing: the next worker has another way, which knows no contexts |
//!
//! A task that is sent again, to this worker or another, takes the same path, so it always finds its context there.
//!
//! # Why the monitor sends the end
//!
//! A remote task may be dropped under any lock of the pool, and with it the context. So the drop only notes its number
//! in the [`Releases`] of each worker that has it, whose lock is taken last and is held for a moment, and rings the bell.
//! A number is not used again, so a late end hits no other context.
//!
//! The shared memory that a context needs is not used again either: a value in a worker may have kept a part of it.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::os::Bell;
use super::shm::segments::{SegmentPool, SegmentRef};
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::error::{Error, Part, TooLarge};
use crate::fork;
use crate::sync::Mutex;
use crate::task::shared_context::AnyContext;

/// The number of no context.
pub(super) const NO_CONTEXT: u64 = 0;

pub(super) struct EncodedContext {
    pub(super) number: u64,
    pub(super) encoded: Vec<u8>,
    /// The segments that go along with the encoding.
    pub(super) segments: Vec<SegmentRef>,
    /// Where they are from. Distinguishes pools.
    store: Arc<SegmentPool>,
    /// Set once a worker may have it.
    is_sent: AtomicBool,
    /// The workers that have it. Some may be gone.
    receivers: Mutex<Vec<Weak<Releases>>>,
    generation: u32,
}

impl EncodedContext {
    /// Returns what a pool with these segments sends of the context. Encodes it if that was not done before: runs user
    /// code then.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded, or is longer than `limit`. The next call that needs it then tries again.
    pub(super) fn of(context: &dyn AnyContext, store: &Arc<SegmentPool>, limit: u64) -> Result<Arc<Self>, Error> {
        if let Some(attached) = Self::attached(context, store) {
            return Ok(attached);
        }
        let out_of_band: Arc<dyn OutOfBand> = Arc::clone(store) as _;
        let (encoded, taken) = with_out_of_band(&out_of_band, || context.encode());
        let segments = store.references(&taken);
        let length = segments.iter().map(|segment| segment.length as u64).sum::<u64>();
        let encoded = encoded.and_then(|encoded| match encoded.len() as u64 + length {
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
            is_sent: AtomicBool::new(false),
            receivers: Mutex::default(),
            generation: fork::generation(),
        })
    }

    /// Returns what was attached for the pool with these segments.
    fn attached(context: &dyn AnyContext, store: &Arc<SegmentPool>) -> Option<Arc<Self>> {
        let attachments = context.attachments().lock();
        let mut own = attachments.iter().filter_map(|attachment| Arc::clone(attachment).downcast::<Self>().ok());
        own.find(|attached| Arc::ptr_eq(&attached.store, store))
    }

    /// Attaches it to the context. Returns the one of another thread if that was faster.
    fn attach(self: Arc<Self>, context: &dyn AnyContext) -> Arc<Self> {
        let mut attachments = context.attachments().lock();
        let own = attachments.iter().filter_map(|attachment| Arc::clone(attachment).downcast::<Self>().ok());
        let mut first = own.filter(|attached| Arc::ptr_eq(&attached.store, &self.store));
        if let Some(first) = first.next() {
            return first;
        }
        attachments.push(Arc::clone(&self) as _);
        self
    }

    /// Notes that a worker gets it.
    pub(super) fn note_sent(&self, to: &Arc<Releases>) {
        self.is_sent.store(true, Ordering::Relaxed);
        let mut receivers = self.receivers.lock();
        receivers.retain(|receiver| receiver.strong_count() > 0);
        receivers.push(Arc::downgrade(to));
    }
}

impl Drop for EncodedContext {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // A copy of the process, in which the locks may be held for ever, and whose bells are those of the original.
            return;
        }
        // Before the monitors wake: one of them tells all workers which segments have gone.
        self.store.release(&self.segments, *self.is_sent.get_mut());
        for receiver in self.receivers.get_mut().drain(..) {
            if let Some(releases) = receiver.upgrade() {
                releases.add(self.number);
            }
        }
    }
}

/// The contexts that a worker has and no longer needs, until its monitor says so to it. And the bell that wakes the
/// monitor.
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
