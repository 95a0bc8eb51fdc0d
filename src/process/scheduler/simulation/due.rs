//! [`Due`]: what follows from a decision once the lock is free. Anything may come before it is done.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::errand::open_calls;
use super::worker::Said;
use super::world::World;
use crate::error::Error;
use crate::process::scheduler::{Dispatch, LostTask};
use crate::process::task::RemoteTask;
use crate::process::worker_id::WorkerId;

pub(super) enum Due {
    /// Frames, and whether the worker's thread is rung for then.
    Send(WorkerId, Vec<Dispatch>, bool),
    /// Takes up to so many messages.
    Receive(usize),
    /// Looks for what there is to do.
    Look,
    Deliver(Arc<RemoteTask>, Said),
    /// The same by who has waited for it.
    Read(Arc<RemoteTask>, Said),
    Refuse(Vec<Arc<RemoteTask>>, Option<Error>),
    Died,
    Mourn(LostTask),
    Requeue(Arc<RemoteTask>),
    Bury(Arc<RemoteTask>, Error),
    Expire(Arc<RemoteTask>),
    Kill(WorkerId),
    Break,
    RingAll,
    Forget,
}

impl Due {
    /// For a trace.
    pub(super) fn name(&self) -> String {
        let calls = |remote: &RemoteTask| open_calls(remote);
        match self {
            Self::Send(id, orders, _) => {
                let orders: Vec<_> = orders.iter().map(|order| (order.sequence, calls(&order.remote))).collect();
                format!("send {orders:?} to {}", id.0)
            }
            Self::Receive(count) => format!("receive {count}"),
            Self::Look => "look".into(),
            Self::Deliver(remote, _) => format!("deliver {:?}", calls(remote)),
            Self::Read(remote, _) => format!("read {:?}", calls(remote)),
            Self::Refuse(remotes, error) => {
                format!("refuse {:?}: {error:?}", remotes.iter().map(|remote| calls(remote)).collect::<Vec<_>>())
            }
            Self::Died => "died".into(),
            Self::Mourn(lost) => format!("mourn {:?}", calls(&lost.remote)),
            Self::Requeue(remote) => format!("requeue {:?}", calls(remote)),
            Self::Bury(remote, _) => format!("bury {:?}", calls(remote)),
            Self::Expire(remote) => format!("expire {:?}", calls(remote)),
            Self::Kill(id) => format!("kill {}", id.0),
            Self::Break => "break".into(),
            Self::RingAll => "ring all".into(),
            Self::Forget => "forget".into(),
        }
    }
}

impl World<'_> {
    /// Does what a thread outside is about to do.
    pub(super) fn perform(&mut self, due: Due) {
        self.trace(|| due.name());
        match due {
            Due::Send(id, orders, rings) => {
                self.send(id, orders);
                if rings {
                    self.ring(id);
                }
            }
            Due::Refuse(remotes, error) => self.refuse(&remotes, error.as_ref()),
            Due::Kill(id) => self.kill(id),
            Due::Read(remote, said) => {
                self.deliver(remote, said, true);
                self.scheduler.end_reading();
            }
            Due::RingAll => self.ring_all(),
            _ => unreachable!("a keeper does that"),
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
