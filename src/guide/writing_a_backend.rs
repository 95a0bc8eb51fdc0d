//! Executors of your own.
//!
//! Implement [`Backend`], whose one task is to take a [`Job`]. Submitting, mapping, waiting and awaiting come with it.
//! A job is run by [`Job::run`], in whatever thread suits you:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Backend, Executor, Job};
//!
//! /// Runs each task on a thread of its own.
//! struct FreshThreads;
//!
//! impl Backend for FreshThreads {
//!     fn execute(&self, job: Job) {
//!         std::thread::spawn(move || job.run());
//!     }
//!     fn max_workers(&self) -> usize {
//!         usize::MAX
//!     }
//!     fn close(&self) {}
//!     fn join(&self, _timeout: Option<Duration>) -> bool {
//!         false // Its threads may still be running.
//!     }
//! }
//!
//! let doubled: Vec<u32> = FreshThreads.map(|n| 2 * n, [1, 2, 3]).collect::<Result<_, _>>()?;
//! assert_eq!(doubled, [2, 4, 6]);
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! # What a backend owes
//!
//! | duty | how |
//! |---|---|
//! | every job ends | [`run`](Job::run), [`complete`](Job::complete) or [`fail`](Job::fail) it; one that is dropped ends with [`Error::Abandoned`] |
//! | after `close`, refuse jobs from outside | `job.fail(Error::ShutDown)`, without a lock held, because callbacks run in it |
//! | `join` returns `true` once all workers of the closed executor have ended | `false` at once on a thread of its own |
//! | the drop waits | call [`Executor::shutdown`] in `Drop` |
//! | cancelled tasks cost nothing | nothing to do: `run` returns at once for them |
//!
//! Time limits, retries, a bounded queue, statistics and `cancel_pending` are optional. The options are in
//! [`Job::options`]. A task with [`RetryOptions`] comes as one job for each attempt, without retries of its own.
//!
//! An executor with workers and a queue, in full:
//!
//! ```
//! use std::collections::VecDeque;
//! use std::sync::{Arc, Condvar, Mutex};
//! use std::thread::{self, JoinHandle};
//! use std::time::Duration;
//! use concurrent_futures::{Backend, Error, Executor, Job};
//!
//! /// Runs tasks on a fixed number of threads, in the order of submission.
//! struct Workers {
//!     shared: Arc<Shared>,
//!     threads: Vec<JoinHandle<()>>,
//! }
//!
//! struct Shared {
//!     state: Mutex<State>,
//!     changed: Condvar,
//! }
//!
//! struct State {
//!     queue: VecDeque<Job>,
//!     is_closed: bool,
//!     /// How many workers have not ended.
//!     alive: usize,
//! }
//!
//! impl Shared {
//!     fn work(&self) {
//!         while let Some(job) = self.next() {
//!             job.run();
//!         }
//!         self.state.lock().unwrap().alive -= 1;
//!         self.changed.notify_all();
//!     }
//!     /// Waits for a job. Returns `None` if there will be no more.
//!     fn next(&self) -> Option<Job> {
//!         let waits = |state: &mut State| state.queue.is_empty() && !state.is_closed;
//!         let state = self.state.lock().unwrap();
//!         self.changed.wait_while(state, waits).unwrap().queue.pop_front()
//!     }
//! }
//!
//! impl Workers {
//!     fn new(count: usize) -> Self {
//!         let state = State { queue: VecDeque::new(), is_closed: false, alive: count };
//!         let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
//!         let start = |_| {
//!             let shared = Arc::clone(&shared);
//!             thread::spawn(move || shared.work())
//!         };
//!         let threads = (0..count).map(start).collect();
//!         Self { shared, threads }
//!     }
//! }
//!
//! impl Backend for Workers {
//!     fn execute(&self, job: Job) {
//!         let mut state = self.shared.state.lock().unwrap();
//!         if state.is_closed {
//!             drop(state); // Callbacks of the task run in `fail`: no lock may be held.
//!             return job.fail(Error::ShutDown);
//!         }
//!         state.queue.push_back(job);
//!         self.shared.changed.notify_all();
//!     }
//!     fn max_workers(&self) -> usize {
//!         self.threads.len()
//!     }
//!     fn close(&self) {
//!         self.shared.state.lock().unwrap().is_closed = true;
//!         self.shared.changed.notify_all();
//!     }
//!     fn join(&self, timeout: Option<Duration>) -> bool {
//!         let own = thread::current().id();
//!         let state = self.shared.state.lock().unwrap();
//!         if !state.is_closed || self.threads.iter().any(|worker| worker.thread().id() == own) {
//!             return false;
//!         }
//!         let (changed, timeout) = (&self.shared.changed, timeout.unwrap_or(Duration::MAX));
//!         let waits = |state: &mut State| state.alive > 0;
//!         changed.wait_timeout_while(state, timeout, waits).unwrap().0.alive == 0
//!     }
//! }
//!
//! impl Drop for Workers {
//!     fn drop(&mut self) {
//!         self.shutdown();
//!     }
//! }
//!
//! let workers = Workers::new(2);
//! let before = workers.submit(|n: u32| n + 1, 1);
//! workers.shutdown();
//! assert_eq!(before.result()?, 2);
//! assert!(matches!(workers.submit(|n: u32| n + 1, 1).result(), Err(Error::ShutDown)));
//! # Ok::<(), Error>(())
//! ```
//!
//! What it lacks: a task that waits for a task of the same executor keeps its worker. With as many such tasks as workers,
//! all of them wait for ever. The pools of this crate start a spare worker meanwhile.
//!
//! # Around another executor
//!
//! A wrapper counts, logs, limits or chooses, and passes the job on. It should pass on *every* method of [`Backend`]:
//! with the default of [`item_executor`](Backend::item_executor), each item of a map is a job of its own, and with those
//! of `try_execute` and `poll_join`, `submit_async` and `shutdown_async` block. [`ItemExecutor`] has such a wrapper,
//! in full, to copy.
//!
//! One that logs every task, and loses nothing: [`Job::on_done`] is called once for each job, with its error and its
//! [`Times`]. It does not pass `item_executor` on, because items that workers share are no jobs, and would not be
//! logged:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{
//!     Backend, Error, Executor, Job, Stats, Submitter, TaskOptions, ThreadPoolExecutor, Waiting,
//! };
//!
//! /// Logs the end of each task, and of each item of a map.
//! struct Logged<B>(B);
//!
//! fn observe(job: Job) -> Job {
//!     let (id, name) = (job.id(), job.name().map(String::from).unwrap_or_default());
//!     job.on_done(move |outcome, times| {
//!         let (queued, ran, worker) = (times.queued(), times.ran(), times.worker_name());
//!         let result = outcome.map_or_else(Error::to_string, |()| "done".into());
//!         log::info!("task {id} {name}: {result}; queued {queued:?}, ran {ran:?} on {worker:?}");
//!     });
//!     job
//! }
//!
//! impl<B: Backend> Backend for Logged<B> {
//!     fn execute(&self, job: Job) {
//!         self.0.execute(observe(job));
//!     }
//!     fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
//!         self.0.try_execute(observe(job), waiting)
//!     }
//!     fn submitter(&self) -> Option<Submitter> {
//!         Some(self.0.submitter()?.map(observe))
//!     }
//!     fn max_workers(&self) -> usize {
//!         self.0.max_workers()
//!     }
//!     fn close(&self) {
//!         self.0.close();
//!     }
//!     fn join(&self, timeout: Option<Duration>) -> bool {
//!         self.0.join(timeout)
//!     }
//!     fn poll_join(&self, waiting: &mut Waiting) -> bool {
//!         self.0.poll_join(waiting)
//!     }
//!     fn cancel_pending(&self) -> usize {
//!         self.0.cancel_pending()
//!     }
//!     fn stats(&self) -> Stats {
//!         self.0.stats()
//!     }
//! }
//!
//! let logged = Logged(ThreadPoolExecutor::new(2));
//! let sums = logged.with(TaskOptions::new().name("sum"));
//! assert_eq!(sums.submit(|n: u64| (1..=n).sum::<u64>(), 10).result()?, 55);
//! # Ok::<(), Error>(())
//! ```
//!
//! One that chooses between two executors:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Backend, Executor, Job, TaskOptions, ThreadPoolExecutor};
//!
//! /// Tasks that are named "urgent" have a pool of their own.
//! struct TwoLanes {
//!     slow: ThreadPoolExecutor,
//!     urgent: ThreadPoolExecutor,
//! }
//!
//! impl Backend for TwoLanes {
//!     fn execute(&self, job: Job) {
//!         match job.name() {
//!             Some("urgent") => self.urgent.execute(job),
//!             _ => self.slow.execute(job.with_options(TaskOptions::new().name("slow"))),
//!         }
//!     }
//!     fn max_workers(&self) -> usize {
//!         self.slow.max_workers() + self.urgent.max_workers()
//!     }
//!     fn close(&self) {
//!         self.slow.close();
//!         self.urgent.close();
//!     }
//!     fn join(&self, timeout: Option<Duration>) -> bool {
//!         self.slow.join(timeout) && self.urgent.join(timeout)
//!     }
//!     fn cancel_pending(&self) -> usize {
//!         self.slow.cancel_pending() + self.urgent.cancel_pending()
//!     }
//! }
//!
//! let lanes = TwoLanes { slow: ThreadPoolExecutor::new(1), urgent: ThreadPoolExecutor::new(1) };
//! let urgent = lanes.with(TaskOptions::new().name("urgent"));
//! assert_eq!(urgent.submit(|n: u32| n + 1, 1).result()?, 2);
//! assert_eq!(lanes.submit(|n: u32| n + 1, 2).result()?, 3);
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! # Workers in another program
//!
//! There, the job stays here, and its argument is sent:
//!
//! 1. [`Job::encode`] writes the argument. The function is known by its [name](Job::name) on the other side, or by
//!    what your executor agrees upon.
//! 2. [`Job::start`] marks it as running, when the other side says so. If it returns `false`, the task was cancelled.
//! 3. [`Job::complete`] reads the result, or takes the error.
//!
//! ```
//! use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
//! use std::thread;
//! use std::time::Duration;
//! use concurrent_futures::{Backend, Error, Executor, Job, TaskOptions, TimeLimit};
//!
//! /// Where messages go: the name of a function, its argument, and the way back for the result.
//! type Message = (String, Vec<u8>, Sender<Vec<u8>>);
//!
//! struct Elsewhere(Sender<Message>);
//!
//! impl Backend for Elsewhere {
//!     fn execute(&self, job: Job) {
//!         let argument = match job.encode() {
//!             Ok(encoded) => encoded.into_argument(),
//!             Err(error) => return job.fail(error),
//!         };
//!         let (reply, result) = channel();
//!         let name = job.name().unwrap_or_default().to_owned();
//!         if self.0.send((name, argument, reply)).is_err() {
//!             return job.fail(Error::ShutDown);
//!         }
//!         thread::spawn(move || {
//!             if !job.start() {
//!                 return; // It was cancelled.
//!             }
//!             let limit = job.options().get_time_limit().unwrap_or(Duration::MAX);
//!             match result.recv_timeout(limit) {
//!                 Ok(result) => job.complete(Ok(&result)),
//!                 Err(RecvTimeoutError::Timeout) => job.fail(Error::TimeLimit(TimeLimit::new(limit))),
//!                 Err(RecvTimeoutError::Disconnected) => {} // The job is dropped: `Abandoned`.
//!             }
//!         });
//!     }
//!     fn max_workers(&self) -> usize {
//!         1
//!     }
//!     fn close(&self) {}
//!     fn join(&self, _timeout: Option<Duration>) -> bool {
//!         true
//!     }
//! }
//!
//! /// The other program: gets bytes, and returns bytes.
//! fn serve(messages: Receiver<Message>) {
//!     let mut unanswered = Vec::new();
//!     for (name, argument, reply) in messages {
//!         match name.as_str() {
//!             "double" => {
//!                 let n: u32 = postcard::from_bytes(&argument).unwrap();
//!                 let _ = reply.send(postcard::to_stdvec(&(2 * n)).unwrap());
//!             }
//!             "endless" => unanswered.push(reply),
//!             _ => {} // The reply is dropped.
//!         }
//!     }
//! }
//!
//! let (send, receive) = channel();
//! thread::spawn(|| serve(receive));
//! let elsewhere = Elsewhere(send);
//! let double = elsewhere.with(TaskOptions::new().name("double"));
//! assert_eq!(double.submit(|n: u32| 2 * n, 21).result()?, 42);
//! let unknown = elsewhere.submit(|n: u32| 3 * n, 21);
//! assert!(matches!(unknown.result(), Err(Error::Abandoned)));
//! let limit = TaskOptions::new().name("endless").time_limit(Duration::from_millis(1));
//! let endless = elsewhere.with(limit).submit(|n: u32| n, 21);
//! assert!(matches!(endless.result(), Err(Error::TimeLimit(_))));
//! # Ok::<(), Error>(())
//! ```
//!
//! What comes next:
//!
//! - **Cancelling.** As long as a worker may have begun the task, only the other side knows whether it can still be
//!   cancelled. [`Job::entrust`] makes the task ask your [`Remote`] first. [`Job::on_abort`] tells you that a running
//!   task was aborted.
//! - **Time limits.** Nobody watches the [`time_limit`](TaskOptions::get_time_limit) of a job but its executor; one that does
//!   not look ignores it. `Elsewhere` above waits no longer than that, and ends the job with [`Error::TimeLimit`]. With many
//!   jobs, one thread with a queue of deadlines does the same. Tell the other side to stop, because [`Job::fail`] does not.
//! - **Chunks.** With a `chunk_size`, the argument is a sequence, and [`Encoded::items`] says how many. Complete the
//!   job by [`Job::complete_items`], with one result for each.
//! - **Functions that return `Result`.** [`Job::is_fallible`] says whether their `Err` is the error of the task.
//! - **Other formats.** With the feature `remote`, `Job::show` writes the argument with any serialiser of serde, and
//!   `Job::read` reads the result with any deserialiser: JSON, MessagePack, CBOR. The documentation of `Job::show` has an
//!   executor that sends JSON.
//! - **Spans.** With the feature `tracing`, send `Job::traceparent` along, and the other side can link its spans to that
//!   of the task.
//! - **Errors of your own.** [`WorkerDied::new`], [`Broken::new`], [`Failed::new`] and the like make the errors that
//!   callers know from the pools.
//!
//! # Tests for your executor
//!
//! The crate `concurrent-futures-conformance` holds an executor to what every executor promises. Its points are the same
//! ones that the pools of this crate have to pass. A test program with `harness = false` has one line for each executor,
//! and says what an executor does not promise:
//!
//! ```ignore
//! use std::process::ExitCode;
//! use concurrent_futures_conformance::{backend, run};
//!
//! fn main() -> ExitCode {
//!     run([
//!         backend("workers", Workers::new)
//!             .without_cancel_pending()
//!             .without_stats()
//!             .without_time_limits()
//!             .without_submitter(),
//!     ])
//! }
//! ```
//!
//! `conformance/README.md` in the repository says how to add it to a crate, and how to read a failure. There, the
//! directory `tests/builds/author` is a crate with two executors and their tests.

#[cfg(doc)]
use crate::*;
