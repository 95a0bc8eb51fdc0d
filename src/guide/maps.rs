//! One function over many values.
//!
//! [`Executor::map`] calls a function with each value, and yields one `Result` for each, in input order. An item that
//! fails is one `Err`, and the rest go on.
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(4);
//!
//! // All of them, or the first error. The items that have not started by then are cancelled.
//! let lengths: Result<Vec<usize>, Error> =
//!     executor.map(|word: &str| word.len(), ["to", "wait", "for"]).collect();
//! assert_eq!(lengths?, [2, 4, 3]);
//!
//! // Each with its own outcome, beside its input.
//! let texts = ["1", "two", "3"];
//! for (text, number) in texts.iter().zip(executor.try_map(str::parse::<u8>, texts)) {
//!     match number {
//!         Ok(number) => println!("{text} is {number}"),
//!         Err(error) => println!("{text}: {error}"),
//!     }
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # Which map
//!
//! | you want | take |
//! |---|---|
//! | results in input order | `map` |
//! | the same, of a function that returns `Result` | `try_map` |
//! | results as they are done, each with its position | `map_unordered` |
//! | items that borrow, on threads | [`scope`](ThreadPoolExecutor::scope), and [`scope.map`](Scope::map) in it |
//! | a function of two arguments | `map(\|(a, b)\| f(a, b), a.into_iter().zip(b))` |
//! | a function of its own for each item | `submit` each, then [`as_completed`] |
//!
//! # When does it start?
//!
//! At once. `map` pulls all its input before it returns, and the items run meanwhile. It does not wait for you to
//! iterate. Dropping the iterator cancels the items that have not started, so a map must be kept or used up:
//!
//! ```
//! use concurrent_futures::{Executor, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(2);
//! // Only the side effects are wanted, and all of them.
//! for outcome in executor.map(|name: &str| println!("hello, {name}"), ["BR", "IN"]) {
//!     outcome?;
//! }
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! # How large is a task?
//!
//! Leave that to the map. The workers of a pool share the items in pieces whose size follows from how long the items
//! take: a trivial item costs tens of nanoseconds, and no item waits behind a slow one while a worker is idle. There is
//! no chunk size to tune.
//!
//! [`chunk_size`](MapOptions::chunk_size) fixes the size nevertheless. It is of use if an executor of your own pays for
//! each message, or if items that are next to each other share something, such as an open file.
//!
//! ```
//! use concurrent_futures::{Executor, MapOptions, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(2);
//! let in_hundreds = executor.with(MapOptions::new().chunk_size(100));
//! let doubled: Vec<u32> = in_hundreds.map(|n| 2 * n, 0..1000).collect::<Result<_, _>>()?;
//! assert_eq!(doubled.len(), 1000); // There is still one outcome for each item.
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! # Input that is long, or has no end
//!
//! [`buffer_size(n)`](MapOptions::buffer_size) keeps exactly `n` items in flight. The next one is pulled when you take a
//! result. So memory is bounded, and the input may be infinite:
//!
//! ```
//! use concurrent_futures::{Error, Executor, MapOptions, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(2);
//! let eight_at_a_time = executor.with(MapOptions::new().buffer_size(8));
//! let squares = eight_at_a_time.map(|n: u64| n * n, 0..);
//! let small: Vec<u64> = squares.take(4).collect::<Result<_, Error>>()?;
//! assert_eq!(small, [0, 1, 4, 9]);
//! # Ok::<(), Error>(())
//! ```
//!
//! An item that is pulled after a shutdown is `Err(Error::ShutDown)`. A loop over infinite input has to end there. A map
//! stops pulling at the first such item, also without a `buffer_size`, and goes on only once you have taken it. So you see
//! the reason although the input has no end.
//!
//! # A time for the whole map
//!
//! [`timeout`](MapOptions::timeout) counts from the call. When it is up, the map yields what is there, then one
//! [`Error::Timeout`], and ends. To limit each item instead, use a task's
//! [`time_limit`](TaskOptions::time_limit); each item is a task of its own then.
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Error, Executor, MapOptions, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(2);
//! let hurried = executor.with(MapOptions::new().timeout(Duration::from_millis(500)));
//! let naps = [0, 60].map(Duration::from_secs);
//! let outcomes: Vec<_> = hurried.map(std::thread::sleep, naps).collect();
//! assert!(matches!(outcomes[..], [Ok(()), Err(Error::Timeout(_))]));
//! # executor.detach();
//! ```
//!
//! # As they are done
//!
//! [`map_unordered`](Executor::map_unordered) yields the position in the input with each outcome. So the results can
//! still be put in order:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(2);
//! let words = ["to", "wait", "for"];
//! let mut lengths = [0; 3];
//! for (position, length) in executor.map_unordered(|word: &str| word.len(), words) {
//!     lengths[position] = length?;
//!     println!("{} is done", words[position]);
//! }
//! assert_eq!(lengths, [2, 4, 3]);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Items that borrow
//!
//! The items of a map are moved to the workers. In a [`scope`](ThreadPoolExecutor::scope), they may borrow instead, and
//! so may the function and the results:
//!
//! ```
//! use concurrent_futures::{Error, ThreadPoolExecutor};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let mut pages = vec![String::from("to wait"), String::from("for")];
//! let needle = String::from("wait");
//!
//! let found: Vec<bool> = threads.scope(|scope| {
//!     scope.map(|page: &String| page.contains(&needle), &pages).collect::<Result<_, Error>>()
//! })?;
//! assert_eq!(found, [true, false]);
//!
//! // Each call may change its own item.
//! threads.scope(|scope| scope.map(|page: &mut String| page.push('!'), &mut pages).for_each(drop));
//! assert_eq!(pages, ["to wait!", "for!"]);
//! # Ok::<(), Error>(())
//! ```
//!
//! The items of such a map are divided into chunks up front, and the outcomes of a chunk come together. So an item should
//! not wait for another one.
//!
//! # More input from the results
//!
//! A crawler finds new pages on each page. [`as_completed`] accepts more futures while it yields:
//! [`AsCompleted::push`] has an example. A map cannot do that.

#[cfg(doc)]
use crate::*;
