//! What can go wrong, how it is seen, and what it costs.
//!
//! A task that has no value has an [`Error`] that says why. `submit` itself never fails: a task that is refused is a
//! future that is done already, with the reason.
//!
//! ```
//! use concurrent_futures::{Error, ThreadPoolExecutor};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let outcomes = [
//!     threads.spawn(|| 7).result(),
//!     threads.try_spawn(|| "seven".parse::<u8>()).result(),
//!     threads.spawn(|| panic!("no seven")).result(),
//! ];
//! for outcome in outcomes {
//!     match outcome {
//!         Ok(number) => println!("{number}"),
//!         Err(Error::Failed(failed)) => println!("it returned an error: {failed}"),
//!         Err(Error::Panicked(panicked)) => {
//!             println!("{} at {:?}", panicked.message(), panicked.location());
//!         }
//!         Err(other) => println!("{other}"),
//!     }
//! }
//! ```
//!
//! # Errors by kind
//!
//! | error | what happened | what to do |
//! |---|---|---|
//! | [`Failed`](Error::Failed) | a function of a `try_` method returned `Err` | as for any `Result`; [`downcast_ref`](Error::downcast_ref) gives the error itself, on threads; [try again](#trying-again) |
//! | [`Panicked`](Error::Panicked) | the function panicked | a bug: read the location; [`into_panic`](Error::into_panic) resumes it |
//! | [`TimeLimit`](Error::TimeLimit) | the task ran past its limit | a longer limit, or smaller tasks |
//! | [`WorkerDied`](Error::WorkerDied) | the worker process crashed, or was killed | the signal, the function and a hint are in it; [`retries`](TaskOptions::retries) |
//! | [`Cancelled`](Error::Cancelled) | somebody called `cancel` or `abort`, or dropped the map | nothing |
//! | [`ShutDown`](Error::ShutDown) | it was submitted after the shutdown | end the loop that submits |
//! | [`Full`](Error::Full) | the queue was full, and the task asked to be refused | [try later](#trying-again), or answer "busy" |
//! | [`Timeout`](Error::Timeout) | a `map` with a timeout ran out of time | use what it has yielded |
//! | [`Encode`](Error::Encode), [`Decode`](Error::Decode) | serde could not carry the argument or the result | another type; [`ProcessPoolExecutor`] lists what serde cannot do |
//! | [`TooLarge`](Error::TooLarge) | a message was longer than `max_message_size` | a larger limit, or a path in place of the bytes |
//! | [`Broken`](Error::Broken) | the executor can start no worker, or its initializer failed | read the cause, which says what is missing |
//! | [`Build`](Error::Build) | a builder refused a setting | correct the setting |
//! | [`Abandoned`](Error::Abandoned) | an executor of your own dropped the job, or a promise was dropped | a bug there |
//!
//! An error that nobody looked at is logged at `warn` when its future goes, through the crate `log`.
//!
//! # A function that returns `Result`
//!
//! Use the `try_` methods. Then an `Err` is the error of the future, one `?` is enough, and `wait` for the first error
//! sees it. With `submit`, a `Result` is a value like any other.
//!
//! ```
//! use std::io;
//! use concurrent_futures::{Error, ThreadPoolExecutor};
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let missing = threads.try_submit(std::fs::read, "/no/such/file").result().unwrap_err();
//! let cause = missing.downcast_ref::<io::Error>().expect("it was an io::Error");
//! assert_eq!(cause.kind(), io::ErrorKind::NotFound);
//! ```
//!
//! From a worker process comes the text of the error, those of its sources, and the name of its type, but not the value.
//! If the program has to tell errors apart, make the error a type that serde can carry, and return the `Result` as a
//! value, by `submit`.
//!
//! # Time limits
//!
//! A limit counts from the start of the task. The future ends with [`Error::TimeLimit`] at once. What happens to the
//! worker is different: a process is killed, and a new one takes its place. A thread cannot be killed, so the task is
//! asked to stop, and its worker is busy until it does.
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor, task};
//!
//! fn square_root(of: u64) -> Result<u64, Error> {
//!     let mut root = 0_u64;
//!     while root.wrapping_mul(root) != of {
//!         task::check()?; // Returns here once the task is aborted, or past its limit.
//!         root += 1;
//!     }
//!     Ok(root)
//! }
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let limited = threads.with(TaskOptions::new().time_limit(Duration::from_secs(60)));
//! assert_eq!(limited.try_submit(square_root, 49).result()?, 7);
//! let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(10)));
//! assert!(matches!(limited.try_submit(square_root, 2).result(), Err(Error::TimeLimit(_))));
//! # Ok::<(), Error>(())
//! ```
//!
//! [`task::check`] is for functions that return `Result`. Others ask [`task::current`], whose `is_aborted` says the same.
//!
//! `builder().time_limit(..)` is a limit for all tasks of a pool.
//!
//! # What a crash costs
//!
//! On processes, one task. Tasks that were queued, or that were sent to the same worker already, run on other workers.
//! The pool goes on.
//!
#![cfg_attr(processes, doc = "```standalone_crate")]
#![cfg_attr(not(processes), doc = "```ignore")]
//! use concurrent_futures::{Error, Executor, ProcessPoolExecutor};
//! # concurrent_futures::init();
//!
//! fn convert(n: u32) -> u32 {
//!     if n == 2 {
//!         std::process::abort(); // As a C library may do.
//!     }
//!     10 * n
//! }
//!
//! let processes = ProcessPoolExecutor::new(2);
//! let outcomes: Vec<Result<u32, Error>> = processes.map(convert, [1, 2, 3]).collect();
//! assert!(matches!(outcomes[..], [Ok(10), Err(Error::WorkerDied(_)), Ok(30)]));
//! if let Err(Error::WorkerDied(died)) = &outcomes[1] {
//!     println!("{died}"); // .. was ended by SIGABRT while it ran convert; with the hint, if any
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! On threads, a segmentation fault, `abort` or a stack overflow ends the program, as everywhere in Rust. A panic costs
//! one task.
//!
//! # Memory limits
//!
//! `memory_limit` bounds what each worker process allocates beyond what it has at its start, on Linux. A task that
//! allocates more ends, and no other. [`max_tasks_per_worker`](ProcessPoolBuilder::max_tasks_per_worker) replaces a worker after
//! so many tasks, which returns what they leaked.
//!
#![cfg_attr(all(processes, target_os = "linux"), doc = "```standalone_crate")]
#![cfg_attr(not(all(processes, target_os = "linux")), doc = "```ignore")]
//! use concurrent_futures::{Error, Executor, ProcessPoolExecutor};
//! # concurrent_futures::init();
//!
//! fn allocate(megabytes: usize) -> usize {
//!     vec![1_u8; megabytes << 20].len() >> 20
//! }
//!
//! let processes = ProcessPoolExecutor::builder()
//!     .max_workers(2)
//!     .memory_limit(256 << 20)
//!     .max_tasks_per_worker(1000)
//!     .build()?;
//! let (modest, greedy) = (processes.submit(allocate, 16), processes.submit(allocate, 1024));
//! assert_eq!(modest.result()?, 16);
//! let Err(Error::WorkerDied(died)) = greedy.result() else { panic!("it has a gigabyte") };
//! println!("{}", died.hint().unwrap_or_default()); // `{died}` ends with it: print one of them.
//! # Ok::<(), Error>(())
//! ```
//!
//! # Trying again
//!
//! [`retries(n)`](TaskOptions::retries) alone runs a task again if its worker process died, and after no other error. Only
//! the program knows which errors are worth another attempt: [`retry_if`](TaskOptions::retry_if) takes a function that
//! decides. That function replaces the rule for workers that died, so on processes it names
//! [`WorkerDied`](Error::WorkerDied) as well, as the one below does. With [`back_off`](TaskOptions::back_off), there is a
//! pause before each further attempt. It is random and on average longer each time, so that many tasks that failed
//! together are not tried again together.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor};
//!
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//!
//! fn download(page: u32) -> Result<String, &'static str> {
//!     match CALLS.fetch_add(1, Ordering::Relaxed) {
//!         0 | 1 => Err("the server is busy"),
//!         _ => Ok(format!("page {page}")),
//!     }
//! }
//!
//! let threads = ThreadPoolExecutor::new(8);
//! let persistent = threads.with(
//!     TaskOptions::new()
//!         .name("download")
//!         .time_limit(Duration::from_secs(10)) // of one attempt
//!         .retries(4)
//!         .retry_if(|error| {
//!             matches!(error, Error::Failed(_) | Error::TimeLimit(_) | Error::WorkerDied(_))
//!         })
//!         .back_off(Duration::from_millis(1), Duration::from_secs(30)),
//! );
//! assert_eq!(persistent.try_submit(download, 7).result()?, "page 7");
//! # Ok::<(), Error>(())
//! ```
//!
//! Such a task must be able to run twice: the argument is cloned, and a closure must be an `Fn`, which moves nothing out of
//! what it captures. So [`Retrying`] has `submit`, `map` and the like, and no method for what runs only once:
//! `submit_after`, `submit_async` and `scope` use up what they are called with. The task should also do no harm if it runs
//! twice, for example after it has written half of a file. A context is added as to any executor, before or after the
//! options: `threads.with_context(client).with(retry)` is a [`RetryingWithContext`].
//!
//! There is one future for all attempts. It is running while a further attempt is in the queue, and in a pause, which
//! keeps no worker busy. [`cancel`](Future::cancel) ends both; if an attempt runs, no attempt follows that one.
//! `shutdown` does not wait for pauses: the task ends with its last error. The log has a line at `debug` for each
//! attempt that is followed by another.
//!
//! # The first error ends it all
//!
//! `collect::<Result<Vec<_>, _>>()` over a map stops at the first error in input order, and drops the map, which cancels
//! what has not started. For futures, [`wait()`] returns when the first has failed:
//!
//! ```
//! use concurrent_futures::{Error, ReturnWhen, ThreadPoolExecutor, Waited, wait};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let texts = ["1", "two", "3"];
//! let futures = texts.map(|text| threads.try_spawn(move || text.parse::<u8>()));
//! let Waited { done, not_done } = wait(futures, None, ReturnWhen::FirstError);
//! not_done.iter().for_each(|future| {
//!     future.abort();
//! });
//! let error = done.iter().find_map(|future| future.error()).expect("one of them failed");
//! assert_eq!(error.to_string(), "invalid digit found in string");
//! ```

#[cfg(doc)]
use crate::*;
