//! [`FreshThreads`]: a thread for each task.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, Job};

/// Runs every task on a thread of its own, which starts at once.
#[derive(Default)]
pub struct FreshThreads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a thread has run its task.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// How many tasks were accepted and have not been run.
    tasks: usize,
    /// The threads that run them.
    threads: HashSet<ThreadId>,
}

impl Backend for FreshThreads {
    fn execute(&self, job: Job) {
        let mut state = self.0.state.lock().unwrap();
        if state.is_closed {
            // Without the lock: the callbacks of the task run in here.
            drop(state);
            return job.fail(Error::ShutDown);
        }
        state.tasks += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        thread::spawn(move || {
            let own = thread::current().id();
            shared.state.lock().unwrap().threads.insert(own);
            job.run();
            let mut state = shared.state.lock().unwrap();
            state.threads.remove(&own);
            state.tasks -= 1;
            shared.ended.notify_all();
        });
    }

    fn max_workers(&self) -> usize {
        usize::MAX
    }

    fn close(&self) {
        self.0.state.lock().unwrap().is_closed = true;
    }

    fn join(&self, timeout: Option<Duration>) -> bool {
        let state = self.0.state.lock().unwrap();
        if !state.is_closed || state.threads.contains(&thread::current().id()) {
            return false;
        }
        let timeout = timeout.unwrap_or(Duration::MAX);
        let (state, _) = self.0.ended.wait_timeout_while(state, timeout, |state| state.tasks > 0).unwrap();
        state.tasks == 0
    }
}

impl Drop for FreshThreads {
    fn drop(&mut self) {
        self.shutdown();
    }
}
