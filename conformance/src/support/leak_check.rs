//! The descriptors, threads and children of this program, as the system reports them in /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::gettid;

/// Far longer than anything takes that has begun to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Setting this variable in the environment of a process that runs one test checks the test as [`check_each`] does.
pub const ALONE: &str = "CONCURRENT_FUTURES_LEAK_CHECK";

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Makes [`within`](super::within) fail from now on if what it runs leaves anything behind: for programs that run one
/// test at a time.
pub fn check_each() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// The resources of this process at one time. Each has the number that the system gives it, so they are not mixed up.
pub struct Resources {
    descriptors: BTreeSet<String>,
    threads: BTreeMap<String, String>,
    children: BTreeSet<String>,
}

impl Resources {
    /// Returns the resources of now, if tests are checked.
    pub(crate) fn if_checked() -> Option<Self> {
        let is_on = IS_ON.load(Ordering::Relaxed) || std::env::var_os(ALONE).is_some();
        is_on.then(Self::now)
    }

    /// Returns the resources of now.
    pub fn now() -> Self {
        Self { descriptors: descriptors(), threads: threads(), children: children() }
    }

    /// Returns what exists now and did not exist then. Threads come first: when they end, they release what they hold.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.threads_left();
        left.extend((&descriptors() - &self.descriptors).into_iter().map(|one| format!("descriptor {one}")));
        left.extend((&children() - &self.children).into_iter().map(|one| format!("child {one}")));
        left
    }

    /// Checks that nothing is left behind.
    ///
    /// # Panics
    ///
    /// Panics if anything exists now that did not exist then.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left: {left:#?}");
    }

    fn threads_left(&self) -> Vec<String> {
        lasting_threads(|number, _| !self.threads.contains_key(number))
    }
}

/// Waits until no thread is left that `is_meant` accepts by number and name. Returns those that stay for half a minute.
///
/// This is the one place that polls: a thread that was joined, or that nobody joins, still exists for a moment, and the
/// system does not say when it is gone.
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
    // The descriptor of the directory that is read here differs each time.
    let own = Path::new("/proc").join(std::process::id().to_string()).join("fd");
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is there").filter_map(|entry| {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        (target != own).then(|| format!("{}: {}", entry.file_name().display(), target.display()))
    });
    entries.collect()
}

/// Returns the numbers and names of all threads except this one. A thread names itself, so it may not have its name at
/// first.
pub fn threads() -> BTreeMap<String, String> {
    let own = gettid().as_raw_nonzero().to_string();
    let entries = fs::read_dir("/proc/self/task").expect("/proc is there").filter_map(|entry| {
        let entry = entry.ok()?;
        // `None` if it has ended meanwhile.
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let number = entry.file_name().to_str()?.to_owned();
        (number != own).then(|| (number, name.trim_end().to_owned()))
    });
    entries.collect()
}

/// Returns the children, including those that have ended and were not reaped, which have no command line any more.
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

/// Returns the processes that have this variable in their environment, whichever process started them.
pub fn processes_with(variable: &str, value: &Path) -> Vec<u32> {
    let variable = format!("{variable}={}\0", value.display()).into_bytes();
    let belongs = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(variable.len()).any(|window| window == variable)
    };
    pids().filter(belongs).collect()
}

/// Waits for processes that are about to end. Returns those that do not end.
pub fn survivors(pids: Vec<u32>) -> Vec<u32> {
    let patience = Timespec::try_from(PATIENCE).expect("half a minute");
    let lives_on = |pid: &u32| {
        let Some(process) = Pid::from_raw(*pid as i32) else { return false };
        let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)) == Ok(0)
    };
    pids.into_iter().filter(lives_on).collect()
}
