//! Every public name of `concurrent.futures` and of `multiprocessing.Pool`, and what it is called here.
//!
//! The shape is the same: an executor, futures, `wait`, `as_completed`. What differs follows from Rust: results are
//! `Result`s, a result is moved out of its future, and a function takes one argument, which may be a tuple.
//!
//! ```
//! use concurrent_futures::prelude::*;
//! use concurrent_futures::{Error, ThreadPoolExecutor};
//!
//! fn area(width: u32, height: u32) -> u32 {
//!     width * height
//! }
//!
//! // with ThreadPoolExecutor(max_workers=4) as ex:
//! let ex = ThreadPoolExecutor::new(4);
//!
//! // future = ex.submit(area, 2, 3); future.result()
//! let future = ex.submit(|(width, height)| area(width, height), (2, 3));
//! assert_eq!(future.result()?, 6);
//!
//! // list(ex.map(area, [1, 2], [3, 4]))
//! let sides = [1, 2].into_iter().zip([3, 4]);
//! let areas: Vec<u32> = ex.map(|(w, h)| area(w, h), sides).collect::<Result<_, _>>()?;
//! assert_eq!(areas, [3, 8]);
//!
//! // for future in as_completed({ex.submit(str.upper, s): s for s in ["br", "in"]}):
//! let futures = ["br", "in"].map(|code| (code, ex.submit(str::to_uppercase, code)));
//! for (code, future) in as_completed(futures) {
//!     assert_eq!(future.result()?, code.to_uppercase());
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! In the tables, `ex` is an executor, `f` a function, and `use concurrent_futures::prelude::*` is above. The prelude brings
//! the methods, and no names of types or traits: a function that takes `ex: &impl Executor` needs
//! `use concurrent_futures::Executor` too.
//!
//! # `functools.partial`
//!
//! On threads it is a closure that captures. On every executor it is a function with a
//! [context](Executor::with_context), which goes to each worker once:
//!
//! ```
//! use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
//!
//! fn power(base: u64, exponent: u32) -> u64 {
//!     base.pow(exponent)
//! }
//!
//! let threads = ThreadPoolExecutor::new(2);
//! let base = 2;
//!
//! // list(ex.map(partial(power, base), [1, 2, 3])), on threads
//! let powers: Vec<u64> = threads.map(move |e| power(base, e), [1, 2, 3]).collect::<Result<_, _>>()?;
//! assert_eq!(powers, [2, 4, 8]);
//!
//! // The same on every executor.
//! fn powers_of(executor: &impl Executor, base: u64) -> Result<Vec<u64>, Error> {
//!     executor.with_context(base).map(|base, e| power(*base, e), [1, 2, 3]).collect()
//! }
//! assert_eq!(powers_of(&threads, base)?, powers);
//!
//! // submit_power = partial(ex.submit, power, base)
//! let submit_power = threads.bind(move |e| power(base, e));
//! assert_eq!(submit_power(10).result()?, 1024);
//! # Ok::<(), Error>(())
//! ```
//!
//! What only a worker can make, such as a connection, is made by an
//! [`initializer`](ProcessPoolBuilder::initializer): see [`context`](super::context).
//!
//! # `concurrent.futures`
//!
//! ## The module
//!
//! | Python | here |
//! |---|---|
//! | `Executor` | the trait [`Executor`] for those who use one, [`Backend`] for those who write one |
//! | `ThreadPoolExecutor` | [`ThreadPoolExecutor`] |
//! | `ProcessPoolExecutor` | [`ProcessPoolExecutor`] |
//! | `InterpreterPoolExecutor` | not needed: threads run in parallel |
//! | `Future` | [`Future`], and [`SharedFuture`] for several readers |
//! | `wait` | [`wait()`] |
//! | `as_completed` | [`as_completed`] |
//! | `FIRST_COMPLETED`, `FIRST_EXCEPTION`, `ALL_COMPLETED` | [`ReturnWhen::FirstCompleted`], [`ReturnWhen::FirstError`], [`ReturnWhen::AllCompleted`] |
//! | `CancelledError` | [`Error::Cancelled`] |
//! | `TimeoutError` of `result` | `Err(future)` of [`result_timeout`](Future::result_timeout), which is the future itself |
//! | `TimeoutError` of `as_completed` | [`Timeout`], the last item of [`timeout`](AsCompleted::timeout) |
//! | `TimeoutError` of `map` | [`Error::Timeout`], the last item |
//! | `BrokenExecutor`, `thread.BrokenThreadPool`, `process.BrokenProcessPool`, `interpreter.BrokenInterpreterPool` | [`Error::Broken`], if no worker can be started or an initializer failed; a crash is [`Error::WorkerDied`], of one task |
//! | `InvalidStateError` | none: a promise is consumed when it is completed |
//!
//! ## `Executor`
//!
//! | Python | here |
//! |---|---|
//! | `with Executor() as ex:` | `let ex = ..;` in a block: the drop waits |
//! | `ex.submit(f)` | `ex.submit(\|()\| f(), ())`; on threads `ex.spawn(f)` |
//! | `ex.submit(f, a)` | `ex.submit(f, a)` |
//! | `ex.submit(f, a, b)`, `ex.submit(f, a, key=b)` | `ex.submit(\|(a, b)\| f(a, b), (a, b))` |
//! | `ex.submit(f, a)`, where `f` raises | `ex.try_submit(f, a)`, where `f` returns `Result` |
//! | `ex.map(f, xs)` | `ex.map(f, xs)`, which yields `Result`s and goes on after an error |
//! | `ex.map(f, xs)`, where `f` raises | `ex.try_map(f, xs)`, where `f` returns `Result` |
//! | `ex.map(f, xs, ys)` | `ex.map(\|(x, y)\| f(x, y), xs.into_iter().zip(ys))` |
//! | `map(.., timeout=t)` | `ex.with(MapOptions::new().timeout(t)).map(..)` |
//! | `map(.., chunksize=n)` | seldom needed; `ex.with(MapOptions::new().chunk_size(n)).map(..)` |
//! | `map(.., buffersize=n)` | `ex.with(MapOptions::new().buffer_size(n)).map(..)` |
//! | `ex.shutdown()`, `ex.shutdown(wait=True)` | `ex.shutdown()`, or `drop(ex)` |
//! | `ex.shutdown(cancel_futures=True)` | `ex.shutdown_now()` |
//! | `ex.shutdown(wait=False)` | `ex.detach()`; the end of `main` does not wait for what is queued. `ex.close()`, if the drop is to wait, or if `ex` is in an `Arc` |
//! | `ex.shutdown(wait=False, cancel_futures=True)` | `ex.close(); ex.cancel_pending();` |
//!
//! ## `ThreadPoolExecutor` and `ProcessPoolExecutor`
//!
//! | Python | here |
//! |---|---|
//! | `ThreadPoolExecutor()` | `ThreadPoolExecutor::default()` |
//! | `ThreadPoolExecutor(n)`, `max_workers=n` | `ThreadPoolExecutor::new(n)` |
//! | `thread_name_prefix=name` | `ThreadPoolExecutor::builder().thread_name_prefix(name).build()?` |
//! | `initializer=f`, `initargs=(a, b)`, on threads | `.initializer(move \|\| f(a, b))` |
//! | `ProcessPoolExecutor()` | `ProcessPoolExecutor::default()` |
//! | `initializer=f`, `initargs=(a, b)`, on processes | `.initializer(\|(a, b)\| f(a, b), (a, b))` |
//! | `max_tasks_per_child=n` | `.max_tasks_per_worker(n)` |
//! | `mp_context=..` | none: a worker is the program, started again, as with `spawn` |
//! | `ex.terminate_workers()`, `ex.kill_workers()` | the same; the pool goes on, and is not shut down by it |
//! | `if __name__ == "__main__":` | nothing, on Linux; elsewhere, [`init`] is the first line of `main` |
//! | a global that the initializer sets | what it returns: [`task::worker_state()`] |
//!
//! ## `Future`
//!
//! | Python | here |
//! |---|---|
//! | `future.cancel()` | `future.cancel()`; for a task that runs, `future.abort()` |
//! | `future.cancelled()`, `running()`, `done()` | `future.is_cancelled()`, `is_running()`, `is_done()` |
//! | `future.result()` | `future.result()?`, which consumes the future |
//! | `future.result()`, again | `let future = future.share();`, then `future.result()?` is a reference |
//! | `future.result(timeout=t)` | `match future.result_timeout(t) { Ok(outcome) => outcome?, Err(future) => .. }` |
//! | `future.result(timeout=0)` | `future.try_result()` |
//! | `future.exception()` | `future.error()` |
//! | `future.add_done_callback(f)`, where `f` gets the future | `future.add_done_callback(f)`, where `f` gets the outcome |
//! | `except SomeError as e` around `future.result()` | on threads, after `try_submit`: `if let Some(e) = error.downcast_ref::<SomeError>()` |
//! | `except FileNotFoundError` | `if error.downcast_ref::<io::Error>().map(io::Error::kind) == Some(io::ErrorKind::NotFound)` |
//! | `except SomeError`, on processes | `ex.submit(f, a)` of an `f` whose `Result<_, SomeError>` serde can carry: `match future.result()? { Err(e) => .. }` |
//! | `nonlocal n; n += 1` in a callback, perhaps with a lock | `let n = Arc::new(AtomicU64::new(0));`, and `move \|_\| { counted.fetch_add(1, Relaxed); }` with a clone of it; for more than a number `Arc<Mutex<..>>` |
//! | `future.set_running_or_notify_cancel()` | [`promise.start()`](Promise::start) |
//! | `future.set_result(x)` | [`promise.complete(Ok(x))`](Promise::complete) |
//! | `future.set_exception(e)` | `promise.complete(Err(Error::Failed(Failed::new(e))))` |
//! | `Future()` | `let (promise, future) = promise();` |
//!
//! ## `wait` and `as_completed`
//!
//! | Python | here |
//! |---|---|
//! | `done, not_done = wait(fs)` | `let Waited { done, not_done } = wait(fs, None, ReturnWhen::AllCompleted);` |
//! | `wait(fs, timeout=t, return_when=FIRST_COMPLETED)` | `wait(fs, t, ReturnWhen::FirstCompleted)` |
//! | `for future in as_completed(fs)` | `for future in as_completed(fs)` |
//! | `as_completed(d)`, where `d` is a dict from futures to what they are for | `as_completed(pairs)`, where each pair ends with a future |
//! | `as_completed(fs, timeout=t)` | `as_completed(fs).timeout(t)`, which yields `Ok(future)`, or one `Err` when the time is up |
//! | (futures that are added later) | `completed.push(future)` |
//!
//! ## `asyncio`
//!
//! | Python | here |
//! |---|---|
//! | `await asyncio.wrap_future(future)` | `future.await` |
//! | `await loop.run_in_executor(ex, f, a)` | `ex.submit(f, a).await`, or `ex.submit_async(f, a).await.await` with a bounded queue |
//! | `await asyncio.to_thread(f)` | `threads.spawn(f).await` |
//!
//! # `multiprocessing.Pool`
//!
//! Also `multiprocessing.pool.ThreadPool`, with a `ThreadPoolExecutor`.
//!
//! | Python | here |
//! |---|---|
//! | `Pool(n)`, `processes=n` | `ProcessPoolExecutor::new(n)` |
//! | `initializer=f`, `initargs=(a,)` | `ProcessPoolExecutor::builder().initializer(f, a).build()?` |
//! | `maxtasksperchild=n` | `.max_tasks_per_worker(n)` |
//! | `context=..` | none |
//! | `pool.apply(f, (a, b))` | `ex.submit(\|(a, b)\| f(a, b), (a, b)).result()?` |
//! | `pool.apply_async(f, (a, b))` | `ex.submit(\|(a, b)\| f(a, b), (a, b))` |
//! | `callback=g`, `error_callback=h` | `future.add_done_callback(\|outcome\| match outcome { Ok(value) => .., Err(error) => .. })` |
//! | `pool.map(f, xs)` | `ex.map(f, xs).collect::<Result<Vec<_>, _>>()?` |
//! | `pool.map(f, xs, chunksize=n)` | the same: no chunk size is needed |
//! | `pool.map_async(f, xs)` | `let results = ex.map(f, xs);`, which is submitted at once, and collected later |
//! | `pool.imap(f, xs)` | `ex.map(f, xs)`; for input that is long, with `buffer_size` |
//! | `pool.imap_unordered(f, xs)` | `ex.map_unordered(f, xs)`, with the position of each item |
//! | `pool.starmap(f, pairs)`, `starmap_async` | `ex.map(\|(a, b)\| f(a, b), pairs)` |
//! | `imap(..).next(timeout)` | `as_completed(futures).next_timeout(t)` |
//! | `pool.close()` | `ex.close()` |
//! | `pool.join()` | `ex.join(None)` |
//! | `pool.terminate()` | `ex.close(); ex.cancel_pending(); ex.kill_workers();` |
//! | `with Pool() as pool:`, which ends with `terminate` | the drop waits; for the other, the line above |
//! | `AsyncResult.get()`, `get(timeout)` | `future.result()?`, `future.result_timeout(t)` |
//! | `AsyncResult.wait(timeout)` | `future.wait_timeout(t)` |
//! | `AsyncResult.ready()` | `future.is_done()` |
//! | `AsyncResult.successful()` | `future.error().is_none()` |
//! | `multiprocessing.TimeoutError` | `Err(future)` of `result_timeout` |
//! | `multiprocessing.ProcessError`, a hang after a crash | [`Error::WorkerDied`] |
//! | `os.getpid()` in a task | `std::process::id()` |
//! | `multiprocessing.shared_memory`, for large arguments | [`Bytes`], which cross through shared memory |
//! | `Queue`, `Lock`, `Manager`, shared between tasks | on threads std's; on processes none: return values instead |

#[cfg(doc)]
use crate::*;
