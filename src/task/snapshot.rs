//! [`State`]: the state of a task, as visible from outside.
#![forbid(unsafe_code)]

use std::fmt;

use crate::error::Variant;

/// The state of a task. `Cancelled` and `Finished` are *done*: a task never leaves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not started; it can still be cancelled.
    Pending,
    /// A worker is running it.
    Running,
    /// Cancelled before it ran, or aborted while it ran.
    Cancelled,
    /// It has an outcome: a value or an error.
    Finished,
}

impl State {
    /// Returns `true` for `Cancelled` and `Finished`.
    pub fn is_done(self) -> bool {
        matches!(self, State::Cancelled | State::Finished)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Cancelled => "cancelled",
            State::Finished => "finished",
        })
    }
}

/// How a task ended, as its listeners are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Value,
    Error,
    Cancelled,
}

/// The state of a task at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// The variant of the error that a finished task ended with.
    pub(crate) raised: Option<Variant>,
}

impl Snapshot {
    /// Returns how the task ended, if it is done.
    pub(crate) fn end(self) -> Option<End> {
        match self.state {
            State::Finished if self.raised.is_some() => Some(End::Error),
            State::Finished => Some(End::Value),
            State::Cancelled => Some(End::Cancelled),
            State::Pending | State::Running => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Snapshot;

    #[test]
    fn a_snapshot_takes_as_little_room_as_a_state_and_an_error() {
        // A task keeps one for its time between two states.
        const { assert!(size_of::<Snapshot>() <= 2) }
    }
}
