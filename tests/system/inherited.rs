//! What workers inherit of the program, or not: signals, descriptors, streams, the terminal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use concurrent_futures::{Bytes, Executor, Exit, ProcessPoolExecutor};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_worker_gets_null_streams_for_closed_ones", host: close_streams, check: ends_well },
    Case { name: "nothing_of_a_pool_is_a_standard_stream", host: use_without_streams, check: ends_well },
    Case { name: "blocked_and_ignored_signals_are_not_inherited", host: block_and_ignore, check: ends_well },
    Case { name: "descriptors_are_not_inherited", host: open_many, check: ends_well },
    Case { name: "reading_from_the_terminal_fails", host: have_a_terminal, check: ends_well },
];

fn ends_well(name: &str) {
    assert_eq!(Host::start(name).ends_well(), "");
}

#[allow(unsafe_code)]
fn close(descriptor: RawFd) {
    // SAFETY: none: that a program does this is what the test is about.
    unsafe { libc::close(descriptor) };
}

/// What each descriptor of this process leads to.
fn descriptors(_: ()) -> Vec<(RawFd, String)> {
    let names = fs::read_dir("/proc/self/fd").expect("descriptors");
    let number = |name: fs::DirEntry| name.file_name().to_str().and_then(|name| name.parse().ok()).expect("a number");
    let numbers: Vec<RawFd> = names.map(|name| number(name.expect("a descriptor"))).collect();
    let target = |number| Some((number, fs::read_link(format!("/proc/self/fd/{number}")).ok()?.to_str()?.to_owned()));
    numbers.into_iter().filter_map(target).collect()
}

/// Prints, writes to a file that it opens, and returns what is in there.
fn print_and_write(_: ()) -> (RawFd, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    let mut file = File::create(&path).expect("a file");
    println!("printed");
    eprintln!("printed");
    io::stdout().flush().expect("it is flushed");
    file.write_all(b"written").expect("a file");
    let print = Command::new("sh").args(["-c", "echo printed; echo printed >&2; cat"]).status().expect("a shell");
    assert!(print.success(), "its streams are there as well");
    (file.as_raw_fd(), fs::read_to_string(&path).expect("a file"))
}

fn echo(bytes: Bytes) -> Bytes {
    bytes
}

fn close_streams() {
    for closed in [&[1][..], &[1, 2], &[0], &[0, 1, 2]] {
        for stream in closed {
            close(*stream);
        }
        let pool = ProcessPoolExecutor::new(1);
        let long = Bytes::from(vec![7; 1 << 20]);
        assert_eq!(pool.submit(echo, long.clone()).result().expect("a segment each way"), long);
        let (number, written) = pool.submit(print_and_write, ()).result().expect("it may print");
        assert!(number > 2);
        assert_eq!(written, "written");
        let there = pool.submit(descriptors, ()).result().expect("a worker");
        for stream in closed {
            assert!(there.contains(&(*stream, "/dev/null".into())), "{there:?}");
        }
        assert_works(&pool);
    }
}

fn use_without_streams() {
    for stream in 0..3 {
        close(stream);
    }
    let pool = ProcessPoolExecutor::new(2);
    let work = |pool: &ProcessPoolExecutor| {
        let long = Bytes::from(vec![7; 1 << 20]);
        assert_eq!(pool.submit(echo, long.clone()).result().expect("a segment each way"), long);
        assert_works(pool);
    };
    work(&pool);
    let own = descriptors(());
    assert!(own.iter().all(|(number, _)| *number > 2), "{own:?}");
    // And where a task has closed them.
    let pool = ProcessPoolExecutor::new(1);
    let close_all = |()| (0..3).for_each(close);
    pool.submit(close_all, ()).result().expect("a worker");
    work(&pool);
    let there = pool.submit(descriptors, ()).result().expect("a worker");
    // But for the directory that it was read from.
    let ours = there.iter().filter(|(number, target)| *number < 3 && !target.starts_with("/proc"));
    assert_eq!(ours.count(), 0, "{there:?}");
}

/// The signals in a line of a process's status, by number. Two belong to the C library, which lets nobody ask for them.
fn signals(status: &str, line: &str) -> BTreeSet<u32> {
    let line = status.lines().find_map(|found| found.strip_prefix(line)).expect("a line");
    let bits = u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a mask");
    (1..=64).filter(|signal| bits >> (signal - 1) & 1 == 1 && ![32, 33].contains(signal)).collect()
}

fn statuses(_: ()) -> (String, String) {
    let own = fs::read_to_string("/proc/thread-self/status").expect("a status");
    let child = Command::new("cat").arg("/proc/self/status").output().expect("a child");
    (own, String::from_utf8(child.stdout).expect("text"))
}

fn block_and_ignore() {
    block_all_signals(());
    ignore_all_signals(());
    let pool = ProcessPoolExecutor::new(1);
    let (worker, child) = pool.submit(statuses, ()).result().expect("a worker");
    let terminal = [libc::SIGTTIN, libc::SIGTTOU].map(|signal| signal as u32);
    assert_eq!(signals(&worker, "SigBlk"), BTreeSet::new());
    assert_eq!(signals(&worker, "SigIgn"), terminal.into_iter().chain([libc::SIGPIPE as u32]).collect());
    assert_eq!(signals(&child, "SigBlk"), BTreeSet::new());
    assert_eq!(signals(&child, "SigIgn"), terminal.into());
    let checkpoint = Checkpoint::new();
    let busy = pool.submit(stop_at, checkpoint.address());
    let _called = checkpoint.arrived();
    pool.terminate_workers();
    assert_eq!(exit_of(busy), Exit::Signal("SIGTERM".into()));
    let terminate = |()| {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("a child");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
            .expect("it");
        child.wait().expect("a child").to_string()
    };
    let ended = pool.submit(terminate, ()).result().expect("a worker");
    assert!(ended.contains("SIGTERM"), "{ended}");
}

#[allow(unsafe_code)]
fn open_many() {
    let nothing = File::open("/dev/null").expect("/dev/null");
    // SAFETY: plain numbers, and a copy of a descriptor that is open.
    let copies: Vec<_> = (0..500).map(|_| unsafe { libc::dup(nothing.as_raw_fd()) }).collect();
    assert!(copies.iter().all(|copy| *copy > 2));
    let (mut reader, writer) = io::pipe().expect("a pipe");
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    let pool = ProcessPoolExecutor::new(2);
    assert_works(&pool);
    let there = pool.submit(descriptors, ()).result().expect("a worker");
    // The streams, the socket, and the directory that this was read from.
    assert!(there.len() <= 5, "{there:?}");
    assert!(there.iter().all(|(number, target)| *number < 3 || target != "/dev/null"), "{there:?}");
    // Its end is seen while there are workers.
    drop(writer);
    assert_eq!(reader.read(&mut [0]).expect("a pipe"), 0);
    assert_works(&pool);
}

/// Set where the terminal is there.
const INNER: &str = "CONCURRENT_FUTURES_TEST_TERMINAL";

#[allow(unsafe_code)]
fn have_a_terminal() {
    if std::env::var_os(INNER).is_some() {
        return use_the_terminal();
    }
    let (mut ours, mut theirs) = (-1, -1);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: both numbers outlive the call, and nothing else is asked for.
    let opened = unsafe { libc::openpty(&raw mut ours, &raw mut theirs, name, settings, size) };
    assert_eq!(opened, 0, "{}", io::Error::last_os_error());
    // SAFETY: it was opened a moment ago, for this owner.
    let _ours = unsafe { OwnedFd::from_raw_fd(ours) };
    // SAFETY: as above.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    let mut inner = Command::new("/proc/self/exe");
    inner.env(INNER, "").stdin(Stdio::from(theirs));
    let lead = || {
        rustix::process::setsid()?;
        // SAFETY: touches no memory.
        match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: makes two system calls, with plain numbers.
    unsafe { inner.pre_exec(lead) };
    assert!(inner.status().expect("this program").success());
}

fn use_the_terminal() {
    let pool = ProcessPoolExecutor::new(1);
    let read = |()| File::open("/dev/tty").expect("a terminal").read(&mut [0]).map_err(|error| error.raw_os_error());
    assert_eq!(pool.submit(read, ()).result().expect("a worker"), Err(Some(libc::EIO)));
    let write = |()| File::options().write(true).open("/dev/tty").expect("a terminal").write(b"x").is_ok();
    assert!(pool.submit(write, ()).result().expect("a worker"));
    let start = |()| Command::new("sh").args(["-c", "read line </dev/tty"]).status().expect("a shell").code();
    assert_eq!(pool.submit(start, ()).result().expect("a worker").map(|code| code > 0), Some(true));
}
