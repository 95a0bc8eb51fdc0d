//! [`as_completed`]: futures in the order in which they are done.
#![forbid(unsafe_code)]

pub(crate) mod deadline;
pub(crate) mod queue;

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
#[cfg(feature = "stream")]
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::vec;

#[cfg(feature = "stream")]
use crate::blocking;
use crate::error::Timeout;
use crate::fork;
use crate::look::note_found;
use crate::task::listener::{Key, Listen, Listener, ListenerKey};
use crate::task::owner;
use crate::wait::hastened::Hastened;
use crate::wait::{Waitable, assert_not_itself, deadline, hasten, is_done};
use queue::CompletionQueue;

/// Yields futures as they become done: first those that are done already, then the others in completion order.
///
/// The futures may belong to several executors, and each may be paired with a key, as `(K, W)`. Each future is yielded
/// exactly once. `next` blocks until a future is done; [`timeout`](AsCompleted::timeout) limits the wait for all of them,
/// [`next_timeout`](AsCompleted::next_timeout) that for one. The total cost is linear in the number of futures.
///
/// # Panics
///
/// `next` panics in a callback if it would block, and in a task that waits for itself.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{ThreadPoolExecutor, as_completed};
///
/// let threads = ThreadPoolExecutor::new(2);
/// let to_do = ["IN", "BR"].map(|cc| (cc, threads.submit(str::to_lowercase, cc)));
/// for (cc, future) in as_completed(to_do) {
///     assert_eq!(future.result()?, cc.to_lowercase());
/// }
/// # Ok::<(), concurrent_futures::Error>(())
/// ```
pub fn as_completed<W: Waitable>(futures: impl IntoIterator<Item = W>) -> AsCompleted<W> {
    let handed_in: VecDeque<_> = futures.into_iter().map(Some).collect();
    // All are looked at before the first listener is registered, so that those that are done come first.
    let (mut were_done, mut open) = (Vec::new(), Vec::new());
    for (number, future) in handed_in.iter().flatten().enumerate() {
        let keys = if is_done(future) { &mut were_done } else { &mut open };
        keys.push(Key::of(number));
    }
    note_found(were_done.len());
    let total = handed_in.len();
    let all = AsCompleted {
        handed_in,
        first_key: 0,
        hastened: Hastened::default(),
        remaining: total,
        total,
        were_done: were_done.into_iter(),
        completions: CompletionQueue::new(),
        generation: fork::generation(),
    };
    open.into_iter().for_each(|key| all.listen(key));
    all
}

/// Yields futures in completion order. Made by [`as_completed`]. `len` returns how many are left.
///
/// Dropping it drops the futures that it still has, which detaches their tasks.
/// [`into_unfinished`](Self::into_unfinished) gives them back.
#[must_use = "futures come out only if it is iterated"]
pub struct AsCompleted<W: Waitable> {
    /// The futures by key; `None` for those that were yielded.
    handed_in: VecDeque<Option<W>>,
    /// The number of the front of `handed_in`.
    first_key: usize,
    /// How many of `handed_in` were hastened.
    hastened: Hastened,
    remaining: usize,
    total: usize,
    /// The keys of the futures that were done from the start, in input order. They do not go through `completions`.
    were_done: vec::IntoIter<Key>,
    /// The keys of the futures that became done since. Each is sent once.
    completions: CompletionQueue,
    /// The generation of the process that was last seen: threads of an earlier one no longer complete the futures.
    generation: u32,
}

impl<W: Waitable> AsCompleted<W> {
    fn listen(&self, key: Key) {
        if let Some(Some(future)) = self.handed_in.get(key.behind(self.first_key)) {
            let listener = Listener::Set(Arc::clone(self.completions.listener()) as _, key);
            if let Some(end) = future.awaited().0.listen(listener) {
                self.completions.listener().done(key, end);
            }
        }
    }

    /// Adds a future, which is yielded when it is done, after those that are done already.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{ThreadPoolExecutor, as_completed};
    ///
    /// let threads = ThreadPoolExecutor::new(2);
    /// let mut crawl = as_completed([threads.spawn(|| 3)]);
    /// let mut visited = 0;
    /// while let Some(page) = crawl.next() {
    ///     visited += 1;
    ///     let links = page.result()?;
    ///     if links > 0 {
    ///         crawl.push(threads.spawn(move || links - 1));
    ///     }
    /// }
    /// assert_eq!(visited, 4);
    /// # Ok::<(), concurrent_futures::Error>(())
    /// ```
    pub fn push(&mut self, future: W) {
        let key = Key::of(self.first_key + self.handed_in.len());
        self.handed_in.push_back(Some(future));
        self.remaining += 1;
        self.total += 1;
        self.listen(key);
    }

    /// Blocks until a future is done or the time is up. Returns `Ok(None)` when all have been yielded.
    ///
    /// For one limit for all futures, see [`timeout`](Self::timeout) and [`deadline`](Self::deadline).
    ///
    /// # Errors
    ///
    /// [`Timeout`], which says how many futures are not done, and the timeout of this call. The futures are kept, and
    /// can still be yielded. A zero timeout polls.
    ///
    /// # Panics
    ///
    /// If called in a callback and it would block.
    #[track_caller]
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<W>, Timeout> {
        if timeout.is_zero() && self.remaining > 0 {
            return match self.were_done.next().or_else(|| self.completions.try_take()) {
                Some(key) => Ok(self.take(key)),
                None => Err(self.timed_out(timeout)),
            };
        }
        self.next_until(deadline(Some(timeout))).map_err(|()| self.timed_out(timeout))
    }

    /// As [`next_timeout`](Self::next_timeout), with a deadline for which `timeout` is shown. Takes what is done, however
    /// late it is.
    #[track_caller]
    fn next_by(&mut self, deadline: Option<Instant>, timeout: Duration) -> Result<Option<W>, Timeout> {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return self.next_timeout(Duration::ZERO).map_err(|_| self.timed_out(timeout));
        }
        self.next_until(deadline).map_err(|()| self.timed_out(timeout))
    }

    #[track_caller]
    pub(crate) fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<W>, ()> {
        if self.remaining == 0 {
            return Ok(None);
        }
        if let Some(key) = self.were_done.next().or_else(|| self.completions.look(deadline)) {
            return Ok(self.take(key));
        }
        if self.generation != fork::generation() {
            self.generation = fork::generation();
            self.end_lost();
            return self.next_until(deadline);
        }
        owner::assert_may_block();
        if deadline.is_none() && owner::current().is_some() {
            assert_not_itself(self.unfinished());
        }
        self.hasten();
        match self.completions.sleep(deadline) {
            Some(key) => Ok(self.take(key)),
            None => Err(()),
        }
    }

    /// Has workers run first what this worker is about to wait for.
    fn hasten(&mut self) {
        if let Some((added, owner)) = self.hastened.take_added(&self.handed_in, self.first_key) {
            hasten(added, &owner);
        }
    }

    /// Takes the next future that is done, or has the task woken when there is one.
    #[cfg(feature = "stream")]
    pub(crate) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<W>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        if self.generation != fork::generation() {
            self.generation = fork::generation();
            self.end_lost();
        }
        if let Some(key) = self.were_done.next() {
            blocking::note_poll();
            return Poll::Ready(self.take(key));
        }
        self.hasten();
        self.completions.poll(context).map(|key| self.take(key))
    }

    /// Looks at every future. Doing so ends the tasks that were lost in a fork of the process, so that their futures
    /// are yielded.
    fn end_lost(&self) {
        for future in self.unfinished() {
            is_done(future);
        }
    }

    fn take(&mut self, key: Key) -> Option<W> {
        let future = self.handed_in.get_mut(key.behind(self.first_key))?.take();
        self.remaining -= 1;
        while let Some(None) = self.handed_in.front() {
            self.handed_in.pop_front();
            self.first_key += 1;
        }
        future
    }

    fn timed_out(&self, after: Duration) -> Timeout {
        let unfinished = self.handed_in.iter().flatten().filter(|future| !is_done(*future)).count();
        Timeout::new(unfinished, self.total, after)
    }

    /// Returns the futures that were not yielded, in input order.
    pub fn into_unfinished(mut self) -> Vec<W> {
        self.leave();
        self.remaining = 0;
        std::mem::take(&mut self.handed_in).into_iter().flatten().collect()
    }

    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &W> {
        self.handed_in.iter().flatten()
    }

    fn leave(&self) {
        for (at, future) in self.handed_in.iter().enumerate() {
            if let Some(future) = future {
                let key = ListenerKey::in_set(self.completions.listener(), Key::of(self.first_key + at));
                future.awaited().0.unlisten(key);
            }
        }
    }
}

impl<W: Waitable> Iterator for AsCompleted<W> {
    type Item = W;

    #[track_caller]
    fn next(&mut self) -> Option<W> {
        self.next_until(None).ok().flatten()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl<W: Waitable> ExactSizeIterator for AsCompleted<W> {}
impl<W: Waitable> FusedIterator for AsCompleted<W> {}

impl<W: Waitable> Drop for AsCompleted<W> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<W: Waitable> fmt::Debug for AsCompleted<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Waker};
    use std::time::{Duration, Instant};

    use super::as_completed;
    use crate::future::promise::promise;
    use crate::{ReturnWhen, wait};

    #[test]
    fn unfinished_futures_that_are_returned_have_no_listener() {
        let (mut promises, futures): (Vec<_>, Vec<_>) = (0..4).map(|_| promise::<u8>()).unzip();
        let mut all = as_completed(futures);
        let listener = Arc::downgrade(all.completions.listener());
        assert!(promises.remove(0).complete(Ok(1)));
        assert!(all.next().is_some());
        let rest = all.into_unfinished();
        assert_eq!(rest.len(), 3);
        assert!(listener.upgrade().is_none());
        let all = as_completed(&rest);
        let listener = Arc::downgrade(all.completions.listener());
        drop(all);
        assert!(listener.upgrade().is_none());
    }

    #[test]
    fn handles_on_one_shared_future_cost_no_search_for_each_other() {
        // A search among all of them for each would take minutes.
        const MANY: usize = 200_000;
        const LONG: Duration = Duration::from_secs(60);
        let begin = Instant::now();
        let (_promise, future) = promise::<u8>();
        let shared = future.share();
        let handles: Vec<_> = (0..MANY).map(|_| shared.clone()).collect();
        let others = as_completed(&handles);
        let waited = wait(&handles, Duration::from_nanos(1), ReturnWhen::FirstCompleted);
        assert_eq!(waited.not_done.len(), MANY);
        drop(others);
        let mut awaits: Vec<_> = handles.iter().map(|handle| Box::pin(handle.into_future())).collect();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert!(awaits.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
        }
        drop(awaits);
        assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
    }
}
