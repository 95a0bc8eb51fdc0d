//! [`Workers`]: a few threads that take tasks from a queue.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, Job};

/// Runs tasks on a fixed number of threads, in the order of submission.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when there is something to do, or nothing ever again.
    work: Condvar,
    /// Notified when a worker ends.
    ended: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    is_closed: bool,
    /// How many workers have not ended.
    alive: usize,
}

impl Shared {
    /// Waits for a task. `None`: there will be no more.
    fn next(&self) -> Option<Job> {
        let state = self.state.lock().unwrap();
        let waits = |state: &mut State| state.queue.is_empty() && !state.is_closed;
        self.work.wait_while(state, waits).unwrap().queue.pop_front()
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
        self.state.lock().unwrap().alive -= 1;
        self.ended.notify_all();
    }
}

impl Workers {
    pub fn new(count: usize) -> Self {
        let state = Mutex::new(State { queue: VecDeque::new(), is_closed: false, alive: count });
        let shared = Arc::new(Shared { state, work: Condvar::new(), ended: Condvar::new() });
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
            // Without the lock: the callbacks of the task run in here.
            drop(state);
            return job.fail(Error::ShutDown);
        }
        state.queue.push_back(job);
        self.shared.work.notify_one();
    }

    fn max_workers(&self) -> usize {
        self.threads.len()
    }

    fn close(&self) {
        self.shared.state.lock().unwrap().is_closed = true;
        self.shared.work.notify_all();
    }

    fn join(&self, timeout: Option<Duration>) -> bool {
        let own = thread::current().id();
        if self.threads.iter().any(|thread| thread.thread().id() == own) {
            return false;
        }
        let state = self.shared.state.lock().unwrap();
        if !state.is_closed {
            return false;
        }
        let timeout = timeout.unwrap_or(Duration::MAX);
        let (state, _) = self.shared.ended.wait_timeout_while(state, timeout, |state| state.alive > 0).unwrap();
        state.alive == 0
    }

    fn cancel_pending(&self) -> usize {
        let queue = std::mem::take(&mut self.shared.state.lock().unwrap().queue);
        // A task that was cancelled before is in the queue still, and is not counted again.
        let pending: Vec<_> = queue.into_iter().filter(|job| job.start()).collect();
        let count = pending.len();
        pending.into_iter().for_each(|job| job.fail(Error::Cancelled));
        count
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if thread::panicking() { self.shutdown_now() } else { self.shutdown() }
    }
}
