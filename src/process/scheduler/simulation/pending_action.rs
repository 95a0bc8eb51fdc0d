//! [`PendingAction`]: what a thread of the program does after a decision, once the lock is free. Any other event may come first.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::fake_task::open_calls;
use super::worker::Message;
use super::world::World;
use crate::error::Error;
use crate::process::scheduler::Dispatch;
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;

pub(super) enum PendingAction {
    /// Sends tasks. The flag says whether the worker's monitor is woken then.
    Send(WorkerId, Vec<Dispatch>, bool),
    /// Completes a task in the thread that waited for it.
    Read(Arc<RemoteTask>, Message),
    Refuse(Vec<Arc<RemoteTask>>, Option<Error>),
    Kill(WorkerId),
    RingAll,
}

impl PendingAction {
    /// Returns a name for a trace.
    fn name(&self) -> String {
        match self {
            Self::Send(id, orders, _) => {
                let orders: Vec<_> = orders.iter().map(|order| (order.sequence, open_calls(&order.remote))).collect();
                format!("send {orders:?} to {}", id.0)
            }
            Self::Read(remote, _) => format!("read {:?}", open_calls(remote)),
            Self::Refuse(remotes, error) => {
                format!("refuse {:?}: {error:?}", remotes.iter().map(|remote| open_calls(remote)).collect::<Vec<_>>())
            }
            Self::Kill(id) => format!("kill {}", id.0),
            Self::RingAll => "ring all".into(),
        }
    }
}

impl World<'_> {
    /// Performs a pending action.
    pub(super) fn perform(&mut self, action: PendingAction) {
        self.trace(|| action.name());
        match action {
            PendingAction::Send(id, orders, rings) => {
                self.send(id, orders);
                if rings {
                    self.ring(id);
                }
            }
            PendingAction::Refuse(remotes, error) => self.refuse(&remotes, error.as_ref()),
            PendingAction::Kill(id) => self.kill(id),
            PendingAction::Read(remote, message) => {
                self.deliver(remote, message, true);
                self.scheduler.end_reading();
            }
            PendingAction::RingAll => self.ring_all(),
        }
    }

    pub(super) fn refuse(&mut self, remotes: &[Arc<RemoteTask>], error: Option<&Error>) {
        for remote in remotes {
            self.call_off(remote);
            match error {
                None => {
                    remote.withdraw();
                }
                Some(error) => remote.fail(error),
            }
        }
    }
}
