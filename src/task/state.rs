//! The state machine of a task, in one allocation.
//!
//! `roles` declares the operations on a task; `runner` and `handle` implement them. [`phase`](super::phase) has the states.
//! Every transition from `Pending` or `Running` to done goes through [`Task::end`], here.
//!
//! An `Arc<Task>` is used as two trait objects: [`Runnable`](super::roles::Runnable) for executors, [`TaskHandle`] for the handle. The task's
//! one mutex guards everything. While it is held, no user code (function, argument, outcome, callback, waker, serde
//! code) runs or drops, and the only other locks taken are those inside a wait-set and around the numbers of the pools
//! ([`owner_ref`](super::owner_ref)), under which no lock is taken.
//!
//! # Who may leave a state
//!
//! | from | to | by | what it takes out |
//! |---|---|---|---|
//! | `Pending` | `Running` | its worker, a claiming waiter, its last input | the call, to run it |
//! | `Pending` | `Started` | [`Job::start`](crate::Job::start) | nothing: no thread runs it here |
//! | `Started` | `Running` | its worker | the call, to run it |
//! | `Pending` | `Delivering`, then done | `cancel`, `abort`, a refusal, a promise | the call, to drop it |
//! | `Running` | `Delivering`, then done | its worker, `abort`, its time limit | nothing: the call was taken to run it |
//! | `Started` | `Delivering`, then done | its worker, `abort`, its time limit, a refusal | the call, if it is here |
//! | `Delivering` | `Finished`, `Cancelled`, `Taken` | the thread that entered it | hooks, callbacks, then listeners |
//! | `Finished` | `Delivering` and back | `add_done_callback`, while the callback runs | the outcome |
//! | `Finished` | `Taken` | the handle: `result`, `.await`, its drop, or the task that was waiting for it and owns it | the outcome |
//!
//! `Finished` stands for [`Phase::Failed`] too, which holds an error in place of a value.
//!
//! `Pending` and `Started` have a variant each for while the call is elsewhere: it is lent to be encoded or shown, was
//! encoded for another process, or never was there. From outside, `Started` is running. A refusal ends a started task,
//! but none that a thread of this process runs. `cancel` ends neither, because both are running for their caller.
//!
//! A task never leaves `Taken`, and leaves `Cancelled` only for the time of a late callback. `Delivering` appears from
//! outside as the state before it, so a task does not appear done before its callbacks have run, and a callback added to
//! a done task does not make it appear not done.
//!
//! # Races, each decided by the lock
//!
//! - **Cancel against start**: the first to find `Pending` wins. `cancel() == true` means that `cancel` took the call
//!   out, so it never runs; a worker that loses finds no call and skips the entry.
//! - **Finish against abort or time limit**: the first to find `Running` publishes. The late outcome is dropped by its
//!   owner, outside the lock.
//! - **Finish against take**: taking needs a handle by value and a done task. Before that, the taker sleeps on
//!   `changed`, under the same lock that publishes.
//! - **Callback against finish**: a callback that is added before `Delivering` ends is run by the delivering thread,
//!   whose loop ends under the lock that publishes. A callback that is added later is run by the thread that adds it.
//!   No other case exists.
//! - **Callback against take**: a late callback has the outcome out of a `Finished` task. The outcome cannot be taken
//!   then, because the thread that adds the callback borrows the handle that taking would consume.
//! - **Wait-set against finish**: the wait-set is told under the lock that publishes, so it yields futures in an order
//!   in which they can have been seen done.
//! - **Waker against finish**: a waker is registered under the lock that publishes. If the task is not done, the waker
//!   will be woken; if it is, the waker is not stored and the poll is ready.
//! - **Entrusted**: if another process may start the task, that side decides first: `cancel` and `abort` ask
//!   [`Remote`](super::remote::Remote), and end the task only if they won there. The task stays `Pending` here while it
//!   runs there; `look` asks the `Remote`. `cancel` does not ask once the task is `Running` here, since the `Remote`
//!   would take back what nobody could end then.
//! - **Held back**: a task that needs the outcomes of others is `Pending`, with its call, until they are done. Then the
//!   thread that ended the last of them runs it or hands it over, see [`after`](super::after). If the task was cancelled
//!   before, that thread finds no call.
//! - **Fork**: the threads that would end a task do not exist in a forked process. The first thread there that finds
//!   the task not done ends it with `Broken`. If another thread held the task's lock at the moment of the fork, which
//!   it does for a few instructions at a time, the lock stays held: this case is not handled.
//! - **Drop of the handle against finish**: either the task is marked as [`Released`](Mark::Released) first, and the
//!   finishing thread drops the outcome; or the outcome is stored first, and the handle drops it.
//!
//! The table above is one state machine, so the ways to end a task are in one file.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::context::RunningTask;
use super::function::failed;
use super::marks::{Mark, Marks};
use super::more::{Delivery, More};
use super::phase::{HeldOutcome, Phase};
use super::roles::{Callback, TaskHandle};
use super::snapshot::{End, Snapshot, State};
use crate::error::{Error, Outcome, Variant};
use crate::fork;
use crate::held::is_large;
use crate::id::FutureId;
use crate::options::TaskOptions;
use crate::outcomes::drop_unobserved;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::task::call::{Call, Continuation, LocalCall};
use crate::task::listener;
use crate::task::nested::as_callback;
use crate::task::owner;
use crate::task::owner_ref::OwnerRef;
use crate::task::roles::TaskOwner;
use crate::task::trace::TaskSpan;
use crate::unwind::{catch_and_log, drop_caught};

/// A task. `H` is the type that [holds](HeldOutcome) its outcome.
///
/// A queue may have a million tasks, so a task is kept small. One whose call and value are a word each takes nine words: one
/// for the id, one for the lock, two for the phase, three for `more`, one for the condition, and one for everything that is
/// read without the lock.
pub(crate) struct Task<C, T: Send, H: HeldOutcome<T> = Outcome<T>> {
    pub(super) id: FutureId,
    pub(super) inner: Mutex<Inner<C, T, H>>,
    /// Notified when the task is done, and when an outcome that was lent to a late callback is back.
    pub(super) changed: Condvar,
    pub(super) marks: Marks,
    /// The task has been published. A hint for a thread that [looks](crate::look) without the lock, set after the lock has
    /// been released.
    pub(super) published: AtomicBool,
    /// The [generation](fork::generation) of the process whose pool has the task. 0 if no pool has it, so that a fork
    /// does not lose it.
    pub(super) generation: AtomicU32,
}

/// What the lock of a task guards.
///
/// The owner is the pool whose queue the task is in, or what it was entrusted to. It is in the phase if it has a
/// number, and otherwise in `more`. The thread that makes the task leave `Pending`, or ends it, takes the owner out.
pub(super) struct Inner<C, T: Send, H: HeldOutcome<T>> {
    pub(super) phase: Phase<C, H::Value, H::Failure>,
    pub(super) more: More<T>,
}

/// Who ends a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The owner or the thread that runs it.
    Owner,
    Refusal,
    /// The owner, or a caller: one who has `asked` whoever had the task, or who has not. The latter does not end a task
    /// that is entrusted to somebody.
    Cancel {
        asked: bool,
    },
    /// A caller, as for `Cancel`.
    Abort {
        asked: bool,
    },
    Limit,
}

/// Panics because a thread waits for a task that it runs itself, further down its stack.
#[track_caller]
pub(crate) fn wait_for_itself(id: FutureId) -> ! {
    panic!(
        "a task waits for itself: this thread runs task {id} further down its stack, and cannot go on with it before \
         the wait returns"
    )
}

/// Calls a callback with the outcome. Only one thread has the outcome, which may be another thread than this one (see
/// [`as_callback`]).
fn call_back<T: Send, H: HeldOutcome<T>>(callback: Callback<T>, outcome: &mut H) {
    let mut lent = Some((callback, outcome));
    as_callback("a callback of a future", &mut || {
        if let Some((callback, outcome)) = lent.take() {
            callback(H::get(outcome));
        }
    });
}

fn raised<T>(outcome: &Outcome<T>) -> Option<Variant> {
    outcome.as_ref().err().map(Error::variant)
}

impl<C, T: Send, H: HeldOutcome<T>> Inner<C, T, H> {
    pub(super) fn is_done(&self) -> bool {
        self.phase.snapshot().state.is_done()
    }

    /// Takes the call out, and the owner, to run the call in this thread.
    pub(super) fn take_call_to_run(&mut self) -> Option<(C, OwnerRef)> {
        self.phase.call()?;
        let owner = self.take_owner();
        Some((self.phase.take_call(Phase::Running(owner::thread_token()))?, owner))
    }

    pub(super) fn take_owner(&mut self) -> OwnerRef {
        if let Some(pool) = self.phase.pool() {
            self.phase.set_pool(None);
            return OwnerRef::Uncounted(Some(pool));
        }
        self.more.take_owner().map_or(OwnerRef::NOBODY, OwnerRef::Counted)
    }

    /// Sets the owner of a task that has not begun to end, and returns the one before. An owner with a number is set only
    /// if no thread runs the task, since a running task has no room for it.
    pub(super) fn set_owner(&mut self, owner: OwnerRef) -> OwnerRef {
        let replaced = self.take_owner();
        match owner {
            OwnerRef::Uncounted(pool) => self.phase.set_pool(pool),
            OwnerRef::Counted(owner) => self.more.set_owner(owner),
        }
        replaced
    }

    /// Returns `true` if `owner` has the task.
    pub(super) fn is_owned_by(&self, owner: &Arc<dyn TaskOwner>) -> bool {
        match self.phase.pool() {
            Some(pool) => owner.pool_id() == Some(pool),
            None => self.more.owner().is_some_and(|own| owner::address(own) == owner::address(owner)),
        }
    }

    /// Returns the owner that the task was entrusted to, if any.
    pub(super) fn entrusted(&self) -> Option<&Arc<dyn TaskOwner>> {
        self.more.owner().filter(|owner| owner.remote().is_some())
    }
}

/// Makes a task. Its outcome is boxed if it is large.
pub(crate) fn new_task<'a, C, T>(
    call: Option<C>,
    options: Option<Arc<TaskOptions>>,
    owner: OwnerRef,
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

/// Makes a task of a closure, which is boxed if it is large.
pub(crate) fn local_task<F, T>(
    function: F,
    options: Option<Arc<TaskOptions>>,
    owner: OwnerRef,
) -> Arc<dyn TaskHandle<T>>
where
    F: FnOnce() -> Outcome<T> + Send + 'static,
    T: Send + 'static,
{
    if const { is_large::<F>() } {
        let function: Box<dyn FnOnce() -> Outcome<T> + Send> = Box::new(function);
        return new_task(Some(LocalCall(function)), options, owner);
    }
    new_task(Some(LocalCall(function)), options, owner)
}

/// Makes a task of the next link of a chain. A large closure is boxed.
pub(crate) fn continuation<F, T>(function: F) -> Arc<dyn TaskHandle<T>>
where
    F: FnOnce() -> Outcome<T> + Send + 'static,
    T: Send + 'static,
{
    if const { is_large::<F>() } {
        let function: Box<dyn FnOnce() -> Outcome<T> + Send> = Box::new(function);
        return new_task(Some(Continuation(function)), None, OwnerRef::NOBODY);
    }
    new_task(Some(Continuation(function)), None, OwnerRef::NOBODY)
}

impl<C, T, H> Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    fn new(call: Option<C>, options: Option<Arc<TaskOptions>>, owner: OwnerRef) -> Arc<Self> {
        let generation = if owner.is_somebody() { fork::generation() } else { 0 };
        let (mut more, marks) = (More::Nothing, Marks::new());
        if let Some(options) = options {
            more.set_options(options);
            marks.add(Mark::HasOptions);
        }
        let pool = match owner {
            OwnerRef::Uncounted(pool) => pool,
            OwnerRef::Counted(owner) => {
                more.set_owner(owner);
                None
            }
        };
        let phase = match call {
            Some(call) => Phase::Pending(call, pool),
            None => Phase::PendingElsewhere(pool),
        };
        let task = Arc::new(Self {
            id: FutureId::next(),
            inner: Mutex::new(Inner { phase, more }),
            changed: Condvar::new(),
            marks,
            published: AtomicBool::new(false),
            generation: AtomicU32::new(generation),
        });
        // The span is made after the call is in its place. Reading the call before would cost every task a copy.
        if C::IS_TRACED && TaskSpan::are_wanted() {
            task.begin_span();
        }
        task
    }

    /// Ends the task with an error; see [`end`](Self::end).
    pub(super) fn end_with(&self, error: Error, by: By) -> bool {
        // Avoids a box as large as the value, which would be dropped at once.
        if const { is_large::<T>() } && self.inner.lock().is_done() {
            drop_caught(error);
            return false;
        }
        self.end(failed(error), by)
    }

    /// Ends the task, if `by` may end it in its present state, and returns whether it did. Publishes only after the
    /// call has been dropped and the callbacks have run.
    pub(super) fn end(&self, mut outcome: H, by: By) -> bool {
        let mut inner = self.inner.lock();
        let (state, allowed) = match inner.phase {
            Phase::Pending(..) | Phase::PendingElsewhere(_) => (State::Pending, by != By::Limit),
            // Marked as started, but in a queue: nobody else would end it.
            Phase::Started(..) | Phase::StartedElsewhere(_) => (State::Running, !matches!(by, By::Cancel { .. })),
            Phase::Running(_) => (State::Running, matches!(by, By::Owner | By::Abort { .. } | By::Limit)),
            _ => (State::Finished, false),
        };
        let is_unasked = matches!(by, By::Cancel { asked: false } | By::Abort { asked: false });
        if !allowed || is_unasked && inner.entrusted().is_some() {
            drop(inner);
            drop_caught(outcome);
            return false;
        }
        let cancelled = matches!(outcome.get(), Err(Error::Cancelled));
        let shown = Snapshot { state, raised: None };
        let mut owner = inner.take_owner();
        let was = std::mem::replace(&mut inner.phase, Phase::Delivering { shown, cancelled });
        let call = match was {
            Phase::Pending(call, _) | Phase::Started(call, _) => Some(call),
            _ => None,
        };
        if owner.is_somebody() && self.is_lost() {
            // Its drop and its methods are for the original process.
            std::mem::forget(std::mem::take(&mut owner));
        }
        let aborts = shown.state == State::Running && matches!(by, By::Abort { .. } | By::Limit);
        if aborts {
            self.marks.add(Mark::Aborted);
        }
        let hook = inner.more.take_on_abort();
        let (on_abort, unused) = if aborts { (hook, None) } else { (None, hook) };
        if call.is_some() || owner.is_somebody() || unused.is_some() {
            drop(inner);
            // Before any user code, which may wait for the room that this makes in a bounded queue.
            let mut found = None;
            let kind = owner.get(None, &mut found).map(|owner| {
                match by {
                    By::Cancel { .. } => owner.cancelled(false),
                    By::Abort { .. } => owner.cancelled(true),
                    By::Refusal => owner.refused(),
                    By::Owner | By::Limit => owner.ended(outcome.get().is_err()),
                }
                owner.kind()
            });
            drop((owner, found));
            // A drop that waits for this task would sleep for ever: it panics instead, as in a callback. A drop that
            // ends another task drops the call of that task further up the stack, and so on, so it may need more stack.
            let mut unused = Some((call, unused));
            as_callback("the drop of a task", &mut || {
                if let Some((call, unused)) = unused.take() {
                    drop_caught(call);
                    drop_caught(unused);
                }
            });
            inner = self.inner.lock();
            if let Some(kind) = kind
                && let Some(hooks) = inner.more.hooks()
            {
                hooks.note_executor(kind);
            }
        }
        inner = self.deliver(inner, &mut outcome);
        self.publish(inner, outcome);
        if let Some(on_abort) = on_abort {
            catch_and_log("an on_abort hook", on_abort);
        }
        true
    }

    /// Returns `true` in a forked copy of the process whose pool has the task. If the task was not done at the fork, no
    /// thread will end it here.
    pub(super) fn is_lost(&self) -> bool {
        let generation = self.generation.load(Ordering::Relaxed);
        generation != 0 && generation != fork::generation()
    }

    /// Ends a lost task if it is not done, even if a thread that does not exist here was delivering it.
    pub(super) fn end_lost(&self) {
        let mut inner = self.inner.lock();
        // Its drop and its methods are for the original process.
        std::mem::forget(inner.take_owner());
        if matches!(inner.phase, Phase::Delivering { .. }) {
            self.publish(inner, failed(fork::lost_in_fork()));
        } else {
            drop(inner);
            self.end_with(fork::lost_in_fork(), By::Owner);
        }
    }

    /// Runs hooks and callbacks until none is left, and returns the lock under which that was found.
    pub(super) fn deliver<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner<C, T, H>>,
        outcome: &mut H,
    ) -> MutexGuard<'a, Inner<C, T, H>> {
        while let Some(delivery) = inner.more.next_delivery() {
            if matches!(delivery, Delivery::Callback(_)) {
                self.marks.add(Mark::Seen);
            }
            drop(inner);
            match delivery {
                Delivery::Hooks(hooks) => hooks.run_done(H::get(outcome).as_ref().map(|_| ()), self.name().as_deref()),
                // A callback that completes another future runs the callbacks of that one further up the stack, and
                // so on.
                Delivery::Callback(callback) => call_back(callback, outcome),
            }
            inner = self.inner.lock();
        }
        inner
    }

    pub(super) fn publish(&self, mut inner: MutexGuard<'_, Inner<C, T, H>>, outcome: H) {
        let end = match outcome.get() {
            Ok(_) => End::Value,
            Err(Error::Cancelled) => End::Cancelled,
            Err(_) => End::Error,
        };
        let mut unclaimed = None;
        inner.phase = if end == End::Cancelled {
            Phase::Cancelled
        } else if self.marks.has(Mark::Released) {
            let raised = raised(outcome.get());
            unclaimed = Some(outcome);
            Phase::Taken { raised }
        } else {
            Phase::of(outcome)
        };
        let listeners = inner.more.take_listeners();
        let held = inner.more.take_held();
        // Before the task can be seen done: so it is in the wait-sets ahead of any task that ends as a consequence.
        if let Some(listeners) = &listeners {
            listener::tell(listeners, end);
        }
        drop(inner);
        self.published.store(true, Ordering::Relaxed);
        self.changed.notify_all();
        if let Some(listeners) = listeners {
            listener::wake(listeners);
        }
        drop(held);
        if let Some(outcome) = unclaimed {
            self.drop_unobserved(outcome);
        }
    }

    /// Drops an outcome that will not be taken. Its error is logged unless it was seen.
    pub(super) fn drop_unobserved(&self, outcome: H) {
        if self.marks.has(Mark::Seen) {
            return drop_caught(outcome);
        }
        let name = self.name();
        drop_unobserved(outcome, &|| match &name {
            Some(name) => format!("task {name}"),
            None => format!("task {}", self.id),
        });
    }
}

impl<C, T: Send, H: HeldOutcome<T>> Task<C, T, H> {
    /// Returns the owner that the task was entrusted to, if any, until the task has come back.
    pub(super) fn entrusted_to(&self) -> Option<Arc<dyn TaskOwner>> {
        self.inner.lock().entrusted().cloned()
    }

    /// Returns the owner that the task was entrusted to. If nobody has the task, ends it in this way, which is that of a
    /// caller who has asked nobody, if it may end so.
    pub(super) fn owner_to_ask(&self, unasked: By) -> Option<Arc<dyn TaskOwner>>
    where
        C: Call<T>,
    {
        // Asked the other way round, a task that was held back, for example, could be entrusted to somebody in between.
        if self.end_with(Error::Cancelled, unasked) { None } else { self.entrusted_to() }
    }

    pub(super) fn was_cancelled(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Cancelled | Phase::Delivering { cancelled: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Phase, Task, new_task};
    use crate::error::{Error, Outcome};
    use crate::task::call::LocalCall;
    use crate::task::owner_ref::OwnerRef;
    use crate::task::roles::TaskOwner;
    use crate::task::roles::{Ran, Runnable};

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_pending_task_takes_little_memory() {
        /// A call that captures a word.
        type Call = LocalCall<u64>;
        const {
            assert!(size_of::<Phase<Call, u64, Box<Error>>>() <= 16);
            assert!(size_of::<Task<Call, u64>>() <= 72);
        }
    }

    #[test]
    fn a_large_outcome_stays_in_its_box() {
        type Large = Outcome<[u8; 100_000]>;
        for outcome in [Box::<Large>::new(Ok([7; 100_000])), Box::new(Err(Error::ShutDown))] {
            let task = new_task(Some(LocalCall(|| Large::Err(Error::Abandoned))), None, OwnerRef::NOBODY);
            let place = std::ptr::from_ref(&*outcome);
            assert!(task.finish_boxed(outcome));
            assert_eq!(task.take_boxed().map(|taken| std::ptr::from_ref(&*taken)), Some(place));
        }
    }

    #[test]
    fn a_run_returns_how_the_task_ended() {
        let task = |outcome: Outcome<()>| new_task(Some(LocalCall(move || outcome)), None, OwnerRef::NOBODY);
        let run = |task: Arc<dyn Runnable>| task.run(Arc::clone(&task), None);
        assert_eq!(run(task(Ok(()))), Ran::Completed);
        assert_eq!(run(task(Err(Error::ShutDown))), Ran::Failed);
        let cancelled = task(Ok(()));
        assert!(cancelled.withdraw());
        assert_eq!(run(cancelled), Ran::Skipped);
    }

    #[test]
    fn only_a_task_that_may_still_run_is_queued() {
        struct Nobody;
        impl TaskOwner for Nobody {}
        let task = || new_task(Some(LocalCall(|| Ok(()))), None, OwnerRef::NOBODY);
        let waiting = task();
        assert!(waiting.attach(Arc::new(Nobody)));
        assert!(waiting.start());
        assert!(waiting.attach(Arc::new(Nobody)), "the far side has it");
        let cancelled = task();
        assert!(cancelled.withdraw());
        assert!(!cancelled.attach(Arc::new(Nobody)));
    }

    #[test]
    fn a_refusal_ends_what_was_started_and_is_only_left_encoded() {
        let task = new_task(Some(LocalCall(|| Ok(()))), None, OwnerRef::NOBODY);
        assert!(task.start());
        assert!(task.encode_call().is_err(), "but the call is gone");
        assert!(!task.cancel() && !task.withdraw());
        assert!(task.refuse(Error::ShutDown));
        assert!(matches!(task.take(), Some(Err(Error::ShutDown))));
    }

    #[test]
    fn a_task_knows_whether_its_end_runs_callbacks() {
        let task = new_task(Some(LocalCall(|| Ok(()))), None, OwnerRef::NOBODY);
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
