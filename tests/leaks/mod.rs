//! Each test alone, in a process of its own, and what it leaves: no descriptor, thread, child, process or file.
//!
//!     cargo test --test it -- --ignored --exact leaks::every_test_leaves_nothing
//!
//! Descriptors, threads and children are looked at in the test's own process, by `within`, before and after what it runs; processes and
//! files are looked at from here when that process has ended. `LEAKS_ONLY=<part of a name>` runs those tests only.

use std::fs;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use concurrent_futures::ThreadPoolExecutor;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::thread::gettid;

use crate::support::leak_check::{self, processes_with, survivors};
use crate::support::{LONG, within};

/// Returns the names of tests, of those that are ignored or of all.
fn list(option: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program).args(["--list", "--format", "terse", option]).output().expect("this program");
    let lines = String::from_utf8(output.stdout).expect("names");
    lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Runs a test, and returns what is wrong with what it leaves.
fn run(name: String) -> Option<String> {
    let directory = tempfile::tempdir().expect("a directory");
    // Not a pipe, whose end a process that is left would hold.
    let mut output = tempfile::tempfile().expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["--exact", &name, "--test-threads=1"]);
    command.env("TMPDIR", directory.path()).env(leak_check::ALONE, "1");
    command.stdout(output.try_clone().expect("a file")).stderr(output.try_clone().expect("a file"));
    let status = command.status().expect("this program");
    let survivors = survivors(processes_with("TMPDIR", directory.path()));
    let files: Vec<_> =
        fs::read_dir(directory.path()).expect("a directory").flatten().map(|file| file.path()).collect();
    let mut text = String::new();
    output.rewind().and_then(|()| output.read_to_string(&mut text)).expect("a file");
    let well = status.success() && text.contains("1 passed");
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

// These run next to other tests: each looks for its own.

#[test]
fn a_descriptor_is_seen() {
    let file = tempfile::tempfile().expect("a file");
    let own = format!("{}: ", file.as_raw_fd());
    assert!(leak_check::descriptors().iter().any(|one| one.starts_with(&own)));
}

#[test]
fn a_thread_is_seen() {
    let (number, told) = channel();
    let (end, wait_for_end) = channel::<()>();
    let thread = thread::Builder::new().name("left".into()).spawn(move || {
        number.send(gettid().as_raw_nonzero().to_string()).expect("the test waits for the id");
        let _ = wait_for_end.recv();
    });
    let thread = thread.expect("a thread");
    let number = told.recv().expect("it says it");
    assert_eq!(leak_check::threads().get(&number).map(String::as_str), Some("left"));
    drop(end);
    thread.join().expect("it ends well");
}

#[test]
fn a_child_that_lives_and_one_that_was_not_reaped_are_seen() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("a child");
    let seen = |child: &std::process::Child| {
        let own = format!("{}: cat: ", child.id());
        leak_check::children().into_iter().find_map(|text| text.strip_prefix(&own).map(str::to_owned))
    };
    assert_eq!(seen(&child).as_deref(), Some("cat"));
    drop(child.stdin.take());
    // Until it has ended, and no further.
    waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("a child");
    assert_eq!(seen(&child).as_deref(), Some("ended, and was not reaped"));
    child.wait().expect("a child");
    assert_eq!(seen(&child), None);
}

/// Leaves a descriptor where it is looked for: in a process that this test has started.
#[test]
fn a_descriptor_that_a_test_leaves_is_a_failure() {
    const LEAVE: &str = "LEAKS_LEAVE";
    if std::env::var_os(LEAVE).is_some() {
        return within(LONG, || std::mem::forget(tempfile::tempfile().expect("a file")));
    }
    let name = "leaks::a_descriptor_that_a_test_leaves_is_a_failure";
    let run = |is_alone: bool| {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.args(["--exact", name, "--test-threads=1"]).env(LEAVE, "1").env_remove(leak_check::ALONE);
        if is_alone {
            command.env(leak_check::ALONE, "1");
        }
        command.output().expect("this program")
    };
    let checked = run(true);
    assert!(
        !checked.status.success() && String::from_utf8_lossy(&checked.stdout).contains("descriptor"),
        "{checked:?}"
    );
    let unchecked = run(false);
    assert!(unchecked.status.success(), "{unchecked:?}");
}
