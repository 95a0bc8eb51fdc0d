//! Doors that are files.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// A door that tasks come to, and pass when they are let in. Dropping it lets all waiting tasks pass.
///
/// It is two FIFOs, which this side holds open in both directions: opening them never blocks, and what is written
/// stays.
pub struct Door {
    directory: TempDir,
    arrivals: RefCell<BufReader<File>>,
    entries: File,
}

impl Door {
    /// Makes a door that is closed.
    #[expect(clippy::new_without_default, reason = "makes files")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = |name| {
            let path = directory.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
            OpenOptions::new().read(true).write(true).open(path).expect("a FIFO")
        };
        let (arrivals, entries) = (RefCell::new(BufReader::new(fifo("arrivals"))), fifo("entries"));
        Self { directory, arrivals, entries }
    }

    /// Returns what a task has to know of the door: a directory, which may also hold files of the test.
    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Blocks until the next task comes, and returns the id of its process.
    pub fn arrived(&self) -> u32 {
        self.heard().parse().expect("an id")
    }

    /// Blocks until the next task comes, and returns what it says.
    pub fn heard(&self) -> String {
        let mut line = String::new();
        self.arrivals.borrow_mut().read_line(&mut line).expect("a FIFO can be read");
        line.trim_end().to_owned()
    }

    /// Lets `count` tasks pass, including tasks that come later.
    pub fn let_in(&self, count: usize) {
        (&self.entries).write_all(&vec![b'.'; count]).expect("a FIFO can be written");
    }

    /// Lets all tasks pass.
    pub fn open(&self) {
        self.let_in(4096);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.open();
    }
}

/// Lets `count` tasks pass at a door, given its path only.
pub fn let_in(door: &Path, count: usize) {
    let mut entries = OpenOptions::new().write(true).open(door.join("entries")).expect("a door");
    entries.write_all(&vec![b'.'; count]).expect("a door");
}

/// Says something at a door, which [`Door::heard`] returns.
pub fn say(door: &Path, what: &str) {
    let mut arrivals = OpenOptions::new().write(true).open(door.join("arrivals")).expect("a door");
    // In one write, so that it does not mix with the writes of others.
    arrivals.write_all(format!("{what}\n").as_bytes()).expect("a door");
}

/// Comes to a door, and blocks until it is let in.
pub fn enter(door: &Path) {
    // Opened before the arrival is known: after it, the door may be removed at any time.
    let entries = File::open(door.join("entries")).expect("a door");
    say(door, &std::process::id().to_string());
    wait_at(entries);
}

/// Blocks until it is let in at a door, without announcing itself.
pub fn wait_for_entry(door: &Path) {
    wait_at(File::open(door.join("entries")).expect("a door"));
}

fn wait_at(mut entries: File) {
    let _ = entries.read(&mut [0]).expect("a door");
}
