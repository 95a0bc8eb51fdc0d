//! What the monitor of a worker does with short replies.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::pool::Pool;
use super::protocol::frame::Kind;
use crate::error::Error;

impl Pool {
    /// Until the worker has ended.
    pub(super) fn monitor(&self) {
        loop {
            let has_replies = self.connection.right.set_sleeping(self.connection.table.mailbox());
            self.connection.tell(|told| told.has_slept = true);
            let (exited, expired) = self.connection.wait_for(|told| {
                let rung = std::mem::take(&mut told.rung);
                let woken = told.exited || rung || has_replies || told.expired;
                woken.then(|| (told.exited, std::mem::take(&mut told.expired)))
            });
            if exited {
                break;
            }
            let replies = self.connection.right.read(self.connection.table.mailbox(), || self.take_short_replies());
            self.complete(replies.unwrap_or_default());
            if expired {
                self.expire();
            }
        }
        let last = self.connection.right.read_last(|| self.take_short_replies());
        self.complete(last);
        let lost = self.scheduler.lock().died();
        lost.iter().for_each(|remote| remote.fail(Error::Abandoned));
        self.scheduler.lock().is_gone = true;
        self.ended.notify_all();
    }

    fn take_short_replies(&self) -> Vec<(u8, u64)> {
        let table = &self.connection.table;
        let read = |slot| table.read_short_reply(slot, &mut Vec::new()).map(|(header, _)| (slot, header.sequence));
        table.mailbox().take().filter_map(read).collect()
    }

    fn complete(&self, answers: Vec<(u8, u64)>) {
        for (slot, sequence) in answers {
            let remote = self.scheduler.lock().settle(slot, sequence);
            if let Some(remote) = remote {
                remote.complete(Kind::Value, &[sequence as u8], &());
            }
        }
    }

    fn expire(&self) {
        let expired = self.scheduler.lock().expire();
        if let Some(remote) = expired {
            self.kill_the_doomed();
            remote.task.start();
            remote.task.expire(Duration::ZERO);
        }
    }
}
