//! [`measure`]: runs a workload in processes of its own, and returns its figures.
//!
//! A figure is the cost of twice as many tasks, minus the cost of so many, divided by so many, so what starts and ends
//! the process and its pool does not count. Both costs are the median of three runs.

use std::env;
use std::fmt;
use std::fs;
use std::process::Command;

use crate::atomics;
use crate::workloads::Workload;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Instructions of the caller's process, counted by valgrind, which runs one of its threads at a time. Worker
    /// processes run without valgrind: under 3.19 they die of SIGSEGV, where rustix looks for the vDSO.
    Instructions,
    /// Atomic read-modify-writes among these instructions.
    Atomics,
    /// Calls of the allocator in the caller's process.
    Allocations,
    /// Requested bytes that are not freed, in the caller's process.
    Bytes,
    /// System calls of all processes, counted by strace.
    SystemCalls,
    /// System calls that send tasks to a worker process.
    Messages,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instructions => "instructions",
            Self::Atomics => "atomics",
            Self::Allocations => "allocations",
            Self::Bytes => "bytes",
            Self::SystemCalls => "system calls",
            Self::Messages => "messages",
        })
    }
}

/// How often each process runs.
const RUNS: usize = 3;

/// Returns the figure of one task or item.
pub(crate) fn measure(workload: &Workload, unit: Unit) -> f64 {
    let median = |times| {
        let mut counts = [(); RUNS].map(|()| count(workload, unit, times));
        counts.sort_unstable();
        counts[RUNS / 2]
    };
    let (once, twice) = (median(workload.times), median(2 * workload.times));
    (twice as f64 - once as f64) / workload.times as f64
}

/// Returns the cost of a process that runs so many tasks.
fn count(workload: &Workload, unit: Unit, times: u64) -> u64 {
    let program = env::current_exe().expect("this program has a path");
    // The last profile is left there, beside the program.
    let profile = program.with_extension("profile");
    let into_profile = format!("--callgrind-out-file={}", profile.display());
    let counter: &[&str] = match unit {
        Unit::Instructions | Unit::Atomics => &[
            "valgrind",
            "--tool=callgrind",
            &into_profile,
            "--fair-sched=yes",
            "--dump-instr=yes",
            "--compress-pos=no",
            "--compress-strings=no",
        ],
        Unit::SystemCalls => &["strace", "-f", "-c", "-U", "calls,name"],
        Unit::Messages => &["strace", "-f", "-c", "-U", "calls,name", "-e", "trace=sendmsg"],
        Unit::Allocations | Unit::Bytes => &["env"],
    };
    let subcommand = if matches!(unit, Unit::Allocations | Unit::Bytes) { "allocations" } else { "run" };
    let mut command = Command::new(counter[0]);
    command.args(&counter[1..]).arg(&program).args([subcommand, workload.name, &times.to_string()]);
    let output = command.output().unwrap_or_else(|error| panic!("{} does not start: {error}", counter[0]));
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{said}");
    let found = match unit {
        Unit::Instructions => said.lines().find_map(|line| number(line.split_once("Collected : ")?.1)),
        Unit::Atomics => fs::read_to_string(&profile).ok().map(|profile| atomics::executed(&program, &profile)),
        Unit::SystemCalls | Unit::Messages => said.lines().find(|line| line.ends_with(" total")).and_then(number),
        Unit::Allocations => number(&out),
        Unit::Bytes => out.split_once(' ').and_then(|(_, bytes)| number(bytes)),
    };
    found.unwrap_or_else(|| panic!("{command:?} did not say how many {unit}:\n{said}"))
}

/// Returns the number that a text begins with.
fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
