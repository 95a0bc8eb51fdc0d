//! [`Book`]: what has become of every call, one a task and one an item of a chunk.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Error;
use crate::process::batch::SentBatches;
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;
use crate::sync::Mutex;

pub(super) type Shared = Arc<Mutex<Book>>;

#[derive(Default)]
pub(super) struct Book {
    pub(super) calls: Vec<CallRecord>,
    /// Flights that were made by dividing others.
    pub(super) divided: Arc<SentBatches<RemoteTask>>,
}

#[derive(Debug, Default)]
pub(super) struct CallRecord {
    retries: u32,
    /// It was refused on its way to the worker, which is to pass over it.
    pub(super) is_refused: bool,
    /// Which worker is at it.
    at: Option<WorkerId>,
    /// How often a worker has begun it.
    begun: u32,
    /// How often a worker died that was at it.
    deaths: u32,
    /// When its task was submitted, among others. Of one that was sent and came back, and of items, nothing is known.
    pub(super) turn: Option<usize>,
    was_sent: bool,
    /// How often a worker died that was to start its task next.
    pub(super) missed: u32,
    /// How often it was blamed for a worker's death.
    pub(super) blamed: u32,
    /// Its result has left the worker, or is where it outlives the worker.
    is_safe: bool,
    /// Nothing is to begin it any more.
    is_unwanted: bool,
    end: Option<End>,
    /// Somebody wanted no more of it than was under way.
    is_called_off: bool,
    /// Who holds its future has ended it. What the pool says later does not count.
    ended_outside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Value,
    Cancelled,
    Died,
    Late,
    Refused,
}

impl End {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Cancelled => Self::Cancelled,
            Error::WorkerDied(_) => Self::Died,
            Error::TimeLimit(_) => Self::Late,
            Error::Broken(_) | Error::ShutDown | Error::Full(_) | Error::TooLarge(_) => Self::Refused,
            other => panic!("nothing in a pool ends with {other:?}"),
        }
    }
}

impl CallRecord {
    pub(super) fn new(retries: u32, is_refused: bool) -> Self {
        Self { retries, is_refused, ..Self::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// It was seen with a worker, or in the queue.
    pub(super) fn see(&mut self, is_sent: bool) {
        if self.was_sent && !is_sent {
            self.turn = None;
        }
        self.was_sent |= is_sent;
    }

    pub(super) fn begin(&mut self, worker: WorkerId) {
        assert_eq!(self.at.replace(worker), None, "two workers are at one task");
        assert!(!self.is_unwanted, "a task begins that was taken back: {self:?}");
        assert!(!self.is_over(), "a task begins that has ended: {self:?}");
        assert_eq!(self.begun, self.deaths, "a task begins again that nothing has died of: {self:?}");
        self.begun += 1;
        assert!(self.begun <= 1 + self.retries, "a task is tried too often: {self:?}");
    }

    /// The worker is done with it.
    pub(super) fn leave(&mut self) {
        self.at = None;
        self.is_safe = true;
    }

    /// The worker has died of it.
    pub(super) fn die(&mut self) {
        self.at = None;
        self.deaths += 1;
    }

    pub(super) fn runs(&self) -> bool {
        self.at.is_some()
    }

    /// What has begun may go on, and nothing else is to begin.
    pub(super) fn let_be(&mut self) {
        self.is_unwanted = self.begun == 0 || self.is_safe;
        self.is_called_off = true;
    }

    /// It is nobody's any more, unless it has ended already.
    pub(super) fn call_off(&mut self) {
        self.is_called_off = true;
    }

    /// Its holder has called it off: before it began, or wherever it was. A chunk may be cancelled between two tries.
    pub(super) fn end_outside(&mut self, is_pending: bool, is_item: bool) {
        assert!(!is_pending || self.at.is_none(), "a task was cancelled that runs: {self:?}");
        assert!(!is_pending || is_item || self.begun == 0, "a task was cancelled that has begun: {self:?}");
        self.is_unwanted = true;
        self.ended_outside |= self.end.is_none();
        self.end.get_or_insert(End::Cancelled);
    }

    pub(super) fn end(&mut self, end: End) {
        if std::mem::take(&mut self.ended_outside) {
            return;
        }
        assert_eq!(self.end.replace(end), None, "a task ends twice, now with {end:?}: {self:?}");
        match end {
            End::Value => assert!(self.is_safe, "a result of nothing: {self:?}"),
            // It may have been done at that very moment.
            End::Late => {}
            End::Cancelled => assert_eq!(self.begun, 0, "a task was cancelled that has begun: {self:?}"),
            End::Died if self.is_called_off => assert!(self.blamed > 0, "nothing died of it: {self:?}"),
            End::Died => assert_eq!(self.blamed, 1 + self.retries, "a task is not tried as often as it may: {self:?}"),
            // Of a task that a worker died of, once the pool is broken.
            End::Refused => assert_eq!(self.begun, self.deaths, "a task was refused that runs: {self:?}"),
        }
        assert!(!self.is_safe || matches!(end, End::Value | End::Late), "a result is lost: {self:?}");
    }
}
