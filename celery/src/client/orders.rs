//! [`Orders`]: what workers are told, by a broadcast to all of them.
#![forbid(unsafe_code)]

use uuid::Uuid;

/// What workers are to be told.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Messages that are not to be started any more.
    pub(crate) revoked: Vec<Uuid>,
    /// Messages whose tasks are to be ended even if they run.
    pub(crate) terminated: Vec<Uuid>,
    /// Questions that every worker answers.
    pub(crate) questions: Vec<Question>,
}

/// A question to all workers, whose answers have the ticket.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) ticket: Uuid,
}

impl Orders {
    pub(crate) fn is_empty(&self) -> bool {
        self.revoked.is_empty() && self.terminated.is_empty() && self.questions.is_empty()
    }
}
