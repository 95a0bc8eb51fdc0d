//! [`Pool`]: the pools of threads that are compared, of this crate and of those that users would pick instead. Each is
//! used as its documentation shows.

use std::time::Duration;

use concurrent_futures::{Future, ThreadPoolExecutor};
use futures::executor::block_on;
use futures::future::RemoteHandle;
use futures::task::SpawnExt as _;

use crate::contest::{Contest, Contestant};

/// A pool that takes closures, and returns a handle on the result of each.
pub(crate) trait Pool: Sync + Sized + 'static {
    const NAME: &'static str;
    type Handle<R: Send + 'static>: Send;

    fn new(workers: usize) -> Self;
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R>;
    fn wait<R: Send + 'static>(&self, handle: Self::Handle<R>) -> R;

    /// Waits for all results in order, and returns their sum.
    fn sum(&self, handles: Vec<Self::Handle<u64>>) -> u64 {
        handles.into_iter().map(|handle| self.wait(handle)).fold(0, u64::wrapping_add)
    }
}

/// A workload that runs on any pool.
pub(crate) trait Race: Clone + 'static {
    /// Does its work the given number of times, and returns the figure for all of it.
    fn run<P: Pool>(&self, pool: &P, times: u64) -> f64;
}

/// Enters a pool of this crate, with the number of workers of the surroundings.
pub(crate) fn enter_ours<'c>(
    contest: &'c mut Contest<'_>,
    name: &'static str,
    times: u64,
    race: impl Race,
) -> &'c mut Contestant {
    let pool = ThreadPoolExecutor::new(contest.surroundings.workers());
    contest.ours(name, times, move |times| race.run(&pool, times))
}

/// Enters every peer, each with the same number of workers.
pub(crate) fn enter_peers(contest: &mut Contest<'_>, times: u64, race: &impl Race) {
    enter::<Rayon>(contest, times, race);
    enter::<threadpool::ThreadPool>(contest, times, race);
    enter::<Tokio>(contest, times, race);
    enter::<futures::executor::ThreadPool>(contest, times, race);
    enter::<rusty_pool::ThreadPool>(contest, times, race);
}

fn enter<P: Pool>(contest: &mut Contest<'_>, times: u64, race: &impl Race) {
    if contest.settings.invites(P::NAME) {
        let (pool, race) = (P::new(contest.surroundings.workers()), race.clone());
        contest.peer(P::NAME, times, move |times| race.run(&pool, times));
    }
}

impl Pool for ThreadPoolExecutor {
    const NAME: &'static str = "this crate";
    type Handle<R: Send + 'static> = Future<R>;

    fn new(workers: usize) -> Self {
        Self::new(workers)
    }
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> Future<R> {
        self.spawn(task)
    }
    fn wait<R: Send + 'static>(&self, future: Future<R>) -> R {
        future.result().expect("a result")
    }
}

/// A pool of rayon. Its `spawn` returns nothing, so a channel for one value carries the result.
pub(crate) struct Rayon(pub(crate) rayon::ThreadPool);

impl Pool for Rayon {
    const NAME: &'static str = "rayon spawn + oneshot";
    type Handle<R: Send + 'static> = oneshot::Receiver<R>;

    fn new(workers: usize) -> Self {
        Self(rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads"))
    }
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> oneshot::Receiver<R> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || _ = sender.send(task()));
        receiver
    }
    fn wait<R: Send + 'static>(&self, receiver: oneshot::Receiver<R>) -> R {
        receiver.recv().expect("a result")
    }
}

impl Pool for threadpool::ThreadPool {
    const NAME: &'static str = "threadpool + oneshot";
    type Handle<R: Send + 'static> = oneshot::Receiver<R>;

    fn new(workers: usize) -> Self {
        Self::new(workers)
    }
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> oneshot::Receiver<R> {
        let (sender, receiver) = oneshot::channel();
        self.execute(move || _ = sender.send(task()));
        receiver
    }
    fn wait<R: Send + 'static>(&self, receiver: oneshot::Receiver<R>) -> R {
        receiver.recv().expect("a result")
    }
}

pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Pool for Tokio {
    const NAME: &'static str = "tokio spawn_blocking";
    type Handle<R: Send + 'static> = tokio::task::JoinHandle<R>;

    fn new(workers: usize) -> Self {
        // `worker_threads` counts the threads for async tasks, of which there are none.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(builder.worker_threads(1).max_blocking_threads(workers).build().expect("a runtime"))
    }
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R> {
        self.0.spawn_blocking(task)
    }
    fn wait<R: Send + 'static>(&self, handle: Self::Handle<R>) -> R {
        self.0.block_on(handle).expect("a result")
    }
    // Async code enters the runtime once for all results.
    fn sum(&self, handles: Vec<Self::Handle<u64>>) -> u64 {
        self.0.block_on(async {
            let mut sum = 0_u64;
            for handle in handles {
                sum = sum.wrapping_add(handle.await.expect("a result"));
            }
            sum
        })
    }
}

impl Pool for futures::executor::ThreadPool {
    const NAME: &'static str = "futures ThreadPool";
    type Handle<R: Send + 'static> = RemoteHandle<R>;

    fn new(workers: usize) -> Self {
        Self::builder().pool_size(workers).create().expect("threads")
    }
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> RemoteHandle<R> {
        self.spawn_with_handle(async move { task() }).expect("a pool that runs")
    }
    fn wait<R: Send + 'static>(&self, handle: RemoteHandle<R>) -> R {
        block_on(handle)
    }
    fn sum(&self, handles: Vec<RemoteHandle<u64>>) -> u64 {
        block_on(async {
            let mut sum = 0_u64;
            for handle in handles {
                sum = sum.wrapping_add(handle.await);
            }
            sum
        })
    }
}

impl Pool for rusty_pool::ThreadPool {
    const NAME: &'static str = "rusty_pool evaluate";
    type Handle<R: Send + 'static> = rusty_pool::JoinHandle<R>;

    fn new(workers: usize) -> Self {
        Self::new(workers, workers, Duration::from_secs(60))
    }
    fn submit<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R> {
        self.evaluate(task)
    }
    fn wait<R: Send + 'static>(&self, handle: Self::Handle<R>) -> R {
        handle.await_complete()
    }
}
