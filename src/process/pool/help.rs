//! How a thread helps with the task that it waits for.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Pool;
use crate::look::{looking, note_found};
use crate::process::protocol::frame::Kind;
use crate::process::task::{Place, RemoteTask};
use crate::task::owner;

impl Pool {
    /// Spins for the answer to a task in the mailbox, if the task is the only one of its worker, and completes the task
    /// with it.
    pub(in crate::process) fn help(&self, remote: &RemoteTask) {
        // Answers of many frames, or with segments, leave work for the monitor; and callbacks, and tasks that follow, run there.
        let Some(task) = remote.task() else { return };
        if self.is_copy() || remote.items.is_some() || !remote.segments.is_empty() || task.has_callbacks() {
            return;
        }
        let Some((id, connection, slot, sequence)) = self.scheduler.lock().only(remote) else { return };
        let mut in_time = looking(None);
        // Whatever else ends the task takes it from its worker.
        let is_there = || matches!(*remote.place.lock(), Place::Sent { sequence: last, .. } if last == sequence);
        let read = || {
            let mut body = Vec::new();
            let (header, _) = connection.table.read_short_reply(slot, &mut body)?;
            let is_it = header.sequence == sequence && matches!(header.kind, Kind::Value | Kind::Fault);
            if !is_it || header.segments > 0 || task.has_callbacks() {
                return None;
            }
            connection.table.mailbox().clear(slot);
            let settled = self.decide_first(|scheduler, now| scheduler.settle_only(id, slot, sequence, now));
            Some((header.kind, body, settled))
        };
        let answer = connection.right.look(
            connection.table.mailbox(),
            slot,
            || is_there() && in_time(),
            read,
            || connection.ring(),
        );
        let Some((kind, body, ((remote, is_idle), follow_up))) = answer else { return };
        note_found(1);
        if !is_idle || self.settings.keep_alive.is_some() {
            connection.ring();
        }
        // Not before the answer is read: if a worker cannot be started, this ends tasks, which runs user code.
        self.follow(follow_up);
        if let Some(remote) = remote {
            // As on the monitor: user code that runs here may submit tasks, and must not wait.
            let complete = || owner::in_callback(|| remote.complete(kind, &body, &self.out_of_band));
            owner::enter_for(Arc::clone(&remote.owner) as _, complete);
            if self.scheduler.lock().end_reading() {
                self.ended.notify_all();
            }
        }
    }
}
