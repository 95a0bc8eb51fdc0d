//! [`Marks`]: what became of a task, as far as it is read without the task's lock.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// What a task can be marked with.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// Nobody will take the outcome any more: the handle has taken it, so that its drop has nothing left to do, or was
    /// dropped before the task was done. The outcome is stored under the same lock as this is marked.
    Released = 1,
    /// A callback or the caller has seen the outcome or its error.
    Seen = 2,
    /// The task was aborted or reached its time limit while it ran.
    Aborted = 4,
    /// The task has options. Most tasks have none, and need not be locked to find that out.
    HasOptions = 8,
    /// The task was hastened: it has a second entry in its executor's queue. Read only under the lock.
    Hastened = 16,
}

/// The marks of a task. None of them is ever removed. A thread that reads more of the task because of a mark takes the
/// task's lock first, so marks need no ordering of their own.
pub(super) struct Marks(AtomicU8);

impl Marks {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Adds a mark. The caller holds the lock of the task, or no other thread has the task yet. So a load and a store are
    /// enough to lose no mark, and an atomic read-modify-write is not needed.
    pub(super) fn add(&self, mark: Mark) {
        self.0.store(self.0.load(Ordering::Relaxed) | mark as u8, Ordering::Relaxed);
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.0.load(Ordering::Relaxed) & mark as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Marks};

    #[test]
    fn marks_do_not_replace_one_another() {
        let all = [Mark::Released, Mark::Seen, Mark::Aborted, Mark::HasOptions, Mark::Hastened];
        let marks = Marks::new();
        for (count, mark) in all.into_iter().enumerate() {
            assert!(!marks.has(mark));
            marks.add(mark);
            assert_eq!(all.into_iter().filter(|mark| marks.has(*mark)).count(), count + 1);
        }
    }
}
