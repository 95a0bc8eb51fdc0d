//! Chains and graphs of tasks: going on when futures are done, without a thread that waits.
//!
//! | you have | you want | use |
//! |---|---|---|
//! | a future | a future of what becomes of its value | [`Future::map`], [`Future::and_then`] |
//! | a future that may fail | a future with a substitute for the error | [`Future::or_else`] |
//! | futures, and work to do with their values | a task of an executor that starts when they are done | [`Executor::submit_after`] |
//! | many futures | all values, or the first error | [`try_all`] |
//! | many futures | all outcomes | [`all_settled`] |
//! | futures that do the same | the first value | [`any`] |
//! | futures that compete | the first outcome | [`race`] |
//!
//! Each of them returns a new [`Future`] at once. To wait for it, await it, or chain it further is the same as for any
//! other.
//!
//! # One after the other
//!
//! `map` and `and_then` change the value; `and_then` takes a function that returns `Result`. `or_else` changes the error.
//! What does not apply passes through unchanged: an error keeps its variant through any number of `map`s.
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! fn read(name: String) -> Result<String, String> {
//!     if name == "port" { Ok(" 8080 ".into()) } else { Err(format!("there is no {name}")) }
//! }
//!
//! let executor = ThreadPoolExecutor::new(2);
//! let port = |name: &str| {
//!     executor
//!         .try_submit(read, name.to_owned())
//!         .map(|text| text.trim().to_owned())
//!         .and_then(|text| text.parse::<u16>())
//!         .or_else(|error| if matches!(error, Error::Failed(_)) { Ok(80) } else { Err(error) })
//! };
//! assert_eq!(port("port").result()?, 8080);
//! assert_eq!(port("gate").result()?, 80);
//! # Ok::<(), Error>(())
//! ```
//!
//! These functions run like callbacks, in the thread that completes the future: on threads in the worker, on processes
//! in the thread that looks after the worker. So they should be short, and must not block on a future. Submit long work
//! as a task.
//!
//! # A task after others
//!
//! [`submit_after`](Executor::submit_after) submits a task once its inputs are done, and calls it with their values.
//! The inputs are a future, a tuple of two to four, an array, or a `Vec` of futures. No worker waits meanwhile: the
//! thread that completes the last input submits the task.
//!
//! So a graph of tasks runs on processes, where a task cannot wait for a task. An input that several tasks need is
//! [shared](Future::share):
//!
//! ```
//! use concurrent_futures::{Error, Executor};
//!
//! fn words(text: String) -> Vec<String> {
//!     text.split(' ').map(String::from).collect()
//! }
//!
//! fn count(words: Vec<String>) -> usize {
//!     words.len()
//! }
//!
//! fn longest(words: Vec<String>) -> usize {
//!     words.iter().map(String::len).max().unwrap_or(0)
//! }
//!
//! /// The graph of the tasks:
//! ///
//! ///            ┌─> count ───┐
//! ///     words ─┤            ├─> report
//! ///            └─> longest ─┘
//! fn report(executor: &impl Executor, text: &str) -> Result<String, Error> {
//!     let words = executor.submit(words, text.to_owned()).share();
//!     let count = executor.submit_after(words.clone(), count);
//!     let longest = executor.submit_after(words, longest);
//!     let report = |(count, longest)| format!("{count} words of up to {longest} letters");
//!     executor.submit_after((count, longest), report).result()
//! }
//!
//! let text = "no worker waits for another";
//! # let on_threads = report(&concurrent_futures::ThreadPoolExecutor::new(1), text)?;
//! # assert_eq!(on_threads, "5 words of up to 7 letters");
//! # #[cfg(target_os = "linux")]
//! # {
//! # use concurrent_futures::ProcessPoolExecutor;
//! let processes = ProcessPoolExecutor::new(2);
//! assert_eq!(report(&processes, text)?, "5 words of up to 7 letters");
//! # }
//! # Ok::<(), Error>(())
//! ```
//!
//! The futures may belong to several executors: download on threads, compute on processes. If there are as many inputs as
//! items, give a `Vec` of them:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! let executor = ThreadPoolExecutor::new(4);
//! let parts: Vec<_> = (0..10_u64).map(|n| executor.submit(|n: u64| n * n, n)).collect();
//! let sum = executor.submit_after(parts, |squares: Vec<u64>| squares.iter().sum::<u64>());
//! assert_eq!(sum.result()?, 285);
//! # Ok::<(), Error>(())
//! ```
//!
//! The inputs are futures only. A plain value beside them goes into a [context](Executor::with_context), or on threads into
//! the closure; where it has to be a part of the tuple, a [`promise()`] makes a future of it that is done:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, promise};
//!
//! let executor = ThreadPoolExecutor::new(2);
//! let height = || executor.submit(|n: u32| n, 4);
//! let wide = executor.with_context(3);
//! let area = wide.submit_after(height(), |width: &u32, height: u32| width * height);
//! assert_eq!(area.result()?, 12);
//!
//! let (ready, width) = promise();
//! ready.complete(Ok(3));
//! let area = executor.submit_after((width, height()), |(width, height): (u32, u32)| width * height);
//! assert_eq!(area.result()?, 12);
//! # Ok::<(), Error>(())
//! ```
//!
//! On a backend of your own, `submit_after` needs [`Backend::submitter`]; without one, the call blocks until the inputs are
//! done.
//!
//! # One future of many
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, all_settled, any, race, try_all};
//!
//! fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
//!     text.parse()
//! }
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let parsed = |texts: [&'static str; 2]| texts.map(|text| threads.try_spawn(move || parse(text)));
//!
//! // All values in the order of the futures; or the first error, which cancels the others.
//! assert_eq!(try_all(parsed(["1", "2"])).result()?, [1, 2]);
//! assert!(try_all(parsed(["1", "two"])).result().is_err());
//!
//! // Every outcome.
//! let outcomes = all_settled(parsed(["1", "two"])).result()?;
//! assert!(outcomes[0].is_ok() && outcomes[1].is_err());
//!
//! // The first value: an error is ignored as long as another future may have a value.
//! assert_eq!(any(parsed(["one", "2"])).result()?, 2);
//!
//! // The first outcome, whatever it is.
//! assert!(race(parsed(["1", "2"])).result()? > 0);
//! # Ok::<(), Error>(())
//! ```
//!
//! They take futures of one type. [`submit_after`](Executor::submit_after) takes a tuple of different ones. To get the
//! results one by one, there is [`as_completed`].
//!
//! # What cancel does
//!
//! A new future belongs to a new task, which is pending until its inputs are done. Inputs that nobody else needs end
//! with it:
//!
//! | you call, on the last future | the new task | inputs that have not started | inputs that run | shared inputs |
//! |---|---|---|---|---|
//! | [`cancel`](Future::cancel) | is cancelled | are cancelled | go on | go on |
//! | [`abort`](Future::abort) | is cancelled | are cancelled | are aborted | go on |
//! | nothing, and drop it | runs | run | go on | go on |
//!
//! This goes through any number of levels. In the other direction, an input that ends with an error, or is cancelled,
//! ends the tasks that depend on it at once, and with them the other inputs that only they needed:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor, promise};
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let (never, width) = promise::<u32>();
//! let area = threads.submit_after((width, threads.spawn(|| 3)), |(width, height)| width * height);
//! let text = area.map(|area| format!("{area} square metres"));
//! assert!(text.cancel());
//! assert!(never.is_cancelled(), "only this graph needed it");
//!
//! let (fails, width) = promise::<u32>();
//! let (other, height) = promise::<u32>();
//! let area = threads.submit_after((width, height), |(width, height)| width * height);
//! fails.complete(Err(Error::ShutDown));
//! assert!(matches!(area.result(), Err(Error::ShutDown)));
//! assert!(other.is_cancelled());
//! ```
//!
//! # What it costs
//!
//! A link of a chain is one task: an allocation, and no thread. A chain of ten thousand links completes on any stack:
//! it continues on a fresh one if little is left.

#[cfg(doc)]
use crate::*;
