//! Doors for executors that run tasks in this process, on every system. Where there are worker processes as well, those of
//! `tests/it/processes/support.rs` take their place, which are files.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

pub(crate) use crate::marks::{mark, marks, pid};

/// A door that tasks come to, and pass when they are let in. When it is dropped, whoever waits goes on.
pub(crate) struct Door(TempDir);

/// Who came to a door and was not heard yet, and how many may pass.
#[derive(Default)]
struct Passage {
    arrivals: VecDeque<u32>,
    entries: usize,
}

/// By the paths of the doors that are there.
static PASSAGES: Mutex<BTreeMap<PathBuf, Passage>> = Mutex::new(BTreeMap::new());
static CHANGED: Condvar = Condvar::new();

impl Door {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        PASSAGES.lock().insert(directory.path().to_owned(), Passage::default());
        Self(directory)
    }

    /// What a task is to know of it. Files of a test may lie there as well.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Waits until the next one has come, and returns the id of its process.
    pub(crate) fn arrived(&self) -> u32 {
        let mut passages = PASSAGES.lock();
        loop {
            if let Some(arrival) = passages.get_mut(self.0.path()).and_then(|passage| passage.arrivals.pop_front()) {
                return arrival;
            }
            CHANGED.wait(&mut passages);
        }
    }

    /// Lets so many in, those that come later counted.
    pub(crate) fn let_in(&self, count: usize) {
        let_in(self.0.path(), count);
    }

    /// Lets everybody in.
    pub(crate) fn open(&self) {
        self.let_in(4096);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        PASSAGES.lock().remove(self.0.path());
        CHANGED.notify_all();
    }
}

/// Lets so many in at a door that is itself out of reach.
pub(crate) fn let_in(door: &Path, count: usize) {
    if let Some(passage) = PASSAGES.lock().get_mut(door) {
        passage.entries += count;
    }
    CHANGED.notify_all();
}

/// Comes to a door, and waits to be let in.
pub(crate) fn enter(door: &Path) {
    let mut passages = PASSAGES.lock();
    if let Some(passage) = passages.get_mut(door) {
        passage.arrivals.push_back(std::process::id());
        CHANGED.notify_all();
    }
    while let Some(passage) = passages.get_mut(door) {
        if passage.entries > 0 {
            passage.entries -= 1;
            return;
        }
        CHANGED.wait(&mut passages);
    }
}

/// A task that waits at a door.
pub(crate) fn pass(door: PathBuf) -> u32 {
    enter(&door);
    std::process::id()
}
