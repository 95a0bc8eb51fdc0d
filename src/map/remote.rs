//! [`RemoteItems`]: items of a map that are sent to workers in other processes, a few at a time.
//!
//! Items are encoded when they leave the input buffer. They stay in a range until they are taken as part of a *batch*,
//! which is sent as a whole. A batch has as many items as are expected to run in [`BATCH`], judging by how long items
//! took so far; at first one. So trivial items are sent by the hundred, and long ones one by one.
//!
//! # Guarantees, the same as with a task for each item
//!
//! - A worker that runs out of work takes half of the items that another worker has not begun of its batch. So an item
//!   waits behind a long one only while every worker is busy.
//! - A crash costs the item that was running, which is retried alone, as in every chunk.
//! - Items that are not taken are called off at once; those in a batch like the items of any chunk.
//!
//! However, an outcome becomes visible only when its batch is over.
//!
//! # Locks
//!
//! Lock order: the input buffer's, then a range's; or that of the pending ranges, then the executor's or a range's. No
//! user code runs under any of them.
//!
//! The guarantees depend on the order of steps in all methods, so these are in one file.
#![forbid(unsafe_code)]

mod encoded;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::vec::IntoIter;

use super::range::{Collect, Range};
use super::source::{FollowUp, InputBuffer, SharedItems};
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec;
use crate::codec::Payload;
use crate::error::{Error, Outcome, Part};
use crate::estimate::DurationEstimate;
use crate::items::{BatchExecutor, BatchOwner, NewBatch};
use crate::options::TaskOptions;
use crate::panics;
use crate::sync::Mutex;
use crate::task::encoded::{EncodedCall, Entry, ItemOffsets};
use crate::task::function::Function;
use crate::task::owner::{Ended, Shared};
use crate::task::shared_context::AnyContext;
use crate::ticket::Ticket;
use crate::unwind;
use encoded::Encoded;

/// The expected duration of a batch: long compared with the cost of sending it, and short enough to wait for.
const BATCH: Duration = Duration::from_micros(200);

/// The maximum number of items in a range, and so in a batch.
const MOST: usize = 1024;

/// The number of batches under way for each worker: one runs, one was sent ahead, and two are in the queue. So a batch
/// is in the queue, ahead of tasks that were submitted later, even while the last two batches of every worker have come
/// back but were not delivered here.
const UNDER_WAY: usize = 4;

pub(crate) struct RemoteItems<A, R> {
    executor: Arc<dyn BatchExecutor>,
    entry: Entry,
    /// The context that the function is bound to.
    context: Option<Arc<dyn AnyContext>>,
    options: Option<Arc<TaskOptions>>,
    pending: Mutex<PendingRanges<A, R>>,
    /// The number of batches whose outcomes are not stored yet. Incremented when a batch is made or divided;
    /// decremented when its outcomes are delivered.
    under_way: AtomicUsize,
    input: InputBuffer<A, R>,
    /// Some of the last items had long bytes: the next ranges should be small, because there is shared memory for a few
    /// such items only.
    is_heavy: AtomicBool,
    /// The map was dismissed: no more outcomes are wanted.
    is_dismissed: AtomicBool,
    me: Weak<Self>,
}

struct PendingRanges<A, R> {
    /// Ranges with items that are not taken.
    ranges: VecDeque<Arc<OwnedRange<A, R>>>,
    /// The number of items in `ranges` that are not taken.
    untaken: usize,
    estimate: DurationEstimate,
    /// The number of items in the last batch.
    size: usize,
    /// The executor was told to expect more batches.
    announced: bool,
}

/// A range, and the map that it belongs to.
struct OwnedRange<A, R> {
    range: Arc<Range<Encoded, R>>,
    items: Arc<RemoteItems<A, R>>,
    /// The ticket of when its items were pulled.
    ticket: Ticket,
}

impl<A, R> PendingRanges<A, R> {
    /// Returns the number of items for the next batch, where `workers` share them.
    fn batch_size(&mut self, workers: usize) -> usize {
        let expected = self.estimate.per(BATCH).unwrap_or(1);
        // Near the end, leave items for the other workers.
        let share = self.untaken / workers.saturating_mul(2);
        self.size = expected.min(2 * self.size).min(share).clamp(1, MOST);
        self.size
    }
}

impl<A: Payload, R: Payload> RemoteItems<A, R> {
    /// Returns `None` if the function cannot be called in another process. Each item is then refused with the reason.
    pub(super) fn new<F: Function<A, R>>(
        executor: Arc<dyn BatchExecutor>,
        options: Option<Arc<TaskOptions>>,
        function: &F,
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
            context: function.context(),
            options,
            pending: Mutex::new(pending),
            under_way: AtomicUsize::new(0),
            input: InputBuffer::new(MOST),
            is_heavy: AtomicBool::new(false),
            is_dismissed: AtomicBool::new(false),
            me: me.clone(),
        });
        items.executor.enlist(Arc::downgrade(&items) as _);
        Some(items)
    }

    /// Encodes items. Items that cannot be encoded are refused; if the whole range cannot be, its items are called off.
    fn encode(&self, items: Vec<A>) -> Result<Encoded, Error> {
        let encoded = self.executor.encode(&mut || {
            let (argument, cut) = ItemOffsets::of(&items);
            Ok(EncodedCall { entry: self.entry, argument, items: Some(cut), context: self.context.clone() })
        });
        // One by one: two drops that panic together would end the process.
        items.into_iter().for_each(unwind::drop_caught);
        let (encoded, attached) = encoded?;
        Ok(Encoded::new(encoded.argument, encoded.items.ok_or(Error::Abandoned)?, attached))
    }

    /// Encodes items, puts them into the range that has stand-ins for them, and sends what can be sent.
    fn fill(&self, range: Arc<Range<Encoded, R>>, items: Vec<A>, ticket: Ticket) {
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
        // `dismiss` sets the flag first, and then takes the pending ranges.
        if self.is_dismissed.load(Ordering::Relaxed) {
            self.call_off(&Error::Cancelled);
        }
        self.send();
    }

    /// Sends batches while items are left and the workers can use more.
    fn send(&self) {
        let workers = self.executor.workers();
        loop {
            let mut pending = self.pending.lock();
            if self.under_way.load(Ordering::Relaxed) >= workers.saturating_mul(UNDER_WAY) {
                return;
            }
            let Some(owner) = pending.ranges.front().cloned() else {
                drop(pending);
                // If it hands items over, that sends them.
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
            let context = self.context.clone();
            let encoded = EncodedCall { entry: self.entry, argument, items: Some(cut), context };
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
    fn input(&self) -> &InputBuffer<A, R> {
        &self.input
    }

    fn admit(&self) -> Result<Ticket, Error> {
        self.executor.admit()
    }

    fn may_hold_back(&self) -> bool {
        // The thread that delivers outcomes looks into the input buffer.
        let is_enough = self.under_way.load(Ordering::Relaxed) >= self.executor.workers();
        is_enough && !self.is_heavy.load(Ordering::Relaxed)
    }

    fn take_in(&self, items: Vec<A>, ticket: Ticket) -> (Box<dyn Collect<R>>, FollowUp<'_>) {
        let range = Arc::new(Range::new(Encoded::of_none(items.len())));
        let filled = Arc::clone(&range);
        (Box::new(range), Box::new(move || self.fill(filled, items, ticket)))
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
        let mut decoded = (replies.into_iter(), Vec::<Outcome<R>>::with_capacity(count));
        let decode = |(replies, outcomes): &mut (IntoIter<_>, Vec<_>)| {
            let next = replies
                .next()
                .map(|reply: Result<&[u8], _>| reply.and_then(|bytes| codec::decode(Part::Result, bytes)));
            next.map(|outcome| outcomes.push(outcome)).is_some()
        };
        let unread =
            |(_, outcomes): &mut (_, Vec<_>), panicked| outcomes.push(Err(codec::unread(Part::Result, panicked)));
        with_out_of_band(out_of_band, || panics::catch_each(&mut decoded, decode, unread));
        let (_, outcomes) = decoded;
        for outcome in &outcomes {
            match outcome {
                Ok(_) => ended.completed += 1,
                Err(Error::Cancelled) => {}
                Err(_) => ended.failed += 1,
            }
        }
        let items = &self.items;
        // Before the outcomes are stored, so that a caller that has an outcome finds it counted.
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

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::map::runs::Order;
    use crate::task::function::Infallible;
    use crate::{Backend, Bytes, Executor, ProcessPoolExecutor};

    const LONG: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

    /// Reports its number; item 0 continues when it is told to.
    fn call((place, n, _): (PathBuf, u8, Bytes)) -> u8 {
        let mut test = UnixStream::connect(place).expect("the test listens");
        test.write_all(&[n]).expect("the test listens");
        if n == 0 {
            let _ = test.read(&mut [0]).expect("the test answers");
        }
        n
    }

    #[test]
    fn items_behind_a_long_item_go_to_another_worker() {
        assert_shared(40, 10);
    }

    #[test]
    fn items_with_long_bytes_are_shared_like_others() {
        assert_shared(24, 300_000);
    }

    /// Asserts that, while one item waits, the other worker runs all the others. Each has bytes of this `length`.
    fn assert_shared(count: u8, length: usize) {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("test");
        let listener = UnixListener::bind(&place).unwrap();
        let processes = ProcessPoolExecutor::new(2);
        let executor = processes.item_executor().elsewhere().unwrap();
        let items = RemoteItems::new(executor, None, &Infallible(call)).unwrap();
        // As if many items had been quick before.
        let mut pending = items.pending.lock();
        pending.estimate.observe(1000, Duration::from_micros(1000));
        pending.size = MOST;
        drop(pending);
        let bytes = Bytes::from(vec![7; length]);
        let all = (0..count).map(|n| (place.clone(), n, bytes.clone()));
        let (mut block, follow_up) = items.take_in(all.collect(), Ticket::default());
        follow_up();
        let mut first = None;
        for _ in 0..count {
            let waiting = PollFd::new(&listener, PollFlags::IN);
            assert_eq!(poll(&mut [waiting], Some(&LONG)).unwrap(), 1, "the others wait for the first");
            let (mut item, mut n) = (listener.accept().unwrap().0, [0]);
            item.read_exact(&mut n).unwrap();
            if n == [0] {
                first = Some(item);
            }
        }
        // All the others have begun, including those sent in one batch with it.
        first.unwrap().write_all(&[1]).unwrap();
        let mut next = 0;
        while next < count {
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

    #[test]
    fn an_item_that_is_too_long_ends_alone_whatever_range_it_is_in() {
        const LONG: usize = 500 << 10;
        let processes = ProcessPoolExecutor::builder().max_workers(1).max_message_size(400 << 10).build().unwrap();
        let executor = processes.item_executor().elsewhere().unwrap();
        let items = RemoteItems::new(executor, None, &Infallible(|bytes: Bytes| bytes.len())).unwrap();
        let lengths = |nth: usize| if nth % 9 == 4 { LONG } else { nth };
        let bytes = (0..28).map(|nth| Bytes::from(vec![0; lengths(nth)]));
        let (mut range, follow_up) = items.take_in(bytes.collect(), Ticket::default());
        follow_up();
        let mut next = 0;
        while next < 28 {
            range.wait(None);
            let mut outcomes = range.take(Order::Input).unwrap().outcomes;
            while let Some(outcome) = outcomes.pop() {
                match outcome {
                    Ok(length) => assert_eq!(length, next),
                    Err(error) => {
                        assert!(matches!(error, Error::TooLarge(_)) && lengths(next) == LONG, "{next}: {error}")
                    }
                }
                next += 1;
            }
        }
        processes.shutdown();
    }

    #[test]
    fn a_map_may_have_any_number_of_workers() {
        for workers in [usize::MAX, usize::MAX / 2 + 1] {
            let processes = ProcessPoolExecutor::new(workers);
            let doubled: Vec<_> = processes.map(|n: u32| 2 * n, [1]).map(|outcome| outcome.unwrap()).collect();
            assert_eq!(doubled, [2]);
        }
    }
}
