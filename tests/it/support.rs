//! Helpers of several modules: a watchdog, a gate that holds a task, an executor that holds all, a counter of drops, a reader of the log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Future, Job, ThreadPoolExecutor};

/// Far longer than anything here takes: only a hang reaches it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Runs `body` on a thread of its own and panics if it is not back within `limit`.
#[track_caller]
pub(crate) fn within<R: Send + 'static>(limit: Duration, body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    let name = thread::current().name().unwrap_or("within").to_owned();
    let body = thread::Builder::new().name(name).spawn(move || {
        let result = body();
        let _ = sender.send(());
        result
    });
    let body = body.expect("a thread for the test");
    if receiver.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs: not back after {limit:?}");
    }
    body.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Holds whoever passes until the [`Opener`] opens it, or is dropped, so that a failed test does not hang.
#[derive(Clone)]
pub(crate) struct Gate(Arc<(Mutex<(usize, bool)>, Condvar)>);

/// The test's end of a [`Gate`].
pub(crate) struct Opener(Gate);

pub(crate) fn gate() -> (Opener, Gate) {
    let gate = Gate(Arc::new((Mutex::new((0, false)), Condvar::new())));
    (Opener(gate.clone()), gate)
}

impl Gate {
    pub(crate) fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.0 += 1;
        changed.notify_all();
        while !state.1 {
            state = changed.wait(state).unwrap();
        }
    }
}

impl Opener {
    /// Waits until `count` have come to the gate.
    #[track_caller]
    pub(crate) fn arrived(&self, count: usize) {
        let (state, changed) = &*self.0.0;
        let state = state.lock().unwrap();
        let (state, timeout) = changed.wait_timeout_while(state, LONG, |state| state.0 < count).unwrap();
        // Not under the lock: the opener's drop takes it as well.
        drop(state);
        assert!(!timeout.timed_out(), "nobody came to the gate");
    }

    pub(crate) fn open(&self) {
        let (state, changed) = &*self.0.0;
        state.lock().unwrap().1 = true;
        changed.notify_all();
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.open();
    }
}

/// Keeps one worker busy until the opener opens; returns when the task runs.
pub(crate) fn occupy(threads: &ThreadPoolExecutor) -> (Opener, Future<()>) {
    let (opener, gate) = gate();
    let future = threads.spawn(move || gate.pass());
    opener.arrived(1);
    (opener, future)
}

/// An executor that runs nothing by itself: the test takes the jobs, and decides.
#[derive(Default)]
pub(crate) struct Held(Mutex<(VecDeque<Job>, bool)>);

impl Held {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().0.len()
    }

    /// Takes out the job at this place.
    #[track_caller]
    pub(crate) fn take(&self, at: usize) -> Job {
        let job = self.0.lock().unwrap().0.remove(at);
        job.expect("a job at this place")
    }

    #[track_caller]
    pub(crate) fn run(&self, at: usize) {
        self.take(at).run();
    }

    pub(crate) fn run_all(&self) {
        while self.count() > 0 {
            self.run(0);
        }
    }
}

impl Backend for Held {
    fn execute(&self, job: Job) {
        let mut state = self.0.lock().unwrap();
        if state.1 {
            drop(state);
            job.fail(Error::ShutDown);
        } else {
            state.0.push_back(job);
        }
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {
        self.0.lock().unwrap().1 = true;
    }
    fn join(&self, _timeout: Option<Duration>) -> bool {
        let state = self.0.lock().unwrap();
        state.1 && state.0.is_empty()
    }
}

/// Counts how many of its tokens were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

/// Counts its drop.
pub(crate) struct Token(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn token(&self) -> Token {
        Token(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped, unless the thread panics already.
pub(crate) struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("boom in a drop");
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_text<R>(body: impl FnOnce() -> R) -> String {
    let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) else {
        panic!("it did not panic");
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().map_or_else(String::new, ToString::to_string),
    }
}

/// Reads what was logged since the first call. Filter by a text that only one test uses.
pub(crate) fn logged(part: &str) -> Vec<(log::Level, String)> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&RECORDS).expect("no other logger");
        log::set_max_level(log::LevelFilter::Warn);
    });
    let records = RECORDS.0.lock().unwrap();
    records.iter().filter(|(_, text)| text.contains(part)).cloned().collect()
}

struct Records(Mutex<Vec<(log::Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl log::Log for Records {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("concurrent_futures")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            // Formatted before the lock: the text of a task's error is a test's own code.
            let text = record.args().to_string();
            self.0.lock().unwrap().push((record.level(), text));
        }
    }

    fn flush(&self) {}
}

/// A user's own executor around another one: it hands on what is documented.
pub(crate) struct Around<B>(pub(crate) B);

impl<B: Backend> Backend for Around<B> {
    fn execute(&self, job: Job) {
        self.0.execute(job);
    }
    fn max_workers(&self) -> usize {
        self.0.max_workers()
    }
    fn close(&self) {
        self.0.close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.0.join(timeout)
    }
}
