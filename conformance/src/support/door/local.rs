//! Doors of this process.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use tempfile::TempDir;

/// A door that tasks come to, and pass when they are let in. When it is dropped, everybody who waits goes on.
pub struct Door(TempDir);

/// The processes of those who came and were not heard yet, and how many may pass.
#[derive(Default)]
struct Passage {
    arrivals: VecDeque<u32>,
    entries: usize,
}

/// By the paths of the doors that are there.
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

    /// Returns what a task has to know of the door: a directory, where files of the test may lie as well.
    pub fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Waits until the next one has come, and returns the id of its process.
    pub fn arrived(&self) -> u32 {
        let mut passages = PASSAGES.lock().unwrap();
        loop {
            if let Some(arrival) = passages.get_mut(self.0.path()).and_then(|passage| passage.arrivals.pop_front()) {
                return arrival;
            }
            passages = CHANGED.wait(passages).unwrap();
        }
    }

    /// Lets so many in, those that come later counted.
    pub fn let_in(&self, count: usize) {
        let_in(self.0.path(), count);
    }

    /// Lets everybody in.
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

/// Lets so many in at a door that is itself out of reach.
pub fn let_in(door: &Path, count: usize) {
    if let Some(passage) = PASSAGES.lock().unwrap().get_mut(door) {
        passage.entries += count;
    }
    CHANGED.notify_all();
}

/// Comes to a door, and waits to be let in.
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
