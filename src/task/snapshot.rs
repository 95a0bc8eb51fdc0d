//! How far a task has come, as others see it.
#![forbid(unsafe_code)]

use std::fmt;

/// Says how far a task has come. `Cancelled` and `Finished` together are done, and nothing leaves done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not started: it can still be cancelled.
    Pending,
    /// A worker runs it.
    Running,
    /// Cancelled before it ran, or aborted while it ran.
    Cancelled,
    /// It has an outcome: a value or an error.
    Finished,
}

impl State {
    /// Is this one of the two states that nothing leaves?
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

/// What one look at a task tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// The variant of the error a finished task ended with.
    pub(crate) raised: Option<&'static str>,
}
