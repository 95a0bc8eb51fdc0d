//! [`Hands`]: threads that help themselves to the items of a map.
//!
//! A task for each item costs an allocation, two turns of the pool's lock and several of the task's. Here a task of the pool, a *hand*,
//! takes one item after the other from the [blocks](Block) until none is left. That is per item one turn of a lock that is mostly
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
//! The inlet's first, then the intake's, then a block's. The pool's with none of them. No user code under any.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::vec;

use super::block::{Block, Collect, Stock};
use super::{Crew, FollowUp, Inlet};
use crate::error::{Error, Outcome};
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::sync::atomic::AtomicUsize;
use crate::sync::{Mutex, YIELDS, elapsed, thread};
use crate::task::call::Call;
use crate::task::function::caught;
use crate::task::owner::{Ended, Shared, Sharing};
use crate::task::{Runnable, TaskHandle, new_task};
use crate::ticket::Ticket;
use crate::unwind::drop_caught;

/// How many items a block has at most.
const MOST: usize = 256;

/// To wake a worker for an item that takes longer pays.
const SHORT: Duration = Duration::from_micros(10);

impl<A> Stock for vec::IntoIter<A> {
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

type Items<A, R> = Block<vec::IntoIter<A>, R>;

impl<A, R> Items<A, R> {
    /// Runs one item after the other until none is left to take. How those went of which the pool was not told.
    fn call(&self, call: &impl Fn(A) -> Outcome<R>) -> Ended {
        let mut made = None;
        loop {
            // One turn of the lock an item: an outcome is there to be seen, and what was not begun to be taken by others or called off,
            // before the next item begins, which may take as long as it likes.
            let (next, ended) = self.turn(&mut made, vec::IntoIter::next);
            let Some((position, item)) = next else { return ended };
            made = Some((position, caught(|| call(item))));
        }
    }
}

pub(crate) struct Hands<A, R> {
    owner: Arc<dyn Sharing>,
    /// Makes the task that is a hand.
    hand: Box<dyn Fn(Arc<Self>) -> Arc<dyn Runnable> + Send + Sync>,
    inlet: Inlet<A, R>,
    intake: Mutex<Intake<A, R>>,
    /// How many hands are at work, or were sent.
    engaged: AtomicUsize,
    /// The items of the last block were. Then a hand will look for more before one that would have to be woken is there.
    are_short: AtomicBool,
    me: Weak<Self>,
}

/// A block, and when it came.
type Ticketed<A, R> = (Ticket, Arc<Items<A, R>>);

struct Intake<A, R> {
    /// Blocks that nobody has begun.
    fresh: VecDeque<Ticketed<A, R>>,
    /// Blocks that were begun, and may have items that nobody has taken. They are earlier than those.
    open: Vec<Ticketed<A, R>>,
    /// A hand is in the pool's queue, or about to be.
    is_coming: bool,
    /// Which it is, once it was sent there.
    sent: Option<(FutureId, Weak<dyn Runnable>)>,
}

impl<A, R> Intake<A, R> {
    /// The ticket of the first item that nobody has taken, if there is one.
    fn earliest(&self) -> Option<Ticket> {
        let open = self.open.iter().find(|(_, block)| block.pending() > 0);
        open.or(self.fresh.front()).map(|(ticket, _)| *ticket)
    }
}

/// A task of the pool that runs what it finds. The calls count in its place.
struct Hand<F, A, R> {
    hands: Arc<Hands<A, R>>,
    function: Arc<F>,
}

impl<F, A, R> Call<()> for Hand<F, A, R>
where
    F: Fn(A) -> Outcome<R> + Send + Sync,
    A: Send + 'static,
    R: Send + 'static,
{
    const COUNTS: bool = false;
    type Guard = ();
    fn guard(&mut self) {}
    fn run(self) -> Outcome<()> {
        self.hands.call(&*self.function);
        Ok(())
    }
}

impl<A: Send + 'static, R: Send + 'static> Hands<A, R> {
    /// Makes one of threads of `owner`, which call `function`.
    pub(crate) fn new(
        owner: Arc<dyn Sharing>,
        options: Option<Arc<TaskOptions>>,
        function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let function = Arc::new(function);
        let hand = move |hands: Arc<Self>| -> Arc<dyn Runnable> {
            let owner = Arc::clone(&hands.owner);
            let hand = Hand { hands: Arc::clone(&hands), function: Arc::clone(&function) };
            let task: Arc<dyn TaskHandle<()>> = new_task(Some(hand), options.clone(), Some(owner));
            let id = task.id();
            task.add_callback(Box::new(move |outcome| {
                if let Err(error) = outcome {
                    hands.drop_unobserved(id, error);
                }
            }));
            task.detach();
            task
        };
        let intake = Intake { fresh: VecDeque::new(), open: Vec::new(), is_coming: false, sent: None };
        let hands = Arc::new_cyclic(|me| Self {
            owner,
            hand: Box::new(hand),
            inlet: Inlet::default(),
            intake: Mutex::new(intake),
            engaged: AtomicUsize::new(0),
            are_short: AtomicBool::new(false),
            me: me.clone(),
        });
        hands.owner.enlist(Arc::downgrade(&hands) as _);
        hands
    }

    /// What a hand does.
    fn call(&self, function: &impl Fn(A) -> Outcome<R>) {
        self.begin();
        let mut finished = None;
        loop {
            while let Some(block) = self.next_block(finished.take()) {
                self.recruit();
                let begin = Instant::now();
                let ended = block.call(function);
                let count = (ended.completed + ended.failed) as u32;
                self.are_short.store(elapsed(begin) < SHORT * count, Ordering::Relaxed);
                self.owner.add(ended);
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
            let has_come = self.inlet.flush(self);
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
        let mut intake = self.intake.lock();
        intake.is_coming = false;
        intake.sent = None;
    }

    fn earliest(&self) -> Option<Ticket> {
        self.intake.lock().earliest()
    }

    /// Takes a block whose turn it is.
    fn next_block(&self, finished: Option<Arc<Items<A, R>>>) -> Option<Arc<Items<A, R>>> {
        let is_due = |(ticket, _): &Ticketed<A, R>| !self.owner.has_earlier(*ticket);
        let mut intake = self.intake.lock();
        if let Some(finished) = &finished {
            intake.open.retain(|(_, block)| !Arc::ptr_eq(block, finished));
        }
        if intake.fresh.front().is_some_and(is_due)
            && let Some((ticket, block)) = intake.fresh.pop_front()
        {
            intake.open.push((ticket, Arc::clone(&block)));
            return Some(block);
        }
        // What runs of the others may take long: of those that have ended the pool hears now.
        intake.open.retain(|(_, block)| block.spent().map(|ended| self.owner.add(ended)).is_none());
        // The oldest, which is collected before the others.
        let oldest = intake.open.first().filter(|block| is_due(block));
        oldest.map(|(_, block)| Arc::clone(block))
    }

    /// Sends a hand, if there is something that nobody has taken and none is on the way.
    fn recruit(&self) {
        let Some(me) = self.me.upgrade() else { return };
        let mut intake = self.intake.lock();
        let Some(ticket) = intake.earliest().filter(|_| !intake.is_coming) else { return };
        intake.is_coming = true;
        drop(intake);
        let hand = (self.hand)(me);
        let mut intake = self.intake.lock();
        // Else all was called off meanwhile, or another one has been sent for what came since.
        if intake.is_coming && intake.sent.is_none() {
            intake.sent = Some((hand.id(), Arc::downgrade(&hand)));
            drop(intake);
            self.engaged.fetch_add(1, Ordering::Relaxed);
            self.owner.push(hand, ticket);
        }
    }

    /// A hand will not come, because none can, or because all was called off meanwhile. What it was for has the same error.
    fn drop_unobserved(&self, hand: FutureId, error: &Error) {
        self.engaged.fetch_sub(1, Ordering::Relaxed);
        let mut intake = self.intake.lock();
        let is_awaited = intake.sent.as_ref().is_some_and(|(sent, _)| *sent == hand);
        if is_awaited {
            intake.is_coming = false;
            intake.sent = None;
        }
        drop(intake);
        if is_awaited {
            self.call_off(error);
        }
        self.inlet.flush(self);
    }
}

impl<A: Send + 'static, R: Send + 'static> Crew<A, R> for Hands<A, R> {
    fn most(&self) -> usize {
        MOST
    }

    fn inlet(&self) -> &Inlet<A, R> {
        &self.inlet
    }

    fn refuse(&self, items: &mut Vec<A>) -> bool {
        self.inlet.refuse(items, self, self.owner.refuses_all())
    }

    fn is_engaged(&self, may_wait: bool) -> bool {
        // One hand that is there may be in an item that takes as long as the input waits.
        let enough = if may_wait || !self.are_short.load(Ordering::Relaxed) { self.owner.workers() } else { 1 };
        self.engaged.load(Ordering::Relaxed) >= enough
    }

    fn take_in(&self, items: Vec<A>) -> (Arc<dyn Collect<R>>, FollowUp<'_>) {
        let block = Arc::new(Block::new(items.into_iter()));
        self.intake.lock().fresh.push_back((self.owner.ticket(), Arc::clone(&block)));
        (block, Box::new(|| self.recruit()))
    }

    fn dismiss(&self) {
        self.call_off(&Error::Cancelled);
    }
}

impl<A: Send + 'static, R: Send + 'static> Shared for Hands<A, R> {
    fn progress(&self) -> (isize, Ended) {
        let held_back = self.inlet.count().cast_signed();
        let intake = self.intake.lock();
        let mut pending = held_back - isize::from(intake.is_coming);
        let mut ended = Ended::default();
        for (_, block) in intake.fresh.iter().chain(&intake.open) {
            let (more, also) = block.progress();
            pending += more.cast_signed();
            ended.completed += also.completed;
            ended.failed += also.failed;
        }
        (pending, ended)
    }

    fn call_off(&self, error: &Error) -> usize {
        self.inlet.call_off(error) + Hands::call_off(self, error)
    }

    fn hand_over(&self) {
        self.inlet.flush(self);
    }
}

impl<A, R> Hands<A, R> {
    /// Ends what nobody has taken, and returns how much that was. A hand that was to come for it need not.
    fn call_off(&self, error: &Error) -> usize {
        let mut intake = self.intake.lock();
        let (fresh, open) = (std::mem::take(&mut intake.fresh), std::mem::take(&mut intake.open));
        intake.is_coming = false;
        let sent = intake.sent.take();
        drop(intake);
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
