//! Progress bars, with the crate `indicatif`.
//!
//! Everything that yields results is an iterator, and `progress_with` of indicatif wraps any iterator. All that is left
//! is the length of the bar:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, as_completed};
//! use indicatif::{ProgressBar, ProgressIterator};
//!
//! let executor = ThreadPoolExecutor::new(4);
//! let numbers = [1, 10, 100_u64];
//! fn sum_to(n: u64) -> u64 {
//!     (1..=n).sum()
//! }
//!
//! // A map: the length is that of the input.
//! let bar = ProgressBar::new(numbers.len() as u64);
//! for total in executor.map(sum_to, numbers).progress_with(bar.clone()) {
//!     bar.set_message(total?.to_string());
//! }
//! assert_eq!((bar.position(), bar.length()), (3, Some(3)));
//!
//! // A map in order of completion.
//! let bar = ProgressBar::new(numbers.len() as u64);
//! for (position, total) in executor.map_unordered(sum_to, numbers).progress_with(bar.clone()) {
//!     bar.set_message(format!("the sum to {} is {}", numbers[position], total?));
//! }
//! assert_eq!((bar.position(), bar.length()), (3, Some(3)));
//!
//! // `as_completed` knows its length.
//! let futures = numbers.map(|n| executor.submit(sum_to, n));
//! let completed = as_completed(futures);
//! let bar = ProgressBar::new(completed.len() as u64);
//! for future in completed.progress_with(bar.clone()) {
//!     bar.set_message(future.result()?.to_string());
//! }
//! assert_eq!((bar.position(), bar.length()), (3, Some(3)));
//! # Ok::<(), Error>(())
//! ```
//!
//! If the bar shows no messages, `as_completed(futures).progress()` is enough, and so it is for `scope.map`, which
//! knows its length too. There, the outcomes of a chunk come together, so the bar
//! moves in steps.
//!
//! A bar over `map` stands still while the next item in input order is slow, even if later ones are done. If that
//! matters, take `map_unordered`.
//!
//! # Input of a length that is not known
//!
//! `size_hint` of a map is that of its input. If it has no upper bound, there is no length, and a spinner is shown:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//! use indicatif::{ProgressBar, ProgressIterator};
//!
//! fn bar_for(iterator: &impl Iterator) -> ProgressBar {
//!     match iterator.size_hint() {
//!         (_, Some(length)) => ProgressBar::new(length as u64),
//!         (_, None) => ProgressBar::new_spinner(),
//!     }
//! }
//!
//! let executor = ThreadPoolExecutor::new(4);
//! let doubled = executor.map(|n| 2 * n, 0..1000);
//! let bar = bar_for(&doubled);
//! assert_eq!(bar.length(), Some(1000));
//! let total: u64 = doubled.progress_with(bar.clone()).sum::<Result<_, Error>>()?;
//! assert_eq!((total, bar.position()), (999_000, 1000));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Work that grows
//!
//! Futures that are pushed make the bar longer:
//!
//! ```
//! use concurrent_futures::{Error, ThreadPoolExecutor, as_completed};
//! use indicatif::ProgressBar;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let bar = ProgressBar::new(1);
//! let mut pages = as_completed([threads.spawn(|| 3)]);
//! while let Some(page) = pages.next() {
//!     let links = page.result()?;
//!     if links > 0 {
//!         pages.push(threads.spawn(move || links - 1));
//!         bar.inc_length(1);
//!     }
//!     bar.inc(1);
//! }
//! assert_eq!((bar.position(), bar.length()), (4, Some(4)));
//! # Ok::<(), Error>(())
//! ```
//!
//! # A bar that moves while nobody iterates
//!
//! The bars above move when a result is taken. A callback moves the bar when the task is done, whatever the program does
//! meanwhile:
//!
//! ```
//! use concurrent_futures::{Error, ReturnWhen, ThreadPoolExecutor, wait};
//! use indicatif::ProgressBar;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let bar = ProgressBar::new(10);
//! let futures: Vec<_> = (0..10)
//!     .map(|n| {
//!         let (future, bar) = (threads.spawn(move || n * n), bar.clone());
//!         future.add_done_callback(move |_| bar.inc(1));
//!         future
//!     })
//!     .collect();
//! wait(&futures, None, ReturnWhen::AllCompleted);
//! assert_eq!(bar.position(), 10);
//! ```
//!
//! # Bytes, and steps within a task
//!
//! A `ProgressBar` is a handle that can be cloned, and that threads share. A closure that captures a clone moves the bar
//! while its task runs:
//!
//! ```
//! use std::io;
//! use concurrent_futures::{Error, ThreadPoolExecutor, as_completed};
//! use indicatif::ProgressBar;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let files = [vec![0_u8; 30_000], vec![0_u8; 50_000]]; // Or files that are open.
//! let bar = ProgressBar::new(files.iter().map(|file| file.len() as u64).sum());
//! let copies = files.map(|file| {
//!     let bar = bar.clone();
//!     threads.try_spawn(move || io::copy(&mut bar.wrap_read(&file[..]), &mut io::sink()))
//! });
//! for copy in as_completed(copies) {
//!     copy.result()?;
//! }
//! assert_eq!(bar.position(), 80_000);
//! # Ok::<(), Error>(())
//! ```
//!
//! A task on a process has no way to report before it ends: only its result comes back. Make each step that should move the
//! bar a task or an item of its own.
//!
//! # Without a bar
//!
//! [`Backend::stats`] tells how many tasks are pending, running, completed and failed, for a log line every few seconds.
//! The chapter [`observing`](super::observing) shows other ways to look at what an executor does.

#[cfg(doc)]
use crate::*;
