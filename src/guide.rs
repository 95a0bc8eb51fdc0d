//! The guide: how the parts of the crate are used together.
//!
//! Every chapter can be read on its own, and every example runs as a test.
//!
//! | chapter | answers |
//! |---|---|
//! | [`which_executor`] | Where do my tasks run? How many workers? Who owns the pool? |
//! | [`which_wait`] | How do I get the results? In which order? For how long do I wait? |
//! | [`async_code`] | How do I use it under tokio, smol or another runtime? |
//! | [`chains`] | How do I go on when a future is done, without a thread that waits? Graphs of tasks |
//! | [`maps`] | One function over many values: order, chunks, infinite input, borrowed items |
//! | [`context`] | How do tasks share a value that is not sent with each of them? |
//! | [`progress`] | How do I show a progress bar? |
//! | [`observing`] | What waits, what runs, and for how long? Statistics, hooks, `tracing` |
//! | [`failing`] | What can go wrong, how do I see it, and what does it cost? |
//! | [`writing_a_backend`] | How do I write an executor of my own? |
//! | [`other_machines`] | How do I run tasks in other programs, on other machines? |
//! | [`hangs`] | Why does my program never end? |
//! | [`faq`] | Why is it like this, and not like that? |
//! | [`from_python`] | What is the name of this in Rust? |
//!
//! # The whole of it
//!
//! Submit a function and its argument to an executor, and get a [`Future`]. Everything else is a variation of these
//! lines:
//!
//! ```
//! use concurrent_futures::prelude::*;
//! use concurrent_futures::{Error, ThreadPoolExecutor};
//!
//! fn sum_to(n: u64) -> u64 {
//!     (1..=n).sum()
//! }
//!
//! let executor = ThreadPoolExecutor::new(4);
//!
//! // One task.
//! let future = executor.submit(sum_to, 10_000);
//! assert_eq!(future.result()?, 50_005_000);
//!
//! // One function, many arguments: results in input order.
//! let totals: Vec<u64> = executor.map(sum_to, [1, 10, 100]).collect::<Result<_, _>>()?;
//! assert_eq!(totals, [1, 55, 5050]);
//!
//! // Many tasks: each as it is done.
//! for (n, future) in as_completed([1, 10, 100].map(|n| (n, executor.submit(sum_to, n)))) {
//!     println!("the sum to {n} is {}", future.result()?);
//! }
//! # Ok::<(), Error>(())
//! ```
#![cfg_attr(not(processes), allow(rustdoc::broken_intra_doc_links))]

pub mod async_code;
pub mod chains;
pub mod context;
pub mod failing;
pub mod faq;
pub mod from_python;
pub mod hangs;
pub mod maps;
pub mod observing;
pub mod other_machines;
pub mod progress;
pub mod which_executor;
pub mod which_wait;
pub mod writing_a_backend;

#[cfg(doc)]
use crate::Future;
