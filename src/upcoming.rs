//! [`Upcoming`]: the tasks that an executor will get later. The executor counts them as pending, and can cancel them.
//!
//! Some are in a [pause](crate::pauses), and the others are [held back](crate::task::after) until their inputs are
//! done. The close of the executor ends the pauses. It does not end held-back tasks, because their inputs may still run
//! there.
//!
//! The closure that hands a held-back task over owns its [`HeldBackEntry`], whose drop removes the task from here.
//! `take` moves the tasks out under the lock, and they are cancelled without it, so each is cancelled at most once.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pauses::Pauses;
use crate::sync::Mutex;
use crate::unwind::catch_and_log;

/// Cancels a task. Returns `false` if the task has ended otherwise. Runs user code.
type Cancel = Box<dyn FnOnce() -> bool + Send>;

/// See the comment at the head of this file.
pub(crate) struct Upcoming {
    pauses: Arc<Pauses>,
    held_back: Mutex<HeldBack>,
}

#[derive(Default)]
struct HeldBack {
    tasks: BTreeMap<u64, Cancel>,
    next: u64,
}

/// The place of a held-back task, until this is dropped.
pub(crate) struct HeldBackEntry {
    upcoming: Arc<Upcoming>,
    number: u64,
}

impl Drop for HeldBackEntry {
    fn drop(&mut self) {
        if !self.upcoming.is_copy() {
            let removed = self.upcoming.held_back.lock().tasks.remove(&self.number);
            drop(removed);
        }
    }
}

/// Tasks that were taken out, to cancel them.
pub(crate) struct Taken(Vec<Cancel>);

impl Taken {
    /// Cancels the tasks. Returns how many are cancelled, including those that were cancelled after they were taken
    /// out.
    pub(crate) fn cancel(self) -> usize {
        let mut cancelled = 0;
        for cancel in self.0 {
            catch_and_log("the end of a task", || cancelled += usize::from(cancel()));
        }
        cancelled
    }
}

impl Upcoming {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { pauses: Pauses::new(), held_back: Mutex::default() })
    }

    /// Returns `true` in a forked copy of the process, where the lock may be held for ever.
    fn is_copy(&self) -> bool {
        self.pauses.is_copy()
    }

    pub(crate) fn pauses(&self) -> &Arc<Pauses> {
        &self.pauses
    }

    /// Adds a held-back task.
    pub(crate) fn hold_back(self: &Arc<Self>, cancel: impl FnOnce() -> bool + Send + 'static) -> Option<HeldBackEntry> {
        if self.is_copy() {
            return None;
        }
        let mut held_back = self.held_back.lock();
        let number = held_back.next;
        held_back.next += 1;
        held_back.tasks.insert(number, Box::new(cancel));
        drop(held_back);
        Some(HeldBackEntry { upcoming: Arc::clone(self), number })
    }

    /// Returns the number of tasks.
    pub(crate) fn count(&self) -> usize {
        self.pauses.count() + self.held_back.lock().tasks.len()
    }

    /// Ends the pauses, because the executor is closed.
    pub(crate) fn close(&self) {
        self.pauses.close();
    }

    /// Takes the tasks out, to cancel them.
    pub(crate) fn take(&self) -> Taken {
        let held_back = std::mem::take(&mut self.held_back.lock().tasks);
        let mut taken: Vec<Cancel> = held_back.into_values().collect();
        taken.extend(self.pauses.take().map(|paused| Box::new(move || paused.cancel()) as Cancel));
        Taken(taken)
    }
}
