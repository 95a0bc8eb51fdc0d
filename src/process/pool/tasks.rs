//! How tasks enter the pool, and are taken out of it before they start.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::Pool;
use crate::bytes::with_out_of_band;
use crate::condition::{Room, Waiting};
use crate::error::{Error, TooLarge};
use crate::fork;
use crate::options::TaskOptions;
use crate::process::contexts::EncodedContext;
use crate::process::program::call::LocatedCall;
use crate::process::protocol::frame::NOT_SENT;
use crate::process::scheduler::Submitted;
use crate::process::shm::segments::{SegmentRef, message_size};
use crate::process::task::{Completion, Place, RemoteTask};
use crate::task::Runnable;
use crate::task::encoded::EncodedCall;
use crate::task::owner::Shared;
use crate::task::shared_context::AnyContext;
use crate::task::snapshot::State;

impl Pool {
    /// Reserves room for a task, if it needs some, or registers the poll if there is none.
    pub(in crate::process) fn reserve(&self, options: &TaskOptions, waiting: &mut Waiting) -> Option<Room> {
        let is_bounded = self.settings.max_pending.is_some();
        if !is_bounded || options.get_refuse_when_full() || self.is_copy() || self.owns_thread() {
            return Some(Room::NotReserved);
        }
        let mut scheduler = self.scheduler.lock();
        if scheduler.refuses_all(false, false).is_some() {
            return Some(Room::NotReserved);
        }
        if !scheduler.is_full() {
            scheduler.reserve();
            return Some(Room::Reserved);
        }
        let replaced = self.room.register(waiting);
        drop(scheduler);
        drop(replaced);
        None
    }

    /// Encodes the call of a task in the caller's thread, and submits the task, which has this room.
    pub(in crate::process) fn execute(&self, task: Arc<dyn Runnable>, room: Room) {
        // Before any lock is taken: it may have been held when the process was forked.
        if self.is_copy() {
            task.refuse(fork::lost_in_fork());
            return;
        }
        let (encoded, taken) = with_out_of_band(&self.out_of_band, || task.encode_call());
        let mut segments = if taken.is_empty() { Vec::new() } else { self.segments.references(&taken) };
        let located = encoded.and_then(|encoded| {
            let mut encoded = self.sized(encoded, &mut segments)?;
            let context = encoded.context.take().map(|context| self.encoded_context(&*context)).transpose()?;
            Ok((LocatedCall::of(encoded)?, context))
        });
        let (encoded, context) = match located {
            Ok(located) => located,
            Err(error) => {
                self.segments.release(&segments, false);
                self.give_back(room);
                // Only a task that has ended already cannot be encoded because it was cancelled.
                if !matches!(error, Error::Cancelled) {
                    self.count(true);
                }
                task.fail(error);
                return;
            }
        };
        let Some(pool) = self.me.upgrade() else { return };
        let remote = RemoteTask::new(Completion::Task(Arc::clone(&task)), pool, encoded, segments, context);
        if task.entrust(Arc::clone(&remote) as _) {
            if task.snapshot().state == State::Running {
                remote.note_start();
            }
            self.submit_into(remote, false, room);
        } else {
            *remote.place.lock() = Place::Revoked;
            self.give_back(room);
        }
    }

    /// Returns the encoding of a context for this pool. Runs user code.
    pub(super) fn encoded_context(&self, context: &dyn AnyContext) -> Result<Arc<EncodedContext>, Error> {
        EncodedContext::of(context, &self.segments, self.settings.max_message_size)
    }

    /// Makes reserved room available to others.
    fn give_back(&self, room: Room) {
        if room == Room::Reserved {
            self.decide(|scheduler, _| scheduler.give_back(room));
        }
    }

    /// Announces more batches of an accepted map, or returns why it is too late. With `first`, the workers stay until
    /// [`expect_no_more`](Self::expect_no_more) is called.
    pub(in crate::process) fn expect_more(&self, first: bool) -> Result<(), Error> {
        let mut scheduler = self.scheduler.lock();
        // If no worker is left, a caller may have been told that the pool has ended.
        let accepted = !first || !scheduler.is_empty();
        scheduler.refuses_all(false, accepted).map_or(Ok(()), Err)?;
        scheduler.expected += usize::from(first);
        Ok(())
    }

    /// Ends an announcement of [`expect_more`](Self::expect_more): no more batches of that map will come.
    pub(in crate::process) fn expect_no_more(&self) {
        let mut scheduler = self.scheduler.lock();
        scheduler.expected -= 1;
        let is_closed = scheduler.is_closed();
        drop(scheduler);
        if is_closed {
            self.ring_all();
        }
    }

    pub(in crate::process) fn enlist(&self, shared: Weak<dyn Shared>) {
        let mut all = self.shared.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(shared);
        // The items of this map come after those of the maps before it.
        self.tickets.next();
    }

    pub(super) fn shared(&self) -> Vec<Arc<dyn Shared>> {
        self.shared.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Refuses an argument that is too long; in a chunk or batch, only the items that are. Releases the segments of the
    /// items that are not sent, and leaves and counts those of the others.
    pub(in crate::process) fn sized(
        &self,
        mut encoded: EncodedCall,
        segments: &mut Vec<SegmentRef>,
    ) -> Result<EncodedCall, Error> {
        let limit = self.settings.max_message_size;
        let refusal = |size, limit| (size > limit).then(|| Error::TooLarge(TooLarge::new(size, limit)));
        let Some(chunk) = &mut encoded.items else {
            return refusal(message_size(encoded.argument.len(), segments), limit).map_or(Ok(encoded), Err);
        };
        let most_within = u64::from(NOT_SENT) - 1;
        if segments.is_empty() && chunk.stored.is_empty() && encoded.argument.len() as u64 <= limit.min(most_within) {
            // No item is longer than all of them.
            return Ok(encoded);
        }
        let mut not_written = std::mem::take(&mut chunk.refused).into_iter().peekable();
        let mut left = std::mem::take(segments).into_iter();
        let (mut start, mut stored, mut unused) = (0, 0, Vec::new());
        for (position, end) in chunk.ends.iter().enumerate() {
            let within = end - std::mem::replace(&mut start, *end);
            let until = chunk.stored.get(position).copied().unwrap_or(0);
            let own: Vec<_> = left.by_ref().take(until - std::mem::replace(&mut stored, until)).collect();
            let refused = not_written.next_if(|(refused, _)| *refused == position).map(|(_, error)| error);
            let refused = refused.or_else(|| refusal(message_size(within, &own), limit));
            let refused = refused.or_else(|| refusal(within as u64, most_within));
            if refused.is_none() { &mut *segments } else { &mut unused }.extend(own);
            if let Some(stored) = chunk.stored.get_mut(position) {
                *stored = segments.len();
            }
            chunk.refused.extend(refused.map(|error| (position, error)));
        }
        self.segments.release(&unused, false);
        Ok(encoded)
    }

    /// Gives a task to a worker, or ends it with the reason why not. A task that was `accepted` before may come after
    /// the pool was closed.
    pub(in crate::process) fn submit(&self, remote: Arc<RemoteTask>, accepted: bool) {
        self.submit_into(remote, accepted, Room::NotReserved);
    }

    /// As [`submit`](Self::submit), but does not wait if room was reserved.
    fn submit_into(&self, remote: Arc<RemoteTask>, accepted: bool, room: Room) {
        let owned = self.owns_thread();
        let mut scheduler = self.scheduler.lock();
        scheduler.give_back(room);
        loop {
            if let Some(refusal) = scheduler.refusal(&remote, owned, accepted) {
                drop(scheduler);
                remote.refuse(refusal);
                return;
            }
            if room != Room::NotReserved || owned || !scheduler.is_full() {
                break;
            }
            self.room.wait(&mut scheduler);
        }
        remote.take_ticket(&self.tickets);
        let now = Instant::now();
        let limited = remote.limit().is_some();
        let submitted = scheduler.submit(remote, now);
        let new_workers = scheduler.spawn_missing(now);
        let to_wake = scheduler.take_to_wake();
        let removed = scheduler.take_removed();
        drop(scheduler);
        drop(removed);
        if let Submitted::Sent(connection, order) = submitted {
            // The monitor has to send the rest, or to keep the time limit.
            if connection.send([order]) || limited {
                connection.ring();
            }
        }
        for connection in to_wake {
            connection.ring();
        }
        for id in new_workers {
            self.start(id);
        }
    }

    /// Ends tasks that were taken out of the queue and will not be started, with `reason`; without one, cancels them.
    /// Returns how many tasks were cancelled or ended.
    pub(in crate::process) fn refuse(&self, remotes: Vec<Arc<RemoteTask>>, reason: Option<&Error>) -> usize {
        let end = |remote: &Arc<RemoteTask>| match reason {
            None => remote.withdraw(),
            Some(error) => {
                remote.fail(error);
                1
            }
        };
        remotes.iter().map(end).sum()
    }

    pub(in crate::process) fn cancel_pending(&self) -> usize {
        if self.is_copy() {
            return 0;
        }
        // Before the queue, because the end of a task there may end tasks that are held back until then.
        let upcoming = self.upcoming.take();
        // Also before the queue, because the maps would continue while the pending tasks are cancelled.
        let shared: usize = self.shared().iter().map(|shared| shared.call_off(&Error::Cancelled)).sum();
        let pending = self.decide(|scheduler, now| scheduler.cancel_pending(now));
        shared + self.refuse(pending, None) + upcoming.cancel()
    }
}
