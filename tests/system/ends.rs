//! However a program ends, no worker is left.

use std::os::unix::process::ExitStatusExt;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use concurrent_futures::{Executor, Future, ProcessPoolExecutor};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "main_returns_with_a_pool_in_a_static", host: return_from_main, check: ends_with_code_0 },
    Case { name: "main_returns_with_an_idle_pool_in_a_static", host: return_idle, check: return_idle_check },
    Case { name: "main_panics_with_busy_workers", host: panic_in_main, check: ends_with_code_101 },
    Case { name: "the_program_exits_with_busy_workers", host: exit, check: ends_with_code_7 },
    Case { name: "the_program_is_killed_with_busy_workers", host: wait_busy, check: killed_busy },
    Case { name: "the_program_is_terminated_with_busy_workers", host: wait_busy, check: terminated_busy },
    Case { name: "the_program_is_killed_with_idle_workers", host: wait_idle, check: killed_idle },
    Case { name: "the_program_is_killed_with_a_stopped_worker", host: wait_stopped, check: killed_stopped },
    Case { name: "the_program_is_killed_while_workers_start", host: wait_starting, check: killed_starting },
    Case { name: "the_workers_follow_a_program_that_ctrl_c_ends", host: wait_busy, check: interrupted },
    Case { name: "ctrl_c_reaches_the_program_and_not_the_workers", host: handle_interrupt, check: interrupt_handled },
];

static POOL: OnceLock<ProcessPoolExecutor> = OnceLock::new();

fn busy(pool: &ProcessPoolExecutor) -> Vec<Future<()>> {
    (0..4).map(|_| pool.submit(be_busy, ())).collect()
}

fn return_from_main() {
    let _busy = busy(POOL.get_or_init(|| ProcessPoolExecutor::new(2)));
    wait_to_be_told();
}

#[track_caller]
fn busy_host(name: &str) -> Host {
    let mut host = Host::start(name);
    for _ in 0..2 {
        assert_eq!(host.hears(), "busy");
    }
    host
}

#[track_caller]
fn ends_with(name: &str, code: i32) {
    let mut host = busy_host(name);
    host.tell();
    let (status, output, errors) = host.ends();
    assert_eq!(status.code(), Some(code), "{output}{errors}");
}

fn ends_with_code_0(name: &str) {
    ends_with(name, 0);
}

fn return_idle() {
    assert_works(POOL.get_or_init(|| ProcessPoolExecutor::new(2)));
}

fn return_idle_check(name: &str) {
    Host::start(name).ends_well();
}

fn panic_in_main() {
    let _busy = busy(POOL.get_or_init(|| ProcessPoolExecutor::new(2)));
    wait_to_be_told();
    panic!("no more flags");
}

fn ends_with_code_101(name: &str) {
    ends_with(name, 101);
}

fn exit() {
    let pool = ProcessPoolExecutor::new(2);
    let _busy = busy(&pool);
    wait_to_be_told();
    std::process::exit(7);
}

fn ends_with_code_7(name: &str) {
    ends_with(name, 7);
}

fn wait_for_ever() -> ! {
    loop {
        thread::park();
    }
}

fn wait_busy() {
    let pool = ProcessPoolExecutor::new(2);
    let _busy = busy(&pool);
    wait_for_ever();
}

#[track_caller]
fn ends_by(host: Host, signal: Signal) {
    let (status, _, errors) = host.ends();
    assert_eq!(status.signal(), Some(signal.as_raw()), "{errors}");
}

fn killed_busy(name: &str) {
    let host = busy_host(name);
    host.kill(Signal::KILL);
    ends_by(host, Signal::KILL);
}

fn terminated_busy(name: &str) {
    let host = busy_host(name);
    host.kill(Signal::TERM);
    ends_by(host, Signal::TERM);
}

fn wait_idle() {
    let pool = ProcessPoolExecutor::new(2);
    assert_works(&pool);
    println!("idle");
    wait_for_ever();
}

fn killed_idle(name: &str) {
    let mut host = Host::start(name);
    assert_eq!(host.hears(), "idle");
    host.kill(Signal::KILL);
    ends_by(host, Signal::KILL);
}

fn wait_stopped() {
    let pool = ProcessPoolExecutor::new(1);
    let worker = Pid::from_raw(pool.submit(pid, ()).result().expect("a worker") as i32).expect("a process");
    kill_process(worker, Signal::STOP).expect("a worker");
    waitid(WaitId::Pid(worker), WaitIdOptions::STOPPED).expect("a child");
    println!("stopped");
    wait_for_ever();
}

/// It cannot even hear that its pool is gone.
fn killed_stopped(name: &str) {
    let mut host = Host::start(name);
    assert_eq!(host.hears(), "stopped");
    host.kill(Signal::KILL);
    ends_by(host, Signal::KILL);
}

fn wait_starting() {
    println!("starting");
    let pool = ProcessPoolExecutor::new(4);
    let _futures: Vec<_> = (0..4).map(|_| pool.submit(be_busy, ())).collect();
    wait_for_ever();
}

fn killed_starting(name: &str) {
    // At another moment each time.
    for _ in 0..20 {
        let mut host = Host::start(name);
        assert_eq!(host.hears(), "starting");
        host.kill(Signal::KILL);
        ends_by(host, Signal::KILL);
    }
}

fn interrupted(name: &str) {
    // Who runs these tests in the background may have Ctrl-C ignored, which a program inherits.
    let mut host = Host::by_script(name, r#"exec env --default-signal=INT "$0""#);
    for _ in 0..2 {
        assert_eq!(host.hears(), "busy");
    }
    kill_process_group(host.pid(), Signal::INT).expect("the host's group");
    ends_by(host, Signal::INT);
}

fn handle_interrupt() {
    let (sender, receiver) = channel();
    ctrlc::set_handler(move || sender.send(()).expect("main listens")).expect("a handler");
    let pool = ProcessPoolExecutor::new(2);
    let checkpoint = Checkpoint::new();
    let futures: Vec<_> = (0..2).map(|_| pool.submit(stop_at, checkpoint.address())).collect();
    let calls = [checkpoint.arrived(), checkpoint.arrived()];
    println!("busy");
    receiver.recv().expect("Ctrl-C");
    drop(calls);
    for future in futures {
        future.result().expect("the worker has not heard of it");
    }
    assert_works(&pool);
}

fn interrupt_handled(name: &str) {
    let mut host = Host::start(name);
    assert_eq!(host.hears(), "busy");
    kill_process_group(host.pid(), Signal::INT).expect("the host's group");
    host.ends_well();
}
