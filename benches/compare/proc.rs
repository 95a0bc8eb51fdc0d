//! Figures of processes that the kernel shows in /proc.

use std::fs;

/// Returns how many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    // One more is open while the directory is read.
    fs::read_dir("/proc/self/fd").expect("/proc").count() - 1
}

/// Returns how often the threads of a process whose names begin with `prefix` have gone to sleep, which is how often
/// they woke up.
pub(crate) fn sleeps(pid: u32, prefix: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that lives");
    let statuses = threads.filter_map(|thread| Some(format!("{}/status", thread.ok()?.path().to_str()?)));
    let named = statuses.filter(|status| field(status, "Name").is_some_and(|name| name.starts_with(prefix)));
    named.filter_map(|status| field(&status, "voluntary_ctxt_switches")?.parse::<u64>().ok()).sum()
}

fn field(path: &str, name: &str) -> Option<String> {
    let status = fs::read_to_string(path).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// Returns how much memory belongs to a process alone.
pub(crate) fn private_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a process that lives");
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kilobytes = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    1024 * kilobytes.sum::<u64>()
}

/// Returns the cpu time of all threads of this process except the first one, in seconds.
pub(crate) fn cpu_seconds_of_others() -> f64 {
    let own = std::process::id().to_string();
    let threads = fs::read_dir("/proc/self/task").expect("/proc").filter_map(Result::ok);
    let others = threads.filter(|thread| thread.file_name().to_str() != Some(&own));
    let times = others.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    let nanoseconds = times.filter_map(|times| times.split_whitespace().next()?.parse::<u64>().ok());
    nanoseconds.sum::<u64>() as f64 / 1e9
}
