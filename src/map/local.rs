//! [`LocalItems`]: threads that help themselves to the items of a map.
//!
//! A task for each item costs an allocation, two turns of the pool's lock and several of the task's. Here a task of the pool, a *hand*,
//! takes one item after the other from the [blocks](Range) until none is left. That is per item one turn of a lock that is mostly
//! its own.
//!
//! # What stays as it is with a task an item
//!
//! - An item waits for none that was taken before it, however long that runs: it can be taken from its block as long as it has not begun,
//!   by a hand that finds no fresh block. So the work is divided down to the item, and items that wait for each other meet.
//! - *As long as an item is not taken, a hand is in the pool's queue, or about to be there.* A hand that begins says that it has left
//!   the queue, and sends the next one if it leaves anything. So there are as many as the pool has workers for, those counted that come
//!   for others that are blocked.
//! - An outcome is there to be seen before its worker begins the next item.
//! - The pool runs first what came first. A hand has the ticket of the items that it is for, and takes none that are behind a task in the
//!   queue: it goes, so that its worker runs that, and sends another one, whose turn is then.
//!
//! # Locks
//!
//! The input buffer's first, then the queue's, then a block's. The pool's with none of them. No user code under any.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::vec;

use super::range::{Collect, Items, Range};
use super::source::{FollowUp, InputBuffer, SharedItems};
use crate::error::{Error, Outcome};
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::sync::atomic::AtomicUsize;
use crate::sync::{Mutex, YIELDS, thread};
use crate::task::call::Call;
use crate::task::function::caught;
use crate::task::owner::{Ended, Shared, Sharing};
use crate::task::{Runnable, TaskHandle, new_task};
use crate::ticket::Ticket;
use crate::unwind::drop_caught;

/// How many items a block has at most.
const MOST: usize = 256;

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
}

type LocalRange<A, R> = Range<vec::IntoIter<A>, R>;

impl<A, R> LocalRange<A, R> {
    /// Runs one item after the other until none is left to take. How those went of which the pool was not told.
    fn work(&self, call: &impl Fn(A) -> Outcome<R>) -> Ended {
        let mut made = None;
        loop {
            // One turn of the lock an item: an outcome is there to be seen, and what was not begun to be taken by others or called off,
            // before the next item begins, which may take as long as it likes.
            match self.turn(made.take(), vec::IntoIter::next) {
                Ok((position, item)) => made = Some((position, caught(|| call(item)))),
                Err(ended) => return ended,
            }
        }
    }
}

pub(crate) struct LocalItems<A, R> {
    owner: Arc<dyn Sharing>,
    /// Makes the task that is a hand.
    hand: Box<dyn Fn(Arc<Self>) -> Arc<dyn Runnable> + Send + Sync>,
    input: InputBuffer<A, R>,
    queue: Mutex<RangeQueue<A, R>>,
    /// How many items are at work, or were sent.
    engaged: AtomicUsize,
    me: Weak<Self>,
}

/// A block, and when it came.
type Ticketed<A, R> = (Ticket, Arc<LocalRange<A, R>>);

struct RangeQueue<A, R> {
    /// Blocks that nobody has begun.
    fresh: VecDeque<Ticketed<A, R>>,
    /// Blocks that were begun, and may have items that nobody has taken. They are earlier than those.
    open: Vec<Ticketed<A, R>>,
    /// A hand is in the pool's queue, or about to be.
    is_coming: bool,
    /// Which it is, once it was sent there.
    sent: Option<(FutureId, Weak<dyn Runnable>)>,
}

impl<A, R> RangeQueue<A, R> {
    /// The ticket of the first item that nobody has taken, if there is one.
    fn earliest(&self) -> Option<Ticket> {
        let open = self.open.iter().find(|(_, block)| block.pending() > 0);
        open.or(self.fresh.front()).map(|(ticket, _)| *ticket)
    }
}

/// A task of the pool that runs what it finds. The calls count in its place.
struct MapWorker<F, A, R> {
    items: Arc<LocalItems<A, R>>,
    function: Arc<F>,
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
        self.items.work(&*self.function);
        Ok(())
    }
}

impl<A: Send + 'static, R: Send + 'static> LocalItems<A, R> {
    /// Makes one of threads of `owner`, which call `function`.
    pub(crate) fn new(
        owner: Arc<dyn Sharing>,
        options: Option<Arc<TaskOptions>>,
        function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let function = Arc::new(function);
        let hand = move |items: Arc<Self>| -> Arc<dyn Runnable> {
            let owner = Arc::clone(&items.owner);
            let hand = MapWorker { items: Arc::clone(&items), function: Arc::clone(&function) };
            let task: Arc<dyn TaskHandle<()>> = new_task(Some(hand), options.clone(), Some(owner));
            let id = task.id();
            task.add_callback(Box::new(move |outcome| {
                if let Err(error) = outcome {
                    items.drop_unobserved(id, error);
                }
            }));
            task.detach();
            task
        };
        let queue = RangeQueue { fresh: VecDeque::new(), open: Vec::new(), is_coming: false, sent: None };
        let items = Arc::new_cyclic(|me| Self {
            owner,
            hand: Box::new(hand),
            input: InputBuffer::default(),
            queue: Mutex::new(queue),
            engaged: AtomicUsize::new(0),
            me: me.clone(),
        });
        items.owner.enlist(Arc::downgrade(&items) as _);
        items
    }

    /// What a hand does.
    fn work(&self, function: &impl Fn(A) -> Outcome<R>) {
        self.begin();
        let mut finished = None;
        loop {
            while let Some(block) = self.next_block(finished.take()) {
                self.recruit();
                self.owner.add(block.work(function));
                finished = Some(block);
            }
            if self.earliest().is_none() {
                // Meanwhile there may be more than one.
                for _ in 0..YIELDS {
                    thread::yield_now();
                }
            }
            // The order matters: a caller that saw this hand engaged left its pulled items to it, so they are flushed after the count
            // goes down. The caller may also have flushed them itself; this worker may be the last one of a closed pool.
            self.engaged.fetch_sub(1, Ordering::Relaxed);
            let has_come = self.input.flush(self);
            match self.earliest() {
                None if has_come => {}
                None => return,
                Some(ticket) if self.owner.has_earlier(ticket) => return self.recruit(),
                Some(_) => {}
            }
            self.engaged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A hand has come.
    fn begin(&self) {
        let mut queue = self.queue.lock();
        queue.is_coming = false;
        queue.sent = None;
    }

    fn earliest(&self) -> Option<Ticket> {
        self.queue.lock().earliest()
    }

    /// Takes a block whose turn it is.
    fn next_block(&self, finished: Option<Arc<LocalRange<A, R>>>) -> Option<Arc<LocalRange<A, R>>> {
        let is_due = |(ticket, _): &Ticketed<A, R>| !self.owner.has_earlier(*ticket);
        let mut queue = self.queue.lock();
        if let Some(finished) = &finished {
            queue.open.retain(|(_, block)| !Arc::ptr_eq(block, finished));
        }
        if queue.fresh.front().is_some_and(is_due)
            && let Some((ticket, block)) = queue.fresh.pop_front()
        {
            queue.open.push((ticket, Arc::clone(&block)));
            return Some(block);
        }
        // What runs of the others may take long: of those that have ended the pool hears now.
        queue.open.retain(|(_, block)| block.spent().map(|ended| self.owner.add(ended)).is_none());
        // The oldest, which is collected before the others.
        let oldest = queue.open.first().filter(|block| is_due(block));
        oldest.map(|(_, block)| Arc::clone(block))
    }

    /// Sends a hand, if there is something that nobody has taken and none is on the way.
    fn recruit(&self) {
        let Some(me) = self.me.upgrade() else { return };
        let mut queue = self.queue.lock();
        let Some(ticket) = queue.earliest().filter(|_| !queue.is_coming) else { return };
        queue.is_coming = true;
        drop(queue);
        let hand = (self.hand)(me);
        let mut queue = self.queue.lock();
        // Else all was called off meanwhile, or another one has been sent for what came since.
        if queue.is_coming && queue.sent.is_none() {
            queue.sent = Some((hand.id(), Arc::downgrade(&hand)));
            drop(queue);
            self.engaged.fetch_add(1, Ordering::Relaxed);
            self.owner.push(hand, ticket);
        }
    }

    /// A hand will not come, because none can, or because all was called off meanwhile. What it was for has the same error.
    fn drop_unobserved(&self, hand: FutureId, error: &Error) {
        self.engaged.fetch_sub(1, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        let is_awaited = queue.sent.as_ref().is_some_and(|(sent, _)| *sent == hand);
        if is_awaited {
            queue.is_coming = false;
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
    fn most(&self) -> usize {
        MOST
    }

    fn input(&self) -> &InputBuffer<A, R> {
        &self.input
    }

    fn refusal(&self) -> Option<Error> {
        self.owner.refuses_all()
    }

    fn is_engaged(&self) -> bool {
        // Fewer may all be in items that take as long as the input waits.
        self.engaged.load(Ordering::Relaxed) >= self.owner.workers()
    }

    fn take_in(&self, items: Vec<A>) -> (Box<dyn Collect<R>>, FollowUp<'_>) {
        let block = Arc::new(Range::new(items.into_iter()));
        self.queue.lock().fresh.push_back((self.owner.ticket(), Arc::clone(&block)));
        (Box::new(block), Box::new(|| self.recruit()))
    }

    fn dismiss(&self) {
        self.call_off(&Error::Cancelled);
    }
}

impl<A: Send + 'static, R: Send + 'static> Shared for LocalItems<A, R> {
    fn progress(&self) -> (isize, Ended) {
        let held_back = self.input.count().cast_signed();
        let queue = self.queue.lock();
        let mut pending = held_back - isize::from(queue.is_coming);
        let mut ended = Ended::default();
        for (_, block) in queue.fresh.iter().chain(&queue.open) {
            let (more, also) = block.progress();
            pending += more.cast_signed();
            ended.completed += also.completed;
            ended.failed += also.failed;
        }
        (pending, ended)
    }

    fn call_off(&self, error: &Error) -> usize {
        self.input.call_off(error) + LocalItems::call_off(self, error)
    }

    fn hand_over(&self) {
        self.input.flush(self);
    }
}

impl<A, R> LocalItems<A, R> {
    /// Ends what nobody has taken, and returns how much that was. A hand that was to come for it need not.
    fn call_off(&self, error: &Error) -> usize {
        let mut queue = self.queue.lock();
        let (fresh, open) = (std::mem::take(&mut queue.fresh), std::mem::take(&mut queue.open));
        queue.is_coming = false;
        let sent = queue.sent.take();
        drop(queue);
        if let Some(hand) = sent.and_then(|(_, hand)| hand.upgrade()) {
            hand.cancel();
        }
        let call_off = |(_, block): &Ticketed<A, R>| {
            let count = block.call_off(error);
            self.owner.add(block.spent().unwrap_or_default());
            count
        };
        fresh.iter().chain(&open).map(call_off).sum()
    }
}
