//! Each test alone, in a process of its own, and what it leaves there: no descriptor, thread, child, process or file.
//!
//!     cargo test --test it -- --ignored --exact leaks::every_test_leaves_nothing
//!
//! The process runs three tests, one after the other in the order of their names: `a_census`, which counts, the test, and
//! `zero_are_left`, which counts again. `LEAKS_ONLY=<part of a name>` runs those only.

use std::fs;
use std::io::{Read, Seek};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::thread;

use concurrent_futures::ThreadPoolExecutor;

use crate::census::{Census, processes_with, survivors};

static BEFORE: OnceLock<Census> = OnceLock::new();

/// Before a test.
pub(crate) fn count() {
    assert!(BEFORE.set(Census::take()).is_ok(), "counted once");
}

/// After it.
pub(crate) fn compare() {
    let left = BEFORE.get().expect("it was counted before").left();
    assert!(left.is_empty(), "left: {left:#?}");
}

/// The names of tests, of those that are ignored or of all.
fn list(option: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program).args(["--list", "--format", "terse", option]).output().expect("this program");
    let lines = String::from_utf8(output.stdout).expect("names");
    lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Runs a test. What is wrong with what it leaves.
fn run(name: String) -> Option<String> {
    let directory = tempfile::tempdir().expect("a directory");
    // Not a pipe, whose end whoever is left would hold.
    let mut output = tempfile::tempfile().expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["--exact", "--include-ignored", "--test-threads=1", "a_census", "zero_are_left", &name]);
    command.env("TMPDIR", directory.path());
    command.stdout(output.try_clone().expect("a file")).stderr(output.try_clone().expect("a file"));
    let status = command.status().expect("this program");
    let survivors = survivors(processes_with("TMPDIR", directory.path()));
    let files: Vec<_> = fs::read_dir(directory.path()).expect("a directory").flatten().map(|file| file.path()).collect();
    let mut text = String::new();
    output.rewind().and_then(|()| output.read_to_string(&mut text)).expect("a file");
    let well = ExitStatus::success(&status) && text.contains("3 passed");
    let nothing = survivors.is_empty() && files.is_empty();
    (!well || !nothing).then(|| format!("{name}: {status}, processes {survivors:?}, files {files:?}\n{text}"))
}

#[test]
#[ignore = "takes minutes"]
fn every_test_leaves_nothing() {
    let only = std::env::var("LEAKS_ONLY").unwrap_or_default();
    let ignored = list("--ignored");
    let names = list("--include-ignored").into_iter().filter(|name| !ignored.contains(name) && name.contains(&only));
    // Most of them wait most of the time.
    let at_a_time = 2 * thread::available_parallelism().map_or(1, usize::from);
    let complaints: Vec<_> =
        ThreadPoolExecutor::new(at_a_time).map(run, names).filter_map(|outcome| outcome.expect("it is run")).collect();
    assert!(complaints.is_empty(), "{} of them leave something:\n{}", complaints.len(), complaints.join("\n"));
}
