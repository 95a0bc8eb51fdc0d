//! What the monitor of a worker does with its mail.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::pool::Pool;
use super::protocol::frame::Kind;
use crate::error::Error;

impl Pool {
    /// Until the worker has ended.
    pub(super) fn monitor(&self) {
        loop {
            let has_mail = self.connection.right.set_sleeping(self.connection.table.mail());
            self.connection.tell(|told| told.has_slept = true);
            let (exited, expired) = self.connection.wait_for(|told| {
                let rung = std::mem::take(&mut told.rung);
                let woken = told.exited || rung || has_mail || told.expired;
                woken.then(|| (told.exited, std::mem::take(&mut told.expired)))
            });
            if exited {
                break;
            }
            let mail = self.connection.right.read(self.connection.table.mail(), || self.take_mail());
            self.complete(mail.unwrap_or_default());
            if expired {
                self.expire();
            }
        }
        let last = self.connection.right.read_last(|| self.take_mail());
        self.complete(last);
        let lost = self.scheduler.lock().died();
        lost.iter().for_each(|remote| remote.fail(Error::Abandoned));
        self.scheduler.lock().is_gone = true;
        self.ended.notify_all();
    }

    fn take_mail(&self) -> Vec<(u8, u64)> {
        let table = &self.connection.table;
        let read = |slot| table.read_letter(slot, &mut Vec::new()).map(|(header, _)| (slot, header.sequence));
        table.mail().take().filter_map(read).collect()
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
