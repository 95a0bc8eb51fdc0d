//! Tasks on other machines, and in other programs.
//!
//! The crate `concurrent-futures-celery` has an executor whose workers are other programs: `CeleryExecutor`. Its messages are
//! those of [Celery](https://docs.celeryq.dev), by way of RabbitMQ, so workers may be in Rust or in Python, and its `Worker`
//! serves clients in both. The same calls run there as on threads and on processes.
//!
//! # Names
//!
//! Another program cannot call a pointer: a function needs a name there. The attribute `#[task]`, with the feature `remote`,
//! gives it one. The function stays what it is for everybody else:
//!
#![cfg_attr(feature = "remote", doc = "```")]
#![cfg_attr(not(feature = "remote"), doc = "```ignore")]
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, task};
//!
//! #[task(name = "guide.sum_to")]
//! fn sum_to(n: u64) -> u64 {
//!     (1..=n).sum()
//! }
//!
//! // On threads here; on processes or on a cluster, it is the same line.
//! fn totals(executor: &impl Executor) -> Result<Vec<u64>, Error> {
//!     executor.map(sum_to, [10, 100]).collect()
//! }
//!
//! assert_eq!(totals(&ThreadPoolExecutor::new(2))?, [55, 5050]);
//! # Ok::<(), Error>(())
//! ```
//!
//! A function is found by its address only if it has exactly one. An optimised build copies small functions and merges equal
//! ones, which is why a list of functions and names would not do, and why closures have no name.
//!
//! # What is different
//!
//! - **A task can be lost**, with its worker or its machine. By default it ends with
//!   [`Error::WorkerDied`](crate::Error::WorkerDied); [`retries`](crate::TaskOptions::retries) runs it again, so make it one
//!   that may run twice.
//! - **`cancel` is exact as long as the task is here.** After that it returns `false`, and the future may still end as cancelled.
//! - **A task must not wait for a task of its own cluster**: all workers may be waiting then. Have the program submit what
//!   follows, by [`submit_after`](crate::Executor::submit_after), where no worker waits.
//! - **A function whose `Err` is the error of a task** is submitted by `try_submit` and `try_map`. With `submit`, where other
//!   executors give the `Result` back as a value, its task ends with [`Error::Encode`](crate::Error::Encode).
//! - **Types are read in another format.** What postcard cannot carry, JSON may, and the other way round.
//!
//! # An executor of your own
//!
//! [`writing_a_backend`](super::writing_a_backend) says how an executor sends tasks away. These do what only other programs need:
//!
//! | on which side | call | for |
//! |---|---|---|
//! | the executor | `Job::function_name`, `Job::is_fallible` | the name to send |
//! | the executor | `Job::show`, `Job::read` | arguments and results in any format of serde |
//! | the executor | [`Job::entrust`](crate::Job::entrust) | asks the other side before a cancellation |
//! | the worker | `named::get`, `Named::submit` | finds the function, and has an executor there call it |
//! | both | [`Report`](crate::Report) | an error on its way back |
//!
//! A worker calls only functions that have a name, whatever it is sent.
