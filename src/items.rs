//! [`ItemExecutor`]: how an executor takes the items of a map in ranges, beside the jobs that it takes one by one.
//!
//! What an executor offers knows no types: a map has a typed half for each way (`map/local.rs`, `map/remote.rs`) that stands on the traits
//! here. An executor that offers nothing gets each item, or each chunk, as a [`Job`](crate::Job).
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::{any::Any, sync::Weak, time::Duration};

use crate::bytes::OutOfBand;
use crate::error::Error;
use crate::options::TaskOptions;
use crate::task::encoded::{EncodedCall, Entry};
use crate::task::owner::Sharing;
use crate::task::owner::{Ended, Shared};
use crate::ticket::Ticket;

/// Takes the items of maps in ranges. An executor offers it through [`Backend::item_executor`](crate::Backend::item_executor).
#[doc(hidden)]
pub trait ItemExecutor: Send + Sync {
    /// Returns `true` if each item has to be a task of its own, whatever chunk size was asked for.
    fn takes_only_tasks(&self) -> bool {
        false
    }

    /// Returns the threads of this process that may share the items.
    fn threads(self: Arc<Self>) -> Option<Threads> {
        None
    }

    /// Returns who takes the items encoded, to workers elsewhere.
    fn elsewhere(self: Arc<Self>) -> Option<Elsewhere> {
        None
    }
}

/// Threads of this process that may share the items of a map.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "means nothing outside")]
pub struct Threads(pub(crate) Arc<dyn Sharing>);

/// Workers that get the items of a map encoded.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "means nothing outside")]
pub struct Elsewhere(pub(crate) Arc<dyn BatchExecutor>);

/// An executor whose workers are elsewhere, as the items of one map see it.
pub(crate) trait BatchExecutor: Send + Sync {
    /// Returns how many workers there may be.
    fn workers(&self) -> usize;
    /// Returns why the calling thread may not add items any more, if that is so.
    fn refuses_all(&self) -> Option<Error>;
    /// Returns `true` if the workers have these functions.
    fn finds(&self, entry: Entry) -> bool;
    /// Returns the ticket of items that are pulled now.
    fn ticket(&self) -> Ticket;
    /// What is pending there is pending here, and is behind what was shared before.
    fn enlist(&self, shared: Weak<dyn Shared>);
    /// Announces that more batches come, so that the workers stay although the executor is closed. `first`: nothing was announced before.
    fn expect_more(&self, first: bool) -> Result<(), Error>;
    /// Takes the announcement back.
    fn expect_no_more(&self);
    /// Counts items that have ended.
    fn add(&self, ended: Ended);
    /// Runs `encode` so that long bytes are taken out of the encoding, and returns them attached to it. Items that are too long are refused.
    fn encode(
        &self,
        encode: &mut dyn FnMut() -> Result<EncodedCall, Error>,
    ) -> Result<(EncodedCall, Option<Attached>), Error>;
    /// Makes a batch. What it returns sends it, and is called with no lock held; it may run user code.
    fn batch(&self, batch: NewBatch) -> Box<dyn FnOnce()>;
    /// Takes back of all batches what has not begun. Runs user code.
    fn call_back(&self);
}

/// Long bytes that go beside an encoding. They are released when this is dropped.
pub(crate) struct Attached(pub(crate) Box<dyn Any + Send>);

/// Some encoded items that lie next to each other.
pub(crate) struct NewBatch {
    pub(crate) encoded: EncodedCall,
    pub(crate) attached: Option<Attached>,
    pub(crate) owner: Arc<dyn BatchOwner>,
    pub(crate) options: Option<Arc<TaskOptions>>,
    /// The position of the first item, as the owner counts.
    pub(crate) first: usize,
    /// When the items were pulled.
    pub(crate) ticket: Ticket,
}

/// Gets the outcomes of a batch.
pub(crate) trait BatchOwner: Send + Sync {
    /// Takes the encoded results of the items from `first` on, which took so long. Runs user code.
    fn deliver(
        &self,
        first: usize,
        replies: Vec<Result<&[u8], Error>>,
        out_of_band: &Arc<dyn OutOfBand>,
        took: Duration,
    );
    /// One of its batches has become two. Called under a lock of the executor.
    fn divided(&self);
    /// The executor takes nothing more of it.
    fn turn_away(&self, error: &Error);
}
