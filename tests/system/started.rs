//! What tasks have started, when the program ends: nothing of it is left, however that was, and whatever became of the worker.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread;

use concurrent_futures::{Executor, ProcessPoolExecutor};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "processes_started_by_tasks_end_with_the_program", host: start_and_end, check: ends },
    Case {
        name: "processes_started_by_tasks_end_with_the_program_whatever_they_did",
        host: start_and_wait,
        check: states,
    },
    Case { name: "processes_started_by_tasks_end_with_a_leaked_pool", host: leave_the_pool, check: ends_well },
];

/// How the program is to end, or what its tasks are to do to their worker.
const WHAT: &str = "CONCURRENT_FUTURES_TEST_WHAT";

fn what() -> String {
    std::env::var(WHAT).expect("what to do")
}

fn host(name: &str, what: &str) -> Host {
    Host::run(name, Command::new("/proc/self/exe").env(WHAT, what))
}

/// Starts a process that nobody waits for, and that hangs on to the program's output: as long as it lives, the test does not end.
fn start(_: ()) {
    let mut sleep = Command::new("sh");
    sleep.args(["-c", "trap '' HUP INT QUIT TERM; echo started; exec sleep 1000"]);
    let child = sleep.stdin(Stdio::null()).spawn().expect("a shell");
    std::mem::forget(child);
}

fn start_and_be_busy(_: ()) {
    start(());
    loop {
        thread::park();
    }
}

fn start_and_end() {
    let pool = ProcessPoolExecutor::new(2);
    // One worker is idle then, or they are all one's. The other will not come back.
    pool.submit(start, ()).result().expect("a worker");
    let _busy = pool.submit(start_and_be_busy, ());
    wait_to_be_told();
    // Its drop would wait for what is busy.
    std::mem::forget(pool);
    match &*what() {
        "return" => {}
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "exec" => panic!("{}", Command::new("true").exec()),
        other => panic!("{other}"),
    }
}

fn started(host: &mut Host, count: usize) {
    for _ in 0..count {
        assert_eq!(host.hears(), "started");
    }
}

fn ends(name: &str) {
    for what in ["return", "exit", "abort", "exec", "panic"] {
        let mut host = host(name, what);
        started(&mut host, 2);
        host.tell();
        host.ends();
    }
    for signal in [Signal::INT, Signal::TERM, Signal::QUIT, Signal::HUP, Signal::KILL] {
        // Who runs these tests in the background may have some of them ignored, which a program inherits.
        let mut host = Host::by_script(name, &format!(r#"{WHAT}=wait exec env --default-signal "$0""#));
        started(&mut host, 2);
        host.kill(signal);
        let (status, ..) = host.ends();
        assert_eq!(status.signal(), Some(signal.as_raw()));
    }
}

fn leave_the_pool() {
    let pool = ProcessPoolExecutor::new(4);
    let futures: Vec<_> = (0..8).map(|_| pool.submit(start, ())).collect();
    for future in futures {
        future.result().expect("a worker");
    }
    pool.detach();
}

fn ends_well(name: &str) {
    // A worker that is told to leave, and a program that does not wait for it: at another moment each time.
    for _ in 0..10 {
        Host::start(name).ends_well();
    }
}

#[allow(unsafe_code)]
fn close_all(_: ()) {
    // SAFETY: none: that a task does this is what the test is about.
    unsafe { libc::close_range(3, u32::MAX, 0) };
}

/// What the name says, and nothing after it.
fn do_it(what: String) {
    for what in what.split(' ') {
        match what {
            "start" => start(()),
            "block" => block_all_signals(()),
            "ignore" => ignore_all_signals(()),
            "close" => close_all(()),
            "exec" => panic!("{}", Command::new("sh").args(["-c", "echo started; exec sleep 1000"]).exec()),
            "nest" => std::mem::forget(nested()),
            "stop" => kill_process(rustix::process::getpid(), Signal::STOP).expect("this process"),
            other => panic!("{other}"),
        }
    }
    loop {
        thread::park();
    }
}

fn nested() -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::new(1);
    pool.submit(start, ()).result().expect("a worker");
    pool
}

fn start_and_wait() {
    let pool = ProcessPoolExecutor::new(1);
    let worker = Pid::from_raw(pool.submit(pid, ()).result().expect("a worker") as i32).expect("a process");
    let what = what();
    let _busy = pool.submit(do_it, what.clone());
    if what.ends_with("stop") {
        waitid(WaitId::Pid(worker), WaitIdOptions::STOPPED).expect("a child");
    }
    println!("ready");
    loop {
        thread::park();
    }
}

fn states(name: &str) {
    let states = [
        "start",
        "start block",
        "start ignore",
        "start block ignore",
        "start close",
        "start close block",
        "start stop",
        "start close stop",
        "start ignore stop",
        "start block ignore close stop",
        "exec",
        "nest",
        "nest stop",
        "start nest",
    ];
    for what in states {
        let mut host = host(name, what);
        // In any order.
        let expected = 1 + what.split(' ').filter(|word| ["start", "exec", "nest"].contains(word)).count();
        let said: Vec<_> = (0..expected).map(|_| host.hears()).collect();
        assert!(said.contains(&"ready".into()), "{what}: {said:?}");
        host.kill(Signal::KILL);
        host.ends();
    }
}
