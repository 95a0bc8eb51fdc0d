//! Python's `concurrent.futures` for Rust: submit functions to interchangeable executors and get futures back.
//!
//! ```
//! use concurrent_futures::{Error, Executor, InlineExecutor, ThreadPoolExecutor, as_completed};
//!
//! fn sum_to(n: u64) -> u64 {
//!     (1..=n).sum()
//! }
//!
//! fn totals(executor: &impl Executor) -> Result<Vec<u64>, Error> {
//!     executor.map(sum_to, [10_000, 100_000]).collect()
//! }
//!
//! let threads = ThreadPoolExecutor::new(2);
//! assert_eq!(totals(&threads)?, totals(&InlineExecutor)?);
//!
//! let to_do = [1, 2, 3].map(|n| (n, threads.submit(sum_to, n)));
//! for (n, future) in as_completed(to_do) {
//!     println!("the sum to {n} is {}", future.result()?);
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! The [`guide`] has a chapter for each of the questions that come next: which executor, which wait, async code, maps,
//! what tasks share, failing, writing an executor, and why a program hangs. [`guide::from_python`] has the name of
//! everything in Python.
//!
//! # Which executor
//!
//! | executor | runs tasks | takes |
//! |---|---|---|
//! | [`InlineExecutor`](struct@InlineExecutor) | in the calling thread, inside `submit` | plain functions |
//! | [`ThreadPoolExecutor`] | on threads that start on demand | any closure and any type that is `Send` |
//! | `ProcessPoolExecutor` | on other processes of the program, on Unix: a crash costs one task, and a running task can be killed | plain functions |
//! | `CeleryExecutor`, of the crate `concurrent-futures-celery` | on other machines, by Celery workers in Rust or Python | functions with a name that the workers know |
//! | your own [`Backend`] | wherever you like | plain functions, as a [`Job`] to run or to send away |
//!
//! A function that takes `&impl Executor` or `&dyn Backend` works with all of them. Plain functions are functions,
//! methods and closures that capture nothing, with an argument and a result that serde can carry. For other machines
//! they also need a name: see [`guide::other_machines`].
//!
//! # Which wait
//!
//! [`Future::result`] waits for one future. [`Executor::map`] calls one function with many arguments and yields the
//! results in input order. [`as_completed`] yields each future as soon as it is done. [`wait()`] waits for the first of
//! a set, for the first that failed, or for all. `.await` works in async code, under any runtime.
//! [`Future::add_done_callback`] runs a function when a future is done.
//!
//! Without any wait, [`Future::map`] makes a future of what becomes of the value, [`Executor::submit_after`] submits a
//! task once others are done, with their values, and [`try_all`], [`all_settled`], [`any`] and [`race`] make one future
//! of many: see [`guide::chains`].
//!
//! # What is guaranteed
//!
//! - Every future is completed exactly once: by its task, by [`cancel`](Future::cancel), by a time limit, or with the
//!   reason why its task cannot run. `submit` itself never fails.
//! - A task may wait for tasks of its own executor, at any depth. The exceptions are listed under `# Hangs` at
//!   [`ThreadPoolExecutor`]. A task on a process has executors of its own, see `# Nesting` at `ProcessPoolExecutor`.
//! - A panic, or a crash of a worker process, costs the task that caused it and no other. No user code runs under a
//!   lock of this crate.
//! - Functions, arguments and results are dropped as soon as they can be. An executor that was dropped leaves no
//!   thread, process or descriptor behind, and worker processes do not outlive the program.
//! - A thread that sees a future done also sees everything that its task and its callbacks did before.
//!
//! A cluster guarantees less, because its workers and its broker may be lost: `celery/README.md` has a table.
//!
//! # Features
//!
//! - `process` (on by default): `ProcessPoolExecutor`, on Unix. Without it, the dependencies for processes are left
//!   out.
//! - `auto-entry` (on by default): on Linux, worker processes need no call in `main`. On other systems, and without the
//!   feature, `main` must begin with a call of `init`.
//! - `stream`: `into_stream` of [`AsCompleted`] and [`MapUnordered`], for async code.
//! - `tracing`: a span for each task, as [`guide::observing`] describes.
//! - `remote`: for executors whose workers are other programs. `Job::show` and `Job::read` send arguments and results in any
//!   format of serde, and not only in postcard's, so each type that a program submits is compiled in for it a second time.
//!   `#[task]` gives functions names, by which a worker finds them in `named`.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Code that only executors with workers in other processes use is compiled in every build.
#![cfg_attr(not(processes), allow(dead_code))]

mod backend;
mod blocking;
mod bytes;
mod codec;
mod combine;
mod completed;
mod condition;
mod deadlines;
mod error;
mod estimate;
mod executor;
mod fork;
mod future;
#[cfg(test)]
mod fuzz;
pub mod guide;
mod held;
mod id;
mod inline;
mod inputs;
mod items;
mod job;
mod look;
mod map;
mod map_with;
#[cfg(feature = "remote")]
pub mod named;
mod options;
mod outcomes;
mod panics;
mod pauses;
#[cfg(processes)]
mod process;
// Models have no processes, only the protocol between a pool and its workers.
#[cfg(any(model = "loom", model = "shuttle"))]
#[path = "process/model.rs"]
mod process;
mod report;
mod retry;
mod shutting_down;

mod stack;
#[cfg(feature = "stream")]
mod stream;
mod submitter;
mod submitting;
mod sync;
pub mod task;
mod thread;
mod ticket;
mod unwind;
mod upcoming;
mod wait;
mod with;
mod with_context;

pub use backend::Backend;
pub use bytes::Bytes;
pub use codec::Payload;
pub use combine::{all_settled, any, race, try_all};
pub use completed::deadline::AsCompletedUntil;
pub use completed::{AsCompleted, as_completed};
/// Gives a function a name by which other programs can call it: `#[task]`, or `#[task(name = "files.parse")]`.
///
/// The function stays what it is for everybody who calls or submits it. An executor whose workers are other programs gets
/// the name by [`Job::function_name`], and such a worker finds the function by [`named::get`].
///
/// Without a name of its own, it is called after its place: `parse` in the module `files` of the crate `tools` is
/// `tools.files.parse`. That name changes when the function moves. Give a name to what programs of another version may call,
/// and a new name, such as `files.parse.v2`, when the meaning of the argument changes. Names are unique in a program
/// ([`named::all`]).
///
/// A task has one parameter, whose type and that of the result are a [`Payload`]; several arguments are a tuple. The first of
/// two parameters may be a reference to a [context](Executor::with_context), as in `fn(&C, A) -> R`: other programs then send
/// the pair. If it returns a `Result` as for [`try_submit`](Executor::try_submit), its `Err` is the error of the task. A
/// function that is generic, async, unsafe or a method cannot have a name: put the attribute on a function that calls it.
///
/// A call of the function costs a nanosecond more, since it is not inlined and refers to its name.
///
/// # Examples
///
/// ```
/// use std::num::ParseIntError;
/// use concurrent_futures::{Error, Executor, ThreadPoolExecutor, named, task};
///
/// #[task(name = "numbers.parse")]
/// fn parse(text: String) -> Result<u64, ParseIntError> {
///     text.parse()
/// }
///
/// let threads = ThreadPoolExecutor::new(2);
/// let numbers: Result<Vec<u64>, Error> = threads.try_map(parse, ["1".into(), "2".into()]).collect();
/// assert_eq!(numbers?, [1, 2]);
/// assert!(named::get("numbers.parse").unwrap().is_fallible());
/// # Ok::<(), Error>(())
/// ```
#[cfg(feature = "remote")]
pub use concurrent_futures_macros::task;
pub use condition::Waiting;
pub use error::{
    BoxError, Broken, BuildError, Decode, Encode, Error, Exit, Failed, Full, Outcome, Panicked, Part, TimeLimit,
    Timeout, TooLarge, WorkerDied,
};
pub use executor::Executor;
pub use future::abort::{AbortHandle, AbortOnDrop};
pub use future::promise::{Promise, promise};
pub use future::shared::{AwaitingShared, SharedFuture};
pub use future::{Awaiting, Future};
pub use id::FutureId;
pub use inline::InlineExecutor;
pub use inputs::Inputs;
pub use items::ItemExecutor;
pub use job::Job;
pub use map::{Map, MapUnordered};
pub use map_with::{MapWith, PlainMapWith};
pub use options::{MapOptions, Stats, TaskOptions};
#[cfg(processes)]
pub use process::{ProcessPoolBuilder, ProcessPoolExecutor, init};
pub use report::Report;
pub use retry::{PlainRetrying, RetryOptions, Retrying};
pub use shutting_down::ShuttingDown;
#[cfg(feature = "stream")]
pub use stream::{AsCompletedStream, MapUnorderedStream};
pub use submitter::Submitter;
pub use submitting::Submitting;
pub use task::arguments::Encoded;
pub use task::remote::Remote;
pub use task::snapshot::State;
pub use task::times::Times;
pub use thread::{Scope, ScopedMap, ScopedMapUnordered, ThreadPoolBuilder, ThreadPoolExecutor};
pub use wait::{ReturnWhen, Waitable, Waited, wait};
pub use with::{Options, With};
pub use with_context::options::TakesContext;
pub use with_context::{
    MapWithContext, PlainMapWithContext, PlainRetryingWithContext, PlainWithContext, RetryingWithContext, WithContext,
};
#[cfg(feature = "remote")]
pub use {erased_serde, task::formats::Reply};
#[cfg(any(model = "loom", model = "shuttle"))]
#[doc(hidden)]
pub use {
    process::{Mailbox, ModelExecutor, Progress, TaskSlots},
    sync::Choices,
};

/// Imports the methods of executors, [`wait`](fn@wait) and [`as_completed`](fn@as_completed):
/// `use concurrent_futures::prelude::*`.
///
/// Other functions for several futures, such as [`try_all`](crate::try_all()), have names that a program may use itself.
/// The traits are imported without their names, so that their methods are there. What is written in a signature is
/// imported by its name: executors, `Error`, and also the traits themselves, as in `executor: &impl Executor` or
/// `futures: &[&dyn Waitable]`.
pub mod prelude {
    pub use crate::{Backend as _, Executor as _, ReturnWhen, Waited, as_completed, wait};
}

/// Compiles and runs the README's example with the doc tests, except on Linux without the default feature `auto-entry`.
#[cfg(all(doctest, any(automatic, not(target_os = "linux"))))]
#[doc = include_str!("../README.md")]
struct Readme;
