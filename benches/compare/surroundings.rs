//! [`Surroundings`]: what else the machine does while contestants take turns. Waking a thread takes a microsecond on a
//! quiet machine and a hundred beside threads that never sleep, so workloads that consist of wake-ups run in all of
//! them.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::thread;

use crate::ball::own_program;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
    /// Nothing else runs, and each pool has two workers.
    Quiet,
    /// Another process keeps one thread busy for each cpu.
    BusyCpus,
    /// Each pool has more workers than this machine has cpus.
    ManyWorkers,
}

/// The surroundings of most workloads.
pub(crate) const QUIET: &[Surroundings] = &[Surroundings::Quiet];
/// The surroundings of workloads that consist of wake-ups.
pub(crate) const ALL: &[Surroundings] = &[Surroundings::Quiet, Surroundings::BusyCpus, Surroundings::ManyWorkers];

impl Surroundings {
    /// Returns how many workers each pool has.
    pub(crate) fn workers(self) -> usize {
        match self {
            Self::Quiet | Self::BusyCpus => 2,
            Self::ManyWorkers => 8.max(2 * cpus()),
        }
    }

    /// Returns the name of a workload in these surroundings.
    pub(crate) fn name(self, workload: &str) -> String {
        match self {
            Self::Quiet => workload.to_owned(),
            Self::BusyCpus => format!("{workload}, busy cpus"),
            Self::ManyWorkers => format!("{workload}, {} workers", self.workers()),
        }
    }

    /// Sets the surroundings up. They last until the returned value is dropped.
    pub(crate) fn enter(self) -> Option<Neighbour> {
        (self == Self::BusyCpus).then(Neighbour::start)
    }
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The argument that tells this program to be such a child.
const BUSY_FLAG: &str = "--busy";

/// A child with one busy thread for each cpu. It ends when this is dropped, or with this program, however that ends.
pub(crate) struct Neighbour {
    child: Child,
}

impl Neighbour {
    fn start() -> Self {
        let child = own_program(BUSY_FLAG).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a process");
        // The child sends a byte once its threads run.
        let mut ready = [0];
        child.stdout.as_mut().expect("it is piped").read_exact(&mut ready).expect("a child that is busy");
        Self { child }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // `wait` first closes the standard input of the child, which ends it.
        self.child.wait().expect("a child");
    }
}

/// Returns `true` if this process is such a child. It has been busy until its standard input ended then.
pub(crate) fn is_child() -> bool {
    let is_child = std::env::args().any(|argument| argument == BUSY_FLAG);
    if is_child {
        for _ in 0..cpus() {
            thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
        }
        print!(".");
        std::io::Write::flush(&mut std::io::stdout()).expect("the parent reads it");
        std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
    }
    is_child
}
