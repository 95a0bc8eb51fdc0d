//! How to get results.
//!
//! | you want | take |
//! |---|---|
//! | the result of one task | [`Future::result`] |
//! | the result, if it comes soon enough | [`Future::result_timeout`], which gives the future back if not |
//! | the result, if it is there | [`Future::try_result`] |
//! | all results of one function, in input order | [`Executor::map`] |
//! | the same, as they are done | [`Executor::map_unordered`] |
//! | futures of any kind, as they are done | [`as_completed`] |
//! | the first that is done, the first that failed, or all | [`wait()`] |
//! | to be called when it is done | [`Future::add_done_callback`] |
//! | several readers of one result | [`Future::share`] |
//! | no blocking, in async code | `.await`: see [`async_code`](super::async_code) |
//! | no result | [`Future::detach`] |
//!
//! If in doubt, take `map` for one function, and `as_completed` for everything else.
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, as_completed};
//!
//! fn population(country: &str) -> u32 {
//!     country.len() as u32 // of millions, say
//! }
//!
//! let threads = ThreadPoolExecutor::new(3);
//!
//! // In input order.
//! let countries = ["BR", "INDIA", "US"];
//! let populations: Vec<u32> = threads.map(population, countries).collect::<Result<_, _>>()?;
//! assert_eq!(populations, [2, 5, 2]);
//!
//! // As they are done. A pair ends with the future, and begins with whatever belongs to it.
//! let futures = countries.map(|country| (country, threads.submit(population, country)));
//! for (country, future) in as_completed(futures) {
//!     println!("{country}: {}", future.result()?);
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # For a limited time
//!
//! A wait that times out leaves the task alone. Nothing is lost: the future is given back.
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let slow = threads.submit(std::thread::sleep, Duration::from_millis(200));
//! match slow.result_timeout(Duration::from_millis(1)) {
//!     Ok(outcome) => outcome?,
//!     Err(future) => {
//!         println!("{future} takes a while");
//!         future.result()?; // Or `cancel`, `abort`, `detach`.
//!     }
//! }
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! To limit the *task* instead, so that its worker is free again, give it a
//! [`time_limit`](TaskOptions::time_limit): see [`failing`](super::failing#time-limits).
//!
//! A task that should end when nobody waits for it any more calls [`task::check`] between its steps.
//!
//! One limit for many futures is [`timeout`](AsCompleted::timeout) of `as_completed`, or
//! [`deadline`](AsCompleted::deadline), if a moment is given. When the time is up, the iterator yields one error, and ends:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{ThreadPoolExecutor, as_completed};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let naps = [0, 1, 2].map(|n| threads.submit(std::thread::sleep, Duration::from_millis(n)));
//!
//! for nap in as_completed(naps).timeout(Duration::from_secs(60)) {
//!     nap?.result()?;
//! }
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! [`next_timeout`](AsCompleted::next_timeout) limits the wait for the next future alone.
//!
//! # The first one
//!
//! The first of several servers that answers. The others are cancelled, or asked to stop if they run already:
//!
//! ```
//! use std::thread::sleep;
//! use std::time::Duration;
//! use concurrent_futures::{ReturnWhen, ThreadPoolExecutor, Waited, wait};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let ask = |name: &'static str, ms| {
//!     threads.spawn(move || {
//!         sleep(Duration::from_millis(ms));
//!         name
//!     })
//! };
//! let answers = [ask("near", 1), ask("far", 2_000)];
//! let Waited { mut done, not_done } = wait(answers, None, ReturnWhen::FirstCompleted);
//! assert_eq!(done.remove(0).result()?, "near");
//! for late in not_done {
//!     late.abort();
//! }
//! # threads.detach();
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! Futures of different types can be waited for together, as `[&number as &dyn Waitable, &text]`: see [`wait()`].
//!
//! # More than one reader
//!
//! Taking a result consumes the future, because the result is moved out. A [`SharedFuture`] lends it instead:
//!
//! ```
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let table = threads.spawn(|| vec![3, 1, 2]).share();
//! let reader = table.clone();
//! let largest = threads.spawn(move || reader.result().map(|table| table.iter().max().copied()));
//! assert_eq!(largest.result()??, Some(3));
//! assert_eq!(table.result()?.len(), 3);
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! # A callback
//!
//! A callback runs in the thread that completes the task, before anybody sees it done. It must be quick, and must not
//! wait for another future. It is the way to send results on:
//!
//! ```
//! use std::sync::mpsc::channel;
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let (send, receive) = channel();
//! for n in 1..=3 {
//!     let send = send.clone();
//!     threads.spawn(move || n * n).add_done_callback(move |outcome| {
//!         let _ = send.send(outcome.as_ref().ok().copied());
//!     });
//! }
//! drop(send);
//! let mut squares: Vec<_> = receive.iter().flatten().collect();
//! squares.sort();
//! assert_eq!(squares, [1, 4, 9]);
//! ```

#[cfg(doc)]
use crate::*;
