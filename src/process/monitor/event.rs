//! [`Event`] and [`Action`]: what a monitor's state is told, and what the monitor then has to do.
//! [`state`](super::state) lists which follows from which.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Exit};
use crate::process::scheduler::{Answered, Dispatch, LostTask, Prospect};
use crate::process::shm::table::TaskTable;
use crate::process::task::RemoteTask;

/// What has happened. `W` is the scheduler's handle on the worker, and `R` is a reply as it was read.
pub(in crate::process) enum Event<'a, W, R> {
    Woken,
    Hello {
        is_same_build: bool,
    },
    Ready(W, Arc<TaskTable>),
    /// Why it cannot be set up, and what to expect of the next worker.
    Unfit(Error, Prospect),
    /// The vector is drained.
    Replies(&'a mut Vec<R>),
    HungUp,
    Damaged(Error),
    /// `clock` is read from the clock that the worker uses for its notes in the task table.
    TimePassed {
        clock: u64,
    },
    CannotBeKilled,
    Gone,
    Reaped {
        exit: &'a Exit,
    },
    /// With an error the lost task ends, without one it runs again.
    Judged(Arc<RemoteTask>, Option<Error>),
}

/// What has to be done, in order, once the lock of the scheduler is released.
pub(in crate::process) enum Action<R> {
    Send(Vec<Dispatch>),
    /// Tells the worker that nothing more will come.
    SayNoMore,
    Kill,
    /// Stops waiting for the worker.
    GiveUp,
    /// Completes a task with its reply. Without a task, the worker did not have the one that it answered.
    Deliver(Option<Arc<RemoteTask>>, R),
    /// Ends a task whose time limit has passed.
    Expire(Arc<RemoteTask>, Duration),
    /// Ends tasks that will not be started. Without a reason they are cancelled.
    Refuse(Vec<Arc<RemoteTask>>, Option<Error>),
    /// Reads what the worker has left of a task, and reports the result as `Judged`.
    Judge(LostTask),
    /// Ends the queued tasks, and the items of maps behind them: no worker comes up.
    EndQueued(Vec<Arc<RemoteTask>>, Error),
    Fail(Arc<RemoteTask>, Error),
    /// Ends the pool: no worker can serve.
    BreakDown(Error),
    Warn(String),
}

/// A reply as it was read.
pub(in crate::process) trait Reply {
    fn answered(&self) -> Answered;
}
