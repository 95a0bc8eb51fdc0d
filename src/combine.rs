//! [`try_all`], [`all_settled`], [`any`] and [`race`]: one future of many.
#![forbid(unsafe_code)]

use crate::error::{Error, Outcome};
use crate::future::Future;
use crate::panics;
use crate::task::after::{Decided, Until, hold_back};
use crate::task::continuation;

/// Makes a future of all values, in input order, or of the first error.
///
/// No thread waits. If one future ends with an error, or is cancelled, the new future ends likewise at once, and the tasks
/// that have not started are cancelled. To cancel the new future cancels those too; to abort it aborts all of them;
/// dropping it detaches them. The futures may belong to several executors. Without any, it is done, with no values.
/// [`guide::chains`](crate::guide::chains) compares it with the others.
///
/// # Errors
///
/// The first error in the order of completion.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, ThreadPoolExecutor, try_all};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let squares = try_all((1..=3).map(|n: u64| threads.spawn(move || n * n)));
/// assert_eq!(squares.result()?, [1, 4, 9]);
///
/// let parsed = try_all(["1", "one"].map(|text| threads.try_spawn(|| text.parse::<u8>())));
/// assert_eq!(parsed.result().unwrap_err().to_string(), "invalid digit found in string");
/// # Ok::<(), Error>(())
/// ```
pub fn try_all<T: Send + 'static>(futures: impl IntoIterator<Item = Future<T>>) -> Future<Vec<T>> {
    combine(futures, Until::Values, |futures, settled_by| match settled_by {
        Some(position) => take(futures, position).map(|value| vec![value]),
        None => futures.into_iter().map(|future| future.take()).collect(),
    })
}

/// Makes a future of all outcomes, in input order.
///
/// No thread waits. To cancel the new future cancels the tasks that have not started; to abort it aborts all of them;
/// dropping it detaches them. The futures may belong to several executors. Without any, it is done, with no outcomes.
/// [`guide::chains`](crate::guide::chains) compares it with the others.
///
/// # Errors
///
/// Only if the new future itself is cancelled: the errors of the futures are among the outcomes.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, ThreadPoolExecutor, all_settled};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let futures = ["1", "one"].map(|text| threads.try_spawn(|| text.parse::<u8>()));
/// let parsed = all_settled(futures).result()?;
/// assert!(matches!(parsed[..], [Ok(1), Err(Error::Failed(_))]));
/// # Ok::<(), Error>(())
/// ```
pub fn all_settled<T: Send + 'static>(futures: impl IntoIterator<Item = Future<T>>) -> Future<Vec<Outcome<T>>> {
    combine(futures, Until::Outcomes, |futures, _| Ok(futures.into_iter().map(|future| future.take()).collect()))
}

/// Makes a future of the first value.
///
/// No thread waits. Once there is a value, the tasks that have not started are cancelled. To cancel the new future cancels
/// those too; to abort it aborts all of them; dropping it detaches them. The futures may belong to several executors.
/// [`guide::chains`](crate::guide::chains) compares it with the others.
///
/// # Errors
///
/// If all of them end with an error or are cancelled: that of the first one in input order. Without any future,
/// [`Error::Abandoned`].
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, ThreadPoolExecutor, any};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let number = any(["one", "1"].map(|text| threads.try_spawn(|| text.parse::<u8>())));
/// assert_eq!(number.result()?, 1);
/// # Ok::<(), Error>(())
/// ```
pub fn any<T: Send + 'static>(futures: impl IntoIterator<Item = Future<T>>) -> Future<T> {
    combine(futures, Until::FirstValue, |futures, settled_by| take(futures, settled_by.unwrap_or(0)))
}

/// Makes a future of the first outcome, a value or an error.
///
/// No thread waits. Once one is done, the tasks that have not started are cancelled. To cancel the new future cancels those
/// too; to abort it aborts all of them; dropping it detaches them. The futures may belong to several executors.
/// [`guide::chains`](crate::guide::chains) compares it with the others.
///
/// # Errors
///
/// That of the future which is done first, if it has ended with one. Without any future, [`Error::Abandoned`].
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, promise, race};
///
/// let ((slow, first), (quick, second)) = (promise(), promise());
/// let winner = race([first, second]);
/// quick.complete(Ok("second"));
/// assert_eq!(winner.result()?, "second");
/// assert!(slow.is_cancelled());
/// # Ok::<(), Error>(())
/// ```
pub fn race<T: Send + 'static>(futures: impl IntoIterator<Item = Future<T>>) -> Future<T> {
    combine(futures, Until::FirstOutcome, |futures, settled_by| take(futures, settled_by.unwrap_or(0)))
}

/// Makes a future of what `finish` makes of the futures, and of the position of the one that settled the matter, if it was
/// a single one.
fn combine<T: Send + 'static, U: Send + 'static>(
    futures: impl IntoIterator<Item = Future<T>>,
    until: Until,
    finish: impl FnOnce(Vec<Future<T>>, Option<usize>) -> Outcome<U> + Send + 'static,
) -> Future<U> {
    panics::install_hook();
    let futures: Vec<Future<T>> = futures.into_iter().collect();
    let inputs = futures.iter().map(Future::input).collect();
    let decided = Decided::new();
    let by = decided.clone();
    let task = continuation(move || finish(futures, by.by()));
    let future = Future::new(task.clone());
    let _none = hold_back(task, inputs, until, decided, None);
    future
}

/// Takes the outcome of one future, and drops the others.
fn take<T>(futures: Vec<Future<T>>, position: usize) -> Outcome<T> {
    futures.into_iter().nth(position).map_or(Err(Error::Abandoned), |future| future.take())
}
