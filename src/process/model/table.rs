//! The page of a model. Only its letters are doubles: the models of the mail show that they are read as they were written.
#![forbid(unsafe_code)]

#[path = "../shm/table/mailbox.rs"]
mod mailbox;
#[path = "../shm/table/words.rs"]
mod words;

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::protocol::frame::{Frame, Header};
use crate::sync::atomic::AtomicU64;

pub use mailbox::Mailbox;
pub use words::{Progress, TaskWords};

/// A look finds all that two would.
pub(super) const TRIES: usize = 1;

pub(super) struct TaskTable {
    words: TaskWords<2>,
    mail: Mailbox,
    /// Not the checker's, so they add no schedules.
    letters: std::sync::Mutex<[Option<Frame>; 2]>,
    answers: AtomicU64,
}

impl TaskTable {
    pub(super) fn new() -> Self {
        Self {
            words: TaskWords::new(),
            mail: Mailbox::default(),
            letters: Default::default(),
            answers: AtomicU64::new(0),
        }
    }

    pub(super) fn words(&self) -> &TaskWords<2> {
        &self.words
    }

    pub(super) fn mail(&self) -> &Mailbox {
        &self.mail
    }

    pub(super) fn read_letter(&self, slot: u8, bytes: &mut Vec<u8>) -> Option<(Header, Range<usize>)> {
        let (header, body) = self.letters.lock().unwrap()[usize::from(slot)].clone()?;
        let start = bytes.len();
        bytes.extend_from_slice(&body);
        Some((header, start..bytes.len()))
    }

    pub(super) fn post(&self, letter: Frame) -> bool {
        let slot = letter.0.slot;
        self.letters.lock().unwrap()[usize::from(slot)] = Some(letter);
        self.mail.post(slot)
    }

    pub(super) fn note_answer(&self) {
        self.answers.fetch_add(1, Ordering::Release);
    }

    /// How long it looks says nothing.
    pub(super) fn look_for_answer(&self, seen: &mut u64) -> bool {
        let now = self.answers.load(Ordering::Acquire);
        std::mem::replace(seen, now) != now || self.mail.is_there()
    }
}
