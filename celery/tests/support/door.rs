//! [`Door`]: shows when a task of another program has begun, and holds it up.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use super::{folder, unique};

/// A FIFO that a task opens.
pub(crate) struct Door(PathBuf);

impl Door {
    pub(crate) fn new() -> Self {
        let path = folder("doors").join(unique("door"));
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        Self(path)
    }

    /// Returns the path, as an argument for the task.
    pub(crate) fn path(&self) -> Option<String> {
        Some(self.0.to_str().expect("a path in UTF-8").to_owned())
    }

    /// Lets a task in that comes to the door to read. Blocks until one does.
    pub(crate) fn open(&self) {
        File::options().write(true).open(&self.0).expect("a door");
    }

    /// Blocks until a task comes to the door.
    pub(crate) fn wait(&self) {
        File::open(&self.0).expect("a door");
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
