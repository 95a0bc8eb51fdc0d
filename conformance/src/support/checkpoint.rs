//! Checkpoints hold tasks of other processes, one by one.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};

use tempfile::TempDir;

/// A place where tasks in any process of this machine wait until they are released. Unlike a door, it needs only a
/// socket in the task.
pub struct Checkpoint {
    listener: UnixListener,
    directory: TempDir,
}

impl Checkpoint {
    /// Makes a checkpoint.
    #[expect(clippy::new_without_default, reason = "makes a socket")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("checkpoint")).expect("a socket");
        Self { listener, directory }
    }

    /// Returns what a task needs for [`stop_at`].
    pub fn address(&self) -> String {
        self.directory.path().join("checkpoint").to_str().expect("plain characters").into()
    }

    /// Blocks until a task arrives. The task waits for as long as the returned stream is kept.
    pub fn arrived(&self) -> UnixStream {
        self.listener.accept().expect("a task").0
    }
}

/// Arrives at a checkpoint, and blocks until it is released.
pub fn stop_at(address: String) {
    let mut checkpoint = UnixStream::connect(address).expect("a checkpoint");
    // Continues where a signal interrupts it.
    checkpoint.read_to_end(&mut Vec::new()).expect("the socket can be read to its end");
}
