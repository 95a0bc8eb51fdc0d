//! [`AsCompletedUntil`]: futures as they become done, with one deadline for all of them.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

use super::AsCompleted;
use crate::error::Timeout;
use crate::wait::{self, Waitable};

/// Yields futures in completion order until a deadline. Made by [`AsCompleted::deadline`] and [`AsCompleted::timeout`].
///
/// Yields `Ok(future)` for each, and one `Err` when the time is up, then nothing more. Futures that are done by then are
/// yielded first, however late they are asked for.
#[must_use = "futures come out only if it is iterated"]
pub struct AsCompletedUntil<W: Waitable> {
    futures: AsCompleted<W>,
    /// `None` if it is too far away for the clock.
    deadline: Option<Instant>,
    timeout: Duration,
    is_over: bool,
}

impl<W: Waitable> AsCompleted<W> {
    /// Sets one deadline for all futures that are left. When it has passed, the iterator yields an error, and ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use concurrent_futures::{ThreadPoolExecutor, as_completed};
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let to_do = [1, 2, 3].map(|n| (n, threads.spawn(move || n * n)));
    /// for done in as_completed(to_do).deadline(Instant::now() + Duration::from_secs(60)) {
    ///     let (n, future) = done?;
    ///     assert_eq!(future.result()?, n * n);
    /// }
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn deadline(self, deadline: Instant) -> AsCompletedUntil<W> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        AsCompletedUntil { futures: self, deadline: Some(deadline), timeout, is_over: false }
    }

    /// Sets one time limit for all futures that are left together, counted from this call. A timeout too long for the clock
    /// is no limit. See [`deadline`](AsCompleted::deadline).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrent_futures::{as_completed, promise};
    ///
    /// let (_promise, never) = promise::<u8>();
    /// let mut completed = as_completed([never]).timeout(Duration::from_millis(1));
    /// let error = completed.next().unwrap().unwrap_err();
    /// assert_eq!(error.to_string(), "1 (of 1) futures unfinished after 1ms");
    /// assert!(completed.next().is_none());
    /// ```
    pub fn timeout(self, timeout: Duration) -> AsCompletedUntil<W> {
        AsCompletedUntil { futures: self, deadline: wait::deadline(Some(timeout)), timeout, is_over: false }
    }
}

impl<W: Waitable> AsCompletedUntil<W> {
    /// Returns the futures that were not yielded, as an iterator without a deadline.
    pub fn into_inner(self) -> AsCompleted<W> {
        self.futures
    }

    /// Returns the futures that were not yielded, in input order.
    pub fn into_unfinished(self) -> Vec<W> {
        self.futures.into_unfinished()
    }
}

impl<W: Waitable> Iterator for AsCompletedUntil<W> {
    type Item = Result<W, Timeout>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.futures.next_by(self.deadline, self.timeout) {
            Ok(future) => future.map(Ok),
            Err(timeout) => {
                self.is_over = true;
                Some(Err(timeout))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.is_over {
            return (0, Some(0));
        }
        let left = self.futures.len();
        (usize::from(left > 0), Some(left))
    }
}

impl<W: Waitable> FusedIterator for AsCompletedUntil<W> {}

impl<W: Waitable> fmt::Debug for AsCompletedUntil<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedUntil")
            .field("remaining", &self.futures.len())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
