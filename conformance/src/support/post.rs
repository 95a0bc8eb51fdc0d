//! Posts hold tasks of other processes, one by one.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};

use tempfile::TempDir;

/// A place where tasks of this machine call, and wait until they are let go. Unlike a door, it needs only a socket in
/// the task.
pub struct Post {
    listener: UnixListener,
    directory: TempDir,
}

impl Post {
    /// Makes a post.
    #[expect(clippy::new_without_default, reason = "makes a socket")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("post")).expect("a socket");
        Self { listener, directory }
    }

    /// Returns what a task needs for [`call_at`].
    pub fn address(&self) -> String {
        self.directory.path().join("post").to_str().expect("plain characters").into()
    }

    /// Blocks until a task calls. The task waits for as long as the returned stream is kept.
    pub fn called(&self) -> UnixStream {
        self.listener.accept().expect("a call").0
    }
}

/// Calls at a post, and blocks until it is let go.
pub fn call_at(address: String) {
    let mut post = UnixStream::connect(address).expect("a post to call at");
    // Continues where a signal interrupts it.
    post.read_to_end(&mut Vec::new()).expect("the socket can be read to its end");
}
