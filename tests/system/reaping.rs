//! Programs that reap our children.

use std::process::{Command, Stdio};
use std::thread;

use concurrent_futures::{Executor, Exit, ProcessPoolExecutor, TaskOptions};
use rustix::process::{Signal, WaitOptions, wait};
use std::time::Duration;

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_program_that_ignores_sigchld", host: use_it, check: ignore },
    Case { name: "a_program_that_reaps_every_child", host: reap, check: end_well },
];

/// The kernel has said so since Linux 6.15, also of a process that somebody else has reaped.
fn assert_told(exit: Exit, expected: Exit) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    if (numbers.next(), numbers.next()) >= (Some(6), Some(15)) {
        assert_eq!(exit, expected);
    } else {
        assert!(exit == expected || exit == Exit::Unknown, "{exit}");
    }
}

fn use_it() {
    let pool = ProcessPoolExecutor::new(2);
    for _ in 0..10 {
        assert_works(&pool);
        let [good, other] = [pool.submit(|n: u8| n, 1), pool.submit(|n: u8| n, 2)];
        assert_told(exit_of(pool.submit(|code: i32| -> u8 { std::process::exit(code) }, 3)), Exit::Code(3));
        assert_eq!((good.result().unwrap(), other.result().unwrap()), (1, 2));
        let abort = pool.submit(|()| -> u8 { std::process::abort() }, ());
        assert_told(exit_of(abort), Exit::Signal("SIGABRT".into()));
    }
    let limited = pool.with(TaskOptions::new().time_limit(Duration::from_millis(50)));
    let error = limited
        .submit(
            |()| loop {
                thread::park()
            },
            (),
        )
        .result()
        .map(|()| "it ended")
        .unwrap_err();
    assert!(matches!(error, concurrent_futures::Error::TimeLimit(_)), "{error}");
    let futures: Vec<_> = (0..2).map(|_| pool.submit(be_busy, ())).collect();
    futures.iter().for_each(|future| assert!(future.abort()));
    assert_works(&pool);
}

fn ignore(name: &str) {
    Host::by_script(name, r#"trap "" CHLD; exec "$0""#).ends_well();
}

fn reap() {
    // There is always a child, so that there is always something to wait for.
    #[allow(clippy::zombie_processes, reason = "the reaper waits for it")]
    let stays = Command::new("cat").stdin(Stdio::piped()).spawn().expect("a child");
    let pid = rustix::process::Pid::from_child(&stays);
    let reaper = thread::spawn(move || {
        while let Ok(Some((reaped, _))) = wait(WaitOptions::empty()) {
            if reaped == pid {
                break;
            }
        }
    });
    use_it();
    rustix::process::kill_process(pid, Signal::KILL).expect("it stays until now");
    reaper.join().expect("the reaper");
}

fn end_well(name: &str) {
    Host::start(name).ends_well();
}
