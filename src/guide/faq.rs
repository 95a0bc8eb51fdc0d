//! Questions that come up often.
//!
//! # Why `fn(A) -> R`, and not any closure?
//!
//! Because the same call has to work on processes. A function is sent there as its place in the program, and the
//! argument as bytes. What a closure captures cannot be sent. So [`Executor::submit`] takes exactly what can: functions,
//! methods, and closures that capture nothing. The compiler rejects the others, instead of an error at run time.
//!
//! What a closure would capture goes into the argument, or into a [`context`](super::context) that all calls share. On
//! threads, there is no need for that:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let factor = 10;
//!
//! // The method of `ThreadPoolExecutor` itself: a closure that captures.
//! assert_eq!(threads.submit(move |n: i32| n * factor, 7).result()?, 70);
//!
//! // The method of every executor: the same as a context.
//! fn scaled(executor: &impl Executor, factor: i32) -> Result<Vec<i32>, Error> {
//!     executor.with_context(factor).map(|factor, n| factor * n, [1, 2, 3]).collect()
//! }
//! assert_eq!(scaled(&threads, factor)?, [10, 20, 30]);
//! # Ok::<(), Error>(())
//! ```
//!
//! The table at [`Executor`] explains what the compiler says.
//!
//! # Why does it hang?
//!
//! See [`hangs`](super::hangs). Most often, the drop of a pool waits for a task that waits for something after the drop.
//!
//! # Why not rayon?
//!
//! Take rayon to make a loop over a slice faster: `par_iter` splits it in half again and again, down to a quarter of a
//! nanosecond an item. This crate is for *tasks*: each has a future that can be waited for with a time limit,
//! cancelled, awaited and given a callback; tasks may block, wait for each other, or run in other processes; a panic is
//! an error of one task. rayon's tasks have no such handle, and its workers should not block.
//!
//! Both can be used together: a task may call `par_iter`.
//!
//! # Why not `tokio::task::spawn_blocking`?
//!
//! For a blocking call now and then in async code, it is the right thing. This crate adds what a service needs beyond:
//! a number of workers of your choice for each kind of work (`spawn_blocking` shares up to 512 threads), a bounded queue,
//! time limits, cancellation of tasks that have not started, tasks in processes that may crash, and the same code
//! without a runtime. A [`Future`] can be awaited like a `JoinHandle`: see [`async_code`](super::async_code).
//!
//! # What about panics?
//!
//! A panic of a task is [`Error::Panicked`] of its future, with the message, the place and the name of the worker. The
//! worker goes on. As with std's threads, the panic hook prints the panic when it happens. [`Error::into_panic`] gives
//! the payload, to resume the panic:
//!
//! ```
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let error = threads.spawn(|| -> u8 { panic!("no more flags") }).result().unwrap_err();
//! let payload = error.into_panic().expect("the task panicked");
//! assert_eq!(payload.downcast_ref::<&str>(), Some(&"no more flags"));
//! // `std::panic::resume_unwind(payload)` goes on with the panic here.
//! ```
//!
//! With `panic = "abort"`, a panic on a thread ends the program, and in a worker process that worker.
//!
//! # What about fork?
//!
//! A forked child has none of the threads of its parent, and so no workers. There, the futures of a pool end with
//! [`Error::Broken`] instead of hanging, and the child can make a pool of its own. The pool of processes itself does not
//! fork: its workers are started anew, from the program's file, so locks and threads are not copied.
//!
//! # How do I test code that uses an executor?
//!
//! Let the function take `&impl Executor`, and pass [`InlineExecutor`](struct@InlineExecutor) in the test. Then
//! everything runs in the thread of the test, in order. For code that takes a future, a [`promise()`] is a task that the
//! test completes by hand:
//!
//! ```
//! use concurrent_futures::{Error, Executor, Future, InlineExecutor, promise};
//!
//! fn total(executor: &impl Executor, words: Vec<String>) -> Result<usize, Error> {
//!     executor.map(|word: String| word.len(), words).sum()
//! }
//!
//! fn describe(future: Future<u32>) -> String {
//!     match future.result() {
//!         Ok(n) => format!("{n} flags"),
//!         Err(error) => format!("no flags: {error}"),
//!     }
//! }
//!
//! assert_eq!(total(&InlineExecutor, vec!["to".into(), "wait".into()])?, 6);
//!
//! let (kept, future) = promise();
//! kept.complete(Ok(20));
//! assert_eq!(describe(future), "20 flags");
//!
//! let (failed, future) = promise();
//! failed.complete(Err(Error::ShutDown));
//! assert!(describe(future).starts_with("no flags"));
//! # Ok::<(), Error>(())
//! ```
//!
//! On Linux, tests may use a [`ProcessPoolExecutor`] as they are: the harness of `cargo test` runs in no worker. On other
//! systems, such a test needs `harness = false`, and a `main` that begins with a call of `init`.
//!
//! # How do I stop everything at Ctrl-C?
//!
//! Close the pool, cancel what waits, abort what runs, and wait for a limited time. A process that runs an aborted task is
//! killed. A thread cannot be: its task ends if it calls [`task::check`], and otherwise the program ends without it.
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{AbortHandle, Backend, Error, ThreadPoolExecutor, task};
//!
//! /// Called when somebody has pressed Ctrl-C, for example in the handler of the crate `ctrlc`.
//! fn stop(pool: &dyn Backend, tasks: &[AbortHandle]) {
//!     pool.close(); // Nothing more is accepted.
//!     pool.cancel_pending(); // What has not started never does.
//!     for task in tasks {
//!         task.abort(); // The futures of those that run end at once.
//!     }
//!     if !pool.join(Some(Duration::from_secs(5))) {
//!         std::process::exit(130); // The way out: no drop, so nothing waits for the rest.
//!     }
//! }
//!
//! fn serve() -> Result<(), Error> {
//!     loop {
//!         task::check()?;
//!         std::thread::sleep(Duration::from_millis(1));
//!     }
//! }
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let servers = [threads.try_spawn(serve), threads.try_spawn(serve), threads.try_spawn(serve)];
//! stop(&threads, &servers.each_ref().map(|server| server.abort_handle()));
//! assert!(servers.iter().all(|server| server.is_cancelled()));
//! ```
//!
//! The example `flags` has nothing to wait for: its handler cancels what is pending, reports, and exits.
//!
//! # Can I change the number of workers later?
//!
//! No. It is the most that there may be: workers start on demand, and with a
//! [`keep_alive`](ThreadPoolBuilder::keep_alive) idle ones end. A second pool is cheap.
//!
//! # Do tasks have priorities?
//!
//! No. A pool starts tasks in the order of submission; a pool of threads first runs what a worker of its own waits for. Use
//! one pool for what is urgent, and another for the rest:
//! [`writing_a_backend`](super::writing_a_backend#around-another-executor) has an executor that chooses.
//!
//! # Where do errors go that nobody looked at?
//!
//! To the crate `log`, at `warn`, when the future is dropped. Without a logger, they are silent. A future is
//! `#[must_use]` for that reason.

#[cfg(doc)]
use crate::*;
