//! Executors to test with: one that keeps its jobs, one that drops them, and one that forwards them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use concurrent_futures::{Backend, Error, ItemExecutor, Job, Stats, Submitter, Waiting};

/// An executor that runs nothing by itself: the test takes the jobs, and decides what to do with them.
#[derive(Default)]
pub struct Held(Mutex<Jobs>);

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    is_closed: bool,
}

impl Held {
    /// Returns how many jobs are queued.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().queue.len()
    }

    /// Removes and returns the job at this position.
    #[track_caller]
    pub fn take(&self, at: usize) -> Job {
        let job = self.0.lock().unwrap().queue.remove(at);
        job.expect("a job at this place")
    }

    /// Runs the job at this position.
    #[track_caller]
    pub fn run(&self, at: usize) {
        self.take(at).run();
    }

    /// Runs jobs from the front until none is left.
    pub fn run_all(&self) {
        while self.count() > 0 {
            self.run(0);
        }
    }
}

impl Backend for Held {
    fn execute(&self, job: Job) {
        let mut jobs = self.0.lock().unwrap();
        if jobs.is_closed {
            drop(jobs);
            job.fail(Error::ShutDown);
        } else {
            jobs.queue.push_back(job);
        }
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {
        self.0.lock().unwrap().is_closed = true;
    }
    fn join(&self, _timeout: Option<Duration>) -> bool {
        let jobs = self.0.lock().unwrap();
        jobs.is_closed && jobs.queue.is_empty()
    }
}

/// An executor that drops its jobs. Its submitter panics with this text.
pub struct DropsJobs(pub &'static str);

impl Backend for DropsJobs {
    fn execute(&self, job: Job) {
        drop(job);
    }
    fn submitter(&self) -> Option<Submitter> {
        let text = self.0;
        Some(Submitter::new(move |_job| panic!("{text}")))
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _timeout: Option<Duration>) -> bool {
        true
    }
}

/// Passes the methods of [`Backend`] that have nothing to do with jobs on to `self.0`, for executors around another one.
#[doc(hidden)]
#[macro_export]
macro_rules! pass_on {
    () => {
        fn max_workers(&self) -> usize {
            self.0.max_workers()
        }
        fn close(&self) {
            self.0.close();
        }
        fn join(&self, timeout: ::std::option::Option<::std::time::Duration>) -> bool {
            self.0.join(timeout)
        }
        fn cancel_pending(&self) -> usize {
            self.0.cancel_pending()
        }
        fn stats(&self) -> ::concurrent_futures::Stats {
            self.0.stats()
        }
    };
}

/// A user's own executor around another one: it forwards every method of [`Backend`]. A test compares it with the guide, so
/// it names all of them.
pub struct Forwarding<B>(pub B);

impl<B: Backend> Backend for Forwarding<B> {
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
    fn cancel_pending(&self) -> usize {
        self.0.cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.0.try_execute(job, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        self.0.submitter()
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.0.poll_join(waiting)
    }
    fn item_executor(&self) -> ItemExecutor {
        self.0.item_executor()
    }
}
