//! The remote of a model: a task that one worker has.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::pool::Pool;
use super::protocol::frame::Kind;
use super::table::Progress;
use crate::error::Error;
use crate::id::FutureId;
use crate::sync::Mutex;
use crate::task::Runnable;
use crate::task::remote::Remote;
use crate::task::roles::TaskOwner;

pub(super) struct RemoteTask {
    pub(super) task: Arc<dyn Runnable>,
    pub(super) owner: Arc<Pool>,
    /// Written under the lock of the scheduler only.
    pub(super) place: Mutex<Place>,
    pub(super) items: Option<()>,
    pub(super) segments: Vec<()>,
}

pub(super) enum Place {
    Sent { slot: u8, sequence: u64 },
    Done,
}

impl RemoteTask {
    pub(super) fn new(task: Arc<dyn Runnable>, owner: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { task, owner, place: Mutex::new(Place::Done), items: None, segments: Vec::new() })
    }

    pub(super) fn task(&self) -> Option<&dyn Runnable> {
        Some(&*self.task)
    }

    pub(super) fn complete(&self, _: Kind, body: &[u8], _carrier: &()) {
        self.task.complete(Ok(body));
    }

    pub(super) fn fail(&self, error: Error) {
        self.task.fail(error);
    }
}

impl Remote for RemoteTask {
    fn has_started(&self, _: FutureId) -> bool {
        match *self.place.lock() {
            Place::Sent { slot, sequence } => {
                self.owner.connection.table.slots().progress(slot, sequence) != Progress::Ready
            }
            Place::Done => true,
        }
    }

    fn revoke(&self, _: FutureId) -> bool {
        self.owner.scheduler.lock().revoke(self)
    }

    fn stop(&self, _: FutureId) -> bool {
        self.owner.scheduler.lock().stop(self)
    }

    fn help(&self, _: FutureId) {
        self.owner.help(self);
    }

    fn stopped(&self, _: FutureId) {
        self.owner.kill_the_doomed();
    }
}

/// As the real one.
impl TaskOwner for RemoteTask {
    fn ended(&self, _failed: bool) {
        self.owner.count();
    }
    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}
