//! Programs that run with the rights of another user: from their start, from some time on, or as far as a worker is told.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use concurrent_futures::{Error, Executor, ProcessPoolExecutor};
use tempfile::TempDir;

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_pool_is_refused_with_the_rights_of_another_user", host: borrow, check: lend },
    Case { name: "a_pool_is_refused_while_user_ids_differ", host: change_ids, check: change_each_id },
    Case { name: "user_ids_that_differ_later_cost_no_running_worker", host: change_ids_later, check: as_root },
    Case { name: "a_worker_with_other_rights_than_its_pool_does_not_run_main", host: start_twice, check: set_user_id },
    Case { name: "another_user_cannot_start_a_worker_of_a_set_user_id_program", host: say_main, check: forge_marks },
];

fn is_root() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        eprintln!(
            "skipped: only root can change its ids, and make a program that runs with the rights of another user"
        );
    }
    is_root
}

/// A copy of this program that runs with the rights of another user.
fn borrowed_program(directory: &Path) -> PathBuf {
    let program = copy_for_all(directory);
    lend_to_all(&program);
    program
}

fn lend_to_all(program: &Path) {
    chown(program, Some(USER), Some(USER)).expect("our file");
    fs::set_permissions(program, fs::Permissions::from_mode(0o4755)).expect("our file");
}

/// A worker of it would obey any user that starts it.
fn borrow() {
    let refused = ProcessPoolExecutor::new(2).submit(pid, ()).result();
    println!("{}", refused.unwrap_err());
}

fn lend(name: &str) {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let said = Host::run(name, Command::new(borrowed_program(directory.path())).current_dir("/")).ends_well();
    // Once: its `main` is not run again in place of a worker.
    assert_eq!(said.matches("the executor is broken").count(), 1, "{said}");
    assert!(said.contains("rights") && said.contains("ThreadPoolExecutor"), "{said}");
}

/// Names the call by which a program changes its ids.
const CALL: &str = "CONCURRENT_FUTURES_TEST_CALL";

/// Changes the effective ids, or the real ones, of the whole program.
#[allow(unsafe_code)]
fn change(call: &str) {
    // SAFETY, of all: takes numbers, and has no preconditions.
    let result = match call {
        // SAFETY: as above.
        "seteuid" => unsafe { libc::seteuid(USER) },
        // SAFETY: as above.
        "setegid" => unsafe { libc::setegid(USER) },
        // SAFETY: as above.
        "setreuid" => unsafe { libc::setreuid(USER, 0) },
        // SAFETY: as above.
        "setregid" => unsafe { libc::setregid(USER, 0) },
        // SAFETY: as above.
        "alike again" => unsafe { libc::seteuid(0) },
        other => panic!("{other}"),
    };
    assert_eq!(result, 0, "{call}: {}", io::Error::last_os_error());
}

fn change_ids() {
    println!("main");
    let call = std::env::var(CALL).expect("a call");
    // Both that was made before, and that is made after it.
    let before = ProcessPoolExecutor::new(2);
    change(&call);
    for pool in [&before, &ProcessPoolExecutor::new(2)] {
        let futures: Vec<_> = (0..4).map(|_| pool.submit(pid, ())).collect();
        for future in futures {
            let reason = broken(future.result()).to_string();
            assert!(reason.contains("effective") && reason.contains("setresuid"), "{reason}");
        }
        assert!(pool.map(pid, [(); 3]).all(|outcome| matches!(outcome, Err(Error::Broken(_)))));
    }
    if call == "seteuid" {
        // That can be taken back.
        change("alike again");
        assert_works(&before);
    }
}

fn change_each_id(name: &str) {
    if !is_root() {
        return;
    }
    for call in ["seteuid", "setegid", "setreuid", "setregid"] {
        let said = Host::run(name, Command::new("/proc/self/exe").env(CALL, call)).ends_well();
        assert_eq!(said, "main\n", "{call}: its `main` runs in no other process");
    }
}

fn change_ids_later() {
    println!("main");
    let pool = ProcessPoolExecutor::new(2);
    let worker = pool.submit(pid, ()).result().expect("a worker");
    change("seteuid");
    for future in (0..6).map(|_| pool.submit(pid, ())).collect::<Vec<_>>() {
        assert_eq!(future.result().expect("a worker is there"), worker);
    }
    change("alike again");
    pool.kill_workers();
    assert_works(&pool);
}

fn as_root(name: &str) {
    if is_root() {
        assert_eq!(Host::start(name).ends_well(), "main\n");
    }
}

fn start_twice() {
    println!("main");
    let pool = ProcessPoolExecutor::new(2);
    wait_to_be_told();
    let reasons: Vec<_> =
        (0..3).map(|_| pool.submit(pid, ())).map(|future| broken(future.result()).to_string()).collect();
    println!("{reasons:?}");
}

/// The pool cannot know: its own rights are as they were.
fn set_user_id(name: &str) {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    let mut host = Host::run(name, Command::new(&program).current_dir("/"));
    assert_eq!(host.hears(), "main");
    lend_to_all(&program);
    host.tell();
    let said = host.ends_well();
    assert!(!said.contains("main\n"), "{said}");
    assert!(said.contains("rights") && said.contains("ThreadPoolExecutor"), "{said}");
}

fn say_main() {
    println!("main");
}

fn forge_marks(name: &str) {
    if !is_root() {
        return;
    }
    let directory: TempDir = tempfile::tempdir().expect("a directory");
    let program = borrowed_program(directory.path());
    for mark in crate::marks::made_up() {
        let (status, output, errors) = Host::run(name, Command::new(&program).current_dir("/").arg(&mark)).ends();
        assert!(!status.success() && output.is_empty() && errors.is_empty(), "{mark}: {status} {output}{errors}");
    }
    let said = Host::run(name, Command::new(&program).current_dir("/").arg("another argument")).ends_well();
    assert_eq!(said, "main\n");
}
