//! [`Phase`]: the state of a task, with what the task needs only in that state.
//!
//! A task has a call before it runs and an outcome afterwards, never both, so they share their room. An error is in a
//! box, so that the room is no larger than a value needs, or a call with the number of its pool.
#![forbid(unsafe_code)]

use super::owner;
use super::pool_id::PoolId;
use super::snapshot::{Snapshot, State};
use crate::error::{Error, Outcome, Variant};
use crate::held::Held;

/// The state of a task. The head of [`state`](super::state) has the table of the transitions.
///
/// A task that is pending or marked as started has the [number](PoolId) of the pool whose queue it is in, if the pool has
/// one.
pub(super) enum Phase<C, V, E> {
    /// Not started, and here.
    Pending(C, Option<PoolId>),
    /// Not started. The call is being encoded or shown, was encoded for another process, or is that of a promise.
    PendingElsewhere(Option<PoolId>),
    /// Marked as started, but no thread runs it here: it is in a queue.
    Started(C, Option<PoolId>),
    /// Marked as started. The call is being encoded or shown, was encoded for another process, or is that of a promise.
    StartedElsewhere(Option<PoolId>),
    /// The thread with this token runs it.
    Running(u64),
    /// One thread has the outcome, and runs callbacks or drops the call. Appears as `shown`.
    Delivering {
        shown: Snapshot,
        cancelled: bool,
    },
    /// Finished with a value.
    Finished(V),
    /// Finished with an error, which is not that it was cancelled.
    Failed(E),
    Cancelled,
    /// Finished, and the outcome was taken or dropped.
    Taken {
        raised: Option<Variant>,
    },
}

/// An outcome that a task stores in its [`Phase`]: its value there, and its error in a box.
pub(crate) trait HeldOutcome<T: Send>: Held<Outcome<T>> + Send {
    /// What is stored of an outcome that is a value.
    type Value: Send;
    /// What is stored of an outcome that is an error.
    type Failure: StoredError + Send;
    /// Takes the outcome apart into what a task stores of it.
    fn split(self) -> Result<Self::Value, Self::Failure>;
    /// Makes the outcome again out of what is stored of it.
    fn join(stored: Result<Self::Value, Self::Failure>) -> Self;
}

/// What a task stores of an outcome that is an error.
pub(crate) trait StoredError {
    fn error(&self) -> &Error;
}

impl StoredError for Box<Error> {
    fn error(&self) -> &Error {
        self
    }
}

impl<T> StoredError for Box<Outcome<T>> {
    fn error(&self) -> &Error {
        match &**self {
            Err(error) => error,
            Ok(_) => unreachable!("an outcome that is a value is not stored as an error"),
        }
    }
}

impl<T: Send> HeldOutcome<T> for Outcome<T> {
    type Value = T;
    type Failure = Box<Error>;
    #[inline(always)]
    fn split(self) -> Result<T, Box<Error>> {
        self.map_err(Box::new)
    }
    #[inline(always)]
    fn join(stored: Result<T, Box<Error>>) -> Self {
        stored.map_err(|error| *error)
    }
}

/// A large outcome is not moved: it stays in its box, because each move takes its length of the stack.
impl<T: Send> HeldOutcome<T> for Box<Outcome<T>> {
    type Value = Self;
    type Failure = Self;
    fn split(self) -> Result<Self, Self> {
        if self.is_ok() { Ok(self) } else { Err(self) }
    }
    fn join(stored: Result<Self, Self>) -> Self {
        stored.unwrap_or_else(|failed| failed)
    }
}

impl<C, V, E: StoredError> Phase<C, V, E> {
    /// Returns the phase of a task that has finished with this outcome, and was not cancelled.
    #[inline]
    pub(super) fn of<T: Send, H: HeldOutcome<T, Value = V, Failure = E>>(outcome: H) -> Self {
        match outcome.split() {
            Ok(value) => Self::Finished(value),
            Err(failure) => Self::Failed(failure),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (state, raised) = match self {
            Self::Pending(..) | Self::PendingElsewhere(_) => (State::Pending, None),
            Self::Started(..) | Self::StartedElsewhere(_) | Self::Running(_) => (State::Running, None),
            Self::Delivering { shown, .. } => (shown.state, shown.raised),
            Self::Finished(_) => (State::Finished, None),
            Self::Failed(failure) => (State::Finished, Some(failure.error().variant())),
            Self::Cancelled => (State::Cancelled, None),
            Self::Taken { raised } => (State::Finished, *raised),
        };
        Snapshot { state, raised }
    }

    /// Returns `true` if the task has not begun to end.
    pub(super) fn is_open(&self) -> bool {
        use Phase::{Pending, PendingElsewhere, Running, Started, StartedElsewhere};
        matches!(self, Pending(..) | PendingElsewhere(_) | Started(..) | StartedElsewhere(_) | Running(_))
    }

    pub(super) fn runs_here(&self) -> bool {
        matches!(self, Self::Running(thread) if *thread == owner::thread_token())
    }

    /// Returns the number of the pool that has the task, if there is one.
    pub(super) fn pool(&self) -> Option<PoolId> {
        match self {
            Self::Pending(_, pool)
            | Self::PendingElsewhere(pool)
            | Self::Started(_, pool)
            | Self::StartedElsewhere(pool) => *pool,
            _ => None,
        }
    }

    /// Sets the number of the pool that has the task, which has not begun to run.
    pub(super) fn set_pool(&mut self, id: Option<PoolId>) {
        if let Self::Pending(_, pool)
        | Self::PendingElsewhere(pool)
        | Self::Started(_, pool)
        | Self::StartedElsewhere(pool) = self
        {
            *pool = id;
        }
    }

    pub(super) fn call(&self) -> Option<&C> {
        match self {
            Self::Pending(call, _) | Self::Started(call, _) => Some(call),
            _ => None,
        }
    }

    /// Replaces the phase, if the call is here, and returns the call.
    pub(super) fn take_call(&mut self, next: Self) -> Option<C> {
        self.call()?;
        match std::mem::replace(self, next) {
            Self::Pending(call, _) | Self::Started(call, _) => Some(call),
            _ => None,
        }
    }

    /// Takes the call out, and leaves the number of the pool. [`give_back`](Self::give_back) puts the call back.
    pub(super) fn lend_call(&mut self) -> Option<C> {
        let next = match self {
            Self::Pending(_, pool) => Self::PendingElsewhere(*pool),
            Self::Started(_, pool) => Self::StartedElsewhere(*pool),
            _ => return None,
        };
        self.take_call(next)
    }

    /// Puts a call back that was lent. Returns it if the task has begun to end meanwhile.
    pub(super) fn give_back(&mut self, call: C) -> Option<C> {
        *self = match self {
            Self::PendingElsewhere(pool) => Self::Pending(call, *pool),
            Self::StartedElsewhere(pool) => Self::Started(call, *pool),
            _ => return Some(call),
        };
        None
    }

    /// Marks a pending task as started. The call stays where it is.
    pub(super) fn start(&mut self) {
        let pool = self.pool();
        let call = self.take_call(Self::StartedElsewhere(pool));
        *self = call.map_or(Self::StartedElsewhere(pool), |call| Self::Started(call, pool));
    }

    /// Takes the outcome of a finished task. Leaves in its place what `next` makes of the variant of the error, which is
    /// `None` for a value.
    #[inline]
    pub(super) fn take_outcome<T, H>(&mut self, next: impl FnOnce(Option<Variant>) -> Self) -> Option<H>
    where
        T: Send,
        H: HeldOutcome<T, Value = V, Failure = E>,
    {
        let next = match self {
            Self::Finished(_) => next(None),
            Self::Failed(failure) => next(Some(failure.error().variant())),
            _ => return None,
        };
        match std::mem::replace(self, next) {
            Self::Finished(value) => Some(H::join(Ok(value))),
            Self::Failed(failure) => Some(H::join(Err(failure))),
            _ => None,
        }
    }
}
