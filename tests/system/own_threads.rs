//! Code of the program's that an executor runs on threads of its own, and that waits for that very executor.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use concurrent_futures::{Error, Executor, Future, MapOptions, ProcessPoolExecutor, ThreadPoolExecutor};
use log::{Log, Metadata, Record};
use serde::{Deserialize, Deserializer, Serialize};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "code_on_a_process_pools_threads_that_waits_for_the_pool", host: on_processes, check: end_well },
    Case { name: "code_on_a_thread_pools_threads_that_waits_for_the_pool", host: on_threads, check: end_well },
];

/// How to wait for the executor that this is about. Not set in its worker processes.
static WAIT: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

fn wait_here() {
    if let Some(wait) = WAIT.get() {
        wait();
    }
}

/// Waits where it is dropped.
#[derive(Serialize, Deserialize)]
struct Lost(u8);

impl Drop for Lost {
    fn drop(&mut self) {
        wait_here();
    }
}

/// Waits where it is read.
#[derive(Debug, Serialize)]
struct Read(u8);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        wait_here();
        Ok(Self(number))
    }
}

/// Waits where it is woken, and says so then.
struct Wakes(Mutex<std::sync::mpsc::Sender<()>>);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        struct Tell<'a>(&'a Wakes);
        impl Drop for Tell<'_> {
            fn drop(&mut self) {
                self.0.0.lock().expect("a sender").send(()).expect("the test listens");
            }
        }
        let _tell = Tell(&self);
        wait_here();
    }
}

/// Waits where it logs, and keeps what is logged.
struct Logs(Mutex<String>);

static LOGS: Logs = Logs(Mutex::new(String::new()));

impl Log for Logs {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        static WAITS: AtomicBool = AtomicBool::new(false);
        writeln!(self.0.lock().expect("a text"), "{}", record.args()).expect("a text");
        // What is run while it waits may be logged as well.
        if !WAITS.swap(true, Ordering::Relaxed) {
            struct Done;
            impl Drop for Done {
                fn drop(&mut self) {
                    WAITS.store(false, Ordering::Relaxed);
                }
            }
            let _done = Done;
            wait_here();
        }
    }
    fn flush(&self) {}
}

fn listen_to_logs() {
    log::set_logger(&LOGS).expect("the first logger");
    log::set_max_level(log::LevelFilter::Warn);
}

fn has_logged(part: &str) -> bool {
    LOGS.0.lock().expect("a text").contains(part)
}

fn lose((address, number): (String, u8)) -> Lost {
    stop_at(address);
    Lost(number)
}

fn fail(address: String) {
    stop_at(address);
    panic!("nobody looks at this");
}

/// Waits for nothing but that it is woken.
fn wakes(future: Future<()>, checkpoint: &Checkpoint) {
    let (sender, woken) = channel();
    let waker = Waker::from(Arc::new(Wakes(Mutex::new(sender))));
    let arrived = checkpoint.arrived();
    let mut future = pin!(future.into_future());
    assert!(matches!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    drop(arrived);
    woken.recv_timeout(Duration::from_secs(30)).expect("it is woken");
}

/// What both kinds of executors run. `works` looks that the executor does.
fn lose_and_wake(executor: &impl Executor, works: impl Fn()) {
    let checkpoint = Checkpoint::new();
    let lost = executor.submit(lose, (checkpoint.address(), 1));
    let arrived = checkpoint.arrived();
    drop((lost, arrived));
    works();
    drop(executor.submit(fail, checkpoint.address()));
    drop(checkpoint.arrived());
    works();
    wakes(executor.submit(stop_at, checkpoint.address()), &checkpoint);
    works();
    let called_off = executor.submit(lose, (checkpoint.address(), 2));
    let arrived = checkpoint.arrived();
    assert!(called_off.abort());
    drop(arrived);
    works();
}

fn on_processes() {
    static POOL: OnceLock<ProcessPoolExecutor> = OnceLock::new();
    let pool = POOL.get_or_init(|| ProcessPoolExecutor::new(1));
    assert_works(pool);
    listen_to_logs();
    let _ = WAIT.set(Box::new(|| drop(POOL.get().expect("a pool").submit(pid, ()).result())));
    lose_and_wake(pool, || assert_works(pool));
    assert!(has_logged("must not block"), "{:?}", LOGS.0);
    let refused = |outcome: Result<Read, Error>| match outcome {
        Err(Error::Decode(error)) => assert!(error.to_string().contains("must not block"), "{error}"),
        other => panic!("not refused: {other:?}"),
    };
    // Read by the thread that waits for it, and by one of the pool.
    refused(pool.submit(Read, 1).result());
    let checkpoint = Checkpoint::new();
    let read = |address: String| {
        stop_at(address);
        Read(1)
    };
    let future = pool.submit(read, checkpoint.address());
    let (sender, receiver) = channel();
    future.add_done_callback(move |_| sender.send(()).expect("the test listens"));
    drop(checkpoint.arrived());
    receiver.recv().expect("it is done");
    refused(future.result());
    for chunk in [1, 4] {
        let chunks = pool.with(MapOptions::new().chunk_size(chunk));
        chunks.map(Read, 0..8).for_each(refused);
    }
    pool.map(Read, 0..8).for_each(refused);
    assert_works(pool);
    pool.shutdown();
}

fn on_threads() {
    static POOL: OnceLock<ThreadPoolExecutor> = OnceLock::new();
    let pool = POOL.get_or_init(|| ThreadPoolExecutor::new(1));
    listen_to_logs();
    let _ = WAIT.set(Box::new(|| drop(POOL.get().expect("a pool").submit(pid, ()).result())));
    lose_and_wake(pool, || assert_eq!(pool.submit(pid, ()).result().expect("it works"), pid(())));
    pool.shutdown();
}

fn end_well(name: &str) {
    Host::start(name).ends_well();
}
