//! [`Orders`]: the control commands that are broadcast to all workers.
#![forbid(unsafe_code)]

use uuid::Uuid;

/// The control commands that the link is to broadcast.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Messages whose tasks must not be started any more.
    pub(crate) revoked: Vec<Uuid>,
    /// Messages whose tasks are to be ended even if they run.
    pub(crate) terminated: Vec<Uuid>,
    /// Questions that every worker answers.
    pub(crate) questions: Vec<Question>,
}

/// A question to all workers. Their answers have its ticket.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) ticket: Uuid,
}

impl Orders {
    /// Returns `true` if there is nothing to broadcast.
    pub(crate) fn is_empty(&self) -> bool {
        self.revoked.is_empty() && self.terminated.is_empty() && self.questions.is_empty()
    }

    /// Takes what is to be broadcast, if there is anything.
    pub(crate) fn take(&mut self) -> Option<Self> {
        (!self.is_empty()).then(|| std::mem::take(self))
    }
}
