//! How a job enters the window.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::task::Waker;

use concurrent_futures::{Error, Job, Waiting};

use super::prepared::Prepared;
use super::shared::{Shared, State};

/// What happens to a job for which there is no room.
enum Admission {
    /// The thread blocks until there is room.
    Wait,
    /// The job ends with an error.
    Refuse,
    /// The job is given back, and this waker is woken when there is room. It was cloned without the lock, because that
    /// runs user code.
    Poll(Option<Waker>),
    /// The job is taken beyond the limit, because the thread must not block.
    Exempt,
}

enum Entered {
    Here,
    NoRoom,
    Refused(Error),
}

impl Shared {
    /// Takes a job, or completes it with an error. Blocks while there is no room, unless `waits` is false.
    pub(crate) fn submit(self: &Arc<Self>, job: Job, queue: &Arc<str>, waits: bool) {
        let admission = match job.options().get_refuse_when_full() {
            true => Admission::Refuse,
            false if waits && !self.is_own_thread() => Admission::Wait,
            false => Admission::Exempt,
        };
        if let Some(prepared) = Prepared::new(job, queue, self.settings.max_message_size)
            && let Err(job) = self.enter(prepared, admission)
        {
            job.fail(self.settings.full());
        }
    }

    /// Takes a job like [`submit`](Self::submit), but gives it back if there is no room, and wakes the poll later.
    pub(crate) fn try_submit(self: &Arc<Self>, job: Job, queue: &Arc<str>, waiting: &mut Waiting) -> Result<(), Job> {
        if job.options().get_refuse_when_full() {
            self.submit(job, queue, false);
            return Ok(());
        }
        let admission = Admission::Poll(Some(waiting.waker().clone()));
        Prepared::new(job, queue, self.settings.max_message_size)
            .map_or(Ok(()), |prepared| self.enter(prepared, admission))
    }

    /// Takes a job into the window, or completes it with an error. Gives it back if there is no room for it.
    ///
    /// The job is [entrusted](Job::entrust) between the two steps, without the lock. A thread that cancels it from then
    /// on finds its task in the window, and nothing of the task is published before the second step.
    fn enter(self: &Arc<Self>, prepared: Prepared, mut admission: Admission) -> Result<(), Job> {
        let Prepared { job, call, items } = prepared;
        let (id, mut items) = (job.id(), Some(items));
        let most = self.settings.most_pending();
        let mut entered = |state: &mut State| {
            if let Some(error) = state.broken.clone().or(state.is_closed.then_some(Error::ShutDown)) {
                return Some(Entered::Refused(error));
            }
            if state.window.len() < most || matches!(admission, Admission::Exempt) {
                state.window.enter(id, Arc::clone(&call), items.take().unwrap_or_default());
                return Some(Entered::Here);
            }
            match &mut admission {
                Admission::Wait | Admission::Exempt => None,
                Admission::Refuse => Some(Entered::NoRoom),
                Admission::Poll(waker) => {
                    state.wake_later(waker);
                    Some(Entered::NoRoom)
                }
            }
        };
        match self.block_until(None, &mut entered) {
            Some(Entered::NoRoom) => return Err(job),
            Some(Entered::Refused(error)) => job.fail(error),
            Some(Entered::Here) if job.entrust(Arc::clone(self) as _) => self.put(id, job),
            // The task ended before it could be entrusted. `block_until` returns no `None` without a deadline.
            Some(Entered::Here) | None => drop(self.change(|state| state.window.left(id))),
        }
        Ok(())
    }
}
