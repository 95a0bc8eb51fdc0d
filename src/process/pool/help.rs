//! What a thread can do for the task that it waits for.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Pool;
use crate::process::flight::Flight;
use crate::task::owner;

impl Pool {
    /// Receives the answer to a task in the place of the thread that looks after its worker, if it is the only task there, and
    /// completes it.
    ///
    /// Returns when that is done, or somebody else is to do it.
    pub(in crate::process) fn help(&self, flight: &Flight) {
        // What comes in many frames, or with segments, leaves things to do for the worker's thread; and there callbacks run.
        let Some(task) = flight.task() else { return };
        if self.is_copy() || flight.items.is_some() || !flight.leases.is_empty() || task.has_callbacks() {
            return;
        }
        let Some((id, wire, slot, sequence)) = self.supervisor.lock().only(flight) else { return };
        let Some(mut helper) = wire.help() else { return };
        if !flight.relief.expect(&wire) {
            if helper.leave() {
                wire.ring();
            }
            return;
        }
        let answer = helper.answer(slot, sequence, || !task.has_callbacks());
        // Before the reader is given back: where the worker is dead, its thread looks at once what it has left undone.
        let answered = answer.map(|(header, body)| {
            let ((flight, is_idle), follow_up) =
                self.decide_first(|supervisor, now| supervisor.settle_only(id, slot, sequence, now));
            (header, body, flight, is_idle, follow_up)
        });
        if flight.relief.end() {
            helper.was_relieved();
        }
        let missed = helper.leave();
        let Some((header, body, flight, is_idle, follow_up)) = answered else {
            if missed {
                wire.ring();
            }
            return;
        };
        if missed || !is_idle || self.settings.keep_alive.is_some() {
            wire.ring();
        }
        // Only now: where a worker cannot be started, that ends tasks, which is user code.
        self.follow(follow_up);
        if let Some(flight) = flight {
            // As on the worker's thread: what runs here may submit, and must not wait.
            let complete = || owner::in_callback(|| flight.complete(header.kind, &body, &self.carrier));
            owner::enter_for(Arc::clone(&flight.pool) as _, complete);
            if self.supervisor.lock().end_reading() {
                self.ended.notify_all();
            }
        }
    }
}
