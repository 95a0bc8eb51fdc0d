//! The argument that makes a process a worker: it is forged, it is all that is left, or the code that reads it is not reached.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use concurrent_futures::{Error, Executor, ProcessPoolExecutor};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_forged_mark_runs_no_main", host: say_main, check: forge },
    Case { name: "an_initialiser_that_clears_the_environment", host: use_it_once, check: clear },
    Case { name: "a_process_started_by_a_task_is_no_worker", host: start_itself, check: end_well },
    Case { name: "a_program_that_the_loader_was_told_to_start", host: say_why_not, check: start_by_loader },
    Case { name: "another_program_at_the_path_of_this_one", host: lose_the_program, check: replace_without_proc },
];

const MARK: &str = "--concurrent-futures-worker=";

/// Marks that no pool has given.
pub(crate) fn made_up() -> impl Iterator<Item = String> {
    let rests =
        ["", " ", "1", "entry", "entry 0 1 1 1", "entry 18446744073709551615 1 1 1", "entry x 1 1 1", "nonsense"];
    let more = ["init", "init 0 1 1 1", "init 99999999999999999999999 1 1 1", "entry 4096 1 1 1 and more", "\u{fe0f}"];
    rests.into_iter().chain(more).map(|rest| format!("{MARK}{rest}"))
}

fn end_well(name: &str) {
    Host::start(name).ends_well();
}

fn say_main() {
    println!("main");
}

fn forge(name: &str) {
    for mark in made_up() {
        let (status, output, errors) = Host::run(name, Command::new("/proc/self/exe").arg(&mark)).ends();
        assert!(!status.success() && output.is_empty() && errors.is_empty(), "{mark}: {status} {output}{errors}");
    }
    // Only in the place where a pool puts it.
    let host = Host::run(name, Command::new("/proc/self/exe").args(["first", &format!("{MARK}entry 0 1 1 1")]));
    assert_eq!(host.ends_well(), "main\n");
}

/// Asks for an initialiser that leaves nothing in the environment but this and the name of the case.
const CLEAR: &str = "CONCURRENT_FUTURES_TEST_CLEAR";

/// Called by the loader long before what makes a worker of the process.
#[used]
#[allow(unsafe_code)]
// SAFETY: the section holds pointers to functions of this type, which the loader calls one after the other.
#[unsafe(link_section = ".init_array.00001")]
static EARLY: extern "C" fn() = clear_environment;

extern "C" fn clear_environment() {
    let kept = [HOST, CLEAR];
    if kept.iter().any(|name| env::var_os(name).is_none()) {
        return;
    }
    for (name, _) in env::vars_os().filter(|(name, _)| !kept.iter().any(|kept| name == kept)) {
        #[allow(unsafe_code)]
        // SAFETY: no other thread is there.
        unsafe {
            env::remove_var(name);
        }
    }
}

fn use_it_once() {
    println!("main");
    let pool = ProcessPoolExecutor::builder().max_workers(2).env("LOST", "1").build().expect("a pool");
    assert_works(&pool);
    let left = pool.submit(|()| env::var("LOST").is_err(), ());
    assert!(left.result().expect("the pool works"), "the initialiser has run before");
}

fn clear(name: &str) {
    let said = Host::run(name, Command::new("/proc/self/exe").env(CLEAR, "1")).ends_well();
    assert_eq!(said, "main\n", "its `main` runs in no other process");
}

fn start_itself() {
    let pool = ProcessPoolExecutor::new(1);
    let arguments = |()| env::args().collect::<Vec<_>>();
    let own: Vec<_> = env::args().collect();
    let seen = pool.submit(arguments, ()).result().expect("a worker");
    assert_eq!(seen, if cfg!(target_env = "musl") { Vec::new() } else { own }, "there is only the program's name");
    let list = |()| {
        let list = Command::new("/proc/self/exe").arg("--list").env_remove(HOST).stdin(Stdio::null()).output();
        String::from_utf8(list.expect("it starts").stdout).expect("names")
    };
    let said = pool.submit(list, ()).result().expect("a worker");
    assert!(said.contains("a_process_started_by_a_task_is_no_worker"), "{said}");
}

fn say_why_not() {
    println!("main");
    let pool = ProcessPoolExecutor::new(2);
    let futures: Vec<_> = (0..4).map(|_| pool.submit(pid, ())).collect();
    for future in futures {
        println!("{}", broken(future.result()));
    }
}

fn start_by_loader(name: &str) {
    let maps = fs::read_to_string("/proc/self/maps").expect("what is mapped here");
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).map(Path::new);
    let is_loader =
        |path: &&Path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("ld-"));
    let Some(loader) = paths.find(is_loader) else {
        eprintln!("skipped: the program has no loader");
        return;
    };
    let program = env::current_exe().expect("the path of this program");
    let said = Host::run(name, Command::new(loader).arg(program)).ends_well();
    assert_eq!(said.matches("main\n").count(), 1, "{said}");
    assert_eq!(said.matches("ld.so").count(), 4, "{said}");
}

/// Has one worker, and then none: what lies in the program's place is another one.
fn lose_the_program() {
    let pool = ProcessPoolExecutor::new(2);
    assert_works(&pool);
    println!("started");
    wait_to_be_told();
    pool.kill_workers();
    let futures: Vec<_> = (0..4).map(|_| pool.submit(pid, ())).collect();
    let broken = futures.iter().filter(|future| matches!(future.error(), Some(Error::Broken(_)))).count();
    println!("{broken}");
}

fn replace_without_proc(name: &str) {
    let hide = "mount -t tmpfs none /proc";
    let mut unshare = Command::new("unshare");
    let permitted = unshare.args(["-m", "sh", "-c", hide]).stderr(Stdio::null()).status().is_ok_and(|it| it.success());
    if cfg!(target_env = "musl") || !permitted {
        eprintln!("skipped: no worker without /proc, or not permitted to mount anything over /proc");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!(r#"{hide} && exec "$0""#)]).arg(&program);
    let mut host = Host::run(name, &mut command);
    assert_eq!(host.hears(), "started");
    let other = program.with_extension("new");
    let starts = directory.path().join("starts");
    fs::write(&other, format!("#!/bin/sh\necho start >>{}\n", starts.display())).expect("our directory");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("our file");
    fs::rename(other, &program).expect("our directory");
    host.tell();
    assert_eq!(host.ends_well(), "4\n");
    // One for each worker that was there; nothing tells the pool before that it is another program.
    let starts = fs::read_to_string(starts).expect("it was started").lines().count();
    assert!((1..=2).contains(&starts), "{starts} starts");
}
