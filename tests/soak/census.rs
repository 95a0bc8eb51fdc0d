//! What there is in the system of this program: processes, threads, descriptors, memory. Read from /proc.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::tasks::NOTES;

/// How many descriptors and pages of memory there were.
pub(crate) struct Census {
    descriptors: Vec<String>,
    kilobytes: u64,
}

impl Census {
    pub(crate) fn take() -> Self {
        Self { descriptors: descriptors(), kilobytes: resident_kilobytes() }
    }

    /// What is there now that should not be.
    pub(crate) fn differences(&self) -> Vec<String> {
        let threads = threads_left();
        let mut differences: Vec<_> = threads.iter().map(|name| format!("a thread is left: {name}")).collect();
        let now = descriptors();
        if now.len() > self.descriptors.len() {
            // It is too many either way; but which of the two it is helps to find whose they are.
            std::thread::sleep(Duration::from_secs(3));
            let later = descriptors().len();
            let before = &self.descriptors;
            differences.push(format!("descriptors are left: {now:?}, before: {before:?}; {later} after three seconds"));
        }
        differences
    }

    pub(crate) fn memory_growth(&self) -> Growth {
        Growth { from: self.kilobytes, to: resident_kilobytes() }
    }
}

pub(crate) struct Growth {
    from: u64,
    to: u64,
}

impl Growth {
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

fn descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is there");
    entries.filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.display().to_string())).collect()
}

fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Threads of pools. One that was joined, or that nobody joins, is still there for a moment, of which the system sends no word.
fn threads_left() -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
        let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let left: Vec<_> = names.filter(|name| name.starts_with("ProcessPool")).collect();
        if left.is_empty() || Instant::now() > until {
            return left;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The workers whose tasks make these notes: children of this process.
pub(crate) fn workers(notes: &Path) -> Vec<u32> {
    processes(notes).into_iter().filter(|pid| is_child(*pid)).collect()
}

/// All processes whose tasks make these notes: workers, and workers of workers.
pub(crate) fn processes(notes: &Path) -> Vec<u32> {
    let variable = format!("{NOTES}={}\0", notes.display()).into_bytes();
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let belongs = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(variable.len()).any(|window| window == variable)
    };
    pids.filter(belongs).collect()
}

pub(crate) fn is_child(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(1));
    parent.and_then(|parent| parent.parse::<u32>().ok()) == Some(std::process::id())
}

/// Waits for processes that are about to end, and returns those that do not.
pub(crate) fn survivors(pids: Vec<u32>) -> Vec<u32> {
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let lives_on = |pid: &u32| {
        let Some(process) = Pid::from_raw(*pid as i32) else { return false };
        let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)) == Ok(0)
    };
    pids.into_iter().filter(lives_on).collect()
}
