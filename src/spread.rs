//! [`Spread`]: the items of a map whose workers share this process's memory.
//!
//! A task for each item costs an allocation, two turns of the pool's lock and several of the cell's. Here the workers of the pool
//! help themselves: the items lie in [blocks](Block), and a task of the pool, a *hand*, takes one after the other until
//! none is left. That is per item one turn of a lock that is mostly its own.
//!
//! # What stays as it is with a task an item
//!
//! - An item waits for none that was taken before it, however long that runs: it can be taken from its block as long as it has not begun,
//!   by a hand that finds no fresh block. So the work is divided down to the item, and items that wait for each other meet.
//! - *As long as an item is not taken, a hand is in the pool's queue, or about to be there.* A hand that begins says that it has left
//!   the queue, and sends the next one if it leaves anything. So there are as many as the pool has workers for, those counted that come
//!   for others that are blocked; and to cancel what is pending in the pool is to cancel a hand, which calls off the rest.
//! - An outcome is there to be seen before its worker begins the next item.
//! - Items begin to run while more are pulled. How many are pulled before they are offered follows from how long that takes: one by one,
//!   where the input is slow.
//!
//! # Locks
//!
//! The intake's first, then a block's. The pool's with neither. No user code under any.
#![forbid(unsafe_code)]

mod block;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::error::{Error, Outcome};
use crate::host::{self, Ended, Need, Shared, Sharing, Spare};
use crate::options::TaskOptions;
use crate::outcomes::Outcomes;
use crate::panics::discard;
use crate::state::{Cell, Observable, Runnable};
use crate::sync::{Mutex, elapsed};
use crate::work::Work;
use block::{Block, Collected};

/// How many items a block has at most.
const MOST: usize = 256;

/// Input that takes longer an item is offered item by item.
const QUICK: Duration = Duration::from_micros(1);

/// The side of the hands.
pub(crate) struct Crew<A, R> {
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
    fresh: VecDeque<Arc<Block<A, R>>>,
    /// Blocks that were begun, and may have items that nobody has taken.
    open: Vec<Arc<Block<A, R>>>,
    /// A hand is in the pool's queue, or about to be.
    is_coming: bool,
    /// The last that was sent there.
    sent: Option<Weak<dyn Runnable>>,
}

/// A task of the pool that runs what it finds. The calls count in its place.
struct Hand<F, A, R> {
    crew: Arc<Crew<A, R>>,
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
        self.crew.work(&*self.function);
        Ok(())
    }
}

impl<A: Send + 'static, R: Send + 'static> Crew<A, R> {
    /// Makes one of threads of `host`, which call `function`.
    pub(crate) fn new(
        host: Arc<dyn Sharing>,
        options: Option<Arc<TaskOptions>>,
        function: impl Fn(A) -> Outcome<R> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let function = Arc::new(function);
        let hand = move |crew: Arc<Self>| -> Arc<dyn Runnable> {
            let host = Arc::clone(&crew.host);
            let hand = Hand { crew: Arc::clone(&crew), function: Arc::clone(&function) };
            let task: Arc<dyn Observable<()>> = Cell::new(Some(hand), options.clone(), Some(host));
            task.add_callback(Box::new(move |outcome| {
                if let Err(error) = outcome {
                    // It will not come: what it was for has the same error.
                    crew.call_off(error);
                }
            }));
            task.detach();
            task
        };
        let intake = Intake { fresh: VecDeque::new(), open: Vec::new(), is_coming: false, sent: None };
        let crew = Arc::new_cyclic(|me| Self {
            host,
            hand: Box::new(hand),
            intake: Mutex::new(intake),
            hungry: AtomicBool::new(true),
            me: me.clone(),
        });
        crew.host.enlist(Arc::downgrade(&crew) as _);
        crew
    }
}

impl<A, R> Crew<A, R> {
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

    fn next_block(&self, finished: Option<Arc<Block<A, R>>>) -> Option<Arc<Block<A, R>>> {
        let mut intake = self.intake.lock();
        if let Some(finished) = &finished {
            intake.open.retain(|block| !Arc::ptr_eq(block, finished));
        }
        if let Some(block) = intake.fresh.pop_front() {
            intake.open.push(Arc::clone(&block));
            return Some(block);
        }
        intake.open.retain(|block| block.pending() > 0);
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
        self.intake.lock().sent = Some(Arc::downgrade(&hand));
        self.host.push(hand);
    }

    fn offer(&self, block: Arc<Block<A, R>>) {
        self.hungry.store(false, Ordering::Relaxed);
        self.intake.lock().fresh.push_back(block);
        self.recruit();
    }
}

impl<A: Send, R: Send> Shared for Crew<A, R> {
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
        Crew::call_off(self, error)
    }
}

impl<A, R> Crew<A, R> {
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
        fresh.iter().chain(&open).map(|block| block.call_off(error)).sum()
    }
}

/// The side of the map.
pub(crate) struct Spread<A, R> {
    crew: Arc<Crew<A, R>>,
    /// What was not collected, in input order.
    blocks: VecDeque<Arc<Block<A, R>>>,
}

impl<A, R> Spread<A, R> {
    pub(crate) fn new(crew: Arc<Crew<A, R>>) -> Self {
        Self { crew, blocks: VecDeque::new() }
    }

    /// Pulls all of the input, and returns how much it was.
    pub(crate) fn fill(&mut self, input: impl Iterator<Item = A>) -> usize {
        let mut count = 0;
        let mut room = 1;
        let mut since = Instant::now();
        let mut pulled = Vec::new();
        for item in input {
            pulled.push(item);
            if pulled.len() < room && !self.crew.hungry.load(Ordering::Relaxed) {
                continue;
            }
            let is_quick = elapsed(since) < QUICK * pulled.len() as u32;
            since = Instant::now();
            room = if is_quick { (2 * room).min(MOST) } else { 1 };
            count += self.offer(std::mem::replace(&mut pulled, Vec::with_capacity(room)));
        }
        count + self.offer(pulled)
    }

    fn offer(&mut self, items: Vec<A>) -> usize {
        let count = items.len();
        if count > 0 {
            let block = Arc::new(Block::new(items));
            self.blocks.push_back(Arc::clone(&block));
            self.crew.offer(block);
        }
        count
    }

    /// Sleeps until the next outcomes are there, and takes them. `None`: there are no more. Empty: the time is up.
    #[track_caller]
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<Outcomes<R>> {
        let block = self.blocks.front()?;
        let mut collected = block.try_collect();
        if collected.outcomes.len() == 0 {
            host::assert_may_block();
            // A worker that sleeps here may wait for what only another one can take.
            let _spare = host::current().map(|host| Spare::new(Some(host), Need::Worker));
            collected = block.collect(deadline);
        }
        let Collected { outcomes, is_over } = collected;
        if is_over {
            self.blocks.pop_front();
        }
        Some(outcomes)
    }

    /// How many items have no outcome.
    pub(crate) fn unfinished(&self) -> usize {
        self.blocks.iter().map(|block| block.unfinished()).sum()
    }

    /// How many items were not collected.
    pub(crate) fn left(&self) -> usize {
        self.blocks.iter().map(|block| block.left()).sum()
    }

    /// Nobody wants more: what has not begun will not.
    pub(crate) fn stop(&mut self) {
        self.crew.call_off(&Error::Cancelled);
        discard(std::mem::take(&mut self.blocks));
    }
}

impl<A, R> Drop for Spread<A, R> {
    fn drop(&mut self) {
        self.stop();
    }
}
