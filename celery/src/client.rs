//! [`CeleryExecutor`]: sends tasks to Celery workers.
#![forbid(unsafe_code)]

mod answers;
mod builder;
mod deadlines;
mod events;
mod link;
mod on_queue;
mod ordering;
mod orders;
mod prepared;
mod publishing;
mod remote;
mod session;
mod shared;
mod submitting;
mod window;
mod workers;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use concurrent_futures::{Backend, Executor as _, Future, Job, Payload, Stats, Submitter, TaskOptions, Waiting};
use parking_lot::Mutex;

use crate::broker::{Broker, ConnectError};
use shared::Shared;

pub use builder::CeleryBuilder;
pub use on_queue::OnQueue;
pub(crate) use prepared::Prepared;
pub(crate) use window::Call;
pub use workers::WorkerInfo;

/// Sends tasks to Celery workers, by way of RabbitMQ.
///
/// All methods of [`Executor`](concurrent_futures::Executor) work as on the pools: `submit`, `map` with an outcome for
/// each item, `submit_after`, `submit_async`, time limits, `retries`. A function needs a name that a worker knows: see
/// [the crate](crate#names), which also says which tasks can be cancelled and what happens when something is lost.
///
/// At most [`in_flight`](CeleryBuilder::in_flight) messages are published and unanswered at a time, in the order of
/// submission; other tasks wait in the program. Four threads of the executor read results and run callbacks, so
/// callbacks that block hold up others only if there are four of them.
///
/// Dropping it blocks until all tasks are done. If the thread unwinds, the drop first cancels the tasks that have not
/// started.
///
/// # Hangs
///
/// A task whose queue no worker reads is never done, so the drop does not return: see
/// [`wait_for_workers`](CeleryExecutor::wait_for_workers) and
/// [`shutdown_now`](concurrent_futures::Executor::shutdown_now).
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use concurrent_futures::{Executor, TaskOptions, as_completed, task};
/// use concurrent_futures_celery::CeleryExecutor;
///
/// #[task(name = "files.parse")]
/// fn parse(text: String) -> Result<u64, String> {
///     text.parse().map_err(|_| format!("{text} is no number"))
/// }
///
/// let cluster = CeleryExecutor::builder("amqp://127.0.0.1").queue("rust").build()?;
/// let careful = cluster.with(TaskOptions::new().time_limit(Duration::from_secs(30)).retries(2));
/// let futures = ["1", "two", "3"].map(|text| (text, careful.try_submit(parse, text.to_owned())));
/// for (text, future) in as_completed(futures) {
///     match future.result() {
///         Ok(number) => println!("{text} is {number}"),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok::<(), concurrent_futures_celery::ConnectError>(())
/// ```
pub struct CeleryExecutor {
    shared: Arc<Shared>,
    /// The URL of the broker without the password.
    address: Box<str>,
    /// `None` once it has been joined.
    link: Mutex<Option<JoinHandle<()>>>,
}

impl CeleryExecutor {
    /// Connects to a broker. Tasks go to the queue `celery`.
    ///
    /// The URL is `amqp://user:password@host:port/vhost`. In the password, `@` is written `%40` and `/` is `%2F`. What is
    /// left out is `guest`, `guest`, 5672 and `/`; RabbitMQ takes `guest` from its own machine only.
    ///
    /// Blocks until there is a connection and the queues are declared. Gives the connection up after 10 seconds.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the URL is not one of RabbitMQ, or if the broker cannot be reached, or refuses the
    /// connection or a queue.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use concurrent_futures::Executor;
    /// use concurrent_futures_celery::CeleryExecutor;
    ///
    /// let cluster = CeleryExecutor::connect("amqp://127.0.0.1")?;
    /// let sum = cluster.call::<_, i64>("tasks.add", (2, 3));
    /// assert_eq!(sum.result()?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).build()
    }

    /// Connects to the broker that the environment variable `CELERY_BROKER_URL` names, as Celery's programs do.
    ///
    /// Blocks as [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and [`ConnectError::NoUrl`] if the variable is not set.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let cluster = concurrent_futures_celery::CeleryExecutor::from_env()?;
    /// # Ok::<(), concurrent_futures_celery::ConnectError>(())
    /// ```
    pub fn from_env() -> Result<Self, ConnectError> {
        CeleryBuilder::from_env()?.build()
    }

    /// Returns a builder, which sets the queue and the limits. [`CeleryBuilder`] has an example.
    pub fn builder(url: &str) -> CeleryBuilder {
        CeleryBuilder::new(url)
    }

    fn start(broker: Broker, settings: shared::Settings) -> Result<Self, ConnectError> {
        let shared = Shared::new(settings).map_err(|error| ConnectError::Thread(error.to_string()))?;
        let (shared, address) = (Arc::new(shared), broker.address().into());
        let (link, session) = link::Link::connect(Arc::clone(&shared), broker)?;
        let thread = std::thread::Builder::new().name("celery-link".into());
        let link = thread.spawn(move || link.run(session)).map_err(|error| ConnectError::Thread(error.to_string()))?;
        Ok(Self { shared, address, link: Mutex::new(Some(link)) })
    }

    /// Calls a task that has no function in this program, by its name. A tuple becomes positional arguments, and
    /// [`Keywords`](crate::Keywords) become keyword arguments; a call has either of them. Give the result a type. A
    /// `&str` is neither an argument nor a result (the compiler says that `Deserialize` is not general enough): take a
    /// `String`.
    ///
    /// Blocks while [`max_pending`](CeleryBuilder::max_pending) tasks are unfinished. If no worker has a task of this
    /// name, the future ends with [`Error::Decode`](concurrent_futures::Error::Decode).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use concurrent_futures::Future;
    /// use concurrent_futures_celery::CeleryExecutor;
    ///
    /// let cluster = CeleryExecutor::from_env()?;
    /// let sum: Future<i64> = cluster.call("tasks.add", (2, 3));
    /// println!("{}", sum.result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call<A: Payload, R: Payload>(&self, task: &str, arguments: A) -> Future<R> {
        call(self, task, arguments)
    }

    /// Returns a view of the executor whose tasks go to another queue.
    ///
    /// Tasks for a name that no queue can have end with [`Error::Build`](concurrent_futures::Error::Build): one has 1 to
    /// 255 bytes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use concurrent_futures_celery::CeleryExecutor;
    ///
    /// let cluster = CeleryExecutor::from_env()?;
    /// let resized = cluster.on("gpu").call::<_, String>("img.resize", ("flag.png".to_owned(), 640));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(&self, queue: &str) -> OnQueue<'_> {
        OnQueue { executor: self, queue: queue.into() }
    }

    /// Blocks until `count` workers read the queue of this executor, or until the time is up. Returns how many do.
    ///
    /// A task whose queue no worker reads waits for ever. A program can check that before it submits any.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use concurrent_futures_celery::CeleryExecutor;
    ///
    /// let cluster = CeleryExecutor::builder("amqp://127.0.0.1").queue("rust").build()?;
    /// if cluster.wait_for_workers(1, Duration::from_secs(10)) == 0 {
    ///     eprintln!("nobody reads the queue `rust`");
    /// }
    /// # Ok::<(), concurrent_futures_celery::ConnectError>(())
    /// ```
    pub fn wait_for_workers(&self, count: usize, timeout: Duration) -> usize {
        self.shared.wait_for_workers(&self.shared.settings.queue, count, timeout)
    }

    /// Asks all workers of the broker for their names, slots and tasks. Blocks for a second, and returns those that
    /// have answered by then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use concurrent_futures_celery::CeleryExecutor;
    ///
    /// let cluster = CeleryExecutor::from_env()?;
    /// for worker in cluster.workers() {
    ///     println!("{} has {:?} slots", worker.name, worker.slots);
    /// }
    /// # Ok::<(), concurrent_futures_celery::ConnectError>(())
    /// ```
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.shared.workers()
    }

    /// Joins the thread of the connection, which has ended or is about to.
    fn join_link(&self) {
        let link = self.link.lock().take();
        if let Some(link) = link {
            // The thread catches its own panics, so this is no error.
            let _ = link.join();
        }
    }
}

/// Calls a task by its name.
fn call<A: Payload, R: Payload>(executor: &impl Backend, task: &str, arguments: A) -> Future<R> {
    fn elsewhere<A, R>(_: A) -> R {
        panic!("a task that is called by its name has no function in this program")
    }
    executor.with(TaskOptions::new().name(task)).submit(elsewhere::<A, R>, arguments)
}

impl Backend for CeleryExecutor {
    fn execute(&self, job: Job) {
        self.shared.submit(job, &self.shared.settings.queue, true);
    }

    /// Returns how many messages are published and unanswered at most.
    fn max_workers(&self) -> usize {
        self.shared.settings.in_flight
    }

    fn close(&self) {
        self.shared.close();
    }

    fn join(&self, timeout: Option<Duration>) -> bool {
        let has_ended = self.shared.join(timeout);
        if has_ended {
            self.join_link();
        }
        has_ended
    }

    fn cancel_pending(&self) -> usize {
        self.shared.cancel_pending()
    }

    fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        self.shared.try_submit(job, &self.shared.settings.queue, waiting)
    }

    fn submitter(&self) -> Option<Submitter> {
        Some(self.shared.submitter(&self.shared.settings.queue))
    }

    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.shared.poll_join(waiting)
    }
}

impl Drop for CeleryExecutor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shutdown_now();
        } else {
            self.shutdown();
        }
    }
}

impl fmt::Debug for CeleryExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = &self.shared.settings.queue;
        f.debug_struct("CeleryExecutor").field("broker", &self.address).field("queue", queue).finish_non_exhaustive()
    }
}
