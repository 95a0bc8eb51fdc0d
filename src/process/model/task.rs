//! The task of a model: a task that one worker has.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::pool::Pool;
use super::protocol::frame::Kind;
use super::relief::Relief;
use crate::error::Error;
use crate::id::FutureId;
use crate::task::Runnable;
use crate::task::remote::Remote;
use crate::task::roles::TaskOwner;

pub(super) struct RemoteTask {
    pub(super) task: Arc<dyn Runnable>,
    pub(super) pool: Arc<Pool>,
    pub(super) relief: Relief,
    pub(super) items: Option<()>,
    pub(super) segments: Vec<()>,
}

impl RemoteTask {
    pub(super) fn new(task: Arc<dyn Runnable>, pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { task, pool, relief: Relief::default(), items: None, segments: Vec::new() })
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
        self.pool.has_started(self)
    }

    fn revoke(&self, _: FutureId) -> bool {
        self.pool.revoke(self)
    }

    fn stop(&self, _: FutureId) -> bool {
        self.pool.stop(self)
    }

    fn help(&self, _: FutureId) {
        self.pool.help(self);
    }

    fn stopped(&self, _: FutureId) {
        self.pool.kill_the_doomed();
    }
}

/// As the real one.
impl TaskOwner for RemoteTask {
    fn cancelled(&self) {
        self.relief.ring();
    }
    fn refused(&self) {
        self.relief.ring();
    }
    fn ended(&self, _failed: bool) {
        self.pool.count();
        self.relief.ring();
    }
    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}
