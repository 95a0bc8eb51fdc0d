//! What a program may do around its pool, and what may be done to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::panic;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use concurrent_futures::{Error, Executor, ProcessPoolExecutor};

use crate::exercise::calculate;
use crate::filter::refuse;
use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "the_program_is_deleted_while_its_pool_lives", host: outlive_the_file, check: delete },
    Case { name: "the_program_is_replaced_while_its_pool_lives", host: outlive_the_file, check: replace },
    Case { name: "workers_outlive_the_thread_that_made_them_start", host: leave_the_thread, check: end_well },
    Case { name: "the_standard_streams_are_closed", host: use_it, check: close_streams },
    Case { name: "a_panic_hook_of_the_programs_own", host: hook, check: end_well },
    Case { name: "without_proc_a_pool_works_or_says_why_not", host: do_without_proc, check: hide_proc },
    Case { name: "another_root_directory_has_nothing_but_the_program", host: exercise_once, check: change_root },
    Case { name: "a_program_that_leaves_its_root_directory_is_told_why", host: leave_the_root, check: leave_as_root },
    Case { name: "a_program_that_its_user_may_not_start_is_told_why", host: become_a_stranger, check: forbid },
    Case { name: "a_pool_is_refused_without_process_descriptors", host: deny_pidfds, check: end_well },
];

fn end_well(name: &str) {
    Host::start(name).ends_well();
}

fn outlive_the_file() {
    let pool = ProcessPoolExecutor::new(2);
    let first = pool.submit(pid, ()).result().expect("a worker");
    println!("started");
    wait_to_be_told();
    assert_works(&pool);
    pool.kill_workers();
    assert_works(&pool);
    assert_ne!(pool.submit(pid, ()).result().expect("a worker"), first);
    let error = pool.submit(|()| -> u8 { panic!("as ever") }, ()).result().unwrap_err();
    assert!(error.to_string().contains("as ever"), "{error}");
    exit_of(pool.submit(|()| -> u8 { std::process::exit(0) }, ()));
    let other = ProcessPoolExecutor::new(2);
    assert_works(&other);
}

fn while_it_runs(name: &str, change: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    let mut host = Host::run(name, &mut Command::new(&program));
    assert_eq!(host.hears(), "started");
    change(&program);
    host.tell();
    host.ends_well();
}

fn delete(name: &str) {
    while_it_runs(name, |program| fs::remove_file(program).expect("our file"));
}

fn replace(name: &str) {
    while_it_runs(name, |program| {
        let other = program.with_extension("new");
        fs::write(&other, "#!/bin/sh\nexit 99\n").expect("our directory");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("our file");
        fs::rename(other, program).expect("our directory");
    });
}

fn leave_the_thread() {
    let pool = ProcessPoolExecutor::new(1);
    let worker = thread::scope(|scope| scope.spawn(|| pool.submit(pid, ()).result()).join().expect("a thread"));
    let worker = worker.expect("a worker");
    for _ in 0..100 {
        assert_eq!(pool.submit(pid, ()).result().expect("the worker"), worker);
    }
}

fn use_it() {
    let pool = ProcessPoolExecutor::new(2);
    assert_works(&pool);
    let print = |line: String| {
        println!("{line}");
        eprintln!("{line}");
    };
    pool.submit(print, "into nowhere".into()).result().expect("it may print");
    exit_of(pool.submit(|code: i32| -> u8 { std::process::exit(code) }, 1));
    assert_works(&pool);
}

fn close_streams(name: &str) {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        // By a copy of a stream, all its processes can be waited for.
        let host = Host::by_script(name, &format!(r#"exec 8>&1; exec 9>&2; exec "$0" {closed}"#));
        host.ends_well();
    }
}

static SEEN: AtomicUsize = AtomicUsize::new(0);

fn hook() {
    let count = || {
        panic::set_hook(Box::new(|_| {
            SEEN.fetch_add(1, Ordering::Relaxed);
        }));
    };
    let fail = |text: String| -> u8 { panic!("{text}") };
    count();
    let pool = ProcessPoolExecutor::new(1);
    for _ in 0..2 {
        let error = pool.submit(fail, "in a worker".into()).result().unwrap_err();
        let Error::Panicked(panic) = &error else { panic!("{error}") };
        assert_eq!(panic.message(), "in a worker");
        assert!(panic.location().is_some_and(|place| place.contains("surroundings.rs:")), "{panic}");
        assert_eq!(SEEN.load(Ordering::Relaxed), 0, "the hook is this process's");
        // And again with one that takes the place of the crate's.
        count();
    }
    assert!(thread::spawn(|| panic!("here")).join().is_err());
    assert_eq!(SEEN.load(Ordering::Relaxed), 1);
    assert_works(&pool);
}

fn do_without_proc() {
    assert!(fs::read_dir("/proc").is_ok_and(|mut names| names.next().is_none()), "/proc is hidden");
    let pool = ProcessPoolExecutor::new(2);
    match pool.submit(|n: u8| n + 1, 1).result() {
        Ok(two) => {
            assert_eq!(two, 2);
            assert_works(&pool);
            println!("it works");
        }
        Err(Error::Broken(broken)) => println!("{broken}"),
        Err(other) => panic!("{other}"),
    }
}

fn hide_proc(name: &str) {
    let hide = "mount -t tmpfs none /proc";
    let mut unshare = Command::new("unshare");
    let permitted = unshare.args(["-m", "sh", "-c", hide]).stderr(Stdio::null()).status().is_ok_and(|it| it.success());
    if !permitted {
        eprintln!("skipped: not permitted to mount anything over /proc");
        return;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!(r#"{hide} && exec "$0""#)]).arg(program);
    let said = Host::run(name, &mut command).ends_well();
    assert!(said == "it works\n" || said.contains("no worker process can be started"), "{said}");
}

fn exercise_once() {
    println!("main");
    assert!(fs::metadata("/dev/null").is_err() && fs::metadata("/proc/self").is_err(), "there is nothing else");
    let pool = ProcessPoolExecutor::new(2);
    if cfg!(target_env = "musl") {
        let reason = reason(&pool);
        return assert!(reason.contains("/proc"), "{reason}");
    }
    let read = |()| std::io::stdin().lines().count();
    assert_eq!(pool.submit(read, ()).result().expect("a worker"), 0, "standard input is empty");
    calculate(&pool);
    exit_of(pool.submit(|()| -> u8 { std::process::exit(3) }, ()));
    calculate(&pool);
}

fn change_root(name: &str) {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can change the root directory");
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    copy_for_all(root.path());
    // What the program is linked with, where it looks for it.
    let maps = fs::read_to_string("/proc/self/maps").expect("what is mapped here");
    for line in maps.lines() {
        let path = line.split_whitespace().nth(5).unwrap_or_default();
        if let Some(inside) = path.strip_prefix('/').filter(|path| path.contains(".so")) {
            let inside = root.path().join(inside);
            fs::create_dir_all(inside.parent().expect("a directory")).expect("our directory");
            fs::copy(path, inside).expect("our directory");
        }
    }
    // The loader has its name in the program by a link.
    for link in ["lib", "lib64"] {
        if let Ok(to) = fs::read_link(Path::new("/").join(link)) {
            fs::create_dir_all(root.path().join(&to)).expect("our directory");
            let _ = fs::remove_dir_all(root.path().join(link));
            std::os::unix::fs::symlink(to, root.path().join(link)).expect("our directory");
        }
    }
    copy_loaders(root.path());
    let directory = root.path().to_owned();
    let mut command = Command::new("/host");
    let enter = move || {
        std::os::unix::fs::chroot(&directory)?;
        std::env::set_current_dir("/")
    };
    #[allow(unsafe_code)]
    // SAFETY: two system calls, and no memory of the program's that another thread could be in the middle of changing.
    unsafe {
        command.pre_exec(enter);
    }
    assert_eq!(Host::run(name, &mut command).ends_well(), "main\n");
}

/// What the one task ends with.
#[track_caller]
fn reason(pool: &ProcessPoolExecutor) -> String {
    broken(pool.submit(pid, ()).result()).to_string()
}

fn leave_the_root() {
    println!("main");
    let nothing = tempfile::tempdir().expect("a directory");
    let used = ProcessPoolExecutor::new(1);
    assert_works(&used);
    std::os::unix::fs::chroot(nothing.path()).expect("we are root");
    used.submit(pid, ()).result().expect("a worker is there");
    exit_of(used.submit(|()| -> u8 { std::process::exit(0) }, ()));
    for pool in [&used, &ProcessPoolExecutor::new(1)] {
        let reason = reason(pool);
        assert!(reason.contains("/proc") && reason.contains("ThreadPoolExecutor"), "{reason}");
    }
}

fn leave_as_root(name: &str) {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can change the root directory");
        return;
    }
    assert_eq!(Host::start(name).ends_well(), "main\n");
}

/// Gives up its rights, and with them that to start the program's file.
#[allow(unsafe_code)]
fn become_a_stranger() {
    println!("main");
    // SAFETY: takes numbers.
    let group = unsafe { libc::setresgid(USER, USER, USER) };
    // SAFETY: takes numbers.
    let user = unsafe { libc::setresuid(USER, USER, USER) };
    assert_eq!((group, user), (0, 0), "{}", std::io::Error::last_os_error());
    let reason = reason(&ProcessPoolExecutor::new(1));
    assert!(reason.contains("program's file") && reason.contains("ThreadPoolExecutor"), "{reason}");
}

fn forbid(name: &str) {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("our file");
    let said = Host::run(name, Command::new(&program).current_dir("/")).ends_well();
    assert_eq!(said, "main\n");
}

/// Files that a loader of 64-bit x86 is looked for at are links elsewhere.
fn copy_loaders(root: &Path) {
    for name in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
        let inside = root.join(&name[1..]);
        if Path::new(name).exists() && !inside.exists() {
            fs::create_dir_all(inside.parent().expect("a directory")).expect("our directory");
            fs::copy(name, inside).expect("our directory");
        }
    }
}

fn deny_pidfds() {
    // One that has a worker keeps it.
    let [used, unused] = [1, 1].map(ProcessPoolExecutor::new);
    let worker = used.submit(pid, ()).result().expect("a worker");
    // As a kernel that does not know it.
    refuse(&[libc::SYS_pidfd_open], libc::ENOSYS);
    for pool in [&unused, &ProcessPoolExecutor::new(1)] {
        let reason = reason(pool);
        assert!(reason.contains("pidfd_open") && reason.contains("5.4") && !reason.contains("os error"), "{reason}");
        assert!(!reason.contains("  "), "{reason}");
    }
    assert_eq!(used.submit(pid, ()).result().expect("it has a worker"), worker);
}
