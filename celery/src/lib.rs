//! Runs the tasks of [`concurrent_futures`] on other machines: a client of Celery workers, and a Celery worker.
//!
//! [`CeleryExecutor`] is an [`Executor`](concurrent_futures::Executor) like the pools. Its tasks are messages in
//! Celery's protocol, which go to a queue of RabbitMQ; workers in Rust or in Python take them from there. [`Worker`] is
//! such a worker, on any executor of this program.
//!
//! ```no_run,standalone_crate
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, task};
//! use concurrent_futures_celery::CeleryExecutor;
//!
//! #[task(name = "sums.sum_to")]
//! fn sum_to(n: u64) -> u64 {
//!     (1..=n).sum()
//! }
//!
//! fn totals(executor: &impl Executor) -> Result<Vec<u64>, Error> {
//!     executor.map(sum_to, [10_000, 100_000]).collect()
//! }
//!
//! let here = totals(&ThreadPoolExecutor::new(4))?;
//! let there = totals(&CeleryExecutor::connect("amqp://127.0.0.1")?)?;
//! assert_eq!(here, there);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Names
//!
//! A worker elsewhere needs a name for the function that it is to call:
//!
//! | the function | its name |
//! |---|---|
//! | has [`#[task]`](macro@concurrent_futures::task) | that of its place in the program, such as `mycrate.sums.sum_to`, or the one that is given |
//! | does not have it | the one in [`TaskOptions::name`](concurrent_futures::TaskOptions::name) |
//! | is not in this program | the one that is passed to [`CeleryExecutor::call`] |
//!
//! A task without a name ends with [`Error::Encode`](concurrent_futures::Error::Encode), which says what to do.
//!
//! A function that returns a `Result` whose `Err` is a text or an error is submitted by
//! [`try_submit`](concurrent_futures::Executor::try_submit) and [`try_map`](concurrent_futures::Executor::try_map). With
//! `submit` and `map`, where other executors give the `Result` back as a value, it is an `Error::Encode` here.
//!
//! # Arguments and results
//!
//! Arguments and results are JSON. A tuple becomes one positional argument for each of its elements, `()` becomes none,
//! [`Keywords`] of a struct become keyword arguments, and everything else becomes one argument. A function here whose
//! parameter is a struct can be called with keyword arguments; the name of a parameter is not known to the other side.
//! [`Bytes`](concurrent_futures::Bytes) are Python's `bytes`. Python's dates, UUIDs and decimals are read as text. Numbers
//! that JSON lacks, such as NaN, maps whose keys are neither text nor numbers, and `Some` of what is null (`Some(())`,
//! `Some(None)`) end with an error. A map of which `__type__` and `__value__` are the only keys is read as one of Python's
//! types. Integers of more than 64 bits are read unless the same argument or result has bytes in it.
//!
//! # What happens to a task
//!
//! | it is | when | [`cancel`](concurrent_futures::Future::cancel) |
//! |---|---|---|
//! | waiting in the program | more than [`in_flight`](CeleryBuilder::in_flight) tasks are submitted | exact: `true`, and it never runs |
//! | published | it is with the broker, or with a worker that has not started it | `false`; the workers are told, and the future ends as cancelled once one of them confirms it |
//! | running | a worker has reported that it has started the task | `false` |
//!
//! [`abort`](concurrent_futures::Future::abort) ends the future at once, and tells the workers to end the task.
//! [`shutdown_now`](concurrent_futures::Executor::shutdown_now) cancels the tasks that wait in the program, and gives
//! workers two seconds to confirm the cancellation of those that were published.
//!
//! An error of a worker in Rust arrives unchanged. An exception in Python becomes
//! [`Failed`](concurrent_futures::Failed), with its type, its message and its traceback
//! ([`trace`](concurrent_futures::Failed::trace)).
//!
//! # When something is lost
//!
//! - *The connection*: the executor connects again. It publishes again what the broker had not confirmed, so workers
//!   may get a message twice. After [`broker_timeout`](CeleryBuilder::broker_timeout) without a broker, every future
//!   ends with [`Error::Broken`](concurrent_futures::Error::Broken).
//! - *A worker*: the broker gives its tasks to another one, which runs them again as often as
//!   [`retries`](concurrent_futures::TaskOptions::retries) allows, and otherwise answers that the worker was lost. If a
//!   worker is silent for ten seconds, the tasks that it runs and that may not be run again end with
//!   [`Error::WorkerDied`](concurrent_futures::Error::WorkerDied) without such an answer.
//! - *The queue for answers*, which RabbitMQ deletes five minutes after the connection is lost, or which somebody deletes: what
//!   was published ends with [`Error::Broken`](concurrent_futures::Error::Broken), since nobody knows whether it was answered.
//! - *The program*: workers of this crate skip tasks whose client is gone.
//!
//! # Hangs
//!
//! A future is never done if no worker reads its queue: [`CeleryExecutor::wait_for_workers`] finds that out, and
//! [`result_timeout`](concurrent_futures::Future::result_timeout) limits the wait. A client and a worker that say nothing of
//! queues both use `celery`. Nor is it done if a worker in Python has no `result_backend`, or another than `rpc://`.
//!
//! Tasks that wait for tasks of their own queue may fill all slots of all workers: use
//! [`submit_after`](concurrent_futures::Executor::submit_after), where no worker waits. RabbitMQ takes a task away from a
//! worker that runs it for more than half an hour (`consumer_timeout`).
//!
//! # Without a broker
//!
//! For tests, [`Eager`] runs tasks on an executor of this program as a cluster would.
//!
//! # Traces
//!
//! With the feature `tracing`, the message of each task has a header `traceparent`, with the place of the task in the trace of
//! its client (see [the guide](concurrent_futures::guide::observing)). OpenTelemetry's instrumentation of Celery reads and
//! writes the same header, so the spans of a worker in Python are children of the task's, and a worker in Rust takes tasks of
//! clients in Python as children of theirs: it makes a span `message` with the target `concurrent_futures_celery`, the fields
//! `id`, `task` and `traceparent`, and the task's span `task` inside. The layer that exports spans makes `traceparent` the
//! parent of `message`. What comes after a task, in a chain or as a callback, gets the header of the task.
//!
//! # Features
//!
//! - `tracing`: see above.
//! - `cli`: `cli::worker`, the whole `main` of a worker program.
//! - `tls`: brokers whose URL is `amqps://`, by rustls and the certificates of the system.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod args;
mod broker;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod eager;
mod failure;
#[cfg(test)]
mod golden;
mod json;
mod keywords;
mod message;
mod pauses;
mod properties;
mod size;
mod sync;
mod taking;
mod topology;
mod worker;

pub use broker::ConnectError;
pub use client::{CeleryBuilder, CeleryExecutor, OnQueue, WorkerInfo};
pub use eager::Eager;
pub use keywords::Keywords;
pub use worker::{Stopper, Worker, WorkerBuilder};

/// Compiles the examples of the README.
#[cfg(doctest)]
mod readme {
    #[doc = include_str!("../README.md")]
    struct Readme;
}
