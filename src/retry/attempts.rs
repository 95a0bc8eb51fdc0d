//! [`Attempts`]: a task that is tried again after an error.
//!
//! The caller's future belongs to an outer task, which has no call. Each attempt is a task of the executor with a copy
//! of the argument; the last attempt gets the argument itself. The outer task ends with the outcome of the last
//! attempt.
//!
//! | stage | the next driver | `cancel` of the outer task | `abort` of it |
//! |---|---|---|---|
//! | `Driving` | the current one: it decides what follows an attempt, and submits the next one | curtails | sets `Over` |
//! | `Attempt` | the thread that ends the attempt | cancels the attempt, or curtails | sets `Over`, and aborts the attempt |
//! | `Paused` | the thread that takes the entry out of the [`Pauses`], usually their timer | sets `Over`, and removes the entry | the same |
//! | `Over` | none: the outer task has ended, or the thread that set this ends it | nothing | nothing |
//!
//! A cancel that comes too late for an attempt *curtails*: no attempt follows that one. The task is not cancelled,
//! because the attempt may already have an outcome.
//!
//! Each change is made under the lock by a thread that found the stage before it, so there is one driver at a time. The
//! [`Remaining`], which the next attempts need, belongs to the stage or to the driver, and is dropped with either. User
//! code (the argument's `Clone` and `Drop`, `retry_if`, callbacks, the executor) runs without the lock.
//!
//! An attempt may end inside the call that submits it, because it is refused. The driver made that call, and goes on in
//! its loop, so that refusals do not nest.
//!
//! # Ownership
//!
//! The outer task owns the `Attempts`, as the [`Remote`] that is asked before it ends, and the `Attempts` own the outer
//! task. The end of the outer task breaks this cycle. The listener of the current attempt, or the entry in the
//! `Pauses`, owns the `Attempts` too.
//!
//! This file is one state machine: the table above needs all of it.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::policy::Policy;
use crate::deadlines::Key;
use crate::error::{Error, Outcome};
use crate::future::Future;
use crate::held::{Held, is_large};
use crate::id::FutureId;
use crate::job::Job;
use crate::options::TaskOptions;
use crate::panics;
use crate::pauses::{Paused, Pauses};
use crate::submitter::Submitter;
use crate::sync::Mutex;
use crate::task::call::NoCall;
use crate::task::function::failed;
use crate::task::listener::{Key as ListenKey, Listen, Listener, WakerKey};
use crate::task::nested::with_room;
use crate::task::owner::in_callback;
use crate::task::owner_ref::OwnerRef;
use crate::task::remote::Remote;
use crate::task::roles::TaskOwner;
use crate::task::snapshot::{End, State};
use crate::task::trace::{Caller, in_scope_of};
use crate::task::{Runnable, TaskHandle, new_task};
use crate::unwind::{catch_and_log, drop_caught};

/// The longest pause. The clock of some systems cannot count further.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// Makes the task of each attempt. Runs user code.
pub(crate) trait AttemptFactory<R>: Send {
    /// Makes a task of a copy of the argument.
    fn make_from_copy(&self) -> Arc<dyn TaskHandle<R>>;
    /// Makes a task of the argument itself.
    fn make_from_original(self: Box<Self>) -> Arc<dyn TaskHandle<R>>;
}

/// Makes tasks by cloning an argument.
pub(crate) struct CloningFactory<A, M> {
    pub(crate) argument: A,
    pub(crate) make: M,
}

impl<A, M, R> AttemptFactory<R> for CloningFactory<A, M>
where
    A: Clone + Send,
    M: Fn(A) -> Arc<dyn TaskHandle<R>> + Send,
{
    fn make_from_copy(&self) -> Arc<dyn TaskHandle<R>> {
        (self.make)(self.argument.clone())
    }

    fn make_from_original(self: Box<Self>) -> Arc<dyn TaskHandle<R>> {
        let Self { argument, make } = *self;
        make(argument)
    }
}

/// What the following attempts need.
pub(super) struct Remaining<R> {
    /// `None` after the last attempt was made.
    factory: Option<Box<dyn AttemptFactory<R>>>,
    /// The number of attempts that were made.
    made: u64,
    /// The error of the previous attempt.
    error: Option<Error>,
    /// The caller of the task, whose span is the parent of those of the attempts. `None` if the attempts are made in the
    /// caller's thread.
    caller: Option<Caller>,
}

impl<R> Remaining<R> {
    pub(super) fn new(factory: Box<dyn AttemptFactory<R>>) -> Self {
        Self { factory: Some(factory), made: 0, error: None, caller: None }
    }

    /// Makes the attempts for the calling thread, whichever threads they are made in.
    fn for_caller(mut self) -> Self {
        self.caller = Caller::here();
        self
    }

    /// Makes the task of the next attempt.
    pub(super) fn next(&mut self, policy: &Policy) -> Outcome<Arc<dyn TaskHandle<R>>> {
        self.made += 1;
        let factory = self.factory.take().ok_or(Error::Abandoned)?;
        if !policy.leaves(self.made) {
            return self.make(|| factory.make_from_original());
        }
        let task = self.make(|| factory.make_from_copy());
        self.factory = Some(factory);
        task
    }

    /// Makes a task, whose span begins here.
    fn make(&self, task: impl FnOnce() -> Arc<dyn TaskHandle<R>>) -> Outcome<Arc<dyn TaskHandle<R>>> {
        panics::catch(|| Ok(in_scope_of(self.caller.as_ref(), task)))
    }

    /// Decides what follows an attempt that ended with an error. Runs user code.
    pub(super) fn after(&mut self, error: &Error, policy: &Policy, name: &dyn Fn() -> String) -> AfterAttempt {
        let Some(pause) = policy.pause_after(self.made, error) else { return self.nothing_after(error) };
        catch_and_log("the logger", || {
            log::debug!("{} failed in attempt {} and is tried again after {pause:?}: {error}", name(), self.made);
        });
        self.error = Some(error.clone());
        AfterAttempt::AttemptAfter(pause)
    }

    /// Decides that no attempt follows one that ended with an error.
    fn nothing_after(&mut self, error: &Error) -> AfterAttempt {
        // The error of the previous attempt says more than that the executor is closed.
        AfterAttempt::Nothing(self.error.take().filter(|_| matches!(error, Error::ShutDown)))
    }
}

/// What follows an attempt.
pub(super) enum AfterAttempt {
    AttemptAfter(Duration),
    /// The task ends with this error, or if it is `None` with the outcome of the attempt.
    Nothing(Option<Error>),
}

/// See the comment at the head of this file.
pub(super) struct Attempts<R> {
    outer: Arc<dyn TaskHandle<R>>,
    policy: Arc<Policy>,
    submitter: Submitter,
    pauses: Arc<Pauses>,
    stage: Mutex<Stage<R>>,
    number: WakerKey,
    me: Weak<Self>,
}

enum Stage<R> {
    Driving { made: u64, is_curtailed: bool },
    Attempt { task: Arc<dyn TaskHandle<R>>, rest: Remaining<R>, submitting: SubmitPhase, is_curtailed: bool },
    Paused { key: Key, rest: Remaining<R> },
    Over { cancelled: bool },
}

/// Whether the driver is in the call that submits the attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SubmitPhase {
    No,
    Yes,
    /// It is, and the attempt has ended.
    Ended,
}

impl<R: Send + 'static> Attempts<R> {
    /// Submits the first attempt by `first`, and those that follow by the submitter.
    pub(super) fn begin(
        factory: Box<dyn AttemptFactory<R>>,
        policy: &Arc<Policy>,
        options: &Arc<TaskOptions>,
        (submitter, pauses): (&Submitter, &Arc<Pauses>),
        first: &dyn Fn(Job),
    ) -> Future<R> {
        let outer = new_task::<NoCall, R>(None, Some(Arc::clone(options)), OwnerRef::NOBODY);
        let future = Future::new(Arc::clone(&outer));
        let attempts = Arc::new_cyclic(|me| Self {
            outer,
            policy: Arc::clone(policy),
            submitter: submitter.clone(),
            pauses: Arc::clone(pauses),
            stage: Mutex::new(Stage::Driving { made: 0, is_curtailed: false }),
            number: WakerKey::new(),
            me: Weak::clone(me),
        });
        attempts.outer.entrust(Arc::clone(&attempts) as _);
        attempts.drive(Remaining::new(factory).for_caller(), Some(first));
        future
    }

    fn me(&self) -> Arc<Self> {
        self.me.upgrade().expect("attempts that are called are alive")
    }

    /// Submits attempts until one does not end at once.
    fn drive(&self, mut rest: Remaining<R>, mut first: Option<&dyn Fn(Job)>) {
        loop {
            let task = match rest.next(&self.policy) {
                Ok(task) => task,
                Err(error) => return self.end(rest, Err::<R, _>(error)),
            };
            let _none = task.listen(Listener::Set(self.me() as _, ListenKey::of(0)));
            let (submitting, is_curtailed) = (SubmitPhase::Yes, false);
            let attempt = Stage::Attempt { task: Arc::clone(&task), rest, submitting, is_curtailed };
            if !self.drive_to(attempt) {
                return drop_caught(task);
            }
            let job = Job::new(task);
            catch_and_log("an executor", || match first.take() {
                Some(first) => first(job),
                None => self.submitter.submit(job),
            });
            let Some((task, ended)) = self.submitted() else { return };
            match self.go_on(&*task, ended) {
                Some(next) => rest = next,
                None => return,
            }
        }
    }

    /// Leaves `Driving` for the next stage. Returns `false` if the task was cancelled or curtailed in the meantime.
    /// Then the outer task has ended, or the thread that cancelled it ends it.
    fn drive_to(&self, next: Stage<R>) -> bool {
        let mut stage = self.stage.lock();
        let unwanted = match (&*stage, next) {
            (Stage::Driving { is_curtailed: true, .. }, Stage::Attempt { rest, .. } | Stage::Paused { rest, .. }) => {
                *stage = Stage::Over { cancelled: false };
                drop(stage);
                self.finish_curtailed(rest);
                return false;
            }
            (Stage::Driving { .. }, next) => {
                *stage = next;
                return true;
            }
            (_, unwanted) => unwanted,
        };
        drop(stage);
        drop_caught(unwanted);
        false
    }

    /// Ends the outer task with the error of the last attempt.
    fn finish_curtailed(&self, mut rest: Remaining<R>) {
        let error = rest.error.take().unwrap_or(Error::Cancelled);
        drop_caught(rest);
        self.outer.finish(Err(error));
    }

    /// Notes that the attempt is submitted. If it has ended, returns it, and the calling thread is the driver again.
    fn submitted(&self) -> Option<(Arc<dyn TaskHandle<R>>, Remaining<R>)> {
        let mut stage = self.stage.lock();
        if let Stage::Attempt { submitting, .. } = &mut *stage
            && *submitting == SubmitPhase::Yes
        {
            *submitting = SubmitPhase::No;
            return None;
        }
        Self::take_attempt(&mut stage)
    }

    /// Takes the attempt out if the stage is `Attempt`. The calling thread is the driver then.
    fn take_attempt(stage: &mut Stage<R>) -> Option<(Arc<dyn TaskHandle<R>>, Remaining<R>)> {
        let Stage::Attempt { rest, is_curtailed, .. } = &*stage else { return None };
        let next = Stage::Driving { made: rest.made, is_curtailed: *is_curtailed };
        match std::mem::replace(stage, next) {
            Stage::Attempt { task, rest, .. } => Some((task, rest)),
            _ => None,
        }
    }

    /// Decides what follows an attempt that has ended. Returns what the next attempt needs if there is one without a
    /// pause.
    fn go_on(&self, attempt: &dyn TaskHandle<R>, rest: Remaining<R>) -> Option<Remaining<R>> {
        if const { is_large::<R>() } {
            let outcome = attempt.take_boxed();
            return self.go_on_with(outcome.unwrap_or_else(|| Box::new(Err(Error::Abandoned))), rest);
        }
        self.go_on_with(attempt.take().unwrap_or(Err(Error::Abandoned)), rest)
    }

    fn go_on_with<H: Held<Outcome<R>>>(&self, outcome: H, mut rest: Remaining<R>) -> Option<Remaining<R>> {
        let next = match outcome.get() {
            Ok(_) => AfterAttempt::Nothing(None),
            Err(error) if self.pauses.is_closed() || self.is_curtailed() => rest.nothing_after(error),
            Err(error) => rest.after(error, &self.policy, &|| self.name()),
        };
        match next {
            AfterAttempt::AttemptAfter(Duration::ZERO) => return Some(rest),
            AfterAttempt::AttemptAfter(pause) => self.pause(rest, pause),
            AfterAttempt::Nothing(Some(error)) => self.end(rest, failed::<_, H>(error)),
            AfterAttempt::Nothing(None) => self.end(rest, outcome),
        }
        None
    }

    fn is_curtailed(&self) -> bool {
        matches!(&*self.stage.lock(), Stage::Driving { is_curtailed: true, .. })
    }

    fn pause(&self, rest: Remaining<R>, pause: Duration) {
        let key = Key::new(Instant::now() + pause.min(LONGEST_PAUSE));
        if !self.drive_to(Stage::Paused { key, rest }) {
            return;
        }
        if !self.pauses.add(key, self.me() as _) {
            self.give_up();
        } else if !matches!(&*self.stage.lock(), Stage::Paused { key: own, .. } if *own == key) {
            // The pause has ended, perhaps before its entry could be removed.
            self.pauses.remove(key);
        }
    }

    /// Takes the pause out if the stage is `Paused`. The calling thread is the driver then.
    fn take_pause(&self) -> Option<Remaining<R>> {
        let mut stage = self.stage.lock();
        let Stage::Paused { rest, .. } = &*stage else { return None };
        let next = Stage::Driving { made: rest.made, is_curtailed: false };
        match std::mem::replace(&mut *stage, next) {
            Stage::Paused { rest, .. } => Some(rest),
            _ => None,
        }
    }

    /// Ends the outer task, unless it is being cancelled.
    fn end<H: Held<Outcome<R>>>(&self, rest: Remaining<R>, outcome: H) {
        let may_end = self.drive_to(Stage::Over { cancelled: false });
        drop_caught(rest);
        if !may_end {
            drop_caught(outcome);
        } else if const { is_large::<R>() } {
            self.outer.finish_boxed(outcome.boxed());
        } else {
            self.outer.finish(outcome.release());
        }
    }

    /// Decides about a cancel, or an abort. Returns `true` if the outer task may be cancelled.
    fn abandon(&self, aborts: bool) -> bool {
        let mut stage = self.stage.lock();
        match &mut *stage {
            Stage::Over { cancelled } => return *cancelled,
            Stage::Driving { is_curtailed, .. } if !aborts => {
                *is_curtailed = true;
                return false;
            }
            Stage::Attempt { task, is_curtailed, .. } if !aborts => {
                *is_curtailed = true;
                let task = Arc::clone(task);
                drop(stage);
                // The end of the attempt ends the outer task.
                return task.cancel();
            }
            _ => {}
        }
        let was = std::mem::replace(&mut *stage, Stage::Over { cancelled: true });
        drop(stage);
        match was {
            Stage::Attempt { task, rest, .. } => {
                task.abort();
                drop_caught(rest);
            }
            Stage::Paused { key, rest } => {
                self.pauses.remove(key);
                drop_caught(rest);
            }
            Stage::Driving { .. } | Stage::Over { .. } => {}
        }
        true
    }

    /// Returns `true` in a forked copy of the process. It has no driver, and the lock of the stage may be held for
    /// ever.
    fn is_lost(&self) -> bool {
        self.pauses.is_copy()
    }

    fn name(&self) -> String {
        match self.outer.name() {
            Some(name) => format!("task {name}"),
            None => format!("task {}", self.outer.id()),
        }
    }

    fn attempt(&self) -> Option<(Arc<dyn TaskHandle<R>>, u64)> {
        match &*self.stage.lock() {
            Stage::Attempt { task, rest, .. } => Some((Arc::clone(task), rest.made)),
            _ => None,
        }
    }
}

impl<R: Send + 'static> Listen for Attempts<R> {
    fn done(&self, _: ListenKey, _: End) {}

    fn held_back(&self) -> Option<WakerKey> {
        Some(self.number)
    }

    /// Called when the attempt has ended.
    fn wake(&self) {
        let mut stage = self.stage.lock();
        if let Stage::Attempt { submitting: submitting @ SubmitPhase::Yes, .. } = &mut *stage {
            *submitting = SubmitPhase::Ended;
            return;
        }
        let taken = Self::take_attempt(&mut stage);
        drop(stage);
        if let Some((task, rest)) = taken {
            with_room(|| {
                in_callback(|| {
                    if let Some(rest) = self.go_on(&*task, rest) {
                        self.drive(rest, None);
                    }
                });
            });
        }
    }
}

impl<R: Send + 'static> Paused for Attempts<R> {
    fn resume(&self) {
        if let Some(rest) = self.take_pause() {
            self.drive(rest, None);
        }
    }

    fn give_up(&self) {
        if let Some(mut rest) = self.take_pause() {
            let error = rest.error.take().unwrap_or(Error::ShutDown);
            with_room(|| in_callback(|| self.end(rest, Err::<R, _>(error))));
        }
    }

    fn cancel(&self) -> bool {
        self.outer.cancel()
    }
}

impl<R: Send + 'static> TaskOwner for Attempts<R> {
    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }

    /// A worker that waits for the outer task may run the attempt.
    fn inputs(&self) -> Vec<Arc<dyn Runnable>> {
        self.attempt().map(|(task, _)| task as _).into_iter().collect()
    }
}

impl<R: Send + 'static> Remote for Attempts<R> {
    fn revoke(&self, _: FutureId) -> bool {
        self.is_lost() || self.abandon(false)
    }

    fn stop(&self, _: FutureId) -> bool {
        self.is_lost() || self.abandon(true)
    }

    fn has_started(&self, _: FutureId) -> bool {
        match self.attempt() {
            Some((task, made)) => made > 1 || task.look().state != State::Pending,
            None => !matches!(&*self.stage.lock(), Stage::Driving { made: 0, .. }),
        }
    }
}
