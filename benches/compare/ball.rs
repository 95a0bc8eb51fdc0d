//! [`Ball`]: a ping-pong of two processes over a pair of sockets, the least that a round trip to a worker could cost; and
//! other processes that hardly do a thing.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const PING: usize = 64;

/// What a child of this program is told to be.
const PONG_FLAG: &str = "--pong";
const EXIT_FLAG: &str = "--exit";

/// A child that sends back what it is sent, as a worker is reached.
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

    /// Keeps the child on the cpu that this thread is kept on.
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

/// If this is a child that is to do one of these things and no more, does it.
pub(crate) fn is_child() -> bool {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    if has(PONG_FLAG) {
        pong();
    }
    has(PONG_FLAG) || has(EXIT_FLAG)
}

/// The child's side, until there is no other.
fn pong() {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("the socket");
    let mut socket = UnixStream::from(socket);
    let mut ball = [0; PING];
    while socket.read_exact(&mut ball).is_ok() && socket.write_all(&ball).is_ok() {}
}

/// Starts this program as a child that ends at once, and waits for that.
pub(crate) fn spawn_and_wait() {
    assert!(own_program(EXIT_FLAG).status().expect("a process").success());
}

pub(crate) fn own_program(argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.arg(argument);
    command
}

/// Keeps this thread on one cpu meanwhile, and the threads and processes that it starts for good.
pub(crate) fn on_one_cpu<R>(body: impl FnOnce() -> R) -> R {
    let everywhere = sched_getaffinity(None).expect("the cpus of this thread");
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| everywhere.is_set(*cpu)).expect("one at least"));
    sched_setaffinity(None, &one).expect("a cpu of this thread");
    let result = body();
    sched_setaffinity(None, &everywhere).expect("the cpus of this thread");
    result
}
