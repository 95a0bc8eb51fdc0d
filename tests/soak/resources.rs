//! The processes of a round, and how much memory the program has.

use std::fmt;
use std::fs;
use std::path::Path;

use concurrent_futures_conformance::support::leak_check::{is_child, processes_with};

use crate::tasks::NOTES;

pub(crate) struct Growth {
    from: u64,
    to: u64,
}

impl Growth {
    pub(crate) fn since(from: u64) -> Self {
        Self { from, to: resident_kilobytes() }
    }

    /// The allocator keeps some of what it is given back: megabytes for each of a few arguments and threads.
    pub(crate) fn is_flat(&self) -> bool {
        self.to <= 2 * self.from + (64 << 10)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB after warm-up and {} KiB at the end", self.from, self.to)
    }
}

pub(crate) fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The workers whose tasks make these notes: children of this process.
pub(crate) fn workers(notes: &Path) -> Vec<u32> {
    processes(notes).into_iter().filter(|pid| is_child(*pid)).collect()
}

/// All processes whose tasks make these notes: workers, and workers of workers.
pub(crate) fn processes(notes: &Path) -> Vec<u32> {
    processes_with(NOTES, notes)
}
