//! [`LocalItems`]: items of a map that threads take one by one.
//!
//! A task for each item would cost an allocation, two acquisitions of the pool's lock and several of the task's. Here a
//! task of the pool, a *map worker*, takes one item after the other from the [ranges](Range) until none is left. An
//! item then costs one acquisition of a lock that is mostly uncontended.
//!
//! # Guarantees, the same as with a task for each item
//!
//! - An item does not wait for an item taken before it, however long that runs: until it has begun, a map worker that
//!   finds no fresh range can take it from its range. So the work is divided down to single items, and items that wait
//!   for each other meet.
//! - Invariant: *while an item is not taken, a map worker is coming: it is in the pool's queue, or about to be.* A map
//!   worker that begins clears `is_coming`, hands over the items that were held back for it, and, if an item is not
//!   taken, sends the next map worker before it runs an item. So there are as many map workers as the pool has workers
//!   for, including those that stand in for blocked ones.
//! - An outcome is visible before its worker begins the next item.
//! - The pool keeps the order of submission. A map worker has the ticket of the items that it is sent for, and takes no
//!   items that are behind a task in the queue: it ends, so that its worker runs that task, and sends another map
//!   worker, which keeps the place of the items.
//!
//! # Locks
//!
//! Lock order: the input buffer's, then the queue's, then a range's. The pool's lock is taken with none of them held.
//! No user code runs under any of them.
//!
//! The guarantees depend on the order of steps in all methods, so these are in one file.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::vec;

use super::range::{Collect, Items, Range};
use super::source::{FollowUp, InputBuffer, SharedItems};
use crate::error::{Error, Outcome};
use crate::id::FutureId;
use crate::look::let_accumulate;
use crate::options::TaskOptions;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;
use crate::task::call::Call;
use crate::task::function::caught;
use crate::task::owner::{Ended, Shared, Sharing};
use crate::task::roles::TaskOwner;
use crate::task::trace::{Caller, in_scope_of};
use crate::task::{Runnable, TaskHandle, new_task};
use crate::ticket::Ticket;
use crate::unwind::{Caught, drop_caught};

/// The maximum number of items in a range.
const MOST: usize = 1024;

/// An item that takes less time than this costs less than sharing the lock of a range.
const QUICK: Duration = Duration::from_micros(1);

impl<A> Items for vec::IntoIter<A> {
    fn count(&self) -> usize {
        self.len()
    }

    fn nothing() -> Self {
        Vec::new().into_iter()
    }

    fn drop_caught(self) {
        // One by one: two drops that panic together would end the process.
        self.for_each(drop_caught);
    }

    fn split(&mut self) -> Option<Self> {
        if self.len() < 2 {
            return None;
        }
        let mut all: Vec<A> = std::mem::take(self).collect();
        let later = all.split_off(all.len().div_ceil(2));
        *self = all.into_iter();
        Some(later.into_iter())
    }
}

type LocalRange<A, R> = Range<vec::IntoIter<A>, R>;

impl<A, R> LocalRange<A, R> {
    /// Runs one item after the other until none is left to take. Returns the counts not yet reported to the pool.
    fn work(&self, call: &impl Fn(A) -> Outcome<R>) -> Ended {
        let mut made = None;
        loop {
            // One acquisition of the lock for each item: before the next item begins, which may take arbitrarily long,
            // the outcome is visible, and the remaining items can be taken by others or called off.
            match self.turn(made.take(), vec::IntoIter::next) {
                Ok((position, item)) => made = Some((position, caught(|| call(item)))),
                Err(ended) => return ended,
            }
        }
    }
}

pub(crate) struct LocalItems<A, R> {
    owner: Arc<dyn Sharing>,
    /// Makes the task of a map worker.
    worker: Box<dyn Fn(Arc<Self>) -> Arc<dyn Runnable> + Send + Sync>,
    input: InputBuffer<A, R>,
    queue: Mutex<RangeQueue<A, R>>,
    /// A map worker is in the pool's queue, or about to be, and will look into the input buffer before it runs
    /// anything. Written under the lock of the queue. A caller reads it under the lock of the input buffer, which the
    /// worker takes after it has written.
    is_coming: AtomicBool,
    me: Weak<Self>,
}

/// A range, and the ticket of when its items were pulled.
type Ticketed<A, R> = (Ticket, Arc<LocalRange<A, R>>);

struct RangeQueue<A, R> {
    /// Ranges of which no item was taken, in input order.
    fresh: VecDeque<Ticketed<A, R>>,
    /// Ranges that were begun, and may have items that are not taken. They are before the fresh ones.
    open: Vec<Ticketed<A, R>>,
    /// The map worker that is coming, once it was sent to the pool's queue. Set by `recruit`; cleared when it begins,
    /// ends without running, or is called off.
    sent: Option<(FutureId, Weak<dyn Runnable>)>,
}

impl<A, R> RangeQueue<A, R> {
    /// Returns the ticket of the first item that is not taken, if there is one.
    fn earliest(&self) -> Option<Ticket> {
        let open = self.open.iter().find(|(_, range)| range.pending() > 0);
        open.or(self.fresh.front()).map(|(ticket, _)| *ticket)
    }
}

/// The call of a map worker. The pool counts the items it runs, not the task itself.
struct MapWorker<F, A, R> {
    items: Arc<LocalItems<A, R>>,
    function: Arc<Caught<F>>,
}

impl<F, A, R> Call<()> for MapWorker<F, A, R>
where
    F: Fn(A) -> Outcome<R> + Send + Sync,
    A: Send + 'static,
    R: Send + 'static,
{
    const COUNTS: bool = false;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<()> {
        self.items.work(&**self.function);
        Ok(())
    }
}

impl<A: Send + 'static, R: Send + 'static> LocalItems<A, R> {
    /// Makes items that threads of `owner` run by calling `function`.
    pub(crate) fn new(
        owner: Arc<dyn Sharing>,
        options: Option<Arc<TaskOptions>>,
        function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
    ) -> Arc<Self> {
        // Whoever drops the last reference to it is in the middle of something.
        let function = Arc::new(Caught::new(function));
        // The next map worker is made by the one before it, on another thread.
        let caller = Caller::here();
        let worker = move |items: Arc<Self>| -> Arc<dyn Runnable> {
            let owner: Arc<dyn TaskOwner> = Arc::clone(&items.owner) as _;
            let work = MapWorker { items: Arc::clone(&items), function: Arc::clone(&function) };
            let new_task = || new_task(Some(work), options.clone(), owner.into());
            let task: Arc<dyn TaskHandle<()>> = in_scope_of(caller.as_ref(), new_task);
            let id = task.id();
            task.add_callback(Box::new(move |outcome| {
                if let Err(error) = outcome {
                    items.worker_lost(id, error);
                }
            }));
            task.detach();
            task
        };
        let queue = RangeQueue { fresh: VecDeque::new(), open: Vec::new(), sent: None };
        let items = Arc::new_cyclic(|me| Self {
            owner,
            worker: Box::new(worker),
            input: InputBuffer::new(MOST),
            queue: Mutex::new(queue),
            is_coming: AtomicBool::new(false),
            me: me.clone(),
        });
        items.owner.enlist(Arc::downgrade(&items) as _);
        items
    }

    /// Runs items until none is left, or the remaining ones are behind a task in the queue.
    fn work(&self, function: &impl Fn(A) -> Outcome<R>) {
        self.begin();
        let mut finished = None;
        loop {
            while let Some(range) = self.next_range(finished.take()) {
                self.recruit();
                self.owner.add(range.work(function));
                finished = Some(range);
            }
            if self.earliest().is_none() {
                // New items may arrive meanwhile.
                let_accumulate();
            }
            let has_come = self.input.flush(self);
            match self.earliest() {
                None if has_come => {}
                None => return,
                Some(ticket) if self.owner.has_earlier(ticket) => return self.recruit(),
                Some(_) => {}
            }
        }
    }

    /// Notes that the map worker has begun. The order matters: it clears `is_coming` and then flushes the input buffer,
    /// so it finds every item that was held back for it.
    fn begin(&self) {
        let mut queue = self.queue.lock();
        self.is_coming.store(false, Ordering::Relaxed);
        queue.sent = None;
        drop(queue);
        self.input.flush(self);
    }

    fn earliest(&self) -> Option<Ticket> {
        self.queue.lock().earliest()
    }

    /// Returns a range to take items from, if it is not behind a task in the queue.
    fn next_range(&self, finished: Option<Arc<LocalRange<A, R>>>) -> Option<Arc<LocalRange<A, R>>> {
        let is_due = |(ticket, _): &Ticketed<A, R>| !self.owner.has_earlier(*ticket);
        let mut queue = self.queue.lock();
        if let Some(finished) = &finished {
            queue.open.retain(|(_, range)| !Arc::ptr_eq(range, finished));
        }
        if queue.fresh.front().is_some_and(is_due)
            && let Some((ticket, range)) = queue.fresh.pop_front()
        {
            queue.open.push((ticket, Arc::clone(&range)));
            return Some(range);
        }
        // Items of these ranges may still run for long, so the counts of those that have ended are reported now.
        queue.open.retain(|(_, range)| range.spent().map(|ended| self.owner.add(ended)).is_none());
        // The oldest range, whose outcomes are collected before those of the others.
        let (ticket, oldest) = queue.open.first().filter(|range| is_due(range))?;
        let Some(part) = oldest.split(QUICK) else { return Some(Arc::clone(oldest)) };
        let ticket = *ticket;
        queue.open.insert(1, (ticket, Arc::clone(&part)));
        Some(part)
    }

    /// Sends a map worker if an item is not taken and no map worker is coming.
    fn recruit(&self) {
        let Some(me) = self.me.upgrade() else { return };
        let queue = self.queue.lock();
        let Some(ticket) = queue.earliest().filter(|_| !self.is_coming.load(Ordering::Relaxed)) else { return };
        self.is_coming.store(true, Ordering::Relaxed);
        drop(queue);
        let worker = (self.worker)(me);
        let mut queue = self.queue.lock();
        let is_called_off = !self.is_coming.load(Ordering::Relaxed);
        if !is_called_off && queue.sent.is_none() {
            queue.sent = Some((worker.id(), Arc::downgrade(&worker)));
            drop(queue);
            self.owner.push(worker, ticket);
        } else if is_called_off {
            drop(queue);
            // All queued items were called off, but not those that the caller has since held back because a map worker
            // was coming.
            self.input.flush(self);
        }
    }

    /// Handles a map worker that will not come, because none can, or because everything was called off meanwhile. The
    /// items that it was for end with the same error.
    fn worker_lost(&self, worker: FutureId, error: &Error) {
        let mut queue = self.queue.lock();
        let is_awaited = queue.sent.as_ref().is_some_and(|(sent, _)| *sent == worker);
        if is_awaited {
            self.is_coming.store(false, Ordering::Relaxed);
            queue.sent = None;
        }
        drop(queue);
        if is_awaited {
            self.call_off(error);
        }
        self.input.flush(self);
    }
}

impl<A: Send + 'static, R: Send + 'static> SharedItems<A, R> for LocalItems<A, R> {
    fn input(&self) -> &InputBuffer<A, R> {
        &self.input
    }

    fn admit(&self) -> Result<Ticket, Error> {
        self.owner.admit()
    }

    fn may_hold_back(&self) -> bool {
        self.is_coming.load(Ordering::Relaxed)
    }

    fn take_in(&self, items: Vec<A>, ticket: Ticket) -> (Box<dyn Collect<R>>, FollowUp<'_>) {
        let range = Arc::new(Range::new(items.into_iter()));
        self.queue.lock().fresh.push_back((ticket, Arc::clone(&range)));
        (Box::new(range), Box::new(|| self.recruit()))
    }

    fn dismiss(&self) {
        self.call_off(&Error::Cancelled);
    }
}

impl<A: Send + 'static, R: Send + 'static> Shared for LocalItems<A, R> {
    fn progress(&self) -> (isize, Ended) {
        let held_back = self.input.count().cast_signed();
        let queue = self.queue.lock();
        let mut pending = held_back - isize::from(self.is_coming.load(Ordering::Relaxed));
        let mut ended = Ended::default();
        for (_, range) in queue.fresh.iter().chain(&queue.open) {
            let (more, also) = range.progress();
            pending += more.cast_signed();
            ended += also;
        }
        (pending, ended)
    }

    fn call_off(&self, error: &Error) -> usize {
        self.input.call_off(error) + LocalItems::call_off(self, error)
    }
}

impl<A, R> LocalItems<A, R> {
    /// Ends the items that are not taken, and returns their number. A map worker that was coming for them is cancelled.
    fn call_off(&self, error: &Error) -> usize {
        let mut queue = self.queue.lock();
        let (fresh, open) = (std::mem::take(&mut queue.fresh), std::mem::take(&mut queue.open));
        self.is_coming.store(false, Ordering::Relaxed);
        let sent = queue.sent.take();
        drop(queue);
        if let Some(worker) = sent.and_then(|(_, worker)| worker.upgrade()) {
            worker.cancel();
        }
        let call_off = |(_, range): &Ticketed<A, R>| {
            let count = range.call_off(error);
            self.owner.add(range.spent().unwrap_or_default());
            count
        };
        fresh.iter().chain(&open).map(call_off).sum()
    }
}
