//! A program that signals interrupt all the time, wherever it waits.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Executor, ProcessPoolExecutor};

use crate::exercise::exercise;
use crate::host::*;

pub(crate) const CASES: &[Case] =
    &[Case { name: "signals_arrive_all_the_time", host: be_interrupted, check: end_well }];

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// From now on each thread is sent a signal some thousand times a second. What it interrupts is not begun again.
#[allow(unsafe_code)]
fn storm(_: ()) {
    // SAFETY: of this type, zeroes are no flags and no blocked signals.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler does what one may do: it counts.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    thread::spawn(|| {
        let process = std::process::id();
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        loop {
            for entry in fs::read_dir("/proc/self/task").expect("threads").flatten() {
                let thread: i32 = entry.file_name().to_str().and_then(|id| id.parse().ok()).expect("an id");
                if thread != own {
                    // SAFETY: touches no memory. A thread that is gone is an error, and no harm.
                    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
                }
            }
            // So that they come to do something in between.
            thread::sleep(Duration::from_micros(100));
        }
    });
}

fn handled(_: ()) -> usize {
    HANDLED.load(Ordering::Relaxed)
}

fn be_interrupted() {
    storm(());
    let pool = ProcessPoolExecutor::builder().max_workers(2).initializer(storm, ()).build().expect("a pool");
    exercise(&pool);
    // One that is waited for while it does nothing, and that is told nothing.
    let pool = ProcessPoolExecutor::builder().max_workers(1).initializer(storm, ()).build().expect("a pool");
    let checkpoint = Checkpoint::new();
    let task = pool.submit(stop_at, checkpoint.address());
    let arrived = checkpoint.arrived();
    assert!(!task.wait_timeout(Duration::from_millis(100)));
    drop(arrived);
    task.result().expect("the task was released");
    let (here, there) = (handled(()), pool.submit(handled, ()).result().expect("a count"));
    assert!(here > 100 && there > 0, "a storm, not {here} and {there} signals");
}

fn end_well(name: &str) {
    Host::start(name).ends_well();
}
