//! Doors that only this process knows.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use tempfile::TempDir;

/// A door that tasks come to, and pass when they are let in. Dropping it lets all waiting tasks pass.
pub struct Door(TempDir);

/// The process ids of the tasks that came and were not yet returned by `arrived`, and how many tasks may pass.
#[derive(Default)]
struct Passage {
    arrivals: VecDeque<u32>,
    entries: usize,
}

/// The passages of all doors that exist, by path.
static PASSAGES: Mutex<BTreeMap<PathBuf, Passage>> = Mutex::new(BTreeMap::new());
static CHANGED: Condvar = Condvar::new();

impl Door {
    /// Makes a door that is closed.
    #[expect(clippy::new_without_default, reason = "makes a directory")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        PASSAGES.lock().unwrap().insert(directory.path().to_owned(), Passage::default());
        Self(directory)
    }

    /// Returns what a task has to know of the door: a directory, which may also hold files of the test.
    pub fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Blocks until the next task comes, and returns the id of its process.
    pub fn arrived(&self) -> u32 {
        let mut passages = PASSAGES.lock().unwrap();
        loop {
            if let Some(arrival) = passages.get_mut(self.0.path()).and_then(|passage| passage.arrivals.pop_front()) {
                return arrival;
            }
            passages = CHANGED.wait(passages).unwrap();
        }
    }

    /// Lets `count` tasks pass, including tasks that come later.
    pub fn let_in(&self, count: usize) {
        let_in(self.0.path(), count);
    }

    /// Lets all tasks pass.
    pub fn open(&self) {
        self.let_in(4096);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        PASSAGES.lock().unwrap().remove(self.0.path());
        CHANGED.notify_all();
    }
}

/// Lets `count` tasks pass at a door, given its path only.
pub fn let_in(door: &Path, count: usize) {
    if let Some(passage) = PASSAGES.lock().unwrap().get_mut(door) {
        passage.entries += count;
    }
    CHANGED.notify_all();
}

/// Comes to a door, and blocks until it is let in.
pub fn enter(door: &Path) {
    let mut passages = PASSAGES.lock().unwrap();
    if let Some(passage) = passages.get_mut(door) {
        passage.arrivals.push_back(std::process::id());
        CHANGED.notify_all();
    }
    while let Some(passage) = passages.get_mut(door) {
        if passage.entries > 0 {
            passage.entries -= 1;
            return;
        }
        passages = CHANGED.wait(passages).unwrap();
    }
}
