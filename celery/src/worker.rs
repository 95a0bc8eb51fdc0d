//! [`Worker`]: runs the tasks of a program for Celery's clients.
#![forbid(unsafe_code)]

mod builder;
mod control;
mod control_command;
mod decision;
mod ended;
mod events;
mod invocation;
mod outcome;
mod receiving;
mod recent_ids;
mod request;
mod service;
mod session;
mod signature;

use std::fmt;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use concurrent_futures::Backend;

use crate::broker::{Broker, ConnectError};
use outcome::Outcome;
use service::Service;

pub use builder::WorkerBuilder;

/// Runs the functions of this program that have [`task`](macro@concurrent_futures::task), for clients in Rust and in
/// Python.
///
/// The tasks run on any executor. On a `ProcessPoolExecutor`, a crash costs only the task that caused it, and a running
/// task can be killed, by its client or by its time limit. A worker takes as many tasks at a time as its executor has
/// workers.
///
/// A worker acknowledges the message of a task after it has sent the answer, never before. If the worker is lost
/// before, the broker delivers the message to another one. That one runs the task again only as often as its client
/// allows by [`TaskOptions::retries`](concurrent_futures::TaskOptions::retries), and otherwise answers that the worker
/// was lost.
///
/// Celery's tools treat it like a worker in Python: `celery status`, `inspect`, `control` and `events`, and Flower.
///
/// | what Celery has | supported | not supported |
/// |---|---|---|
/// | times | `eta`, `countdown`, `expires` | |
/// | limits | `time_limit`, which only processes enforce at once | `soft_time_limit`: there is no exception to raise in a task |
/// | follow-up tasks | `link`, `link_error`, chains, groups | chords, which reply queues do not support: the task before one fails |
/// | many calls in one | `map`, `starmap`, `chunks` | |
/// | control | `revoke`, `terminate`, `shutdown`, `add_consumer`, `cancel_consumer`, `enable_events`, `disable_events` | rate limits, time limits, changes of the pool |
/// | `inspect` | all but what is on the right | `memsample`, `memdump`, `objgraph` |
/// | messages | version 2 of the protocol, in JSON | pickles, which would run code of whoever sends them |
///
/// # Examples
///
/// ```no_run,standalone_crate
/// use std::time::Duration;
/// use concurrent_futures::{ThreadPoolExecutor, task};
/// use concurrent_futures_celery::Worker;
///
/// #[task(name = "sums.sum_to")]
/// fn sum_to(n: u64) -> u64 {
///     (1..=n).sum()
/// }
///
/// let worker = Worker::builder("amqp://127.0.0.1")
///     .queues(["rust"])
///     .executor(ThreadPoolExecutor::new(8))
///     .name("sums@%h")
///     .grace(Duration::from_secs(30))
///     .build()?;
/// let stopper = worker.stopper();
/// std::thread::spawn(move || {
///     // When the program is told to end:
///     stopper.warm();
/// });
/// worker.run()?;
/// # Ok::<(), concurrent_futures_celery::ConnectError>(())
/// ```
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    broker: Broker,
    settings: Settings,
    executor: Box<dyn Backend>,
    inputs: (Sender<Input>, Receiver<Input>),
    /// The same stops as among the inputs, for who watches that the worker heeds them.
    stops: (Sender<Stop>, Receiver<Stop>),
}

#[derive(Clone, Debug)]
struct Settings {
    name: String,
    queues: Vec<String>,
    grace: Option<Duration>,
    redeliver: u32,
    max_message_size: usize,
    sends_events: bool,
    hides_arguments: bool,
}

/// What other threads send to the thread of a worker.
enum Input {
    /// The task with this id is done.
    Done(String, Outcome),
    Stop(Stop),
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It finishes the tasks that it has.
    Warm,
    /// It gives up the tasks that it has.
    Cold,
}

/// How near a worker is to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It takes tasks.
    Serving,
    /// It takes no more tasks, and finishes those that it has: until this time, if there is one.
    Finishing(Option<Instant>),
    /// It has given up the tasks that it had.
    GivenUp,
}

impl Phase {
    /// Returns when the worker gives up.
    fn end(self) -> Option<Instant> {
        match self {
            Self::Finishing(end) => end,
            Self::Serving | Self::GivenUp => None,
        }
    }
}

/// Why a connection is over.
struct Lost(String);

impl From<lapin::Error> for Lost {
    fn from(error: lapin::Error) -> Self {
        Self(error.to_string())
    }
}

impl Worker {
    /// Returns a builder of a worker for the broker at `url`.
    pub fn builder(url: &str) -> WorkerBuilder {
        WorkerBuilder::new(Broker::parse(url))
    }

    /// Returns the name that Celery's tools know it by.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Returns a handle that stops the worker, from any thread.
    pub fn stopper(&self) -> Stopper {
        Stopper { inputs: self.inputs.0.clone(), stops: self.stops.0.clone() }
    }

    /// Takes tasks and runs them on the executor. Blocks until the worker is stopped: by its [`Stopper`], or by
    /// `celery control shutdown`, which is a warm stop. A signal ends the program at once, unless the program catches it
    /// and calls the stopper, as `cli::worker` does.
    ///
    /// When the connection is lost, it connects again, as often as needed, and then sends the answers that it could not
    /// send meanwhile. After a warm stop it shuts the executor down. After a cold one it does not wait for tasks that
    /// continue although they were aborted, as tasks on threads may.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the first connection cannot be made.
    pub fn run(self) -> Result<(), ConnectError> {
        Service::new(self).run()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, settings, .. } = self;
        f.debug_struct("Worker").field("broker", broker).field("settings", settings).finish_non_exhaustive()
    }
}

/// Stops a [`Worker`]. Made by [`Worker::stopper`]. [`Worker`] has an example.
#[derive(Clone)]
pub struct Stopper {
    inputs: Sender<Input>,
    stops: Sender<Stop>,
}

impl Stopper {
    /// Makes the worker take no more tasks, finish and answer those that it has, and return.
    ///
    /// If that takes longer than its [`grace`](WorkerBuilder::grace), also because a broker that is short of memory takes
    /// no answers, it becomes a [cold](Self::cold) stop. Tasks whose time has not come yet go back to their queues. Does
    /// not block.
    pub fn warm(&self) {
        self.stop(Stop::Warm);
    }

    /// Makes the worker abort the tasks that run, give their messages back to the broker, and return.
    ///
    /// The worker that gets such a message next runs the task again only as often as its client allows. Does not block.
    pub fn cold(&self) {
        self.stop(Stop::Cold);
    }

    fn stop(&self, stop: Stop) {
        // They fail if the worker has ended, which is what the caller wants.
        let _ = self.inputs.try_send(Input::Stop(stop));
        let _ = self.stops.try_send(stop);
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}
