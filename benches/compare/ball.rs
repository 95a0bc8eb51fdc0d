//! [`Ball`]: two processes that send a message back and forth over a pair of sockets. No round trip to a worker can
//! cost less. Also processes that do nothing, as a limit for the start of a worker.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const PING: usize = 64;

/// The arguments that tell this program to be such a child.
const PONG_FLAG: &str = "--pong";
const EXIT_FLAG: &str = "--exit";

/// A child that sends back what it receives, over the same kind of socket as a worker.
pub(crate) struct Ball {
    socket: UnixStream,
    child: Child,
}

impl Ball {
    pub(crate) fn new() -> Self {
        let (socket, theirs) = UnixStream::pair().expect("a pair of sockets");
        let child = own_program(PONG_FLAG).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().expect("a process");
        Self { socket, child }
    }

    /// Binds the child to the cpu that this thread is bound to.
    pub(crate) fn stay_here(&self) {
        let here = sched_getaffinity(None).expect("the cpus of this thread");
        sched_setaffinity(Some(Pid::from_child(&self.child)), &here).expect("a cpu that a child may run on");
    }

    pub(crate) fn ping(&mut self) {
        let mut ball = [1; PING];
        self.socket.write_all(&ball).expect("a child that reads");
        self.socket.read_exact(&mut ball).expect("a child that answers");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Ball {
    fn drop(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).expect("a socket");
        self.child.wait().expect("a child");
    }
}

/// Returns `true` if this process is such a child. It has done its work then, and should end.
pub(crate) fn is_child() -> bool {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    if has(PONG_FLAG) {
        pong();
    }
    has(PONG_FLAG) || has(EXIT_FLAG)
}

/// Sends back what arrives, until the parent closes its end.
fn pong() {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("the socket");
    let mut socket = UnixStream::from(socket);
    let mut ball = [0; PING];
    while socket.read_exact(&mut ball).is_ok() && socket.write_all(&ball).is_ok() {}
}

/// Starts this program as a child that ends at once, and waits for its end.
pub(crate) fn spawn_and_wait() {
    assert!(own_program(EXIT_FLAG).status().expect("a process").success());
}

pub(crate) fn own_program(argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.arg(argument);
    command
}

/// Binds this thread to one cpu while `body` runs. The threads and processes that it starts meanwhile stay bound.
pub(crate) fn on_one_cpu<R>(body: impl FnOnce() -> R) -> R {
    let everywhere = sched_getaffinity(None).expect("the cpus of this thread");
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| everywhere.is_set(*cpu)).expect("one at least"));
    sched_setaffinity(None, &one).expect("a cpu of this thread");
    let result = body();
    sched_setaffinity(None, &everywhere).expect("the cpus of this thread");
    result
}
