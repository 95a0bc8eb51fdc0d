//! [`Oracle`]: records what happens to each call, which is a task or an item, and asserts that it may happen.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Error;
use crate::process::batch::SentBatches;
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;
use crate::sync::Mutex;

pub(super) type SharedOracle = Arc<Mutex<Oracle>>;

#[derive(Default)]
pub(super) struct Oracle {
    pub(super) calls: Vec<CallRecord>,
    /// Batches that were made by dividing others.
    pub(super) divided: Arc<SentBatches<RemoteTask>>,
}

#[derive(Debug, Default)]
pub(super) struct CallRecord {
    retries: u32,
    /// It was refused before it was sent, and the worker has to skip it.
    pub(super) is_refused: bool,
    /// The worker that runs it.
    at: Option<WorkerId>,
    /// How often a worker has begun it.
    begun: u32,
    /// How many workers died while they ran it.
    deaths: u32,
    /// The place of its task in the order of submission. Unknown for items, and for a task that was sent and came back.
    pub(super) turn: Option<usize>,
    was_sent: bool,
    /// How many workers died that were to start its task next.
    pub(super) missed: u32,
    /// How often it was blamed for a worker's death.
    pub(super) blamed: u32,
    /// Set if its result has left the worker, or is where it outlives the worker.
    is_safe: bool,
    /// Set if no worker may begin it any more.
    is_unwanted: bool,
    end: Option<End>,
    /// Set if it was cancelled, as far as it had not begun.
    is_called_off: bool,
    /// Set if the caller that holds its future has ended it. What the pool says later does not count.
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

    /// Notes that it was seen with a worker, or in the queue.
    pub(super) fn see(&mut self, is_sent: bool) {
        if self.was_sent && !is_sent {
            self.turn = None;
        }
        self.was_sent |= is_sent;
    }

    pub(super) fn begin(&mut self, worker: WorkerId) {
        assert_eq!(self.at.replace(worker), None, "two workers run one task");
        assert!(!self.is_unwanted, "a task that was taken back begins: {self:?}");
        assert!(!self.is_over(), "a task that has ended begins: {self:?}");
        assert_eq!(self.begun, self.deaths, "a task that killed no worker begins again: {self:?}");
        self.begun += 1;
        assert!(self.begun <= 1 + self.retries, "a task is retried too often: {self:?}");
    }

    /// Notes that the worker has finished it.
    pub(super) fn leave(&mut self) {
        self.at = None;
        self.is_safe = true;
    }

    /// Notes that the worker has died of it.
    pub(super) fn die(&mut self) {
        self.at = None;
        self.deaths += 1;
    }

    pub(super) fn runs(&self) -> bool {
        self.at.is_some()
    }

    /// Notes that it may continue if it has begun, and may not begin otherwise.
    pub(super) fn let_be(&mut self) {
        self.is_unwanted = self.begun == 0 || self.is_safe;
        self.is_called_off = true;
    }

    /// Notes that it is no longer wanted.
    pub(super) fn call_off(&mut self) {
        self.is_called_off = true;
    }

    /// Notes that the caller has cancelled or aborted it: `is_pending` says that it had not begun. A chunk may be
    /// cancelled between two tries.
    pub(super) fn end_outside(&mut self, is_pending: bool, is_item: bool) {
        assert!(!is_pending || self.at.is_none(), "a running task was cancelled: {self:?}");
        assert!(!is_pending || is_item || self.begun == 0, "a task that has begun was cancelled: {self:?}");
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
            End::Value => assert!(self.is_safe, "a task without a result ends with a value: {self:?}"),
            // It may have finished at that moment.
            End::Late => {}
            End::Cancelled => assert_eq!(self.begun, 0, "a task that has begun was cancelled: {self:?}"),
            End::Died if self.is_called_off => assert!(self.blamed > 0, "no worker died of the task: {self:?}"),
            End::Died => assert_eq!(self.blamed, 1 + self.retries, "a task is retried too seldom: {self:?}"),
            // A task that a worker died of is refused once the pool is broken.
            End::Refused => assert_eq!(self.begun, self.deaths, "a running task was refused: {self:?}"),
        }
        assert!(!self.is_safe || matches!(end, End::Value | End::Late), "a result is lost: {self:?}");
    }
}
