//! What several tests of processes need.
#![allow(dead_code)]

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_futures::{Error, Outcome, WorkerDied};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, waitid};
use tempfile::TempDir;

pub(super) use super::marks::{mark, marks, pid};
use crate::support::LONG;

/// Ends the worker by the signal of this number.
pub(super) fn die_by(signal: i32) -> ! {
    let signal = Signal::from_named_raw(signal).expect("the number of a signal");
    kill_process(getpid(), signal).expect("a process may signal itself");
    loop {
        // Another thread may be the one that it is delivered to, in its own time.
        std::thread::park();
    }
}

/// Counts the calls in this process.
pub(super) fn calls(_: ()) -> usize {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

pub(super) fn died<T>(outcome: Outcome<T>) -> WorkerDied {
    match outcome {
        Err(Error::WorkerDied(died)) => died,
        Err(other) => panic!("not a death: {other}"),
        Ok(_) => panic!("it lives"),
    }
}

/// Sends a signal to another process.
pub(super) fn signal(pid: u32, signal: Signal) {
    kill_process(to_pid(pid), signal).expect("the process is there");
}

/// Stops a child of this process, and waits until it does nothing any more.
pub(super) fn stop(pid: u32) {
    signal(pid, Signal::STOP);
    let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    retry_on_intr(|| waitid(WaitId::Pid(to_pid(pid)), stopped)).expect("a child that is stopped");
}

fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("an id")).expect("an id")
}

/// Watches a process that is not the test's to wait for.
pub(super) struct Witness(OwnedFd);

impl Witness {
    /// The process must be there still.
    pub(super) fn of(pid: u32) -> Self {
        Self(pidfd_open(to_pid(pid), PidfdFlags::empty()).expect("the process is there"))
    }

    fn ends_within(&self, seconds: u64) -> bool {
        let limit = Timespec { tv_sec: seconds as i64, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit)).expect("a poll") == 1
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.ends_within(0)
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(super) fn sees_the_end(&self) {
        assert!(self.ends_within(LONG.as_secs()), "the process lives on");
    }
}

/// Has the process ended, and was it reaped?
pub(super) fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// A door that tasks in other processes come to, and pass when they are let in. When it is dropped, whoever waits goes on.
///
/// Two FIFOs, which this side holds open in both directions: so nobody blocks to open them, and what is written stays.
pub(super) struct Door {
    directory: TempDir,
    arrivals: RefCell<BufReader<File>>,
    entries: File,
}

impl Door {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = |name| {
            let path = directory.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
            OpenOptions::new().read(true).write(true).open(path).expect("a FIFO")
        };
        let (arrivals, entries) = (RefCell::new(BufReader::new(fifo("arrivals"))), fifo("entries"));
        Self { directory, arrivals, entries }
    }

    /// What a task is to know of it. Files of a test may lie there as well.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Waits until the next one has come, and returns the id of its process.
    pub(super) fn arrived(&self) -> u32 {
        self.heard().parse().expect("an id")
    }

    /// Waits until the next one has come, and returns what it says.
    pub(super) fn heard(&self) -> String {
        let mut line = String::new();
        self.arrivals.borrow_mut().read_line(&mut line).expect("a FIFO can be read");
        line.trim_end().to_owned()
    }

    /// Lets so many in, those that come later counted.
    pub(super) fn let_in(&self, count: usize) {
        (&self.entries).write_all(&vec![b'.'; count]).expect("a FIFO can be written");
    }

    /// Lets everybody in.
    pub(super) fn open(&self) {
        self.let_in(4096);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.open();
    }
}

/// Lets so many in at a door that is itself out of reach.
pub(super) fn let_in(door: &Path, count: usize) {
    let mut entries = OpenOptions::new().write(true).open(door.join("entries")).expect("a door");
    entries.write_all(&vec![b'.'; count]).expect("a door");
}

/// Says something at a door.
pub(super) fn say(door: &Path, what: &str) {
    let mut arrivals = OpenOptions::new().write(true).open(door.join("arrivals")).expect("a door");
    // One write, which nobody else's can come between.
    arrivals.write_all(format!("{what}\n").as_bytes()).expect("a door");
}

/// Comes to a door, and waits to be let in.
pub(super) fn enter(door: &Path) {
    // Before it is known to be here: the door may be gone as soon as it is.
    let entries = File::open(door.join("entries")).expect("a door");
    say(door, &std::process::id().to_string());
    wait_at(entries);
}

pub(super) fn wait_for_entry(door: &Path) {
    wait_at(File::open(door.join("entries")).expect("a door"));
}

fn wait_at(mut entries: File) {
    let _ = entries.read(&mut [0]).expect("a door");
}

/// A task that waits at a door.
pub(super) fn pass(door: PathBuf) -> u32 {
    enter(&door);
    std::process::id()
}
