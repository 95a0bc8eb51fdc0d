//! [`Portion`]: some items of a map on their way, and the [`Consignee`] whose they are.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::task::RemoteTask;
use crate::bytes::OutOfBand;
use crate::error::Error;
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::sync::Mutex;
use crate::ticket::Ticket;

/// Some items of a map, which have no task.
pub(super) struct Portion {
    pub(super) id: FutureId,
    pub(super) options: Option<Arc<TaskOptions>>,
    /// Gone once it has its outcomes: a task may lie about for longer, and is dropped under locks, but a consignee has the user's values.
    pub(super) consignee: Mutex<Option<Arc<dyn Consignee>>>,
    /// The position of the first, as the consignee counts.
    pub(super) first: usize,
    /// When they were pulled.
    pub(super) ticket: Ticket,
}

impl Portion {
    pub(super) fn new(
        consignee: Arc<dyn Consignee>,
        options: Option<Arc<TaskOptions>>,
        first: usize,
        ticket: Ticket,
    ) -> Self {
        Self { id: FutureId::next(), options, consignee: Mutex::new(Some(consignee)), first, ticket }
    }
}

/// Whose the items of a portion are.
pub(super) trait Consignee: Send + Sync {
    /// Takes the encoded results of the items from `first` on, which took so long. Runs user code.
    fn deliver(
        &self,
        first: usize,
        replies: Vec<Result<&[u8], Error>>,
        out_of_band: &Arc<dyn OutOfBand>,
        took: Duration,
    );
    /// One of its portions has become two, and this is the other one. Called under the scheduler's lock.
    fn divided(&self, rest: Weak<RemoteTask>);
    /// The pool takes nothing more of it.
    fn turn_away(&self, error: &Error);
}
