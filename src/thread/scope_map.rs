//! Maps in a [`Scope`], whose items, results and function may borrow.
//!
//! The items of such a map are all there before it begins, so they are divided up front into chunks, each a task of the
//! scope. There are several chunks for each worker, so that a worker with quick items takes over from one with slow
//! items. With a time limit, each item is a chunk of its own.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::scope::Scope;
use crate::completed::{AsCompleted, as_completed};
use crate::error::{BoxError, Error, Outcome};
use crate::future::Future;
use crate::task::function::{caught, outcome};

/// How many chunks there are for each worker, if there are as many items.
const CHUNKS: usize = 16;

/// The place of a chunk in the input.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    length: usize,
}

/// A chunk, and its task.
type Chunk<R> = (Span, Future<Vec<Outcome<R>>>);

/// Yields the outcome of each item in input order. Made by [`Scope::map`].
///
/// `next` blocks until the next outcome is available. Dropping the iterator cancels the items that have not started.
#[must_use = "dropping a map cancels what has not started"]
pub struct ScopedMap<R> {
    chunks: VecDeque<Chunk<R>>,
    ready: std::vec::IntoIter<Outcome<R>>,
    stop: Arc<AtomicBool>,
}

/// Yields `(input position, outcome)` of each item as its chunk is done. Made by [`Scope::map_unordered`].
///
/// `next` blocks until an outcome is available. Dropping the iterator cancels the items that have not started.
#[must_use = "dropping a map cancels what has not started"]
pub struct ScopedMapUnordered<R> {
    chunks: AsCompleted<Chunk<R>>,
    ready: (usize, std::vec::IntoIter<Outcome<R>>),
    stop: Arc<AtomicBool>,
}

impl<'scope> Scope<'scope, '_> {
    /// Calls `function` on every item, and yields the outcomes in input order. Items, results and function may borrow
    /// what outlives the scope.
    ///
    /// Pulls all items before it returns. The workers run them in chunks, in input order: there are several chunks for
    /// each worker, and the outcomes of a chunk come together. So an item should not wait for another one; use
    /// [`spawn`](Scope::spawn) for those that do. With a time limit, each item is a task of its own. An item that fails
    /// yields an `Err`; the others still run.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let words = vec![String::from("to"), String::from("wait")];
    /// let lengths: Vec<usize> =
    ///     threads.scope(|scope| scope.map(|word: &String| word.len(), &words).collect::<Result<_, _>>())?;
    /// assert_eq!(lengths, [2, 4]);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn map<I, F, R>(&'scope self, function: F, items: I) -> ScopedMap<R>
    where
        I: IntoIterator<Item: Send + 'scope>,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        let (chunks, stop) = self.chunks(move |item| Ok(function(item)), items);
        ScopedMap { chunks: chunks.into(), ready: Vec::new().into_iter(), stop }
    }

    /// Calls a function that returns `Result` on every item, and yields the outcomes in input order. Otherwise the same
    /// as [`map`](Scope::map).
    pub fn try_map<I, F, R, E>(&'scope self, function: F, items: I) -> ScopedMap<R>
    where
        I: IntoIterator<Item: Send + 'scope>,
        F: Fn(I::Item) -> Result<R, E> + Send + Sync + 'scope,
        R: Send + 'scope,
        E: Into<BoxError>,
    {
        let (chunks, stop) = self.chunks(move |item| outcome(function(item)), items);
        ScopedMap { chunks: chunks.into(), ready: Vec::new().into_iter(), stop }
    }

    /// Calls `function` on every item, and yields `(input position, outcome)` as the chunks are done. Otherwise the same
    /// as [`map`](Scope::map).
    pub fn map_unordered<I, F, R>(&'scope self, function: F, items: I) -> ScopedMapUnordered<R>
    where
        I: IntoIterator<Item: Send + 'scope>,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        let (chunks, stop) = self.chunks(move |item| Ok(function(item)), items);
        ScopedMapUnordered { chunks: as_completed(chunks), ready: (0, Vec::new().into_iter()), stop }
    }

    fn chunks<I, F, R>(&'scope self, function: F, items: I) -> (Vec<Chunk<R>>, Arc<AtomicBool>)
    where
        I: IntoIterator<Item: Send + 'scope>,
        F: Fn(I::Item) -> Outcome<R> + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        let (function, stop) = (Arc::new(function), Arc::new(AtomicBool::new(false)));
        let mut items = items.into_iter().collect::<Vec<_>>().into_iter();
        let length = match self.takes_only_tasks() {
            true => 1,
            false => items.len().div_ceil(CHUNKS.saturating_mul(self.max_workers())).max(1),
        };
        let mut chunks = Vec::with_capacity(items.len().div_ceil(length));
        let mut first = 0;
        while items.len() > 0 {
            let chunk: Vec<_> = items.by_ref().take(length).collect();
            let span = Span { first, length: chunk.len() };
            first += chunk.len();
            let (function, stop) = (Arc::clone(&function), Arc::clone(&stop));
            let run = move || chunk.into_iter().map(|item| run(&*function, item, &stop)).collect();
            chunks.push((span, self.spawn(run)));
        }
        (chunks, stop)
    }
}

/// Runs an item, unless the map was dropped.
fn run<A, R>(function: &impl Fn(A) -> Outcome<R>, item: A, stop: &AtomicBool) -> Outcome<R> {
    if stop.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { caught(|| function(item)) }
}

/// Returns the outcomes of the items of a chunk.
fn outcomes<R>((span, future): Chunk<R>) -> std::vec::IntoIter<Outcome<R>> {
    let outcomes = future.result().unwrap_or_else(|error| (0..span.length).map(|_| Err(error.clone())).collect());
    outcomes.into_iter()
}

impl<R> Iterator for ScopedMap<R> {
    type Item = Outcome<R>;

    #[track_caller]
    fn next(&mut self) -> Option<Outcome<R>> {
        loop {
            if let Some(outcome) = self.ready.next() {
                return Some(outcome);
            }
            self.ready = outcomes(self.chunks.pop_front()?);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ready.len() + self.chunks.iter().map(|(span, _)| span.length).sum::<usize>();
        (left, Some(left))
    }
}

impl<R> ExactSizeIterator for ScopedMap<R> {}
impl<R> FusedIterator for ScopedMap<R> {}

impl<R> Drop for ScopedMap<R> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (_, future) in &self.chunks {
            future.cancel();
        }
    }
}

impl<R> fmt::Debug for ScopedMap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedMap").field("left", &self.len()).finish_non_exhaustive()
    }
}

impl<R> Iterator for ScopedMapUnordered<R> {
    type Item = (usize, Outcome<R>);

    #[track_caller]
    fn next(&mut self) -> Option<(usize, Outcome<R>)> {
        loop {
            let (position, ready) = &mut self.ready;
            if let Some(outcome) = ready.next() {
                let at = *position;
                *position += 1;
                return Some((at, outcome));
            }
            let chunk = self.chunks.next()?;
            self.ready = (chunk.0.first, outcomes(chunk));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ready.1.len() + self.chunks.unfinished().map(|(span, _)| span.length).sum::<usize>();
        (left, Some(left))
    }
}

impl<R> ExactSizeIterator for ScopedMapUnordered<R> {}
impl<R> FusedIterator for ScopedMapUnordered<R> {}

impl<R> Drop for ScopedMapUnordered<R> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (_, future) in self.chunks.unfinished() {
            future.cancel();
        }
    }
}

impl<R> fmt::Debug for ScopedMapUnordered<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedMapUnordered").field("left", &self.len()).finish_non_exhaustive()
    }
}
