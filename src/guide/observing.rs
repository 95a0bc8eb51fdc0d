//! Looking inside: what waits, what runs, how long it took, and on which worker.
//!
//! | you want | use |
//! |---|---|
//! | a number now and then, for a dashboard or a log line | [`Backend::stats`] |
//! | a bar for people | the chapter [`progress`](super::progress) |
//! | a line of a log, or a measurement, for each task | an executor around yours, with [`Job::on_done`] |
//! | spans that are children of yours, for a tracing system or a timeline | the feature `tracing` |
//! | the text of an error that nobody looked at | the crate `log`, at `warn` |
//!
//! # Statistics
//!
//! All numbers of [`Stats`] are of the same moment, but for a task that is counted just then. A call costs a lock, and a
//! program that makes none pays nothing.
//!
//! ```
//! use concurrent_futures::{Backend, ReturnWhen, ThreadPoolExecutor, wait};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let futures: Vec<_> = (0..10_u32).map(|n| threads.spawn(move || n)).collect();
//! wait(&futures, None, ReturnWhen::AllCompleted);
//! let stats = threads.stats();
//! println!("{} waiting, {} running on {} workers", stats.pending, stats.running, stats.workers);
//! assert_eq!((stats.completed, stats.failed), (10, 0));
//! ```
//!
//! # Hooks on a job
//!
//! Every task passes a [`Backend`] as a [`Job`]. An executor around another one adds hooks to it: [`Job::on_start`] and
//! [`Job::on_done`] are called once, with the [`Times`] of the task, and the second one with its error. So one `impl`
//! observes threads, processes, and executors of others alike. A task without hooks costs nothing more.
//!
//! Here, the time in the queue goes to a histogram. A queue that grows is the first sign that there are too few workers:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//! use concurrent_futures::{Backend, Error, Executor, Job, ThreadPoolExecutor, Times};
//!
//! /// How many tasks waited for up to 1 ms, 10 ms, 100 ms, and longer.
//! #[derive(Default)]
//! struct Histogram([u32; 4]);
//!
//! impl Histogram {
//!     fn add(&mut self, times: &Times) {
//!         let limits = [1, 10, 100].map(Duration::from_millis);
//!         let class = limits.iter().position(|limit| times.queued() <= *limit);
//!         self.0[class.unwrap_or(3)] += 1;
//!     }
//! }
//!
//! struct Measured<B>(B, Arc<Mutex<Histogram>>);
//!
//! impl<B: Backend> Backend for Measured<B> {
//!     fn execute(&self, job: Job) {
//!         let histogram = Arc::clone(&self.1);
//!         job.on_start(move |times| histogram.lock().unwrap().add(times));
//!         self.0.execute(job);
//!     }
//!     // A wrapper in use also passes on the methods that are not required.
//!     fn max_workers(&self) -> usize {
//!         self.0.max_workers()
//!     }
//!     fn close(&self) {
//!         self.0.close();
//!     }
//!     fn join(&self, timeout: Option<Duration>) -> bool {
//!         self.0.join(timeout)
//!     }
//! }
//!
//! let measured = Measured(ThreadPoolExecutor::new(2), Arc::default());
//! let doubled: Vec<u32> = measured.map(|n| 2 * n, 0..20).collect::<Result<_, Error>>()?;
//! assert_eq!(doubled[19], 38);
//! let histogram = measured.1.lock().unwrap();
//! println!("{:?}", histogram.0);
//! assert_eq!(histogram.0.iter().sum::<u32>(), 20);
//! # Ok::<(), Error>(())
//! ```
//!
//! [`writing_a_backend`](super::writing_a_backend) has `Logged`, a complete one. What hooks see of a map:
//!
//! | a map | hooks see |
//! |---|---|
//! | through an executor that does not pass [`item_executor`](Backend::item_executor) on | a job for each item |
//! | with a [`chunk_size`](MapOptions::chunk_size) | a job for each chunk |
//! | through an executor that passes `item_executor` on | nothing: the workers share the items, which are no jobs |
//!
//! # Spans
//!
//! With the feature `tracing`, every task has a span `task`, with the target `concurrent_futures` and the level `INFO`. It
//! is a child of the span that was current at `submit`, begins there, and is closed when the task ends.
//!
//! | field | what it is |
//! |---|---|
//! | `id` | the id of the future |
//! | `name` | the name from [`TaskOptions::name`] |
//! | `function` | the path of the function or closure; of a function pointer its name where it is known, which needs a `ProcessPoolExecutor` in the program and symbols in its file; otherwise its type. The methods of the trait [`Executor`], the only ones on processes, make a function pointer of a closure, so its type is shown, such as `fn(i64) -> i64`: name such tasks |
//! | `items` | the number of items of a map in a batch |
//! | `executor`, `worker` | `ThreadPoolExecutor`, and the name of its thread, or of its worker process |
//! | `queued_us`, `ran_us` | how long the task waited and ran, in microseconds |
//! | `outcome`, `error` | `Ok`, or the variant of the error; and its text |
//! | `traceparent` | its place in a trace, see below |
//!
//! On a thread, and inline, the span is entered while the task runs, so events and spans of the task are inside. On a
//! worker process, no thread enters the span here. If the worker has a subscriber of its own, which its
//! [`initializer`](ProcessPoolBuilder::initializer) can set, the call runs there in a span of the same name, with the
//! same `id`, `function`, `worker` and `traceparent`.
//!
//! Maps have a span for each piece of work that goes to a worker at once: on threads one for each turn of a worker that
//! shares the items, on processes one for each batch, with the number of its `items`. Items that are tasks of their own,
//! as with a [`buffer_size`](MapOptions::buffer_size) or a time limit, have a span each. A span for each item would cost
//! more than most items do. The functions of [`map`](Future::map), [`and_then`](Future::and_then), [`try_all`] and the
//! like have no span, because they are no tasks of an executor.
//!
#![cfg_attr(not(feature = "tracing"), doc = "```ignore")]
#![cfg_attr(feature = "tracing", doc = "```")]
//! use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor};
//! use tracing::info_span;
//! use tracing_subscriber::registry::Registry;
//!
//! // In place of this one, any subscriber: `fmt`, tokio-console, an exporter.
//! tracing::subscriber::set_global_default(Registry::default()).unwrap();
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let request = info_span!("request", path = "/sum");
//! let sum = request.in_scope(|| {
//!     threads.with(TaskOptions::new().name("sum")).submit(|n: u64| (1..=n).sum::<u64>(), 10)
//! });
//! assert_eq!(sum.result()?, 55);
//! # Ok::<(), Error>(())
//! ```
//!
//! Without the feature, none of this is compiled. With it but without a subscriber, it costs each task a load of an
//! atomic. A subscriber must not block on a future. If it panics, the panic is logged.
//!
//! # Across processes and machines
//!
//! `traceparent` has the form of the W3C's recommendation "Trace Context": `00-<trace id>-<task>-01`. The trace id is the
//! same in the program and in its worker processes. It comes from the variable `TRACEPARENT` if the program was started
//! with one, and is random otherwise. Workers get it in their environment. The last part is the id of the task. Both
//! sides compute the text from these, so nothing is sent with a task for it, and a collector joins the two spans of a
//! task by their equal `traceparent`.
//!
//! It is not the id of an OpenTelemetry span, which only the layer that exports spans knows. A program that exports from
//! its workers too links the spans by the field. An executor whose workers are other programs sends
//! `Job::traceparent` with the task, as a header.
//!
//! # A timeline
//!
//! The example `timeline` downloads flags on threads, hashes them on processes, and writes what waited and what ran, for
//! [Perfetto](https://ui.perfetto.dev) and as a picture:
//!
//! ```sh
//! cargo run --release --features tracing --example timeline
//! ```

#[cfg(doc)]
use crate::*;
