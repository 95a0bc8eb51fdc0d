//! The items of a chunk that a worker runs, while other workers take items that it has not begun.

use std::ops::Range;
use std::sync::Arc;

use concurrent_futures::TaskSlots;

use crate::checker::{Channel, Mutex, Tally, check, check_choices, spawn};
use crate::slots::{SLOT, TASK, page};

/// Who has run each item, and what the pool knows of that.
#[derive(Clone)]
struct Chunk {
    runs: Arc<[Tally]>,
    /// How many replies are safe, from the first on.
    known: Tally,
}

impl Chunk {
    fn new(count: usize) -> Self {
        Self { runs: (0..count).map(|_| Tally::default()).collect(), known: Tally::default() }
    }

    /// The worker's way through it.
    fn work(&self, slots: &TaskSlots<2>) {
        if slots.start(SLOT, TASK, 0) {
            while let Some(item) = slots.take_item(SLOT) {
                self.runs[item as usize].add();
                self.known.add();
            }
            assert!(slots.finish(SLOT, TASK));
        }
    }

    /// Takes half of what was not begun of the first `count`, and runs it.
    fn halve(&self, slots: &TaskSlots<2>, count: u32) -> Option<Range<u32>> {
        let known = self.known.count() as u32;
        let (from, to) = slots.halve(SLOT, TASK, (known, count))?;
        assert!(known < from && from < to && to == count, "{known} {from} {to}");
        for item in from..to {
            self.runs[item as usize].add();
        }
        Some(from..to)
    }

    fn counts(&self) -> Vec<usize> {
        self.runs.iter().map(Tally::count).collect()
    }
}

#[test]
fn halve_against_take_item() {
    check(4, || {
        let (theirs, slots) = page(Some((0, 4)));
        let chunk = Chunk::new(4);
        let worker = chunk.clone();
        let worker = spawn(move || worker.work(&theirs));
        chunk.halve(&slots, 4);
        worker.join().unwrap();
        assert_eq!(chunk.counts(), [1; 4]);
    });
}

#[test]
fn two_halves_against_take_item() {
    check(3, || {
        let (theirs, slots) = page(Some((0, 4)));
        let chunk = Chunk::new(4);
        let worker = chunk.clone();
        let worker = spawn(move || worker.work(&theirs));
        // Under the lock of the scheduler, which knows how many are left to the worker.
        let count = Arc::new(Mutex::new(4));
        let halve = |slots: Arc<TaskSlots<2>>| {
            let (chunk, count) = (chunk.clone(), Arc::clone(&count));
            move || {
                let mut count = count.lock().unwrap();
                *count = chunk.halve(&slots, *count).map_or(*count, |taken| taken.start);
            }
        };
        let other = spawn(halve(Arc::clone(&slots)));
        halve(slots)();
        other.join().unwrap();
        worker.join().unwrap();
        assert_eq!(chunk.counts(), [1; 4]);
    });
}

#[test]
fn halve_against_curtail_and_take_item() {
    check(3, || {
        let (theirs, slots) = page(Some((0, 4)));
        let chunk = Chunk::new(4);
        let worker = chunk.clone();
        let worker = spawn(move || worker.work(&theirs));
        let canceller = Arc::clone(&slots);
        let canceller = spawn(move || canceller.curtail(SLOT));
        let taken = chunk.halve(&slots, 4).unwrap_or(4..4);
        canceller.join().unwrap();
        worker.join().unwrap();
        let begun = slots.begun(SLOT);
        let has_run = |item| usize::from(item < begun || taken.contains(&item));
        assert!(begun <= taken.start);
        assert_eq!(chunk.counts(), [0, 1, 2, 3].map(has_run), "only begun and taken items run");
    });
}

#[test]
fn halve_against_the_next_chunk_in_the_slot() {
    check(3, || {
        let (theirs, slots) = page(Some((0, 2)));
        let (report, frame) = (Channel::new(), Channel::new());
        let (reported, next) = (report.clone(), frame.clone());
        let worker = spawn(move || {
            let run = |sequence| {
                assert!(theirs.start(SLOT, sequence, 0));
                let count = std::iter::from_fn(|| theirs.take_item(SLOT)).count();
                assert!(theirs.finish(SLOT, sequence));
                count
            };
            let first = run(TASK);
            report.put(());
            (first, run(next.take()))
        });
        let lock = Arc::new(Mutex::new(()));
        let (late, locked) = (Arc::clone(&slots), Arc::clone(&lock));
        let late = spawn(move || {
            let _locked = locked.lock().unwrap();
            late.halve(SLOT, TASK, (0, 2)).map_or(0, |(from, to)| to - from)
        });
        reported.take();
        let locked = lock.lock().unwrap();
        slots.ready(SLOT, TASK + 1, Some((0, 2)));
        drop(locked);
        frame.put(TASK + 1);
        let taken = late.join().unwrap() as usize;
        assert_eq!(worker.join().unwrap(), (2 - taken, 2), "no item of the next chunk is taken");
    });
}

/// Which items a death is blamed on, at whatever step the worker dies, while another one takes half of them.
#[test]
fn death_in_a_chunk_against_halve() {
    check_choices(3, 3, |steps| {
        let (theirs, slots) = page(Some((0, 3)));
        let chunk = Chunk::new(3);
        let worker = chunk.clone();
        let worker = spawn(move || {
            let mut left = 0..steps;
            if left.next().is_none() || !theirs.start(SLOT, TASK, 0) {
                return;
            }
            while left.next().is_some()
                && let Some(item) = theirs.take_item(SLOT)
            {
                worker.runs[item as usize].add();
                if left.next().is_none() {
                    return;
                }
                worker.known.add();
            }
        });
        let taken = chunk.halve(&slots, 3).unwrap_or(3..3);
        worker.join().unwrap();
        let (known, begun) = (chunk.known.count() as u32, slots.begun(SLOT));
        assert_eq!(slots.revoke(SLOT, TASK), steps == 0, "a chunk that was not started is revoked");
        assert!(begun <= taken.start && begun - known <= 1, "at most one item is blamed");
        let has_run = |item| usize::from(item < begun || taken.contains(&item));
        assert_eq!(chunk.counts(), [0, 1, 2].map(has_run), "the others go back");
    });
}
