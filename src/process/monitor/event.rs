//! [`Event`] and [`Action`]: what a monitor is told, and what is to be done then. What follows from which, [`state`](super::state) says.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Exit};
use crate::process::scheduler::{Answered, Dispatch, LostTask};
use crate::process::shm::table::TaskTable;
use crate::process::task::RemoteTask;

/// What has happened. `W` is how the scheduler knows the worker's connection, and `R` is a reply as it was read.
pub(in crate::process) enum Event<'a, W, R> {
    Woken,
    Hello {
        is_same_build: bool,
    },
    Ready(W, Arc<TaskTable>),
    Unfit(Error),
    /// The vector is drained.
    Replies(&'a mut Vec<R>),
    HungUp,
    Damaged(Error),
    /// The clock is that of the worker's notes in the task table.
    TimePassed {
        clock: u64,
    },
    CannotBeKilled,
    Gone,
    Reaped {
        exit: &'a Exit,
    },
    /// With an error the lost task ends, without one it is to run again.
    Judged(Arc<RemoteTask>, Option<Error>),
}

/// What is to be done, in order, once the lock of the scheduler is free.
pub(in crate::process) enum Action<R> {
    Send(Vec<Dispatch>),
    /// Tells the worker that nothing more will come.
    SayNoMore,
    Kill,
    /// Waits for the worker no longer.
    GiveUp,
    /// Completes a task with its reply. There is no task if the worker did not have it.
    Deliver(Option<Arc<RemoteTask>>, R),
    /// Ends a task whose time was up.
    Expire(Arc<RemoteTask>, Duration),
    /// Ends tasks that nobody is to start; without a reason they are cancelled.
    Refuse(Vec<Arc<RemoteTask>>, Option<Error>),
    /// Finds out what the worker has left of a task, and reports it as `Judged`.
    Judge(LostTask),
    Fail(Arc<RemoteTask>, Error),
    /// No worker can serve: ends the pool.
    BreakDown(Error),
    Warn(String),
}

/// A reply as it was read.
pub(in crate::process) trait Reply {
    fn answered(&self) -> Answered;
}
