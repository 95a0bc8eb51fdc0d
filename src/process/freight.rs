//! [`Freight`]: the items of a map on their way to worker processes, a few at a time.
//!
//! Items are encoded when they leave the inlet, and lie in a block until they are taken as part of a *portion*: a chunk that is a
//! task of its own. How much a portion has follows from how long items take: as much as is expected to run in [`PORTION`], one
//! item at first. So trivial items cross by the hundred, and long ones alone.
//!
//! # What stays as it is with a task an item
//!
//! - A worker that runs out of work takes half of what another has not begun of its portion, so an item waits behind one that takes long only
//!   while every worker has something to do.
//! - A crash costs the item that ran, and is retried alone: that is so in every chunk.
//! - What nobody has taken is called off at once, and what is under way as the items of any chunk are.
//!
//! An outcome, though, is seen when its portion is over.
//!
//! # Locks
//!
//! The inlet's and then a block's; or the yard's first, then the scheduler's or a block's, and the list of tasks last. No user code
//! under any.
#![forbid(unsafe_code)]

mod encoded;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::pace::Pace;
use super::pool::Pool;
use super::portion::{Consignee, Portion};
use super::task::{Completion, RemoteTask};
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec;
use crate::codec::Payload;
use crate::codec::unread;
use crate::error::{Error, Outcome, Part};
use crate::options::TaskOptions;
use crate::panics;
use crate::process::program::call::{FunctionAddress, LocatedCall};
use crate::spread::{Block, Collect, Crew, FollowUp, Inlet};
use crate::sync::Mutex;
use crate::task::encoded::Entry;
use crate::task::encoded::ItemOffsets;
use crate::task::function::Function;
use crate::task::owner::{Ended, Shared};
use crate::ticket::Ticket;
use crate::unwind;
use encoded::Encoded;

/// How long a portion is expected to run: long beside what it costs to send, and short enough to wait for.
const PORTION: Duration = Duration::from_micros(200);

/// How many items a block has at most, and so a portion.
const MOST: usize = 1024;

/// So many portions a worker are under way: one runs, one was sent ahead, and two are in the queue. So there is one in the queue for whoever comes
/// first, before what was submitted later, also while every worker's last two have come back and were not delivered here.
const UNDER_WAY: usize = 4;

pub(crate) struct Freight<A, R> {
    pool: Arc<Pool>,
    call: FunctionAddress,
    options: Option<Arc<TaskOptions>>,
    yard: Mutex<Yard<A, R>>,
    /// Those that are under way, whose ends may not be known here yet.
    remotes: Mutex<Vec<Weak<RemoteTask>>>,
    /// Portions that are under way.
    under_way: AtomicUsize,
    inlet: Inlet<A, R>,
    /// What came last has segments, and cannot be divided: what comes next had better come in small blocks.
    is_heavy: AtomicBool,
    /// Nobody wants anything of it.
    is_dismissed: AtomicBool,
    me: Weak<Self>,
}

struct Yard<A, R> {
    /// Blocks with items that nobody has taken.
    blocks: VecDeque<Arc<Bay<A, R>>>,
    /// How many items that are.
    untaken: usize,
    pace: Pace,
    /// How many the last portion had.
    size: usize,
    /// The pool knows that there is more to come.
    announced: bool,
}

/// A block, and whose it is.
struct Bay<A, R> {
    block: Arc<Block<Encoded, R>>,
    freight: Arc<Freight<A, R>>,
    /// When its items came.
    ticket: Ticket,
}

impl<A, R> Yard<A, R> {
    /// How many items the next portion is to have, where so many workers share them.
    fn portion(&mut self, workers: usize) -> usize {
        let expected = self.pace.per(PORTION).unwrap_or(1);
        // No more at the end than leaves something for the others.
        let share = self.untaken / (2 * workers);
        self.size = expected.min(2 * self.size).min(share).clamp(1, MOST);
        self.size
    }
}

impl<A: Payload, R: Payload> Freight<A, R> {
    /// `None`: the items are to be tasks of their own, because the pool counts tasks, or to have them refused with the reason.
    pub(crate) fn new<F: Function<A, R>>(
        pool: Arc<Pool>,
        options: Option<Arc<TaskOptions>>,
        function: F,
    ) -> Option<Arc<Self>> {
        let counts = pool.settings.max_tasks_per_worker.is_some() || pool.settings.max_pending.is_some();
        let call = FunctionAddress::of(Entry::of::<F, A, R>(function)).ok().filter(|_| !counts && !pool.is_copy())?;
        let yard = Yard { blocks: VecDeque::new(), untaken: 0, pace: Pace::default(), size: 1, announced: false };
        let freight = Arc::new_cyclic(|me| Self {
            pool,
            call,
            options,
            yard: Mutex::new(yard),
            remotes: Mutex::default(),
            under_way: AtomicUsize::new(0),
            inlet: Inlet::default(),
            is_heavy: AtomicBool::new(false),
            is_dismissed: AtomicBool::new(false),
            me: me.clone(),
        });
        freight.pool.enlist(Arc::downgrade(&freight) as _);
        Some(freight)
    }

    /// Encodes items. Those that cannot be are refused; if it is all of them, they are called off.
    fn encode(&self, items: Vec<A>) -> Result<Encoded, Error> {
        let (pool, call) = (&self.pool, self.call);
        let (encoded, taken) = with_out_of_band(&pool.out_of_band, || {
            let (argument, offsets) = ItemOffsets::of(&items);
            LocatedCall { call, argument, items: Some(offsets) }
        });
        // One by one: two drops that panic together would end the process.
        items.into_iter().for_each(unwind::drop_caught);
        let segments = if taken.is_empty() { Vec::new() } else { pool.segments.references(&taken) };
        let store = (!segments.is_empty()).then(|| Arc::clone(&pool.segments));
        let encoded = pool.sized(encoded, &segments).inspect_err(|_| pool.segments.release(&segments, false))?;
        let ItemOffsets { ends, refused } = encoded.items.ok_or(Error::Abandoned)?;
        Ok(Encoded { argument: encoded.argument, ends, refused, next: 0, segments, store })
    }
}

impl<A: Payload, R: Payload> Freight<A, R> {
    /// Notes a portion that is to be called back when nobody wants it any more.
    fn list(&self, remote: Weak<RemoteTask>) {
        let mut remotes = self.remotes.lock();
        remotes.retain(|remote| remote.strong_count() > 0);
        remotes.push(remote);
    }

    /// Encodes items for a block that stands for them, and sends what can be sent.
    fn stock(&self, block: Arc<Block<Encoded, R>>, items: Vec<A>, ticket: Ticket) {
        let count = items.len();
        let (encoded, freight) = match (self.encode(items), self.me.upgrade()) {
            (Ok(encoded), Some(freight)) => (encoded, freight),
            (encoded, _) => {
                block.call_off(&encoded.err().unwrap_or(Error::Cancelled));
                return;
            }
        };
        self.is_heavy.store(!encoded.segments.is_empty(), Ordering::Relaxed);
        block.restock(encoded);
        let mut yard = self.yard.lock();
        if let Err(error) = self.pool.expect_more(!yard.announced) {
            drop(yard);
            block.call_off(&error);
            return;
        }
        yard.announced = true;
        let bay = Arc::new(Bay { block, freight, ticket });
        yard.untaken += count;
        yard.blocks.push_back(bay);
        drop(yard);
        // Whoever dismisses all says so first, and then looks into the yard.
        if self.is_dismissed.load(Ordering::Relaxed) {
            self.call_off(&Error::Cancelled);
        }
        self.load();
    }

    /// Sends portions while there is something to take and workers can do with more.
    fn load(&self) {
        let workers = self.pool.settings.max_workers;
        loop {
            let mut yard = self.yard.lock();
            if self.under_way.load(Ordering::Relaxed) >= workers.saturating_mul(UNDER_WAY) {
                return;
            }
            let Some(bay) = yard.blocks.front().cloned() else {
                drop(yard);
                // What it hands over is loaded there.
                self.inlet.flush(self);
                return;
            };
            let size = yard.portion(workers);
            let (first, (offsets, argument, segments)) = bay.block.take(|stock| stock.take(size));
            yard.untaken -= offsets.ends.len();
            if bay.block.pending() == 0 {
                yard.blocks.pop_front();
            }
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let encoded = LocatedCall { call: self.call, argument, items: Some(offsets) };
            let ticket = bay.ticket;
            let portion = Portion::new(bay, self.options.clone(), first, ticket);
            let remote = RemoteTask::new(Completion::Portion(portion), Arc::clone(&self.pool), encoded, segments);
            self.list(Arc::downgrade(&remote));
            let is_last = yard.blocks.is_empty() && std::mem::take(&mut yard.announced);
            drop(yard);
            self.pool.submit(remote, true);
            if is_last {
                self.pool.expect_no_more();
            }
        }
    }
}

impl<A: Payload, R: Payload> Shared for Freight<A, R> {
    fn progress(&self) -> (isize, Ended) {
        let held_back = self.inlet.count();
        ((held_back + self.yard.lock().untaken).cast_signed(), Ended::default())
    }

    fn call_off(&self, error: &Error) -> usize {
        let held_back = self.inlet.call_off(error);
        let mut yard = self.yard.lock();
        let blocks = std::mem::take(&mut yard.blocks);
        yard.untaken = 0;
        let is_last = std::mem::take(&mut yard.announced);
        drop(yard);
        if is_last {
            self.pool.expect_no_more();
        }
        held_back + blocks.iter().map(|bay| bay.block.call_off(error)).sum::<usize>()
    }
}

impl<A: Payload, R: Payload> Crew<A, R> for Freight<A, R> {
    fn most(&self) -> usize {
        MOST
    }

    fn inlet(&self) -> &Inlet<A, R> {
        &self.inlet
    }

    fn refuse(&self, items: &mut Vec<A>) -> bool {
        self.inlet.refuse(items, self, self.pool.refuses_all())
    }

    fn is_engaged(&self, _may_wait: bool) -> bool {
        let is_enough = self.under_way.load(Ordering::Relaxed) >= self.pool.settings.max_workers;
        is_enough && !self.is_heavy.load(Ordering::Relaxed)
    }

    fn take_in(&self, items: Vec<A>) -> (Arc<dyn Collect<R>>, FollowUp<'_>) {
        let block = Arc::new(Block::new(Encoded::of_none(items.len())));
        let (stocked, ticket) = (Arc::clone(&block), self.pool.tickets.now());
        (block, Box::new(move || self.stock(stocked, items, ticket)))
    }

    fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Relaxed);
        self.call_off(&Error::Cancelled);
        // One by one: as long as one was not called back, it may become two.
        while let Some(remote) = { self.remotes.lock().pop() } {
            if let Some(remote) = remote.upgrade() {
                remote.call_back();
            }
        }
    }
}

impl<A: Payload, R: Payload> Consignee for Bay<A, R> {
    fn deliver(
        &self,
        first: usize,
        replies: Vec<Result<&[u8], Error>>,
        out_of_band: &Arc<dyn OutOfBand>,
        took: Duration,
    ) {
        let count = replies.len();
        let mut ended = Ended::default();
        let decode = |bytes| panics::catch(|| codec::decode(Part::Result, bytes)).map_err(unread);
        let (outcomes, _) = with_out_of_band(out_of_band, || {
            let outcomes = replies.into_iter().map(|reply| reply.and_then(decode));
            outcomes.collect::<Vec<Outcome<R>>>()
        });
        for outcome in &outcomes {
            match outcome {
                Ok(_) => ended.completed += 1,
                Err(Error::Cancelled) => {}
                Err(_) => ended.failed += 1,
            }
        }
        let freight = &self.freight;
        // First: whoever has an outcome finds it counted.
        freight.pool.add(ended);
        self.block.end(first, outcomes);
        freight.under_way.fetch_sub(1, Ordering::Relaxed);
        freight.yard.lock().pace.observe(count as u32, took);
        freight.load();
    }

    fn divided(&self, rest: Weak<RemoteTask>) {
        self.freight.under_way.fetch_add(1, Ordering::Relaxed);
        self.freight.list(rest);
    }

    fn turn_away(&self, error: &Error) {
        self.freight.call_off(error);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    use super::*;
    use crate::task::function::Infallible;
    use crate::{Executor, ProcessPoolExecutor};

    /// Says who it is; the first one goes on when it is told to.
    fn call((place, n): (PathBuf, u8)) -> u8 {
        let mut test = UnixStream::connect(place).expect("the test listens");
        test.write_all(&[n]).expect("the test listens");
        if n == 0 {
            let _ = test.read(&mut [0]).expect("the test answers");
        }
        n
    }

    #[test]
    fn what_is_behind_a_long_item_in_its_portion_goes_to_another_worker() {
        const COUNT: u8 = 40;
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("test");
        let listener = UnixListener::bind(&place).unwrap();
        let processes = ProcessPoolExecutor::new(2);
        let freight = Freight::new(Arc::clone(&processes.pool), None, Infallible(call)).unwrap();
        // As if many had been quick before.
        let mut yard = freight.yard.lock();
        yard.pace.observe(1000, Duration::from_micros(1000));
        yard.size = MOST;
        drop(yard);
        let (block, follow_up) = freight.take_in((0..COUNT).map(|n| (place.clone(), n)).collect());
        follow_up();
        let mut first = None;
        for _ in 0..COUNT {
            let (mut item, mut n) = (listener.accept().unwrap().0, [0]);
            item.read_exact(&mut n).unwrap();
            if n == [0] {
                first = Some(item);
            }
        }
        // All the others have begun, also those that were sent with it.
        first.unwrap().write_all(&[1]).unwrap();
        let mut next = 0;
        while next < COUNT {
            let mut outcomes = block.collect(None).outcomes;
            while let Some(outcome) = outcomes.pop() {
                assert_eq!(outcome.unwrap(), next);
                next += 1;
            }
        }
        processes.shutdown();
        assert_eq!(freight.under_way.load(Ordering::Relaxed), 0, "each part was counted");
    }
}
