//! [`TaskSlots`]: the state of each task, and which items of a batch have begun, decided by compare-and-swap.
//!
//! A task's word is `sequence << 3 | state`. No two tasks of a pool have the same sequence number, so a swap that was
//! meant for an earlier task in the slot fails.
//!
//! | from | to | by | when |
//! |---|---|---|---|
//! | anything | `READY` | pool | before it sends the frame |
//! | `READY` | `RUNNING` | worker | before the call. If that fails, it skips the frame |
//! | `RUNNING` | `DONE` | worker | when the result is encoded, before it is sent. If that fails, it parks |
//! | `READY` | `REVOKED` | pool | cancel, or to give the task to another worker |
//! | `RUNNING` | `KILLED` | pool | abort, time limit; only then the worker is killed |
//! | `DONE` | `KILLED` | pool | time limit, if the result does not arrive |
//!
//! So `cancel() == true` is exact, and after a death the right task is blamed: the one that is `RUNNING`, or `DONE`
//! without its result. A task that is `READY` was not touched.
//!
//! A batch also has a word `next << 32 | end`: the worker takes an item by raising `next`, and the pool lowers `end` to
//! cancel the items that were not taken, or to give them to another worker. The pool does so under one lock.
#![forbid(unsafe_code)]
// Public for the models, which are outside the crate.
#![allow(unreachable_pub)]

use std::sync::atomic::Ordering;

use crate::sync::atomic::AtomicU64;

const READY: u64 = 1;
pub(super) const RUNNING: u64 = 2;
const DONE: u64 = 3;
const REVOKED: u64 = 4;
const KILLED: u64 = 5;

/// `COUNT` slots. All zero at first.
#[derive(Debug)]
#[repr(C)]
pub struct TaskSlots<const COUNT: usize> {
    words: [AtomicU64; COUNT],
    items: [AtomicU64; COUNT],
    /// When the running task was started. Written by the worker.
    started_at: AtomicU64,
}

/// The state of a task, as the pool sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has not started.
    Ready,
    /// It started at this time, or later if it has ended meanwhile.
    Running(u64),
    /// It has ended.
    Done,
    /// The word of another task, or a value that no side writes by the rules.
    Strange,
}

impl<const COUNT: usize> TaskSlots<COUNT> {
    /// Returns unused slots.
    #[cfg(any(test, model = "loom", model = "shuttle"))]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self { words: zeros(), items: zeros(), started_at: AtomicU64::new(0) }
    }

    fn word(&self, slot: u8) -> &AtomicU64 {
        &self.words[usize::from(slot) % COUNT]
    }

    fn items(&self, slot: u8) -> &AtomicU64 {
        &self.items[usize::from(slot) % COUNT]
    }

    fn swap(&self, slot: u8, sequence: u64, from: u64, to: u64) -> bool {
        let tagged = |state| sequence << 3 | state;
        self.word(slot).compare_exchange(tagged(from), tagged(to), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    // The pool's side.

    /// Allows the worker to start the task. For a batch, `items` is the first item and the number of all.
    pub fn ready(&self, slot: u8, sequence: u64, items: Option<(u32, u32)>) {
        if let Some((first, end)) = items {
            self.items(slot).store(pair(first, end), Ordering::Relaxed);
        }
        self.word(slot).store(sequence << 3 | READY, Ordering::Release);
    }

    /// Takes the task back. Returns `false` if it has started.
    pub fn revoke(&self, slot: u8, sequence: u64) -> bool {
        self.swap(slot, sequence, READY, REVOKED)
    }

    /// Decides that the worker is to be killed. Returns `false` if the task does not run.
    pub fn kill(&self, slot: u8, sequence: u64) -> bool {
        self.swap(slot, sequence, RUNNING, KILLED)
    }

    /// Decides that the worker is to be killed. Returns `false` if the task has not ended.
    pub fn kill_done(&self, slot: u8, sequence: u64) -> bool {
        self.swap(slot, sequence, DONE, KILLED)
    }

    /// Returns the state of the task.
    pub fn progress(&self, slot: u8, sequence: u64) -> Progress {
        let word = self.word(slot).load(Ordering::Acquire);
        match (word >> 3 == sequence, word & 7) {
            (true, READY) => Progress::Ready,
            // Read after the word: before, it may be the time of the previous task.
            (true, RUNNING) => Progress::Running(self.started_at.load(Ordering::Relaxed)),
            (true, DONE) => Progress::Done,
            _ => Progress::Strange,
        }
    }

    /// Takes back the items of a batch that have not begun.
    pub fn curtail(&self, slot: u8) {
        let lower = |word| Some(pair(first_of(word), first_of(word)));
        let _ = self.items(slot).fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
    }

    /// Takes back the later half of the items that a batch of `count` has not begun, and returns their range. The first
    /// `known` items have ended. If the worker has begun none after them, it keeps the next one: if the batch has died,
    /// it died of that item.
    pub fn halve(&self, slot: u8, sequence: u64, range: (u32, u32)) -> Option<(u32, u32)> {
        let lower = |word| middle_of(word, range).map(|middle| pair(first_of(word), middle));
        if !matches!(self.progress(slot, sequence), Progress::Ready | Progress::Running(_)) {
            return None;
        }
        let word = self.items(slot).fetch_update(Ordering::AcqRel, Ordering::Acquire, lower).ok()?;
        Some((middle_of(word, range)?, range.1))
    }

    /// Returns `true` if [`halve`](Self::halve) would take items back now.
    pub fn can_be_halved(&self, slot: u8, sequence: u64, range: (u32, u32)) -> bool {
        matches!(self.progress(slot, sequence), Progress::Ready | Progress::Running(_))
            && middle_of(self.items(slot).load(Ordering::Acquire), range).is_some()
    }

    /// Returns how many items have begun, including the leading ones that were not sent at all.
    pub fn begun(&self, slot: u8) -> u32 {
        first_of(self.items(slot).load(Ordering::Acquire))
    }

    // The worker's side.

    /// Starts the task. Returns `false` if it was taken back.
    pub fn start(&self, slot: u8, sequence: u64, now: u64) -> bool {
        self.started_at.store(now, Ordering::Relaxed);
        self.swap(slot, sequence, READY, RUNNING)
    }

    /// Ends the task. Returns `false` if the worker is to be killed.
    pub fn finish(&self, slot: u8, sequence: u64) -> bool {
        self.swap(slot, sequence, RUNNING, DONE)
    }

    /// Takes the next item of the batch that runs in this slot.
    pub fn take_item(&self, slot: u8) -> Option<u32> {
        let raise = |word| (first_of(word) < end_of(word)).then(|| pair(first_of(word) + 1, end_of(word)));
        self.items(slot).fetch_update(Ordering::AcqRel, Ordering::Acquire, raise).ok().map(first_of)
    }
}

/// Returns the first of the items that [`TaskSlots::halve`] takes back, if it takes any.
fn middle_of(word: u64, (known, count): (u32, u32)) -> Option<u32> {
    // The worker may have written anything to the word; an impossible value is refused.
    if known > first_of(word) || first_of(word) >= end_of(word) || end_of(word) != count {
        return None;
    }
    let left = end_of(word) - first_of(word);
    let middle = first_of(word) + if first_of(word) > known { left / 2 } else { left.div_ceil(2) };
    (middle < count).then_some(middle)
}

pub(super) fn pair(first: u32, end: u32) -> u64 {
    u64::from(first) << 32 | u64::from(end)
}

pub(super) fn first_of(word: u64) -> u32 {
    (word >> 32) as u32
}

pub(super) fn end_of(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_wins_a_task() {
        let slots = TaskSlots::<4>::new();
        slots.ready(3, 7, None);
        assert_eq!(slots.progress(3, 7), Progress::Ready);
        assert!(slots.start(3, 7, 11) && !slots.revoke(3, 7));
        assert_eq!(slots.progress(3, 7), Progress::Running(11));
        assert!(slots.finish(3, 7) && !slots.kill(3, 7));
        assert_eq!(slots.progress(3, 7), Progress::Done);
        assert!(slots.kill_done(3, 7));
        slots.ready(3, 8, None);
        assert!(!slots.start(3, 7, 12), "the sequence number of an earlier task");
        assert!(slots.revoke(3, 8) && !slots.start(3, 8, 12));
        assert_eq!(slots.progress(3, 8), Progress::Strange);
    }

    #[test]
    fn half_of_the_items_not_begun_is_taken_back() {
        let slots = TaskSlots::<4>::new();
        slots.ready(1, 4, Some((2, 8)));
        assert_eq!(slots.halve(1, 4, (2, 8)), Some((5, 8)), "an idle worker need not look again after the start");
        assert!(slots.start(1, 4, 0));
        assert_eq!(slots.halve(1, 4, (2, 5)), Some((4, 5)));
        assert_eq!(slots.halve(1, 4, (2, 4)), Some((3, 4)));
        assert_eq!(slots.halve(1, 4, (2, 3)), None, "the worker is about to begin the last item");
        assert_eq!(slots.take_item(1), Some(2));
        assert_eq!(slots.take_item(1), None);
        slots.ready(1, 5, Some((0, 2)));
        assert!(slots.start(1, 5, 0));
        assert_eq!(slots.take_item(1), Some(0));
        assert_eq!(slots.halve(1, 5, (0, 2)), Some((1, 2)), "all items behind the running one are taken");
        assert_eq!(slots.halve(1, 5, (0, 1)), None);
        assert_eq!(slots.halve(1, 4, (0, 1)), None, "the slot has another task");
    }
}
