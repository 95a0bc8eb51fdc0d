//! [`RemoteItems`]: the items of a map on their way to workers elsewhere, a few at a time.
//!
//! Items are encoded when they leave the input buffer, and lie in a range until they are taken as part of a *batch*,
//! which crosses as a whole. The size of a batch follows from how long items take: as many as are expected to run in
//! [`BATCH`], one item at first. So trivial items cross by the hundred, and long ones alone.
//!
//! # What stays as it is with a task an item
//!
//! - A worker that runs out of work takes half of what another has not begun of its batch, so an item waits behind one
//!   that takes long only while every worker has something to do.
//! - A crash costs the item that ran, and is retried alone: that is so in every chunk.
//! - What nobody has taken is called off at once, and what is under way as the items of any chunk are.
//!
//! An outcome, though, is seen when its batch is over.
//!
//! # Locks
//!
//! The input buffer's and then a range's; or that of the pending ranges first, then the executor's or a range's. No
//! user code under any.
#![forbid(unsafe_code)]

mod encoded;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::range::{Collect, Range};
use super::source::{FollowUp, InputBuffer, SharedItems};
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec;
use crate::codec::{Payload, unread};
use crate::error::{Error, Outcome, Part};
use crate::estimate::DurationEstimate;
use crate::items::{BatchExecutor, BatchOwner, NewBatch};
use crate::options::TaskOptions;
use crate::panics;
use crate::sync::Mutex;
use crate::task::encoded::{EncodedCall, Entry, ItemOffsets};
use crate::task::function::Function;
use crate::task::owner::{Ended, Shared};
use crate::ticket::Ticket;
use crate::unwind;
use encoded::Encoded;

/// How long a batch is expected to run: long beside what it costs to send, and short enough to wait for.
const BATCH: Duration = Duration::from_micros(200);

/// How many items a range has at most, and so a batch.
const MOST: usize = 1024;

/// So many batches a worker are under way: one runs, one was sent ahead, and two are in the queue. So there is one in
/// the queue for whoever comes first, before what was submitted later, also while every worker's last two have come
/// back and were not delivered here.
const UNDER_WAY: usize = 4;

pub(crate) struct RemoteItems<A, R> {
    executor: Arc<dyn BatchExecutor>,
    entry: Entry,
    options: Option<Arc<TaskOptions>>,
    pending: Mutex<PendingRanges<A, R>>,
    /// Counts batches that were made and whose outcomes are not stored.
    under_way: AtomicUsize,
    input: InputBuffer<A, R>,
    /// What came last cannot be divided, because something is attached: what comes next had better come in small
    /// ranges.
    is_heavy: AtomicBool,
    /// Nobody wants anything of it.
    is_dismissed: AtomicBool,
    me: Weak<Self>,
}

struct PendingRanges<A, R> {
    /// Ranges with items that nobody has taken.
    ranges: VecDeque<Arc<OwnedRange<A, R>>>,
    /// Counts those items.
    untaken: usize,
    estimate: DurationEstimate,
    /// How many items the last batch had.
    size: usize,
    /// The executor knows that there is more to come.
    announced: bool,
}

/// A range, and whose it is.
struct OwnedRange<A, R> {
    range: Arc<Range<Encoded, R>>,
    items: Arc<RemoteItems<A, R>>,
    /// When its items were pulled.
    ticket: Ticket,
}

impl<A, R> PendingRanges<A, R> {
    /// Returns how many items the next batch is to have, where so many workers share them.
    fn batch_size(&mut self, workers: usize) -> usize {
        let expected = self.estimate.per(BATCH).unwrap_or(1);
        // No more at the end than leaves something for the others.
        let share = self.untaken / (2 * workers);
        self.size = expected.min(2 * self.size).min(share).clamp(1, MOST);
        self.size
    }
}

impl<A: Payload, R: Payload> RemoteItems<A, R> {
    /// Returns `None` if the function cannot be called elsewhere: each item is to be refused with the reason.
    pub(super) fn new<F: Function<A, R>>(
        executor: Arc<dyn BatchExecutor>,
        options: Option<Arc<TaskOptions>>,
        function: F,
    ) -> Option<Arc<Self>> {
        let entry = Entry::of::<F, A, R>(function);
        if !executor.finds(entry) {
            return None;
        }
        let pending = PendingRanges {
            ranges: VecDeque::new(),
            untaken: 0,
            estimate: DurationEstimate::default(),
            size: 1,
            announced: false,
        };
        let items = Arc::new_cyclic(|me| Self {
            executor,
            entry,
            options,
            pending: Mutex::new(pending),
            under_way: AtomicUsize::new(0),
            input: InputBuffer::default(),
            is_heavy: AtomicBool::new(false),
            is_dismissed: AtomicBool::new(false),
            me: me.clone(),
        });
        items.executor.enlist(Arc::downgrade(&items) as _);
        Some(items)
    }

    /// Encodes items. Those that cannot be are refused; if it is all of them, they are called off.
    fn encode(&self, items: Vec<A>) -> Result<Encoded, Error> {
        let encoded = self.executor.encode(&mut || {
            let (argument, cut) = ItemOffsets::of(&items);
            Ok(EncodedCall { entry: self.entry, argument, items: Some(cut) })
        });
        // One by one: two drops that panic together would end the process.
        items.into_iter().for_each(unwind::drop_caught);
        let (encoded, attached) = encoded?;
        Ok(Encoded::new(encoded.argument, encoded.items.ok_or(Error::Abandoned)?, attached))
    }

    /// Encodes items for a range that stands for them, and sends what can be sent.
    fn stock(&self, range: Arc<Range<Encoded, R>>, items: Vec<A>, ticket: Ticket) {
        let count = items.len();
        let (encoded, items) = match (self.encode(items), self.me.upgrade()) {
            (Ok(encoded), Some(items)) => (encoded, items),
            (encoded, _) => {
                range.call_off(&encoded.err().unwrap_or(Error::Cancelled));
                return;
            }
        };
        self.is_heavy.store(encoded.is_heavy(), Ordering::Relaxed);
        range.restock(encoded);
        let mut pending = self.pending.lock();
        if let Err(error) = self.executor.expect_more(!pending.announced) {
            drop(pending);
            range.call_off(&error);
            return;
        }
        pending.announced = true;
        pending.untaken += count;
        pending.ranges.push_back(Arc::new(OwnedRange { range, items, ticket }));
        drop(pending);
        // Whoever dismisses all says so first, and then looks at the pending ranges.
        if self.is_dismissed.load(Ordering::Relaxed) {
            self.call_off(&Error::Cancelled);
        }
        self.send();
    }

    /// Sends batches while there is something to take and workers can do with more.
    fn send(&self) {
        let workers = self.executor.workers();
        loop {
            let mut pending = self.pending.lock();
            if self.under_way.load(Ordering::Relaxed) >= workers.saturating_mul(UNDER_WAY) {
                return;
            }
            let Some(owner) = pending.ranges.front().cloned() else {
                drop(pending);
                // What it hands over is sent there.
                self.input.flush(self);
                return;
            };
            let size = pending.batch_size(workers);
            let (first, (cut, argument, attached)) = owner.range.take_some(|encoded| encoded.take(size));
            pending.untaken -= cut.ends.len();
            if owner.range.pending() == 0 {
                pending.ranges.pop_front();
            }
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let encoded = EncodedCall { entry: self.entry, argument, items: Some(cut) };
            let (options, ticket) = (self.options.clone(), owner.ticket);
            let submit = self.executor.batch(NewBatch { encoded, attached, owner, options, first, ticket });
            let is_last = pending.ranges.is_empty() && std::mem::take(&mut pending.announced);
            drop(pending);
            submit();
            if is_last {
                self.executor.expect_no_more();
            }
        }
    }
}

impl<A: Payload, R: Payload> Shared for RemoteItems<A, R> {
    fn progress(&self) -> (isize, Ended) {
        let held_back = self.input.count();
        ((held_back + self.pending.lock().untaken).cast_signed(), Ended::default())
    }

    fn call_off(&self, error: &Error) -> usize {
        let held_back = self.input.call_off(error);
        let mut pending = self.pending.lock();
        let ranges = std::mem::take(&mut pending.ranges);
        pending.untaken = 0;
        let is_last = std::mem::take(&mut pending.announced);
        drop(pending);
        if is_last {
            self.executor.expect_no_more();
        }
        held_back + ranges.iter().map(|owned| owned.range.call_off(error)).sum::<usize>()
    }
}

impl<A: Payload, R: Payload> SharedItems<A, R> for RemoteItems<A, R> {
    fn most(&self) -> usize {
        MOST
    }

    fn input(&self) -> &InputBuffer<A, R> {
        &self.input
    }

    fn refusal(&self) -> Option<Error> {
        self.executor.refuses_all()
    }

    fn ticket(&self) -> Ticket {
        self.executor.ticket()
    }

    fn may_hold_back(&self) -> bool {
        // Whoever brings outcomes looks into the input buffer.
        let is_enough = self.under_way.load(Ordering::Relaxed) >= self.executor.workers();
        is_enough && !self.is_heavy.load(Ordering::Relaxed)
    }

    fn take_in(&self, items: Vec<A>, ticket: Ticket) -> (Box<dyn Collect<R>>, FollowUp<'_>) {
        let range = Arc::new(Range::new(Encoded::of_none(items.len())));
        let stocked = Arc::clone(&range);
        (Box::new(range), Box::new(move || self.stock(stocked, items, ticket)))
    }

    fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Relaxed);
        self.call_off(&Error::Cancelled);
        self.executor.call_back();
    }
}

impl<A: Payload, R: Payload> BatchOwner for OwnedRange<A, R> {
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
        let items = &self.items;
        // First: whoever has an outcome finds it counted.
        items.executor.add(ended);
        self.range.end(first, outcomes);
        items.under_way.fetch_sub(1, Ordering::Relaxed);
        items.pending.lock().estimate.observe(count as u32, took);
        items.send();
    }

    fn divided(&self) {
        self.items.under_way.fetch_add(1, Ordering::Relaxed);
    }

    fn turn_away(&self, error: &Error) {
        self.items.call_off(error);
    }
}

#[cfg(all(test, processes))]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    use super::*;
    use crate::map::runs::Order;
    use crate::task::function::Infallible;
    use crate::{Backend, Executor, ProcessPoolExecutor};

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
    fn what_is_behind_a_long_item_in_its_batch_goes_to_another_worker() {
        const COUNT: u8 = 40;
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("test");
        let listener = UnixListener::bind(&place).unwrap();
        let processes = ProcessPoolExecutor::new(2);
        let executor = processes.item_executor().elsewhere().unwrap();
        let items = RemoteItems::new(executor, None, Infallible(call)).unwrap();
        // As if many had been quick before.
        let mut pending = items.pending.lock();
        pending.estimate.observe(1000, Duration::from_micros(1000));
        pending.size = MOST;
        drop(pending);
        let (mut block, follow_up) = items.take_in((0..COUNT).map(|n| (place.clone(), n)).collect(), Ticket::default());
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
            block.wait(None);
            let mut outcomes = block.take(Order::Input).unwrap().outcomes;
            while let Some(outcome) = outcomes.pop() {
                assert_eq!(outcome.unwrap(), next);
                next += 1;
            }
        }
        processes.shutdown();
        assert_eq!(items.under_way.load(Ordering::Relaxed), 0, "each part was counted");
    }
}
