//! [`Workers`]: what has been heard of the workers.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Instant;

use uuid::Uuid;

/// The workers that have said something, and those who want to hear of them.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// When each worker was last heard of.
    heard: BTreeMap<Box<str>, Instant>,
    /// The answers to questions, by the ticket of the question. A question that nobody waits for any more has none.
    answers: BTreeMap<Uuid, Vec<(String, serde_json::Value)>>,
}

impl Workers {
    pub(crate) fn answered(&mut self, ticket: Uuid, answer: serde_json::Map<String, serde_json::Value>) {
        if let Some(answers) = self.answers.get_mut(&ticket) {
            answers.extend(answer);
        }
    }
}
