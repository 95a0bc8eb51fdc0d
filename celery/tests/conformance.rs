//! Runs `conformance` on a cluster: a client and a worker in this program, with a broker of its own between them and a
//! queue for each point.
//!
//!     cargo test -p concurrent-futures-celery --test conformance
//!
//! `celery/README.md` says what a cluster cannot promise, and why.
#![forbid(unsafe_code)]

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;

use concurrent_futures::{Backend, ItemExecutor, Job, Stats, Submitter, ThreadPoolExecutor, Waiting};
use concurrent_futures_celery::{CeleryExecutor, Eager, Stopper, Worker};
use concurrent_futures_conformance::{backend, run};
use support::{Broker, unique};

/// A client and the worker that runs its tasks.
struct Cluster {
    /// `None` only while this is dropped.
    client: Option<CeleryExecutor>,
    stopper: Stopper,
    worker: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Publishes as many tasks as the worker runs, so that what waits can be cancelled exactly.
    fn new(url: &str, workers: usize) -> Self {
        let queue = unique("conformance");
        let worker = Worker::builder(url)
            .queues([&queue])
            .executor(ThreadPoolExecutor::new(workers))
            .name(&format!("{queue}@test"));
        let worker = worker.build().expect("a worker");
        let stopper = worker.stopper();
        let worker = std::thread::spawn(move || worker.run().expect("a broker"));
        let client = CeleryExecutor::builder(url).queue(&queue).in_flight(workers).build().expect("a client");
        Self { client: Some(client), stopper, worker: Some(worker) }
    }

    fn client(&self) -> &CeleryExecutor {
        self.client.as_ref().expect("it is not dropped")
    }
}

impl Backend for Cluster {
    fn execute(&self, job: Job) {
        self.client().execute(job);
    }
    fn max_workers(&self) -> usize {
        self.client().max_workers()
    }
    fn close(&self) {
        self.client().close();
    }
    fn join(&self, timeout: Option<Duration>) -> bool {
        self.client().join(timeout)
    }
    fn cancel_pending(&self) -> usize {
        self.client().cancel_pending()
    }
    fn stats(&self) -> Stats {
        self.client().stats()
    }
    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.client().try_execute(job, waiting)
    }
    fn submitter(&self) -> Option<Submitter> {
        self.client().submitter()
    }
    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.client().poll_join(waiting)
    }
    fn item_executor(&self) -> ItemExecutor {
        self.client().item_executor()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.client.take());
        self.stopper.warm();
        let ended = self.worker.take().expect("it was started").join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn main() -> ExitCode {
    let broker = match Broker::start("conformance") {
        Ok(broker) => broker,
        Err(missing) => {
            eprintln!("the conformance of a cluster cannot be tested: {missing}");
            return ExitCode::FAILURE;
        }
    };
    let url = broker.url.clone();
    let dropped_later = "costs::a_result_is_dropped_with_its_future";
    let code = run([
        backend("cluster", move |workers| Cluster::new(&url, workers))
            .runs_listed_functions_only()
            .remote()
            .starts_workers_early()
            .except(dropped_later, "the worker is in the same process, and drops the value after the answer"),
        backend("eager", |workers| Eager::new(ThreadPoolExecutor::new(workers))).runs_listed_functions_only().remote(),
    ]);
    drop(broker);
    support::end_all();
    code
}
