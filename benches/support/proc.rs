//! What the kernel says of processes, under /proc.

use std::fs;

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    // One of them is of the directory that is being read.
    fs::read_dir("/proc/self/fd").expect("/proc").count() - 1
}

/// The processes that this one has started and that have not ended.
pub(crate) fn children() -> Vec<u32> {
    let own = std::process::id().to_string();
    let processes =
        fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|pid| field(&format!("/proc/{pid}/status"), "PPid").as_ref() == Some(&own)).collect()
}

/// How often the threads of a process whose names begin so have gone to sleep: once for each time they woke up.
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
