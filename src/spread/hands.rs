//! [`Hands`]: threads that help themselves to the items of a map.
//!
//! A task for each item costs an allocation, two turns of the pool's lock and several of the cell's. Here a task of the pool, a *hand*,
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
//!
//! # Locks
//!
//! The intake's first, then a block's. The pool's with neither. No user code under any.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::vec;

use super::Crew;
use super::block::{Block, Collect, Stock};
use crate::error::{Error, Outcome};
use crate::host::{Ended, Shared, Sharing};
use crate::options::TaskOptions;
use crate::panics::{self, discard};
use crate::state::{Cell, Observable, Runnable};
use crate::sync::Mutex;
use crate::work::Work;

/// How many items a block has at most.
const MOST: usize = 256;

impl<A> Stock for vec::IntoIter<A> {
    fn count(&self) -> usize {
        self.len()
    }

    fn nothing() -> Self {
        Vec::new().into_iter()
    }

    fn discard(self) {
        // One by one: two drops that panic together would end the process.
        self.for_each(discard);
    }
}

type Items<A, R> = Block<vec::IntoIter<A>, R>;

impl<A, R> Items<A, R> {
    /// Runs one item after the other until none is left to take. How those went of which the pool was not told.
    fn work(&self, call: &impl Fn(A) -> Outcome<R>) -> Ended {
        let mut made = None;
        loop {
            // One turn of the lock an item: an outcome is there to be seen, and what was not begun to be taken by others or called off,
            // before the next item begins, which may take as long as it likes.
            let (next, ended) = self.turn(&mut made, vec::IntoIter::next);
            let Some((position, item)) = next else { return ended };
            made = Some((position, panics::catch(|| call(item))));
        }
    }
}

pub(crate) struct Hands<A, R> {
    host: Arc<dyn Sharing>,
    /// Makes the task that is a hand.
    hand: Box<dyn Fn(Arc<Self>) -> Arc<dyn Runnable> + Send + Sync>,
    intake: Mutex<Intake<A, R>>,
    /// A hand has found nothing: what was pulled is to be offered. A hint.
    hungry: AtomicBool,
    me: Weak<Self>,
}

struct Intake<A, R> {
    /// Blocks that nobody has begun.
    fresh: VecDeque<Arc<Items<A, R>>>,
    /// Blocks that were begun, and may have items that nobody has taken.
    open: Vec<Arc<Items<A, R>>>,
    /// A hand is in the pool's queue, or about to be.
    is_coming: bool,
    /// The last that was sent there.
    sent: Option<Weak<dyn Runnable>>,
}

/// A task of the pool that runs what it finds. The calls count in its place.
struct Hand<F, A, R> {
    hands: Arc<Hands<A, R>>,
    function: Arc<F>,
}

impl<F, A, R> Work<()> for Hand<F, A, R>
where
    F: Fn(A) -> Outcome<R> + Send + Sync,
    A: Send,
    R: Send,
{
    const COUNTS: bool = false;
    type Guard = ();
    fn guard(&mut self) {}
    fn call(self) -> Outcome<()> {
        self.hands.work(&*self.function);
        Ok(())
    }
}

impl<A: Send + 'static, R: Send + 'static> Hands<A, R> {
    /// Makes one of threads of `host`, which call `function`.
    pub(crate) fn new(
        host: Arc<dyn Sharing>,
        options: Option<Arc<TaskOptions>>,
        function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let function = Arc::new(function);
        let hand = move |hands: Arc<Self>| -> Arc<dyn Runnable> {
            let host = Arc::clone(&hands.host);
            let hand = Hand { hands: Arc::clone(&hands), function: Arc::clone(&function) };
            let task: Arc<dyn Observable<()>> = Cell::new(Some(hand), options.clone(), Some(host));
            task.add_callback(Box::new(move |outcome| {
                if let Err(error) = outcome {
                    // It will not come: what it was for has the same error.
                    hands.call_off(error);
                }
            }));
            task.detach();
            task
        };
        let intake = Intake { fresh: VecDeque::new(), open: Vec::new(), is_coming: false, sent: None };
        let hands = Arc::new_cyclic(|me| Self {
            host,
            hand: Box::new(hand),
            intake: Mutex::new(intake),
            hungry: AtomicBool::new(true),
            me: me.clone(),
        });
        hands.host.enlist(Arc::downgrade(&hands) as _);
        hands
    }
}

impl<A, R> Hands<A, R> {
    /// What a hand does.
    fn work(&self, function: &impl Fn(A) -> Outcome<R>) {
        self.intake.lock().is_coming = false;
        let mut finished = None;
        while let Some(block) = self.next_block(finished.take()) {
            self.recruit();
            self.host.add(block.work(function));
            finished = Some(block);
        }
        self.hungry.store(true, Ordering::Relaxed);
    }

    fn next_block(&self, finished: Option<Arc<Items<A, R>>>) -> Option<Arc<Items<A, R>>> {
        let mut intake = self.intake.lock();
        if let Some(finished) = &finished {
            intake.open.retain(|block| !Arc::ptr_eq(block, finished));
        }
        if let Some(block) = intake.fresh.pop_front() {
            intake.open.push(Arc::clone(&block));
            return Some(block);
        }
        // What runs of the others may take long: of those that have ended the pool hears now.
        intake.open.retain(|block| block.spent().map(|ended| self.host.add(ended)).is_none());
        // The oldest, which is collected before the others.
        intake.open.first().cloned()
    }

    /// Sends a hand, if there is something that nobody has taken and none is on the way.
    fn recruit(&self) {
        let Some(me) = self.me.upgrade() else { return };
        let mut intake = self.intake.lock();
        if intake.is_coming || intake.fresh.is_empty() && intake.open.iter().all(|block| block.pending() == 0) {
            return;
        }
        intake.is_coming = true;
        drop(intake);
        let hand = (self.hand)(me);
        let mut intake = self.intake.lock();
        if intake.is_coming {
            intake.sent = Some(Arc::downgrade(&hand));
            drop(intake);
            self.host.push(hand);
        } else {
            // All was called off meanwhile.
            drop(intake);
            hand.cancel();
        }
    }
}

impl<A: Send + 'static, R: Send + 'static> Crew<A, R> for Hands<A, R> {
    fn most(&self) -> usize {
        MOST
    }

    fn is_hungry(&self) -> &AtomicBool {
        &self.hungry
    }

    fn offer(&self, items: Vec<A>) -> Arc<dyn Collect<R>> {
        let block = Arc::new(Block::new(items.into_iter()));
        self.intake.lock().fresh.push_back(Arc::clone(&block));
        self.recruit();
        block
    }

    fn dismiss(&self) {
        self.call_off(&Error::Cancelled);
    }
}

impl<A: Send, R: Send> Shared for Hands<A, R> {
    fn progress(&self) -> (isize, Ended) {
        let intake = self.intake.lock();
        let mut pending = -isize::from(intake.is_coming);
        let mut ended = Ended::default();
        for block in intake.fresh.iter().chain(&intake.open) {
            let (more, also) = block.progress();
            pending += more.cast_signed();
            ended.completed += also.completed;
            ended.failed += also.failed;
        }
        (pending, ended)
    }

    fn call_off(&self, error: &Error) -> usize {
        Hands::call_off(self, error)
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
        if let Some(hand) = sent.and_then(|hand| hand.upgrade()) {
            hand.cancel();
        }
        let call_off = |block: &Arc<Items<A, R>>| {
            let count = block.call_off(error);
            self.host.add(block.spent().unwrap_or_default());
            count
        };
        fresh.iter().chain(&open).map(call_off).sum()
    }
}
