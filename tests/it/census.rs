//! What there is in the system of this program: descriptors, threads, children. Read from /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::gettid;

/// Far longer than the end of anything takes that has begun to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What there is. Each has the number that the system knows it by, so none is taken for another.
pub(crate) struct Census {
    descriptors: BTreeSet<String>,
    threads: BTreeMap<String, String>,
    children: BTreeSet<String>,
}

/// Starts what smol keeps for good once somebody has awaited with it: a thread that runs, and one that waits, with what it
/// waits on. For a census after it.
pub(crate) fn start_smol() {
    // Registered, so what it waits on is there when this returns.
    drop(smol::Async::<UnixStream>::pair());
    smol::block_on(smol::spawn(async {}));
}

impl Census {
    pub(crate) fn take() -> Self {
        Self { descriptors: descriptors(), threads: threads(), children: children() }
    }

    /// What is there now that was not then. Threads come first: they take along what they have.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = self.threads_left();
        left.extend((&descriptors() - &self.descriptors).into_iter().map(|one| format!("descriptor {one}")));
        left.extend((&children() - &self.children).into_iter().map(|one| format!("child {one}")));
        left
    }

    #[track_caller]
    pub(crate) fn assert_nothing_is_left(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left: {left:#?}");
    }

    /// One that was joined, or that nobody joins, is still there for a moment, of which the system sends no word.
    fn threads_left(&self) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut left = threads();
            left.retain(|number, _| !self.threads.contains_key(number));
            if left.is_empty() || Instant::now() > until {
                return left.into_iter().map(|(number, name)| format!("thread {number}: {name}")).collect();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

pub(crate) fn descriptors() -> BTreeSet<String> {
    // The one that the directory is read by is another one each time.
    let own = Path::new("/proc").join(std::process::id().to_string()).join("fd");
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is there").filter_map(|entry| {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        (target != own).then(|| format!("{}: {}", entry.file_name().display(), target.display()))
    });
    entries.collect()
}

/// The numbers and names of all but this one. A thread names itself, so it may not have its name at first.
pub(crate) fn threads() -> BTreeMap<String, String> {
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

/// Also those that have ended and were not reaped: they have no command line any more.
pub(crate) fn children() -> BTreeSet<String> {
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

pub(crate) fn is_child(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(1));
    parent.and_then(|parent| parent.parse::<u32>().ok()) == Some(std::process::id())
}

/// The processes that were started with this in their environment, by whomever.
pub(crate) fn processes_with(variable: &str, value: &Path) -> Vec<u32> {
    let variable = format!("{variable}={}\0", value.display()).into_bytes();
    let belongs = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(variable.len()).any(|window| window == variable)
    };
    pids().filter(belongs).collect()
}

/// Waits for processes that are about to end, and returns those that do not.
pub(crate) fn survivors(pids: Vec<u32>) -> Vec<u32> {
    let patience = Timespec::try_from(PATIENCE).expect("half a minute");
    let lives_on = |pid: &u32| {
        let Some(process) = Pid::from_raw(*pid as i32) else { return false };
        let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)) == Ok(0)
    };
    pids.into_iter().filter(lives_on).collect()
}
