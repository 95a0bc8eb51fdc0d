//! [`RetryOptions`], which say after which errors and pauses a task is tried again, and [`Policy`], which applies them.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use super::back_off::BackOff;
use crate::error::Error;
use crate::options::TaskOptions;
use crate::unwind::catch_and_log;

impl TaskOptions {
    /// Chooses the errors after which a task is tried again: those for which `is_worth_it` returns `true`, and no others.
    ///
    /// It replaces the rule of `retries` alone, so on processes it usually returns `true` for [`Error::WorkerDied`] as well.
    ///
    /// Call [`retries`](TaskOptions::retries) first, which says how often a task is tried again. See [`RetryOptions`].
    ///
    /// # Panics
    ///
    /// If `retries` was not set.
    #[track_caller]
    pub fn retry_if(self, is_worth_it: fn(&Error) -> bool) -> RetryOptions {
        RetryOptions::new(self, "retry_if").retry_if(is_worth_it)
    }

    /// Makes a pause before a task is tried again: a random time, of at most `first` after the first attempt, and twice as
    /// long at most after each further one, up to `most`.
    ///
    /// Call [`retries`](TaskOptions::retries) first, which says how often a task is tried again. See [`RetryOptions`].
    ///
    /// # Panics
    ///
    /// If `retries` was not set, if `first` is zero, or if it is longer than `most`.
    #[track_caller]
    pub fn back_off(self, first: Duration, most: Duration) -> RetryOptions {
        RetryOptions::new(self, "back_off").back_off(first, most)
    }
}

/// Says which tasks are tried again, and after which pause. Made by [`TaskOptions::retry_if`] and
/// [`TaskOptions::back_off`], and passed to an executor with [`Executor::with`](crate::Executor::with), which then returns
/// a [`Retrying`](crate::Retrying).
///
/// [`TaskOptions::retries`] alone runs a task again if its worker process died. With `retry_if`, exactly those errors are
/// worth another attempt for which your function returns `true`: a worker that died is one of them only if the function
/// says so of [`Error::WorkerDied`]. With `back_off`, there is a pause before the next attempt.
///
/// [`Error::Cancelled`] and [`Error::ShutDown`] are always final, because another attempt could not change them. If
/// `retry_if` panics, the panic is logged, and the task ends with the error that the function was called with.
///
/// # Pauses
///
/// The pause after attempt `n` is a random time between zero and `min(most, first * 2^(n - 1))`. That is the formula
/// "full jitter" of "Exponential Backoff And Jitter" in the AWS Architecture Blog. A pause keeps no worker busy, and no
/// thread but one that all pauses of an executor share.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
/// use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor};
///
/// static CALLS: AtomicU32 = AtomicU32::new(0);
///
/// fn fetch(page: u32) -> Result<u32, &'static str> {
///     if CALLS.fetch_add(1, Ordering::Relaxed) < 2 { Err("try later") } else { Ok(page) }
/// }
///
/// let threads = ThreadPoolExecutor::new(2);
/// let persistent = threads.with(
///     TaskOptions::new()
///         .retries(3)
///         .retry_if(|error| matches!(error, Error::Failed(_)))
///         .back_off(Duration::from_millis(1), Duration::from_secs(10)),
/// );
/// assert_eq!(persistent.try_submit(fetch, 7).result()?, 7);
/// assert_eq!(CALLS.load(Ordering::Relaxed), 3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until they are given to `Executor::with`"]
pub struct RetryOptions {
    pub(super) task: TaskOptions,
    retry_if: Option<fn(&Error) -> bool>,
    back_off: Option<BackOff>,
}

impl RetryOptions {
    #[track_caller]
    fn new(task: TaskOptions, option: &str) -> Self {
        assert!(
            task.has_retries(),
            "{option} says nothing without the number of retries: `TaskOptions::new().retries(3).{option}(..)`"
        );
        Self { task, retry_if: None, back_off: None }
    }

    /// [`TaskOptions::retries`] alone runs a task again if its worker process died. With `retry_if`, exactly those errors are
    /// worth another attempt for which your function returns `true`: a worker that died is one of them only if the function
    /// says so of [`Error::WorkerDied`]. With `back_off`, there is a pause before the next attempt.
    ///
    /// The function is called in the thread that ends an attempt, and must not block, as in a callback.
    pub fn retry_if(mut self, is_worth_it: fn(&Error) -> bool) -> Self {
        self.retry_if = Some(is_worth_it);
        self
    }

    /// Makes a pause before a task is tried again: see [pauses](RetryOptions#pauses). Without this option, a task goes
    /// back to the executor at once, behind what is queued there.
    ///
    /// # Panics
    ///
    /// If `first` is zero, or longer than `most`.
    #[track_caller]
    pub fn back_off(mut self, first: Duration, most: Duration) -> Self {
        self.back_off = Some(BackOff::new(first, most));
        self
    }

    pub(super) fn policy(&self, retries: u32) -> Policy {
        Policy { retries, retry_if: self.retry_if.unwrap_or(is_death_of_worker), back_off: self.back_off }
    }
}

impl fmt::Debug for RetryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryOptions")
            .field("task", &self.task)
            .field("retry_if", &self.retry_if.is_some())
            .field("back_off", &self.back_off)
            .finish()
    }
}

fn is_death_of_worker(error: &Error) -> bool {
    matches!(error, Error::WorkerDied(_))
}

/// Decides whether there is another attempt, and when.
pub(super) struct Policy {
    retries: u32,
    retry_if: fn(&Error) -> bool,
    back_off: Option<BackOff>,
}

impl Policy {
    /// Returns `true` if there may be an attempt after this many.
    pub(super) fn leaves(&self, attempts: u64) -> bool {
        attempts <= u64::from(self.retries)
    }

    /// Returns the pause before the next attempt, or `None` if the error is final. Runs user code.
    pub(super) fn pause_after(&self, attempts: u64, error: &Error) -> Option<Duration> {
        if !self.leaves(attempts) || matches!(error, Error::Cancelled | Error::ShutDown) {
            return None;
        }
        let mut is_worth_it = false;
        catch_and_log("retry_if", || is_worth_it = (self.retry_if)(error));
        is_worth_it.then(|| self.back_off.map_or(Duration::ZERO, |back_off| back_off.pause(attempts)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::error::Error;
    use crate::options::TaskOptions;

    #[test]
    fn only_the_death_of_a_worker_is_worth_it_by_default() {
        let options = TaskOptions::new().retries(1).back_off(Duration::from_nanos(1), Duration::from_nanos(1));
        assert_eq!(options.policy(1).pause_after(1, &Error::Abandoned), None);
    }

    #[test]
    fn an_error_is_final_after_the_last_attempt_or_if_it_is_a_cancel_or_a_shutdown() {
        let policy = TaskOptions::new().retries(2).retry_if(|_| true).policy(2);
        let pause = |attempts| policy.pause_after(attempts, &Error::Abandoned);
        assert_eq!((pause(1), pause(2), pause(3)), (Some(Duration::ZERO), Some(Duration::ZERO), None));
        assert_eq!(policy.pause_after(1, &Error::Cancelled), None);
        assert_eq!(policy.pause_after(1, &Error::ShutDown), None);
        let none = TaskOptions::new().retries(0).retry_if(|_| true).policy(0);
        assert_eq!(none.pause_after(1, &Error::Abandoned), None);
    }

    #[test]
    fn an_error_is_final_if_retry_if_panics() {
        let policy = TaskOptions::new().retries(2).retry_if(|_| panic!("retry_if of this test")).policy(2);
        assert_eq!(policy.pause_after(1, &Error::Abandoned), None);
    }
}
