//! What the tests of the thread pool share: watchdogs, gates, censuses and farewells.

use std::cell::RefCell;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::{Error, ThreadPoolBuilder, ThreadPoolExecutor};

/// How long a watchdog waits before it calls a program hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A limit that is there but never reached.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// The size of a stack that no address space has room for, however wide addresses are.
pub(crate) const NO_STACK: usize = usize::MAX - usize::MAX / 16;

/// Runs a test's body, and fails if it hangs.
pub(crate) fn in_time<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    let run = move || {
        let _ = sender.send(panic::catch_unwind(AssertUnwindSafe(body)));
    };
    thread::Builder::new().name("test body".into()).spawn(run).expect("a thread for the test");
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Err(_) => panic!("the test hangs"),
    }
}

/// Receives what must come.
#[track_caller]
pub(crate) fn soon<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("the event must come")
}

/// Holds up whoever comes, until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open, "nobody opens the gate");
    }
}

/// Occupies a worker until the gate opens; returns when the task has started.
pub(crate) fn occupy(threads: &ThreadPoolExecutor, gate: &Gate) -> concurrent_futures::Future<()> {
    let (gate, (started, wait_for_start)) = (gate.clone(), channel());
    let future = threads.spawn(move || {
        started.send(()).unwrap();
        gate.pass();
    });
    soon(&wait_for_start);
    future
}

/// Counts the objects of a test that are alive.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

pub(crate) struct Member(Arc<AtomicUsize>);

impl Census {
    pub(crate) fn member(&self) -> Member {
        self.0.fetch_add(1, Ordering::SeqCst);
        Member(Arc::clone(&self.0))
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells of the end of the thread whose local it is.
struct Farewell(Sender<String>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let _ = self.0.send(name);
    }
}

thread_local! {
    static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

/// Makes an initializer whose threads send their names when they end.
pub(crate) fn farewells() -> (impl Fn() + Send + Sync + 'static, Receiver<String>) {
    let (sender, receiver) = channel();
    let promise = move || FAREWELL.set(Some(Farewell(sender.clone())));
    (promise, receiver)
}

/// What the initializer of an observed executor holds. The member goes before the channel closes.
struct Watched {
    _pool: Member,
    farewell: Sender<String>,
}

impl Watched {
    fn greet(&self) {
        FAREWELL.set(Some(Farewell(self.farewell.clone())));
    }
}

/// An executor that is counted while it or a thread of it is there; its prefix, and what tells of the ends of workers.
pub(crate) fn observed_in(census: &Census, max_workers: usize) -> (ThreadPoolBuilder, String, Receiver<String>) {
    let (prefix, (farewell, ended)) = (unique_prefix(), channel());
    let watched = Watched { _pool: census.member(), farewell };
    let builder = ThreadPoolExecutor::builder().max_workers(max_workers).thread_name_prefix(&prefix);
    (builder.initializer(move || watched.greet()), prefix, ended)
}

pub(crate) fn observed(max_workers: usize) -> (ThreadPoolBuilder, String, Receiver<String>) {
    observed_in(&Census::default(), max_workers)
}

/// Waits until all workers have said farewell, the executor itself is gone, and with it all threads.
#[track_caller]
pub(crate) fn assert_nothing_left(prefix: &str, ended: &Receiver<String>) {
    // The channel closes when nobody is left who could say farewell.
    while let Some(name) = next_farewell(ended) {
        assert!(name.starts_with(prefix));
    }
    assert_all_gone(prefix);
}

#[track_caller]
fn next_farewell(ended: &Receiver<String>) -> Option<String> {
    match ended.recv_timeout(PATIENCE) {
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

/// Waits until no thread of this prefix is left.
///
/// The one place that looks again and again: the kernel has no event for the end of a thread that nobody joins.
#[track_caller]
pub(crate) fn assert_all_gone(prefix: &str) {
    let start = Instant::now();
    while threads_named(prefix).is_some_and(|count| count > 0) {
        assert!(start.elapsed() < PATIENCE, "threads of {prefix} are left behind");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Drives an async future to its end, sleeping in between.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    #[derive(Default)]
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_one();
        }
    }
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let rang = bell.0.lock().unwrap();
        let (mut rang, _) = bell.1.wait_timeout_while(rang, PATIENCE, |rang| !*rang).unwrap();
        assert!(std::mem::take(&mut *rang), "nobody wakes the awaiting thread");
    }
}

/// What a task panicked with.
#[track_caller]
pub(crate) fn panic_message<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Panicked(panicked)) => panicked.message().to_owned(),
        other => panic!("not a panic: {other:?}"),
    }
}
