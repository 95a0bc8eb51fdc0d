//! [`AsCompletedStream`] and [`MapUnorderedStream`]: what is done, for async code.
//!
//! They are types of their own, because a type that is an iterator and a stream has two methods called `next`.
#![forbid(unsafe_code)]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use crate::completed::AsCompleted;
use crate::error::Outcome;
use crate::map::MapUnordered;
use crate::wait::Waitable;

/// Yields futures in completion order. Made by [`AsCompleted::into_stream`].
///
/// Dropping it drops the futures that it still has, which detaches their tasks.
#[must_use = "futures come out only if it is polled"]
pub struct AsCompletedStream<W: Waitable>(AsCompleted<W>);

impl<W: Waitable> AsCompleted<W> {
    /// Makes a stream of the futures that are left: `.next().await` does not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, ThreadPoolExecutor, as_completed};
    /// use smol::stream::StreamExt;
    /// # fn block_on<F: Future>(future: F) -> F::Output { smol::block_on(future) }
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let to_do = [1, 2, 3].map(|n| (n, threads.submit(|n: u64| n * n, n)));
    /// let sum = block_on(async {
    ///     let (mut done, mut sum) = (as_completed(to_do).into_stream(), 0);
    ///     while let Some((n, future)) = done.next().await {
    ///         println!("{n} is done");
    ///         sum += future.await?;
    ///     }
    ///     Ok::<_, Error>(sum)
    /// });
    /// assert_eq!(sum?, 14);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn into_stream(self) -> AsCompletedStream<W> {
        AsCompletedStream(self)
    }
}

impl<W: Waitable> AsCompletedStream<W> {
    /// Adds a future, which is yielded when it is done, after those that are done already.
    pub fn push(&mut self, future: W) {
        self.0.push(future);
    }

    /// Returns the futures that were not yielded, in input order.
    pub fn into_unfinished(self) -> Vec<W> {
        self.0.into_unfinished()
    }
}

impl<W: Waitable + Unpin> Stream for AsCompletedStream<W> {
    type Item = W;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<W>> {
        self.0.poll_next(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<W: Waitable + Unpin> FusedStream for AsCompletedStream<W> {
    fn is_terminated(&self) -> bool {
        self.0.len() == 0
    }
}

impl<W: Waitable> fmt::Debug for AsCompletedStream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsCompletedStream").field(&self.0).finish()
    }
}

/// Yields `(input position, outcome)` of each item as it is done. Made by [`MapUnordered::into_stream`].
///
/// Dropping it cancels the items that have not started. The input is pulled while this is polled, so it should not
/// block; with a `max_pending`, submitting an item may block too. At the end of a
/// [`timeout`](crate::MapOptions::timeout), a thread that sleeps until then wakes the task that polls this.
#[must_use = "dropping a map cancels what has not started"]
pub struct MapUnorderedStream<'e, I: Iterator, R>(MapUnordered<'e, I, R>);

impl<'e, I: Iterator, R> MapUnordered<'e, I, R> {
    /// Makes a stream of the outcomes that are left: `.next().await` does not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, Executor, ThreadPoolExecutor};
    /// use smol::stream::StreamExt;
    /// # fn block_on<F: Future>(future: F) -> F::Output { smol::block_on(future) }
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let total = block_on(async {
    ///     let mut squares = threads.map_unordered(|n: u64| n * n, 1..=3).into_stream();
    ///     let mut total = 0;
    ///     while let Some((_, square)) = squares.next().await {
    ///         total += square?;
    ///     }
    ///     Ok::<_, Error>(total)
    /// });
    /// assert_eq!(total?, 14);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn into_stream(self) -> MapUnorderedStream<'e, I, R> {
        MapUnorderedStream(self)
    }
}

impl<I: Iterator + Unpin, R: Unpin> Stream for MapUnorderedStream<'_, I, R> {
    type Item = (usize, Outcome<R>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: Iterator, R> fmt::Debug for MapUnorderedStream<'_, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapUnorderedStream").field(&self.0).finish()
    }
}
