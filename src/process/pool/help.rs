//! What a thread can do for the task that it waits for.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Pool;
use crate::process::task::RemoteTask;
use crate::task::owner;

impl Pool {
    /// Receives the answer to a task in the place of the thread that looks after its worker, if it is the only task there, and
    /// completes it.
    ///
    /// Returns when that is done, or somebody else is to do it.
    pub(in crate::process) fn help(&self, remote: &RemoteTask) {
        // What comes in many frames, or with segments, leaves things to do for the worker's thread; and there callbacks run.
        let Some(task) = remote.task() else { return };
        if self.is_copy() || remote.items.is_some() || !remote.segments.is_empty() || task.has_callbacks() {
            return;
        }
        let Some((id, connection, slot, sequence)) = self.scheduler.lock().only(remote) else { return };
        let Some(mut helper) = connection.help() else { return };
        if !remote.relief.expect(&connection) {
            if helper.leave() {
                connection.ring();
            }
            return;
        }
        let answer = helper.answer(slot, sequence, || !task.has_callbacks());
        // Before the reader is given back: where the worker is dead, its thread looks at once what it has left undone.
        let answered = answer.map(|(header, body)| {
            let ((remote, is_idle), follow_up) =
                self.decide_first(|scheduler, now| scheduler.settle_only(id, slot, sequence, now));
            (header, body, remote, is_idle, follow_up)
        });
        if remote.relief.end() {
            helper.was_relieved();
        }
        let missed = helper.leave();
        let Some((header, body, remote, is_idle, follow_up)) = answered else {
            if missed {
                connection.ring();
            }
            return;
        };
        if missed || !is_idle || self.settings.keep_alive.is_some() {
            connection.ring();
        }
        // Only now: where a worker cannot be started, that ends tasks, which is user code.
        self.follow(follow_up);
        if let Some(remote) = remote {
            // As on the worker's thread: what runs here may submit, and must not wait.
            let complete = || owner::in_callback(|| remote.complete(header.kind, &body, &self.out_of_band));
            owner::enter_for(Arc::clone(&remote.pool) as _, complete);
            if self.scheduler.lock().end_reading() {
                self.ended.notify_all();
            }
        }
    }
}
