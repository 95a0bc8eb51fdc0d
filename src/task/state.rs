//! The state machine: one task per task, in one allocation.
//!
//! `roles` says what may be asked of a task, `runner` and `handle` answer it; every way out of a state but those of
//! `Pending` to `Running` and of a lent outcome goes through [`Task::end`], here.
//!
//! An `Arc<Task>` is unsized twice: [`Runnable`] for executors, [`TaskHandle`] for the handle. Everything is under the
//! task's one mutex; nothing of the user's (function, argument, outcome, callback, waker, serde code) runs or drops
//! while it is held, and no other lock is taken under it but the one inside of a wait-set, under which none is taken.
//!
//! # Who may leave a state
//!
//! | from | to | who | what it takes along |
//! |---|---|---|---|
//! | `Pending` | `Running` | the worker that popped it, a claiming waiter, [`Job::start`](crate::Job::start) | the call, to call it |
//! | `Pending` | `Delivering`, then done | `cancel`, `abort`, a refusal (`Broken`, `ShutDown`, ..), a promise | the call, to drop it |
//! | `Running` | `Delivering`, then done | whoever runs it, `abort`, its time limit | what is left of the call |
//! | `Delivering` | `Finished`, `Cancelled`, `Taken` | the thread that came into it | callbacks, then listeners |
//! | `Finished` | `Delivering` and back | `add_done_callback`, for the callback's time | the outcome |
//! | `Finished` | `Taken` | the handle: `result`, `.await`, its drop | the outcome |
//!
//! `Cancelled` and `Taken` are left by nobody. `Delivering` shows to the outside as the state before it, so nobody sees
//! a task done before its callbacks have run, and a callback added to a done task does not undo it.
//!
//! # The races, each decided by the lock
//!
//! - **Cancel against start**: whoever finds `Pending` wins. `cancel() == true` means that the call was taken out here,
//!   so it never runs; the loser finds no call and leaves the entry alone.
//! - **Finish against abort or time limit**: the first finds `Running` and publishes. The late outcome is dropped by
//!   its owner, outside the lock.
//! - **Finish against take**: taking needs a handle by value and a done task; before, the taker sleeps on `changed` and
//!   is counted in `waiters`, under the same lock that publishes. Nobody is notified in vain.
//! - **Callback against finish**: added before `Delivering` ends, it is run by the delivering thread, whose loop ends
//!   under the lock that publishes; added after, by the adder. There is no in-between.
//! - **Callback against take**: the outcome is out of a `Finished` task while a late callback looks at it. It cannot be
//!   taken then, because the adder borrows the handle that taking would consume.
//! - **Wait-set against finish**: told under the lock that publishes, so the order in which futures come out is one in
//!   which they can have been seen done.
//! - **Waker against finish**: registered under the lock that publishes: before, it is woken; after, it is not stored
//!   and the poll is ready.
//! - **Entrusted**: of a task that another process may start, that place decides, before this one: `cancel` and `abort`
//!   ask [`Remote`](super::remote::Remote) first, and end the task only where they won there. It stays `Pending` here
//!   while it runs there; a look from outside asks.
//! - **Fork**: in the copy of a process the threads are missing that would end a task. Whoever finds it not done there,
//!   ends it with `Broken`. The lock of a task that another thread has at that moment, for a few instructions, is the
//!   one that cannot be spared.
//! - **Drop of the handle against finish**: `detached` is set before, and the finisher drops the outcome; or the
//!   outcome is there, and the handle takes it along.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::function::failed;
use super::roles::{Callback, TaskHandle};
use super::snapshot::{Snapshot, State};
use crate::error::{Error, Outcome};
use crate::fork;
use crate::held::{Held, is_large};
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::outcomes::drop_unobserved;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::task::call::Call;
use crate::task::listener::{self, Listener, ListenerKey};
use crate::task::nested::with_room;
use crate::task::owner;
use crate::task::roles::TaskOwner;
use crate::unwind::{catch_and_log, catch_and_log_dyn, drop_caught};

/// `H` is how it [holds](Held) its outcome.
pub(crate) struct Task<C, T, H = Outcome<T>> {
    pub(super) id: FutureId,
    /// Set when it is made, or by the job that hands it to its executor.
    pub(super) options: OnceLock<Arc<TaskOptions>>,
    pub(super) inner: Mutex<Inner<C, T, H>>,
    /// Notified when the task is done, and when an outcome that was lent to a late callback is back.
    pub(super) changed: Condvar,
    /// The handle has taken the outcome, and its drop has nothing left to do. Only the handle writes and reads it, so
    /// nothing is ordered by it.
    pub(super) spent: AtomicBool,
    /// The [generation](fork::generation) of the process whose pool has the task. 0: none has, so nothing is lost of it
    /// in a fork.
    pub(super) generation: AtomicU32,
}

pub(super) struct Inner<C, T, H> {
    pub(super) phase: Phase<C, H>,
    /// The pool whose queue the task is in, or who has it if it was entrusted. Taken by whoever makes it leave
    /// `Pending`, or ends it.
    pub(super) owner: Option<Arc<dyn TaskOwner>>,
    /// The first listener is inline: most futures have at most one.
    pub(super) first: Option<Listener>,
    pub(super) extras: Option<Box<Extras<T>>>,
    /// Threads that sleep on `changed`.
    pub(super) waiters: u32,
    /// The handle is gone.
    pub(super) detached: bool,
    /// Somebody was shown the outcome.
    pub(super) seen: bool,
    /// Abort or time limit came while it ran.
    pub(super) aborted: bool,
}

/// What few tasks have.
pub(super) struct Extras<T> {
    pub(super) listeners: Vec<Listener>,
    pub(super) callbacks: VecDeque<Callback<T>>,
    pub(super) on_abort: Option<Box<dyn FnOnce() + Send>>,
}

pub(super) enum Phase<C, H> {
    /// Not started. `None` while the call is out to be encoded, or for a promise.
    Pending(Option<C>),
    /// Started. The call is still here if it runs somewhere else; `thread` is the one that runs it, or 0.
    Running {
        call: Option<C>,
        thread: u64,
    },
    /// The outcome is with one thread, which runs callbacks or drops the call. Shows as `shown`.
    Delivering {
        shown: Snapshot,
        cancelled: bool,
    },
    Finished(H),
    Cancelled,
    /// Finished, and the outcome was handed over.
    Taken {
        raised: Option<&'static str>,
    },
}

/// Who wants to end a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Who runs it, or whose it is to run.
    Owner,
    Refusal,
    Cancel,
    Abort,
    Limit,
}

/// Panics on behalf of a task that could not go on before its own end.
#[track_caller]
pub(crate) fn wait_for_itself(id: FutureId) -> ! {
    panic!(
        "a task waits for itself: this thread runs task {id} further down its stack, and cannot go on with it before \
         the wait returns"
    )
}

/// What is generic in a task is compiled for each function that a program submits; this is not, and `call_back` is once
/// for each type of result.
fn as_callback(what: &str, code: &mut (dyn FnMut() + Send)) {
    with_room(move || catch_and_log_dyn(what, &mut || owner::in_callback(&mut *code)));
}

/// The outcome is lent to one thread alone, which may be another one than this.
fn call_back<T, H: Held<Outcome<T>> + Send>(callback: Callback<T>, outcome: &mut H) {
    let mut lent = Some((callback, outcome));
    as_callback("a callback of a future", &mut || {
        if let Some((callback, outcome)) = lent.take() {
            callback(H::get(outcome));
        }
    });
}

fn raised<T>(outcome: &Outcome<T>) -> Option<&'static str> {
    outcome.as_ref().err().map(Error::variant)
}

impl<C, T, H: Held<Outcome<T>>> Inner<C, T, H> {
    pub(super) fn snapshot(&self) -> Snapshot {
        let (state, raised) = match &self.phase {
            Phase::Pending(_) => (State::Pending, None),
            Phase::Running { .. } => (State::Running, None),
            Phase::Delivering { shown, .. } => (shown.state, shown.raised),
            Phase::Finished(outcome) => (State::Finished, raised(outcome.get())),
            Phase::Cancelled => (State::Cancelled, None),
            Phase::Taken { raised } => (State::Finished, *raised),
        };
        Snapshot { state, raised }
    }

    pub(super) fn is_done(&self) -> bool {
        self.snapshot().state.is_done()
    }
}

impl<C, H> Phase<C, H> {
    pub(super) fn runs_here(&self) -> bool {
        matches!(self, Phase::Running { thread, .. } if *thread == owner::thread_token())
    }

    pub(super) fn call(&mut self) -> Option<&mut Option<C>> {
        match self {
            Phase::Pending(call) | Phase::Running { call, .. } => Some(call),
            _ => None,
        }
    }

    pub(super) fn take_call(&mut self) -> Option<C> {
        self.call()?.take()
    }
}

impl<T> Default for Extras<T> {
    fn default() -> Self {
        Self { listeners: Vec::new(), callbacks: VecDeque::new(), on_abort: None }
    }
}

impl<C, T, H> Inner<C, T, H> {
    pub(super) fn extras(&mut self) -> &mut Extras<T> {
        self.extras.get_or_insert_default()
    }

    pub(super) fn next_callback(&mut self) -> Option<Callback<T>> {
        self.extras.as_mut()?.callbacks.pop_front()
    }

    pub(super) fn take_listeners(&mut self) -> (Option<Listener>, Vec<Listener>) {
        let rest = self.extras.as_mut().map(|extras| std::mem::take(&mut extras.listeners));
        (self.first.take(), rest.unwrap_or_default())
    }

    pub(super) fn listener(&mut self, key: ListenerKey) -> Option<&mut Listener> {
        let rest = match &mut self.extras {
            Some(extras) => &mut extras.listeners[..],
            None => &mut [],
        };
        listener::find(self.first.as_mut(), rest, key)
    }
}

/// Makes a task. A large outcome lies in a box.
pub(crate) fn new_task<'a, C, T>(
    call: Option<C>,
    options: Option<Arc<TaskOptions>>,
    owner: Option<Arc<dyn TaskOwner>>,
) -> Arc<dyn TaskHandle<T> + 'a>
where
    C: Call<T> + 'a,
    T: Send + 'a,
{
    if const { is_large::<T>() } {
        Task::<C, T, Box<Outcome<T>>>::new(call, options, owner)
    } else {
        Task::<C, T>::new(call, options, owner)
    }
}

impl<C, T, H> Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: Held<Outcome<T>> + Send,
{
    fn new(call: Option<C>, options: Option<Arc<TaskOptions>>, owner: Option<Arc<dyn TaskOwner>>) -> Arc<Self> {
        let generation = if owner.is_some() { fork::generation() } else { 0 };
        Arc::new(Self {
            id: FutureId::next(),
            options: options.map_or_else(OnceLock::new, OnceLock::from),
            inner: Mutex::new(Inner {
                phase: Phase::Pending(call),
                owner,
                first: None,
                extras: None,
                waiters: 0,
                detached: false,
                seen: false,
                aborted: false,
            }),
            changed: Condvar::new(),
            spent: AtomicBool::new(false),
            generation: AtomicU32::new(generation),
        })
    }

    /// Ends the task with an error; see [`end`](Self::end).
    pub(super) fn end_with(&self, error: Error, by: By) -> bool {
        // A box as large as the value, for nothing.
        if const { is_large::<T>() } && self.inner.lock().is_done() {
            drop_caught(error);
            return false;
        }
        self.end(failed(error), by)
    }

    /// Ends the task, if `by` may end it in its present state. Publishes only when the call has been dropped and the
    /// callbacks have run.
    pub(super) fn end(&self, mut outcome: H, by: By) -> bool {
        let mut inner = self.inner.lock();
        let allowed = match inner.phase {
            Phase::Pending(_) => by != By::Limit,
            // Marked as started, and still in a queue.
            Phase::Running { call: Some(_), .. } if by == By::Refusal => true,
            Phase::Running { .. } => matches!(by, By::Owner | By::Abort | By::Limit),
            _ => false,
        };
        if !allowed {
            drop(inner);
            drop_caught(outcome);
            return false;
        }
        let cancelled = matches!(outcome.get(), Err(Error::Cancelled));
        let shown = inner.snapshot();
        let was = std::mem::replace(&mut inner.phase, Phase::Delivering { shown, cancelled });
        let call = match was {
            Phase::Pending(call) | Phase::Running { call, .. } => call,
            _ => None,
        };
        let owner = inner.owner.take();
        let aborts = shown.state == State::Running && matches!(by, By::Abort | By::Limit);
        inner.aborted |= aborts;
        let hook = inner.extras.as_mut().and_then(|extras| extras.on_abort.take());
        let (on_abort, unused) = if aborts { (hook, None) } else { (None, hook) };
        if call.is_some() || owner.is_some() || unused.is_some() {
            drop(inner);
            // Before any of the user's code: that may wait for the very room this makes in a bounded queue.
            if let Some(owner) = owner {
                match by {
                    By::Cancel | By::Abort => owner.cancelled(),
                    By::Refusal => owner.refused(),
                    By::Owner | By::Limit => owner.ended(outcome.get().is_err()),
                }
            }
            // A drop that waits for this very task would sleep for ever: it is refused, as in a callback. One that ends
            // another task drops that one's call further up the stack, and so on.
            let mut unused = Some((call, unused));
            as_callback("the drop of a task", &mut || {
                if let Some((call, unused)) = unused.take() {
                    drop_caught(call);
                    drop_caught(unused);
                }
            });
            inner = self.inner.lock();
        }
        inner = self.deliver(inner, &mut outcome);
        self.publish(inner, outcome);
        if let Some(on_abort) = on_abort {
            catch_and_log("an on_abort hook", on_abort);
        }
        true
    }

    /// Is this a forked copy of the process whose pool has the task? What was not done by then nobody does here.
    pub(super) fn is_lost(&self) -> bool {
        let generation = self.generation.load(Ordering::Relaxed);
        generation != 0 && generation != fork::generation()
    }

    /// Ends a task that is lost, if it was not done, also where a thread that is not here is in the middle of that.
    pub(super) fn end_lost(&self) {
        let mut inner = self.inner.lock();
        // What its drop or its methods do is for the original to do.
        std::mem::forget(inner.owner.take());
        if matches!(inner.phase, Phase::Delivering { .. }) {
            self.publish(inner, failed(fork::lost_in_fork()));
        } else {
            drop(inner);
            self.end_with(fork::lost_in_fork(), By::Owner);
        }
    }

    /// Runs callbacks until there is none, and returns with the lock that says so.
    pub(super) fn deliver<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner<C, T, H>>,
        outcome: &mut H,
    ) -> MutexGuard<'a, Inner<C, T, H>> {
        while let Some(callback) = inner.next_callback() {
            inner.seen = true;
            drop(inner);
            // A callback that completes another future runs that one's callbacks further up the stack, and so on.
            call_back(callback, outcome);
            inner = self.inner.lock();
        }
        inner
    }

    pub(super) fn publish(&self, mut inner: MutexGuard<'_, Inner<C, T, H>>, outcome: H) {
        let raised = raised(outcome.get());
        let mut unclaimed = None;
        inner.phase = if matches!(outcome.get(), Err(Error::Cancelled)) {
            Phase::Cancelled
        } else if inner.detached {
            unclaimed = Some((outcome, inner.seen));
            Phase::Taken { raised }
        } else {
            Phase::Finished(outcome)
        };
        let failed = raised.is_some() && matches!(inner.snapshot().state, State::Finished);
        let (first, rest) = inner.take_listeners();
        // Before anybody can see it done: it is in their sets by then, ahead of whatever ends because of that.
        listener::tell(&first, &rest, failed);
        let waiters = inner.waiters;
        drop(inner);
        if waiters > 0 {
            self.changed.notify_all();
        }
        listener::wake(first, rest);
        if let Some((outcome, seen)) = unclaimed {
            self.drop_unobserved(outcome, seen);
        }
    }

    /// Drops an outcome that nobody will take.
    pub(super) fn drop_unobserved(&self, outcome: H, seen: bool) {
        if seen {
            return drop_caught(outcome);
        }
        let name = self.options.get().and_then(|options| options.get_name());
        drop_unobserved(outcome, &|| match name {
            Some(name) => format!("task {name}"),
            None => format!("task {}", self.id),
        });
    }
}

fn given_away(owner: Option<&Arc<dyn TaskOwner>>) -> Option<Arc<dyn TaskOwner>> {
    owner.filter(|owner| owner.remote().is_some()).cloned()
}

impl<C, T, H> Task<C, T, H> {
    /// Who has the task, if it was entrusted and has not come back.
    pub(super) fn entrusted_to(&self) -> Option<Arc<dyn TaskOwner>> {
        let inner = self.inner.lock();
        given_away(inner.owner.as_ref())
    }

    pub(super) fn was_cancelled(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Cancelled | Phase::Delivering { cancelled: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::new_task;
    use crate::error::{Error, Outcome};
    use crate::task::call::LocalCall;
    use crate::task::roles::TaskOwner;
    use crate::task::roles::{Ran, Runnable};

    #[test]
    fn a_run_tells_how_it_went() {
        let task = |outcome: Outcome<()>| new_task(Some(LocalCall(move || outcome)), None, None);
        let run = |task: Arc<dyn Runnable>| task.run(Arc::clone(&task));
        assert_eq!(run(task(Ok(()))), Ran::Completed);
        assert_eq!(run(task(Err(Error::ShutDown))), Ran::Failed);
        let cancelled = task(Ok(()));
        assert!(cancelled.withdraw());
        assert_eq!(run(cancelled), Ran::Skipped);
    }

    #[test]
    fn only_what_may_still_run_goes_into_a_queue() {
        struct Nobody;
        impl TaskOwner for Nobody {}
        let task = || new_task(Some(LocalCall(|| Ok(()))), None, None);
        let waiting = task();
        assert!(waiting.attach(Arc::new(Nobody)));
        assert!(waiting.start());
        assert!(waiting.attach(Arc::new(Nobody)), "the far side has it");
        let cancelled = task();
        assert!(cancelled.withdraw());
        assert!(!cancelled.attach(Arc::new(Nobody)));
    }

    #[test]
    fn a_task_knows_whether_its_end_runs_callbacks() {
        let task = new_task(Some(LocalCall(|| Ok(()))), None, None);
        assert!(!task.has_callbacks());
        let callback = || Box::new(|_: &Outcome<()>| ());
        task.add_callback(callback());
        assert!(task.has_callbacks());
        assert!(task.withdraw());
        assert!(!task.has_callbacks());
        task.add_callback(callback());
        assert!(!task.has_callbacks());
    }
}
