//! Natural programs that never end, and what to write instead.
//!
//! A task may wait for tasks of its own executor, at any depth: on threads, that never deadlocks. What is left is one
//! rule. *A task hangs if it needs something that happens only after its waiter has returned.*
//!
//! This runs, although there is one worker, and each task waits for the next one:
//!
//! ```
//! use std::sync::Arc;
//! use concurrent_futures::{Outcome, ThreadPoolExecutor};
//!
//! fn depth(threads: Arc<ThreadPoolExecutor>, n: u32) -> Outcome<u32> {
//!     if n == 0 {
//!         return Ok(0);
//!     }
//!     let inner = Arc::clone(&threads);
//!     Ok(1 + threads.try_spawn(move || depth(inner, n - 1)).result()?)
//! }
//!
//! let threads = Arc::new(ThreadPoolExecutor::new(1));
//! assert_eq!(depth(Arc::clone(&threads), 100)?, 100);
//! # Ok::<(), concurrent_futures::Error>(())
//! ```
//!
//! The programs below do hang.
//!
//! # The drop waits for a task that waits for what comes after the drop
//!
//! ```no_run
//! use std::sync::mpsc::channel;
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let (stop, stopped) = channel::<()>();
//! {
//!     let threads = ThreadPoolExecutor::new(1);
//!     threads.spawn(move || stopped.recv()).detach();
//! } // Waits here, for ever.
//! stop.send(()).unwrap();
//! ```
//!
//! Let go of what the task waits for *before* the pool is dropped. Locals are dropped in the reverse order of their
//! declaration, so it is enough to declare the pool first:
//!
//! ```
//! use std::sync::mpsc::channel;
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let (stop, stopped) = channel::<()>();
//! threads.spawn(move || stopped.recv()).detach();
//! // `stop` is dropped first, which ends the task; then the pool.
//! ```
//!
//! # A pool that its own task keeps
//!
//! The pool is dropped when the last `Arc` goes. If a task of a loop holds one, the loop ends only when somebody tells
//! it to, and the drop never comes:
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = Arc::new(ThreadPoolExecutor::new(2));
//! let inner = Arc::clone(&threads);
//! let watch = threads.spawn(move || {
//!     loop {
//!         inner.spawn(|| println!("still there")).detach();
//!         std::thread::sleep(Duration::from_secs(1));
//!     }
//! });
//! watch.wait(); // For ever: `shutdown` would wait as well.
//! ```
//!
//! An endless task asks whether it should stop, and somebody aborts it:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Error, ThreadPoolExecutor, task};
//!
//! fn watch() -> Result<(), Error> {
//!     loop {
//!         task::check()?; // Returns here once the task is aborted.
//!         std::thread::sleep(Duration::from_millis(1));
//!     }
//! }
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let watch = threads.try_spawn(watch);
//! drop(watch.abort_on_drop()); // The end of `watch` is the end of the task.
//! ```
//!
//! # Tasks that meet
//!
//! Tasks that wait for each other by a `Barrier`, a channel or a lock need a worker each. With fewer workers, those in
//! the queue never come:
//!
//! ```no_run
//! use std::sync::{Arc, Barrier};
//! use concurrent_futures::{Executor, ThreadPoolExecutor};
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let barrier = Arc::new(Barrier::new(3));
//! for _ in 0..3 {
//!     let barrier = Arc::clone(&barrier);
//!     threads.spawn(move || barrier.wait()).detach(); // The third has no worker.
//! }
//! threads.shutdown();
//! ```
//!
//! Give them enough workers, or let one task wait for the *futures* of the others. The pool knows about that wait, and
//! about no other.
//!
//! # A lock that is held while waiting
//!
//! ```no_run
//! use std::sync::{Arc, Mutex};
//! use concurrent_futures::ThreadPoolExecutor;
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let count = Arc::new(Mutex::new(0));
//! let guard = count.lock().unwrap();
//! let inner = Arc::clone(&count);
//! let task = threads.spawn(move || *inner.lock().unwrap() += 1);
//! task.wait(); // The task waits for the lock, and the lock for the task.
//! drop(guard);
//! ```
//!
//! Release the lock before you wait. A waiting worker may also run another task in its own thread, which then finds the
//! lock taken by itself.
//!
//! # Two executors that wait for each other
//!
//! A task of `a` waits for a task of `b`, which waits for a task of `a` that has no worker. Each pool knows only about
//! the waits of its own tasks for its own tasks. Use one pool for both, or let the waits go in one direction only.
//!
//! # A map over input that has no end
//!
//! `map` pulls all its input before it returns:
//!
//! ```no_run
//! use concurrent_futures::{Executor, InlineExecutor};
//!
//! for square in InlineExecutor.map(|n: u64| n.wrapping_mul(n), 0..) {
//!     println!("{square:?}"); // Not even the first one.
//! }
//! ```
//!
//! With a [`buffer_size`](MapOptions::buffer_size), it pulls as you take: see [`maps`](super::maps).
//!
//! # A full queue
//!
//! With a `max_pending`, `submit` waits for room. If the thread that submits is the only one that would make room, for
//! example because the tasks wait for a message from it, it waits for ever. Submit with
//! [`refuse_when_full`](TaskOptions::refuse_when_full), or let another thread submit. (Tasks of the pool itself never
//! wait for room.)
//!
//! # A promise that nobody keeps
//!
//! A [`Promise`] that is dropped ends its future with [`Error::Abandoned`]. One that is kept somewhere, or leaked, does
//! not: its future is pending for ever. Wait with a time limit.
//!
//! # Blocking a runtime
//!
//! `future.result()` in async code blocks the runtime's thread. If the task needs that thread, because it sends to an
//! async channel or calls `Handle::block_on`, both wait for ever. Use `.await`: see [`async_code`](super::async_code).
//!
//! # On processes
//!
//! A task cannot wait for a task of the pool that it runs on, because the pool is in another process. What the compiler
//! accepts is a pool in a static, and that is another pool: each worker would have its own, with workers of their own.
//! Return the next steps as a value instead, and submit them from the program: [`ProcessPoolExecutor`] shows how, under
//! "Nesting".
//!
//! An endless task can be killed there: by [`abort`](Future::abort), or by a
//! [`time_limit`](TaskOptions::time_limit), which is always worth having on processes.
//!
//! # What does not hang
//!
//! These panic instead, with a text that says what to do:
//!
//! - waiting in a callback for a future that is not done,
//! - a task that waits for itself.
//!
//! # Finding out
//!
//! [`Backend::stats`] of the pool says which case it is. `running` equal to `max_workers` and `pending` above zero:
//! all workers wait for something. `running` zero: the program waits for something else. A backtrace of all threads
//! (`gdb -p <pid> -batch -ex "thread apply all backtrace"`) shows the lines that wait.
//!
//! To see a hang as an error in a test, limit the wait:
//!
//! ```
//! use std::time::Duration;
//! use concurrent_futures::{Backend, Error, ThreadPoolExecutor};
//!
//! let threads = ThreadPoolExecutor::new(1);
//! let future = threads.spawn(|| 42);
//! let Ok(outcome) = future.result_timeout(Duration::from_secs(60)) else {
//!     panic!("it hangs: {:?}", threads.stats());
//! };
//! assert_eq!(outcome?, 42);
//! # Ok::<(), Error>(())
//! ```

#[cfg(doc)]
use crate::*;
