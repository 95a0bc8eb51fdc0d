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
    /// The link has taken some, and they are not told yet: the connection must not end before.
    is_telling: bool,
}

/// A question to all workers. Their answers have its ticket.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) ticket: Uuid,
}

impl Orders {
    /// Returns `true` if workers have been told everything.
    pub(crate) fn are_told(&self) -> bool {
        !self.is_telling && self.revoked.is_empty() && self.terminated.is_empty() && self.questions.is_empty()
    }

    /// For the link, once it has told what it took before: takes what is to be told next.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.is_telling = false;
        if self.are_told() {
            return None;
        }
        Some(std::mem::replace(self, Self { is_telling: true, ..Self::default() }))
    }
}
