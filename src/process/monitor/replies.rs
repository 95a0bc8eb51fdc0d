//! How a monitor handles the replies of its worker.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::reply::Reply;
use super::{Event, WorkerMonitor};
use crate::error::{Broken, Error};
use crate::process::protocol::frame::{self, Header, ItemsHead};
use crate::process::scheduler::Answered;
use crate::process::shm::table;
use crate::process::task::RemoteTask;

impl WorkerMonitor<'_> {
    /// Notes that the worker has started a task, if the task is one of its own. Runs user code.
    pub(super) fn started(&self, header: Header, body: &[u8]) -> io::Result<()> {
        let began = frame::u64_at(body, 0).ok_or_else(|| frame::broken("a start without its time"))?;
        let ago = Duration::from_nanos(table::now().saturating_sub(began));
        let at = Instant::now().checked_sub(ago).unwrap_or_else(Instant::now);
        let answer = Answered { slot: header.slot, sequence: header.sequence, last: false };
        if let Some(remote) = self.pool.decide(|scheduler, now| scheduler.settle(self.id, answer, now)) {
            remote.note_started(at, &self.pool.worker_name(self.id));
        }
        Ok(())
    }

    /// Completes the task of a reply, if the worker had it. Runs user code.
    pub(super) fn deliver(
        &mut self,
        remote: Option<Arc<RemoteTask>>,
        reply: Reply,
        buffer: &[u8],
    ) -> Option<Event<'static>> {
        let Reply { header, body, items } = reply;
        let mut is_whole = true;
        if let Some(remote) = remote {
            if header.kept {
                remote.kept.store(true, Ordering::Relaxed);
            }
            let carries = !remote.segments.is_empty();
            is_whole = self.complete(&remote, header, items, &buffer[body]);
            drop(remote);
            if carries {
                self.pool.trim_segments();
            }
        }
        if header.segments > 0 {
            self.collected += u64::from(header.segments);
            self.connection.table.collect(self.collected);
        }
        (!is_whole).then(|| Event::Damaged(unreadable()))
    }

    /// Completes a task, or notes replies to its items. Returns `false` if the reply cannot be read and is not the last
    /// one to its task: then the worker has to be killed.
    fn complete(&self, remote: &RemoteTask, header: Header, items: Option<ItemsHead>, body: &[u8]) -> bool {
        match (items, &remote.items) {
            (None, None) => remote.complete(header.kind, body, &self.out_of_band),
            (Some(head), Some(_)) if remote.note(head.first, head.count, &body[ItemsHead::LENGTH..]) => {
                if head.last {
                    // The missing items were taken back.
                    remote.fail(&Error::Cancelled);
                }
            }
            (Some(head), _) if !head.last => return false,
            _ => remote.fail(&unreadable()),
        }
        true
    }
}

fn unreadable() -> Error {
    Error::Broken(Broken::new("a worker process sent a reply that cannot be read"))
}
