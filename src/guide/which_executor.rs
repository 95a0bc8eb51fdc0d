//! Where tasks run, and how many at a time.
//!
//! Take [`ThreadPoolExecutor`] unless there is a reason for another one. The reasons are:
//!
//! - **The code may crash, loop for ever, leak, or use up the memory.** Take [`ProcessPoolExecutor`]. A crash costs one
//!   task, and a task can be killed while it runs.
//! - **The code is not thread-safe**, such as a C library with global state. Take [`ProcessPoolExecutor`]: each worker
//!   is a process with memory of its own.
//! - **It is a test, or the baseline of a measurement.** Take [`InlineExecutor`](struct@InlineExecutor), which runs each
//!   task inside `submit`.
//! - **The workers are on other machines, or in Python.** Take the crate `concurrent-futures-celery`: see
//!   [`other_machines`](super::other_machines).
//! - **The workers are elsewhere**: in another thread pool, behind another service. Write a [`Backend`]: see
//!   [`writing_a_backend`](super::writing_a_backend).
//!
//! A function that takes `&impl Executor`, or `&dyn Backend`, leaves the choice to its caller:
//!
//! ```
//! use concurrent_futures::{Backend, Error, Executor, InlineExecutor, ThreadPoolExecutor};
//!
//! fn lengths(executor: &dyn Backend, words: Vec<String>) -> Result<Vec<usize>, Error> {
//!     executor.map(|word: String| word.len(), words).collect()
//! }
//!
//! fn choose(name: &str) -> Box<dyn Backend> {
//!     match name {
//!         "sequential" => Box::new(InlineExecutor),
//!         _ => Box::new(ThreadPoolExecutor::new(4)),
//!     }
//! }
//!
//! for name in ["sequential", "threads"] {
//!     let words = vec!["to".into(), "wait".into()];
//!     assert_eq!(lengths(&*choose(name), words)?, [2, 4]);
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # What each of them takes
//!
//! | executor | function | argument and result |
//! |---|---|---|
//! | [`ThreadPoolExecutor`], its own methods | any closure that is `Send` | any type that is `Send` |
//! | every executor, by the trait [`Executor`] | a function, a method, or a closure that captures nothing | any type that serde can carry |
//!
//! On threads, closures may capture:
//!
//! ```
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let names = vec![String::from("BR"), String::from("IN")];
//! let joined = threads.spawn(move || names.join(", "));
//! assert_eq!(joined.result()?, "BR, IN");
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! On processes, what the function needs is part of its argument:
//!
#![cfg_attr(processes, doc = "```standalone_crate")]
#![cfg_attr(not(processes), doc = "```ignore")]
//! use concurrent_futures::{Error, Executor, ProcessPoolExecutor};
//! # concurrent_futures::init();
//!
//! fn join((names, separator): (Vec<String>, String)) -> String {
//!     names.join(&separator)
//! }
//!
//! let processes = ProcessPoolExecutor::new(2);
//! let names = vec![String::from("BR"), String::from("IN")];
//! let joined = processes.submit(join, (names, ", ".into()));
//! assert_eq!(joined.result()?, "BR, IN");
//! # Ok::<(), Error>(())
//! ```
//!
//! # How many workers
//!
//! | the tasks | workers |
//! |---|---|
//! | compute | one for each CPU: `ThreadPoolExecutor::new(n)`, `ProcessPoolExecutor::default()` |
//! | wait for the network or the disk | as many as may wait at once, often 20 or more |
//! | both, or unknown | `ThreadPoolExecutor::default()`: four more than there are CPUs, 32 at most, but at least one for each CPU |
//!
//! Workers start on demand, and only if none is idle. So a large number costs nothing until it is used.
//!
//! # Who owns the pool
//!
//! Dropping a pool waits for its tasks. So the owner of the pool decides where the program waits. Three owners are
//! usual:
//!
//! - **A block.** The pool is a local variable, and the end of the block waits, as `with` does in Python.
//! - **A struct** that lives as long as the service. Share it as `Arc<ThreadPoolExecutor>`, and pass `&*pool` to a
//!   function that takes `&impl Executor`. The last `Arc` that is dropped waits. `shutdown`, `close` and `join` work
//!   through any of them, but [`detach`](ThreadPoolExecutor::detach) takes the pool itself, as the last owner has it:
//!   `if let Some(pool) = Arc::into_inner(pool) { pool.detach() }`.
//! - **The program.** A pool in a static is never dropped. What still runs at the end of `main` ends there.
//!
//! ```
//! use std::sync::LazyLock;
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! static THREADS: LazyLock<ThreadPoolExecutor> = LazyLock::new(ThreadPoolExecutor::default);
//!
//! assert_eq!(THREADS.spawn(|| 6 * 7).result()?, 42);
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! # What a worker keeps
//!
//! A connection, or a table that takes long to load, is made once for each worker, by its initializer. The tasks get
//! it by [`task::worker_state()`]. For a value that the caller has, see [`context`](super::context).
//!
#![cfg_attr(processes, doc = "```standalone_crate")]
#![cfg_attr(not(processes), doc = "```ignore")]
//! use std::collections::HashMap;
//! use concurrent_futures::{Executor, ProcessPoolExecutor, task};
//! # concurrent_futures::init();
//!
//! type Capitals = HashMap<String, String>;
//!
//! fn load(lines: String) -> Capitals {
//!     let pairs = lines.lines().filter_map(|line| line.split_once(' '));
//!     pairs.map(|(country, capital)| (country.into(), capital.into())).collect()
//! }
//!
//! fn capital(country: String) -> Option<String> {
//!     task::worker_state::<Capitals>()?.get(&country).cloned()
//! }
//!
//! let processes = ProcessPoolExecutor::builder()
//!     .max_workers(2)
//!     .initializer(load, "BR Brasilia\nIN Delhi".into())
//!     .build()?;
//! assert_eq!(processes.submit(capital, "IN".into()).result()?.as_deref(), Some("Delhi"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On threads, an `Arc` that the closures capture does the same, if the value can be shared between threads.

#[cfg(doc)]
use crate::*;
