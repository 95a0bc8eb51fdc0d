//! Programs that find no place to write to.

use std::process::{Command, Stdio};

use concurrent_futures::{Bytes, Error, Executor, Exit, ProcessPoolExecutor, ThreadPoolExecutor};

use crate::exercise::calculate;
use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_full_disk_costs_what_is_written_there", host: use_no_disk, check: print_to_a_full_one },
    Case { name: "a_directory_that_was_removed", host: use_no_disk, check: lose_the_directory },
    Case { name: "a_directory_that_cannot_be_written", host: use_no_disk, check: read_only },
    Case { name: "directories_that_are_full", host: use_no_disk, check: full },
];

/// Small and large things there and back, and a worker that has to be replaced.
fn use_no_disk() {
    calculate(&ThreadPoolExecutor::new(2));
    let pool = ProcessPoolExecutor::new(2);
    calculate(&pool);
    // More than memory of the program's own would carry.
    let bytes = Bytes::from(vec![7; 3 << 20]);
    let back = pool.submit(|bytes: Bytes| bytes, bytes.clone()).result().expect("it takes no disk");
    assert!(back == bytes);
    // The task's own affair, whether it says so or not.
    let outcome = pool.submit(|()| println!("into the full"), ()).result();
    assert!(matches!(outcome, Ok(()) | Err(Error::Panicked(_))), "{outcome:?}");
    assert_eq!(exit_of(pool.submit(|code: i32| -> u8 { std::process::exit(code) }, 3)), Exit::Code(3));
    calculate(&pool);
}

/// By a copy of standard error, all its processes can be waited for.
const KEEP: &str = "exec 8>&2";

fn print_to_a_full_one(name: &str) {
    Host::by_script(name, &format!(r#"{KEEP}; TMPDIR=/nowhere exec "$0" >/dev/full 2>/dev/full"#)).ends_well();
}

fn lose_the_directory(name: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gone");
    let path = path.to_str().expect("plain characters");
    Host::by_script(name, &format!(r#"mkdir {path}; cd {path}; rmdir {path}; TMPDIR={path} exec "$0""#)).ends_well();
}

/// Starts it in a directory where something else is mounted, which goes with it.
fn mounted(name: &str, mount: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("plain characters");
    let mount = mount.replace("HERE", path);
    let mut unshare = Command::new("unshare");
    let tried = unshare.args(["-m", "sh", "-c", &mount]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|it| it.success()) {
        eprintln!("skipped: not permitted to mount anything");
        return;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let script = format!(r#"{KEEP}; {mount} && cd {path} && TMPDIR={path} exec "$0""#);
    Host::run(name, Command::new("unshare").args(["-m", "sh", "-c", &script]).arg(program)).ends_well();
}

fn read_only(name: &str) {
    mounted(name, "mount -t tmpfs -o ro none HERE && ! touch HERE/it 2>/dev/null");
}

fn full(name: &str) {
    // Also where the system puts shared memory that has a name.
    let fill =
        |path| format!("mount -t tmpfs -o size=4k none {path} && ! head -c 9000 /dev/zero 2>/dev/null >{path}/it");
    mounted(name, &format!("{{ {} 2>/dev/null; }} && {{ {} 2>/dev/null; }}", fill("/dev/shm"), fill("HERE")));
}
