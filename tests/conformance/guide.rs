//! `Workers`, the executor that the guide writes, in its words. `tests/interface/examples.rs` compares the two.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, Job};
use concurrent_futures_conformance::{Subject, backend};

/// Returns the executor, and what the guide says of it.
pub(crate) fn workers_of_the_guide() -> Subject {
    backend("workers_of_the_guide", Workers::new)
        .without_cancel_pending()
        .without_stats()
        .without_time_limits()
        .without_submitter()
}

/// Runs tasks on a fixed number of threads, in the order of submission.
struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    is_closed: bool,
    /// How many workers have not ended.
    alive: usize,
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
        self.state.lock().unwrap().alive -= 1;
        self.changed.notify_all();
    }
    /// Waits for a job. Returns `None` if there will be no more.
    fn next(&self) -> Option<Job> {
        let waits = |state: &mut State| state.queue.is_empty() && !state.is_closed;
        let state = self.state.lock().unwrap();
        self.changed.wait_while(state, waits).unwrap().queue.pop_front()
    }
}

impl Workers {
    fn new(count: usize) -> Self {
        let state = State { queue: VecDeque::new(), is_closed: false, alive: count };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let start = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work())
        };
        let threads = (0..count).map(start).collect();
        Self { shared, threads }
    }
}

impl Backend for Workers {
    fn execute(&self, job: Job) {
        let mut state = self.shared.state.lock().unwrap();
        if state.is_closed {
            drop(state); // Callbacks of the task run in `fail`: no lock may be held.
            return job.fail(Error::ShutDown);
        }
        state.queue.push_back(job);
        self.shared.changed.notify_all();
    }
    fn max_workers(&self) -> usize {
        self.threads.len()
    }
    fn close(&self) {
        self.shared.state.lock().unwrap().is_closed = true;
        self.shared.changed.notify_all();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        let own = thread::current().id();
        let state = self.shared.state.lock().unwrap();
        if !state.is_closed || self.threads.iter().any(|worker| worker.thread().id() == own) {
            return false;
        }
        let (changed, timeout) = (&self.shared.changed, timeout.unwrap_or(Duration::MAX));
        let waits = |state: &mut State| state.alive > 0;
        changed.wait_timeout_while(state, timeout, waits).unwrap().0.alive == 0
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shutdown();
    }
}
