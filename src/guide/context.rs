//! Values that many tasks need, and that should not be sent with each of them.
//!
//! Tasks often have something in common: settings, a table to look things up in, a connection. On processes, a value in
//! the argument is copied for every task. There are three better places for it:
//!
//! | it is | use | it is made | on processes |
//! |---|---|---|---|
//! | a value that the caller has, and tasks read | [`with_context`](Executor::with_context) | once, by the caller | each worker gets a copy, ahead of the first task that needs it |
//! | something that only a worker can have, such as a connection or a cache | an initializer that returns it, and [`task::worker_state()`] | once in each worker | it is never sent |
//! | a setting of the whole worker, such as a logger or the level of optimisation of a library | an initializer that returns nothing | once in each worker | the same |
//!
//! # A value that tasks read
//!
//! [`Executor::with_context`] binds a value to an executor. Functions then have it as their first parameter, by reference.
//! They stay plain functions, so the same lines run inline, on threads and on processes:
//!
//! ```
//! use std::collections::HashMap;
//! use concurrent_futures::{Error, Executor, MapOptions, TaskOptions, ThreadPoolExecutor};
//!
//! type Prices = HashMap<String, u32>;
//!
//! fn total(prices: &Prices, basket: Vec<String>) -> Result<u32, String> {
//!     basket
//!         .iter()
//!         .map(|item| prices.get(item).ok_or_else(|| format!("there is no price for {item}")))
//!         .sum()
//! }
//!
//! fn totals(executor: &impl Executor, prices: Prices) -> Result<Vec<u32>, Error> {
//!     let till = executor.with_context(prices);
//!     let basket = |items: &[&str]| items.iter().map(|item| item.to_string()).collect();
//!
//!     let error = till.try_submit(total, basket(&["tea", "yak"])).result().unwrap_err();
//!     assert_eq!(error.to_string(), "there is no price for yak");
//!
//!     // Options come before the context, or after it.
//!     let till = till.with(TaskOptions::new().name("total")).with(MapOptions::new().buffer_size(8));
//!     till.try_map(total, [basket(&["tea"]), basket(&["tea", "milk"])]).collect()
//! }
//!
//! let prices = HashMap::from([("tea", 3), ("milk", 2)].map(|(item, price)| (item.into(), price)));
//! assert_eq!(totals(&ThreadPoolExecutor::new(2), prices)?, [3, 5]);
//! # Ok::<(), Error>(())
//! ```
//!
//! Options of retries go with a context as well: [`RetryingWithContext`] has an example.
//!
//! A closure calls a function that takes a slice or a text: with a context of type `Vec<u32>`,
//! `map(|table, n| look_up(table, n), ..)` for `look_up(table: &[u32], n: usize)`.
//!
//! The costs are these:
//!
//! - Threads share the value. Nothing is copied, not even a counted reference for each item of a map.
//! - A process pool encodes it once: in the first `submit` or `map`, whose caller waits for that; `with_context` itself
//!   costs nothing. It is sent to a worker with the first task there that needs it. That task decodes
//!   it, and later tasks use it. A worker that replaces another one gets it again. When the last handle, map and task
//!   that need it are gone, workers drop it.
//! - A long [`Bytes`] in a context is in memory that all workers share. So a table of hundreds of megabytes exists
//!   twice, in the caller and in that memory, and not once for each worker.
//! - An executor of your own whose workers are other programs sends the pair of context and argument with each message:
//!   see [`Job::encode`]. If that is too much, put the value where its workers can read it, and the name of the place
//!   into the context.
//!
//! Tasks cannot change a context, except through a lock or an atomic; in a worker process that changes the copy of this
//! worker alone.
//!
//! # Methods that take closures
//!
//! On a [`ThreadPoolExecutor`], a context may be any type that is `Send + Sync`, and the functions may be closures that
//! capture. A closure may as well capture an `Arc` of the value; a context saves the clones, and the code stays the same
//! if it moves to processes later.
//!
//! # Something that only a worker can have
//!
//! A connection cannot be sent, and one for each task would be slow. The initializer of the pool makes it, and tasks get
//! it by [`task::worker_state()`]. It need not be `Send` or `Sync`, because it never leaves the thread of its worker:
//!
//! ```
//! use std::cell::RefCell;
//! use std::collections::HashMap;
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, task};
//!
//! /// What a worker has looked up before.
//! type Cache = RefCell<HashMap<String, usize>>;
//!
//! fn length(word: String) -> usize {
//!     let cache = task::worker_state::<Cache>().expect("the initializer makes one");
//!     *cache.borrow_mut().entry(word).or_insert_with_key(|word| word.len())
//! }
//!
//! let builder = ThreadPoolExecutor::builder().max_workers(2);
//! let threads = builder.initializer(Cache::default).build()?;
//! let words = ["to", "wait", "to"].map(String::from);
//! let lengths: Vec<usize> = threads.map(length, words).collect::<Result<_, _>>()?;
//! assert_eq!(lengths, [2, 4, 2]);
//! # Ok::<(), Error>(())
//! ```
//!
//! The initializer of a `ProcessPoolExecutor` is a plain function with an argument, which every worker gets. If it fails,
//! the pool is broken, because the next worker would fail as well.
//!
//! # A setting of the whole worker
//!
//! The `main` of the program does not run in a worker process. What it sets up for itself, such as a logger, a panic hook
//! or a directory, is set up again by an initializer. The environment and the working directory of workers are settings
//! of the pool: `env` and `current_dir`.
//!
//! # Which of them?
//!
//! - It differs from one group of tasks to the next: a context. A pool has one initializer, but any number of contexts.
//! - It is large, and read by some tasks only: a context. A worker that runs none of them never gets it.
//! - It has to be ready before the first task, or to fail before it: an initializer.
//! - It cannot be copied: worker state.
#![cfg_attr(not(processes), allow(rustdoc::broken_intra_doc_links))]

#[cfg(doc)]
use crate::{Bytes, Executor, Job, RetryingWithContext, ThreadPoolExecutor, task};
