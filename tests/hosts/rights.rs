//! Programs that run with the rights of another user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use concurrent_futures::{Executor, ProcessPoolExecutor};

use crate::host::*;

pub(crate) const CASES: &[Case] =
    &[Case { name: "the_rights_of_another_user_are_a_reason", host: borrow, check: lend }];

/// A worker of it would take its orders from whoever started it.
fn borrow() {
    let refused = ProcessPoolExecutor::new(2).submit(pid, ()).result();
    println!("{}", refused.unwrap_err());
}

fn lend(name: &str) {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can make a program that runs with the rights of another user");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    chown(&program, Some(USER), Some(USER)).expect("our file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("our file");
    let said = Host::run(name, Command::new(&program).current_dir("/")).ends_well();
    // Once: its `main` is not run again in place of a worker.
    assert_eq!(said.matches("the executor is broken").count(), 1, "{said}");
    assert!(said.contains("rights") && said.contains("ThreadPoolExecutor"), "{said}");
}
