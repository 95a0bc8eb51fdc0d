//! What the tests of the thread pool share: reports of the ends of workers, and counts of threads.

use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use concurrent_futures::{ThreadPoolBuilder, ThreadPoolExecutor};
#[cfg(target_os = "linux")]
use concurrent_futures_conformance::support::leak_check::lasting_threads;

pub(crate) use crate::support::{Drops, Gate, LONG, Token, block_on, occupy_at, panic_message, soon, within};

/// The size of a stack that no address space has room for, however wide addresses are.
pub(crate) const NO_STACK: usize = usize::MAX - usize::MAX / 16;

/// Reports the end of the thread whose local it is.
struct ReportsThreadEnd(Sender<String>);

impl Drop for ReportsThreadEnd {
    fn drop(&mut self) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let _ = self.0.send(name);
    }
}

thread_local! {
    static THREAD_END: RefCell<Option<ReportsThreadEnd>> = const { RefCell::new(None) };
}

/// Makes an initializer whose threads send their names when they end.
pub(crate) fn thread_ends() -> (impl Fn() + Send + Sync + 'static, Receiver<String>) {
    let (sender, receiver) = channel();
    let promise = move || THREAD_END.set(Some(ReportsThreadEnd(sender.clone())));
    (promise, receiver)
}

/// What the initializer of an observed executor holds. The token goes before the channel closes.
struct Watched {
    _pool: Token,
    thread_end: Sender<String>,
}

impl Watched {
    fn greet(&self) {
        THREAD_END.set(Some(ReportsThreadEnd(self.thread_end.clone())));
    }
}

/// An executor that is counted while it or a thread of it is there; its prefix, and what tells of the ends of workers.
pub(crate) fn observed_in(drops: &Drops, max_workers: usize) -> (ThreadPoolBuilder, String, Receiver<String>) {
    let (prefix, (thread_end, ended)) = (unique_prefix(), channel());
    let watched = Watched { _pool: drops.token(), thread_end };
    let builder = ThreadPoolExecutor::builder().max_workers(max_workers).thread_name_prefix(&prefix);
    (builder.initializer(move || watched.greet()), prefix, ended)
}

pub(crate) fn observed(max_workers: usize) -> (ThreadPoolBuilder, String, Receiver<String>) {
    observed_in(&Drops::default(), max_workers)
}

/// Waits until all workers have reported their end, the executor itself is gone, and with it all threads.
#[track_caller]
pub(crate) fn assert_nothing_left(prefix: &str, ended: &Receiver<String>) {
    // The channel closes when no worker is left.
    while let Some(name) = next_thread_end(ended) {
        assert!(name.starts_with(prefix));
    }
    assert_all_gone(prefix);
}

#[track_caller]
fn next_thread_end(ended: &Receiver<String>) -> Option<String> {
    match ended.recv_timeout(LONG) {
        Ok(name) => Some(name),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("the executor is never gone"),
    }
}

/// A prefix for thread names that no other test uses, short enough to survive in `comm`.
pub(crate) fn unique_prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t{}x", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Counts the threads of this process whose names start with `prefix`. `None`: only Linux has a list of them.
///
/// A thread that is past its last instruction may still be listed, also when it was joined: the kernel flags it.
pub(crate) fn threads_named(prefix: &str) -> Option<usize> {
    const EXITING: u64 = 0x4;
    if !cfg!(target_os = "linux") {
        return None;
    }
    let tasks = fs::read_dir("/proc/self/task").expect("the list of threads");
    let is_alive = |stat: String| {
        let (head, tail) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let flags: u64 = tail.split_whitespace().nth(6)?.parse().ok()?;
        (name.starts_with(prefix) && flags & EXITING == 0).then_some(())
    };
    let stats = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    Some(stats.filter_map(is_alive).count())
}

/// Checks how many threads have names that start with `prefix`, where that can be known.
#[track_caller]
pub(crate) fn assert_named(prefix: &str, count: usize) {
    assert_eq!(threads_named(prefix).unwrap_or(count), count, "threads of {prefix}");
}

/// Waits until no thread of this prefix is left, where that can be known.
#[track_caller]
pub(crate) fn assert_all_gone(prefix: &str) {
    #[cfg(target_os = "linux")]
    let left = lasting_threads(|_, name| name.starts_with(prefix));
    #[cfg(not(target_os = "linux"))]
    let left = Vec::<String>::new();
    assert!(left.is_empty(), "threads of {prefix} are left behind: {left:?}");
}
