//! Programs that may not signal their workers.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, Future, ProcessPoolExecutor, TaskOptions};
use log::{Log, Metadata, Record};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::filter::refuse;
use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_program_that_gave_up_its_rights", host: give_up_rights, check: ends_well_as_anybody },
    Case { name: "a_stopped_worker_of_other_rights_is_reported", host: leave_a_stopped_worker, check: is_reported },
    Case { name: "a_filter_that_knows_no_pidfd_send_signal", host: filter_new_calls, check: ends_well },
    Case { name: "a_filter_that_forbids_pidfd_send_signal", host: forbid_new_calls, check: ends_well },
    Case { name: "a_filter_that_forbids_all_signals", host: forbid_signals, check: ends_well },
];

/// Tells that it runs, and runs for ever.
fn arrive_and_stay(address: String) {
    let _checkpoint = UnixStream::connect(address).expect("a checkpoint");
    loop {
        thread::park();
    }
}

/// So many tasks that run for ever, and have begun.
fn busy(pool: &ProcessPoolExecutor, count: usize) -> Vec<Future<()>> {
    let checkpoint = Checkpoint::new();
    let futures = (0..count).map(|_| pool.submit(arrive_and_stay, checkpoint.address())).collect();
    (0..count).for_each(|_| drop(checkpoint.arrived()));
    futures
}

/// Every way to end a worker, on a pool with two busy ones that this program may not signal since `drop_rights`.
fn exercise_without(drop_rights: impl FnOnce()) {
    let pool = ProcessPoolExecutor::new(2);
    let limited = pool.with(TaskOptions::new().time_limit(Duration::from_millis(500)));
    let checkpoint = Checkpoint::new();
    let aborted = pool.submit(arrive_and_stay, checkpoint.address());
    let expired = limited.submit(arrive_and_stay, checkpoint.address());
    let calls = [checkpoint.arrived(), checkpoint.arrived()];
    // While it can be removed.
    drop((calls, checkpoint));
    drop_rights();
    assert!(aborted.abort());
    assert!(matches!(expired.result(), Err(Error::TimeLimit(_))));
    assert_works(&pool);
    for end in [ProcessPoolExecutor::terminate_workers, ProcessPoolExecutor::kill_workers] {
        let busy = busy(&pool, 2);
        end(&pool);
        for future in busy {
            exit_of(future);
        }
        assert_works(&pool);
    }
    drop(pool);
    // One whose workers have to go while it is joined.
    let pool = ProcessPoolExecutor::new(1);
    assert!(busy(&pool, 1)[0].abort());
    pool.shutdown();
}

fn setuid() {
    #[allow(unsafe_code)]
    // SAFETY: has no preconditions.
    let result = unsafe { libc::setuid(USER) };
    assert_eq!(result, 0);
}

fn give_up_rights() {
    exercise_without(setuid);
    println!("done");
}

/// Starts a copy of this program that any user may start.
fn start_as_root(name: &str) -> Option<(Host, tempfile::TempDir)> {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can make a program that gives up its rights");
        return None;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    Some((Host::run(name, Command::new(&program).current_dir("/")), directory))
}

fn ends_well_as_anybody(name: &str) {
    if let Some((host, _directory)) = start_as_root(name) {
        assert!(host.ends_well().ends_with("done\n"));
    }
}

/// Prints what is logged.
struct Print;

impl Log for Print {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        println!("{} {}", record.level(), record.args());
    }
    fn flush(&self) {}
}

fn leave_a_stopped_worker() {
    log::set_logger(&Print).expect("the first logger");
    log::set_max_level(log::LevelFilter::Error);
    let pool = ProcessPoolExecutor::new(1);
    let worker = pool.submit(pid, ()).result().expect("a worker");
    let task = busy(&pool, 1).remove(0);
    let id = Pid::from_raw(worker.cast_signed()).expect("an id");
    kill_process(id, Signal::STOP).expect("still root");
    waitid(WaitId::Pid(id), WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT).expect("a child that is stopped");
    setuid();
    println!("{worker}");
    pool.kill_workers();
    let died = task.result().expect_err("it is given up");
    println!("{died}");
    // The worker is still there, and no thread waits for it.
    drop(pool);
    println!("done");
}

fn is_reported(name: &str) {
    let Some((mut host, _directory)) = start_as_root(name) else { return };
    let worker = Pid::from_raw(host.hears().parse().expect("an id")).expect("an id");
    let (reported, died) = (host.hears(), host.hears());
    let pid = worker.as_raw_nonzero().to_string();
    assert!(
        reported.starts_with("ERROR") && reported.contains(&pid) && reported.contains("not permitted"),
        "{reported}"
    );
    assert!(died.contains(&pid) && died.contains("not permitted"), "{died}");
    assert_eq!(host.hears(), "done");
    kill_process(worker, Signal::KILL).expect("it is there still");
    host.ends_well();
}

fn filter_new_calls() {
    exercise_without(|| refuse(&[libc::SYS_pidfd_send_signal], libc::ENOSYS));
}

fn forbid_new_calls() {
    exercise_without(|| refuse(&[libc::SYS_pidfd_send_signal], libc::EPERM));
}

fn forbid_signals() {
    exercise_without(|| refuse(&[libc::SYS_pidfd_send_signal, libc::SYS_kill], libc::EPERM));
}

fn ends_well(name: &str) {
    Host::start(name).ends_well();
}
