//! Awaiting tasks under tokio, smol, or any other runtime.
//!
//! A [`Future`] is a [`std::future::Future`]. Await it, or pass it to whatever takes one: `tokio::spawn`, `join!`,
//! `select!`, `timeout`. Nothing of a runtime is needed for it.
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let threads = ThreadPoolExecutor::new(2);
//!     let hash = threads.spawn(|| (1..=10_000_u64).sum::<u64>());
//!     assert_eq!(hash.await?, 50_005_000);
//!     threads.shutdown_async().await;
//!     Ok(())
//! }
//! ```
//!
//! Three things differ from most futures:
//!
//! - **The task runs whether it is polled or not.** It was submitted already.
//! - **Dropping the future does not stop the task.** To stop it, take [`abort_on_drop`](#stopping).
//! - **The outcome is a `Result`.** A panic or a crash of the task is an error, and not a panic of the one who awaits.
//!
//! # What blocks
//!
//! A thread of a runtime must not block. These block, and each has a counterpart that does not:
//!
//! | blocks | in async code |
//! |---|---|
//! | `future.result()`, `future.wait()` | `future.await` |
//! | `executor.submit(..)` with a `max_pending` | `executor.submit_async(..).await` |
//! | `for future in as_completed(..)` | [a stream](#streams), or `await` one after the other |
//! | `for outcome in executor.map(..)` | [a stream](#streams) of `map_unordered`, or `submit` and `await` |
//! | `executor.shutdown()`, `drop(executor)` | `executor.shutdown_async().await` |
//!
//! `submit` without a `max_pending` does not block.
//!
//! # Many tasks
//!
//! Submit all of them, then await one after the other. That takes no longer than awaiting them together, because all of
//! them run already:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! async fn totals(executor: &impl Executor) -> Result<Vec<u64>, Error> {
//!     let sum_to = |n: u64| (1..=n).sum();
//!     let futures: Vec<_> = [1, 10, 100].map(|n| executor.submit(sum_to, n)).into();
//!     let mut totals = Vec::new();
//!     for future in futures {
//!         totals.push(future.await?);
//!     }
//!     Ok(totals)
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let threads = ThreadPoolExecutor::new(2);
//!     assert_eq!(totals(&threads).await?, [1, 55, 5050]);
//!     threads.shutdown_async().await;
//!     Ok(())
//! }
//! ```
//!
//! # Timeouts and select
//!
//! Pass `&mut future` to keep the future for later:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//! use tokio::time::{sleep, timeout};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let threads = ThreadPoolExecutor::new(2);
//!     let mut report = threads.spawn(|| {
//!         std::thread::sleep(Duration::from_millis(100));
//!         "the report"
//!     });
//!
//!     if timeout(Duration::from_millis(1), &mut report).await.is_err() {
//!         println!("it takes a while");
//!     }
//!     tokio::select! {
//!         outcome = &mut report => assert_eq!(outcome?, "the report"),
//!         () = sleep(Duration::from_secs(60)) => println!("it takes too long"),
//!     }
//!     threads.shutdown_async().await;
//!     Ok(())
//! }
//! ```
//!
//! # Stopping
//!
//! [`abort_on_drop`](Future::abort_on_drop) ties the task to its future: if the request is dropped, the task is
//! cancelled, or stopped if it runs. On processes it is killed. On threads it has to look at
//! [`is_aborted`](task::TaskContext::is_aborted) from time to time.
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, task};
//! use tokio::time::timeout;
//!
//! fn search() -> Result<u64, Error> {
//!     let mut root = 0_u64;
//!     while root.wrapping_mul(root) != 2 {
//!         task::check()?; // Returns here once the task is aborted.
//!         root += 1;
//!     }
//!     Ok(root)
//! }
//!
//! #[tokio::main]
//! async fn main() {
//!     let threads = ThreadPoolExecutor::new(1);
//!     let found = timeout(Duration::from_millis(10), threads.try_spawn(search).abort_on_drop()).await;
//!     assert!(found.is_err());
//!     threads.shutdown_async().await; // Ends, because the search has ended.
//! }
//! ```
//!
//! [`abort_handle`](Future::abort_handle) stops a task from somewhere else: it can be cloned, and does not need the
//! future.
//!
//! # More work than room
//!
//! A service that accepts more than it can do needs a bounded queue. [`submit_async`](Executor::submit_async) waits for
//! room without blocking. There are two `.await`s: the first for room, the second for the result.
//!
//! ```
//! use std::sync::Arc;
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let pool = ThreadPoolExecutor::builder().max_workers(2).max_pending(4).build()?;
//!     let pool = Arc::new(pool);
//!     let mut requests = Vec::new();
//!     for n in 0..100_u64 {
//!         let pool = Arc::clone(&pool);
//!         requests.push(tokio::spawn(async move {
//!             let future = pool.submit_async(|n| 2 * n, n).await; // There is room: it is submitted.
//!             future.await // It is done.
//!         }));
//!     }
//!     let mut total = 0;
//!     for request in requests {
//!         total += request.await.expect("the request does not panic")?;
//!     }
//!     assert_eq!(total, 9_900);
//!     pool.shutdown_async().await;
//!     Ok(())
//! }
//! ```
//!
//! To refuse instead of waiting, as an HTTP service does with 503, use
//! [`refuse_when_full`](TaskOptions::refuse_when_full): the task ends with [`Error::Full`] at once. A task is pending until a
//! worker has taken it. So a burst that finds no worker ready, for example right after the start of a pool of processes, has
//! room for `max_pending` tasks only, and not for `max_workers` more: make `max_pending` as large as such a burst.
//!
//! The example `service` is a whole web service of this kind, over worker processes.
//!
//! # Streams
//!
//! With the feature `stream`, `into_stream` makes a stream of [`as_completed`], or of a
//! [`map_unordered`](Executor::map_unordered), which yields what is done first:
//!
#![cfg_attr(feature = "stream", doc = "```")]
#![cfg_attr(not(feature = "stream"), doc = "```ignore")]
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, as_completed};
//! use smol::stream::StreamExt; // Or that of another crate.
//!
//! async fn squares(executor: &impl Executor) -> Result<u64, Error> {
//!     let mut total = 0;
//!     let mut outcomes = executor.map_unordered(|n: u64| n * n, 1..=3).into_stream();
//!     while let Some((_position, outcome)) = outcomes.next().await {
//!         total += outcome?;
//!     }
//!
//!     let futures = [4, 5].map(|n| executor.submit(|n: u64| n * n, n));
//!     let mut completed = as_completed(futures).into_stream();
//!     while let Some(future) = completed.next().await {
//!         total += future.await?;
//!     }
//!     Ok(total)
//! }
//!
//! let threads = ThreadPoolExecutor::new(2);
//! assert_eq!(smol::block_on(squares(&threads))?, 55);
//! # Ok::<(), Error>(())
//! ```
//!
//! The input of a map is pulled while its stream is polled, so it should not block. With a `max_pending`, submitting an
//! item may block there too.
//!
//! # Dropping a pool
//!
//! The drop of a pool waits for its tasks, and so it blocks. If that happens on a thread that runs async code, it is
//! logged at `debug`. There are three ways around it:
//!
//! - Await [`shutdown_async`](Executor::shutdown_async) before, as the examples here do. The drop then returns at once.
//! - Keep the pool for as long as the runtime, outside of the async code:
//!
//!   ```
//!   use concurrent_futures::{Error, ThreadPoolExecutor};
//!
//!   let threads = ThreadPoolExecutor::new(2);
//!   let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//!   let answer = runtime.block_on(async { threads.spawn(|| 42).await })?;
//!   assert_eq!(answer, 42);
//!   // Here, where nothing is async any more, `threads` is dropped.
//!   # Ok::<(), Box<dyn std::error::Error>>(())
//!   ```
//! - [`detach`](ThreadPoolExecutor::detach) it. The queued tasks still run, but the end of `main` does not wait for them.
//!   A pool in an `Arc` is detached by its last owner: `if let Some(pool) = Arc::into_inner(pool) { pool.detach() }`.
//!
//! # Async code inside a task
//!
//! A task is a plain function, and may block. To call async code there, use `block_on` of a runtime:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let runtime = tokio::runtime::Handle::current();
//!     let threads = ThreadPoolExecutor::new(1);
//!     let answer = threads.spawn(move || runtime.block_on(async { 42 }));
//!     assert_eq!(answer.await?, 42);
//!     threads.shutdown_async().await;
//!     Ok(())
//! }
//! ```

#[cfg(doc)]
use crate::*;
