//! What the system has of this program: descriptors, threads, children. It is read from /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::gettid;

/// Far longer than the end of anything takes that has begun to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Set in the environment of a process that runs one test, has it checked as by [`check_each`].
pub const ALONE: &str = "CONCURRENT_FUTURES_LEAK_CHECK";

static IS_ON: AtomicBool = AtomicBool::new(false);

/// From now on, [`within`](super::within) fails if what it runs leaves anything: for programs that run one test at a time.
pub fn check_each() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// What there was at a time. Each has the number that the system knows it by, so none is taken for another.
pub struct Resources {
    descriptors: BTreeSet<String>,
    threads: BTreeMap<String, String>,
    children: BTreeSet<String>,
}

impl Resources {
    /// Looks at what there is now, if tests are checked.
    pub(crate) fn if_checked() -> Option<Self> {
        let is_on = IS_ON.load(Ordering::Relaxed) || std::env::var_os(ALONE).is_some();
        is_on.then(Self::now)
    }

    /// Looks at what there is now.
    pub fn now() -> Self {
        Self { descriptors: descriptors(), threads: threads(), children: children() }
    }

    /// Returns what is there now and was not there then. Threads come first: their end takes along what they have.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.threads_left();
        left.extend((&descriptors() - &self.descriptors).into_iter().map(|one| format!("descriptor {one}")));
        left.extend((&children() - &self.children).into_iter().map(|one| format!("child {one}")));
        left
    }

    /// Looks at what is left.
    ///
    /// # Panics
    ///
    /// Panics if anything is there that was not there then.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left: {left:#?}");
    }

    fn threads_left(&self) -> Vec<String> {
        lasting_threads(|number, _| !self.threads.contains_key(number))
    }
}

/// Waits until no thread is left that `is_meant` by number and name, and returns those that stay for half a minute.
///
/// The one place that looks again and again: a thread that was joined, or that nobody joins, is still there for a moment, and the system does
/// not say when it is gone.
pub fn lasting_threads(is_meant: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut left = threads();
        left.retain(|number, name| is_meant(number, name));
        if left.is_empty() || Instant::now() > until {
            return left.into_iter().map(|(number, name)| format!("thread {number}: {name}")).collect();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the descriptors of this process, each with its target.
pub fn descriptors() -> BTreeSet<String> {
    // The one that the directory is read by is another one each time.
    let own = Path::new("/proc").join(std::process::id().to_string()).join("fd");
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is there").filter_map(|entry| {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        (target != own).then(|| format!("{}: {}", entry.file_name().display(), target.display()))
    });
    entries.collect()
}

/// Returns the numbers and names of all threads but this one. A thread names itself, so it may not have its name at first.
pub fn threads() -> BTreeMap<String, String> {
    let own = gettid().as_raw_nonzero().to_string();
    let entries = fs::read_dir("/proc/self/task").expect("/proc is there").filter_map(|entry| {
        let entry = entry.ok()?;
        // None: it has ended meanwhile.
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let number = entry.file_name().to_str()?.to_owned();
        (number != own).then(|| (number, name.trim_end().to_owned()))
    });
    entries.collect()
}

/// Returns the children, also those that have ended and were not reaped: they have no command line any more.
pub fn children() -> BTreeSet<String> {
    let children = pids().filter(|pid| is_child(*pid));
    let text = |pid: u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let arguments = if arguments.is_empty() { "ended, and was not reaped" } else { arguments.trim_end() };
        format!("{pid}: {}: {arguments}", name.trim_end())
    };
    children.map(text).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Returns `true` if the process is a child of this one.
pub fn is_child(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(1));
    parent.and_then(|parent| parent.parse::<u32>().ok()) == Some(std::process::id())
}

/// Returns the processes that have this in their environment, whoever started them.
pub fn processes_with(variable: &str, value: &Path) -> Vec<u32> {
    let variable = format!("{variable}={}\0", value.display()).into_bytes();
    let belongs = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(variable.len()).any(|window| window == variable)
    };
    pids().filter(belongs).collect()
}

/// Waits for processes that are about to end, and returns those that do not.
pub fn survivors(pids: Vec<u32>) -> Vec<u32> {
    let patience = Timespec::try_from(PATIENCE).expect("half a minute");
    let lives_on = |pid: &u32| {
        let Some(process) = Pid::from_raw(*pid as i32) else { return false };
        let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)) == Ok(0)
    };
    pids.into_iter().filter(lives_on).collect()
}
