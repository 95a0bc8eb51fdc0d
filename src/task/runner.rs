//! The executor's side of a task: start, run, encode and complete.
//!
//! This is the implementation of one trait, [`Runnable`], which cannot be divided.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::arguments::{Encoded, Encoder};
use super::call::Call;
use super::context;
use super::context::RunningTask;
use super::encoded::EncodedCall;
use super::function::{caught, read};
use super::hooks::Hooks;
use super::marks::Mark;
use super::owner_ref::OwnerRef;
use super::phase::{HeldOutcome, Phase};
use super::replies::EncodedReplies;
use super::roles::{Claim, Ran, Runnable, TaskOwner};
use super::state::{By, Task, wait_for_itself};
use super::times::{OnDone, OnStart};
use super::trace::TaskSpan;
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec::unwritten;
use crate::error::{Encode, Error, Part, TimeLimit};
use crate::fork;
use crate::options::{TaskOptions, sooner};
use crate::panics;
use crate::stack;
use crate::unwind::{catch_and_log, drop_caught};

impl<C, T, H> Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    /// Runs the call that was taken out of the task.
    fn perform(
        &self,
        me: Arc<dyn Runnable>,
        mut call: C,
        owner: Option<&Arc<dyn TaskOwner>>,
        span: Option<Box<TaskSpan>>,
    ) -> Ran {
        if let Some(owner) = owner
            && let Some(limit) = limit(self.options().as_ref(), &**owner)
        {
            owner.watch(Arc::downgrade(&me), limit);
        }
        // Lives until the outcome is stored or dropped: a scope ends when all its guards are dropped.
        let _guard = call.guard();
        // If a subscriber panics when the span is entered, the task fails, and the worker goes on.
        let run = || {
            let _entered = span.as_ref().map(|span| span.enter());
            call.run()
        };
        let outcome: H = context::enter(me, || caught(run));
        // The span is closed before the task is done.
        drop(span);
        let failed = outcome.get().is_err();
        match self.end(outcome, By::Owner) {
            true if !C::COUNTS => Ran::Uncounted,
            true if failed => Ran::Failed,
            true => Ran::Completed,
            false if self.was_cancelled() => Ran::Uncounted,
            false => Ran::Failed,
        }
    }

    /// Decodes a result. A call that cannot be encoded has no result to decode, and runs no user code here.
    fn decode(bytes: &[u8]) -> H {
        if const { C::ENCODABLE } { read(|| C::decode(bytes)) } else { H::hold(|| C::decode(bytes)) }
    }

    /// Lends the call to `write`, without the lock: serde code is user code. If the task ends meanwhile, the call is
    /// dropped here; otherwise the task gets it back.
    pub(super) fn lend_call<W>(&self, write: impl FnOnce(&C) -> Result<W, Error>) -> Result<W, Error> {
        let call = {
            let mut inner = self.inner.lock();
            if !inner.phase.is_open() {
                return Err(Error::Cancelled);
            }
            inner.phase.lend_call().ok_or_else(lent_already)?
        };
        let result = if const { C::ENCODABLE } { written(|| write(&call)) } else { write(&call) };
        let unused = self.inner.lock().phase.give_back(call);
        drop_caught(unused);
        result
    }

    /// Ends the task with what `read` makes of the replies, unless it is done: then they are left alone. `read` runs user
    /// code without the lock, and gets the number of calls if the task still has them.
    pub(super) fn end_with_replies(&self, read: impl FnOnce(Option<usize>) -> H) -> bool {
        let expected = {
            let inner = self.inner.lock();
            if !inner.phase.is_open() {
                return false;
            }
            inner.phase.call().map(C::count)
        };
        self.end(read(expected), By::Owner)
    }
}

/// Returns the time limit of a task with these options in this executor: the shorter of the two.
fn limit(options: Option<&Arc<TaskOptions>>, owner: &dyn TaskOwner) -> Option<Duration> {
    sooner(options.and_then(|options| options.get_time_limit()), owner.time_limit())
}

#[cold]
fn lent_already() -> Error {
    Error::Encode(Encode::new(
        Part::Argument,
        "it is being written already: write it a second time after the first one has returned",
    ))
}

/// Encodes with the user's `Serialize`. A panic becomes an error.
fn written<E>(encode: impl FnOnce() -> Result<E, Error>) -> Result<E, Error> {
    panics::catch(encode).map_err(|error| unwritten(Part::Argument, error))
}

impl<C, T, H> Runnable for Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    fn options(&self) -> Option<Arc<TaskOptions>> {
        if self.marks.has(Mark::HasOptions) { self.inner.lock().more.options().cloned() } else { None }
    }

    fn set_options(&self, options: &Arc<TaskOptions>) {
        let mut inner = self.inner.lock();
        if !self.marks.has(Mark::HasOptions) {
            inner.more.set_options(Arc::clone(options));
            self.marks.add(Mark::HasOptions);
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Pending(..) | Phase::PendingElsewhere(_) | Phase::Started(..))
    }

    fn has_callbacks(&self) -> bool {
        self.inner.lock().more.has_callbacks()
    }

    fn attach(&self, owner: Arc<dyn TaskOwner>) -> bool {
        let mut inner = self.inner.lock();
        let waits = inner.phase.call().is_some();
        let replaced = if waits {
            self.generation.store(fork::generation(), Ordering::Relaxed);
            inner.set_owner(owner.into())
        } else {
            OwnerRef::NOBODY
        };
        drop(inner);
        drop(replaced);
        waits
    }

    fn encode_call(&self) -> Result<EncodedCall, Error> {
        let Some(call) = self.inner.lock().phase.lend_call() else {
            return Err(Error::Cancelled);
        };
        let encoded = if const { C::ENCODABLE } { written(|| call.encode_call()) } else { call.encode_call() };
        drop_caught(call);
        encoded
    }

    fn entrust(&self, owner: Arc<dyn TaskOwner>) -> bool {
        let mut inner = self.inner.lock();
        let is_open = inner.phase.is_open();
        let unused = if is_open {
            self.generation.store(fork::generation(), Ordering::Relaxed);
            inner.set_owner(OwnerRef::Counted(owner))
        } else {
            OwnerRef::Counted(owner)
        };
        drop(inner);
        drop(unused);
        is_open
    }

    fn is_fallible(&self) -> bool {
        C::IS_FALLIBLE
    }

    fn run(&self, me: Arc<dyn Runnable>, here: Option<&Arc<dyn TaskOwner>>) -> Ran {
        let (call, owner, started) = {
            let mut inner = self.inner.lock();
            let Some((call, owner)) = inner.take_call_to_run() else {
                return Ran::Skipped;
            };
            (call, owner, inner.more.start_here())
        };
        let mut found = None;
        let owner = owner.get(here, &mut found);
        if let Some(owner) = owner {
            owner.started();
        }
        let span =
            started.and_then(|started| started.run(owner.and_then(|owner| owner.kind()), self.name().as_deref()));
        self.perform(me, call, owner, span)
    }

    fn claim(&self, me: Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>) -> Claim {
        let mut inner = self.inner.lock();
        if inner.is_done() {
            return Claim::Done;
        }
        if self.is_lost() {
            drop(inner);
            self.end_lost();
            return Claim::Done;
        }
        if inner.phase.runs_here() {
            drop(inner);
            wait_for_itself(self.id);
        }
        let own = inner.is_owned_by(owner);
        let is_here = matches!(inner.phase, Phase::Pending(..));
        if !own || !(is_here || matches!(inner.phase, Phase::PendingElsewhere(_))) {
            return Claim::Elsewhere;
        }
        if limit(inner.more.options(), &**owner).is_some() || (is_here && !stack::has_half()) {
            return Claim::NeedsWorker;
        }
        let Some((call, released)) = inner.take_call_to_run() else {
            return Claim::Elsewhere;
        };
        let started = inner.more.start_here();
        drop(inner);
        drop(released);
        owner.claimed(Arc::as_ptr(&me).cast());
        let span = started.and_then(|started| started.run(owner.kind(), self.name().as_deref()));
        owner.claim_ended(self.perform(me, call, None, span));
        Claim::Done
    }

    fn hasten(&self, me: Arc<dyn Runnable>, owner: &Arc<dyn TaskOwner>) {
        let inner = self.inner.lock();
        let is_queued = matches!(inner.phase, Phase::Pending(..)) && inner.is_owned_by(owner);
        if is_queued && !self.marks.has(Mark::Hastened) {
            self.marks.add(Mark::Hastened);
            drop(inner);
            owner.hasten(me);
        }
    }

    fn inputs(&self) -> Vec<Arc<dyn Runnable>> {
        // One with a number is a pool, which holds no task back.
        let owner = self.inner.lock().more.owner().cloned();
        owner.map_or_else(Vec::new, |owner| owner.inputs())
    }

    fn start(&self) -> bool {
        let mut inner = self.inner.lock();
        if !matches!(inner.phase, Phase::Pending(..) | Phase::PendingElsewhere(_)) {
            return inner.phase.is_open();
        }
        inner.phase.start();
        let started = inner.more.hooks().map(|hooks| hooks.start(Instant::now(), None));
        drop(inner);
        if let Some(started) = started {
            started.run(None, self.name().as_deref());
        }
        true
    }

    fn withdraw(&self) -> bool {
        self.end_with(Error::Cancelled, By::Cancel { asked: true })
    }

    fn refuse(&self, error: Error) -> bool {
        self.end_with(error, By::Refusal)
    }

    fn fail(&self, error: Error) -> bool {
        self.end_with(error, By::Owner)
    }

    fn expire(&self, limit: Duration) -> bool {
        let late = Error::TimeLimit(TimeLimit::new(limit)).named(self.name().as_deref());
        self.end_with(late, By::Limit)
    }

    fn encode(&self) -> Result<Encoded, Error> {
        self.lend_call(|call| call.write(Encoder))
    }

    fn complete(&self, reply: Result<&[u8], Error>) -> bool {
        match reply {
            Ok(bytes) => self.end(Self::decode(bytes), By::Owner),
            Err(error) => self.end_with(error, By::Owner),
        }
    }

    fn complete_remote(&self, result: &[u8], out_of_band: &Arc<dyn OutOfBand>) -> bool {
        // Only for the decoding: the callbacks, which `end` runs, must not use the out-of-band channel.
        let (outcome, _) = with_out_of_band(out_of_band, || Self::decode(result));
        self.end(outcome, By::Owner)
    }

    fn complete_items(
        &self,
        replies: &mut dyn Iterator<Item = Result<&[u8], Error>>,
        out_of_band: Option<&Arc<dyn OutOfBand>>,
    ) -> bool {
        self.end_with_replies(|expected| {
            let read = || C::read(expected, &mut EncodedReplies(replies));
            match out_of_band {
                Some(out_of_band) => with_out_of_band(out_of_band, read).0,
                None => read(),
            }
        })
    }

    fn on_abort(&self, hook: Box<dyn FnOnce() + Send>) {
        let mut inner = self.inner.lock();
        if self.marks.has(Mark::Aborted) {
            drop(inner);
            catch_and_log("an on_abort hook", hook);
        } else if inner.phase.is_open() {
            let replaced = inner.more.extras().on_abort.replace(hook);
            drop(inner);
            drop_caught(replaced);
        } else {
            drop(inner);
            drop_caught(hook);
        }
    }

    fn on_start(&self, hook: OnStart) {
        self.add_on_start(hook);
    }

    fn on_done(&self, hook: OnDone) {
        self.add_on_done(hook);
    }

    fn drop_hooks(&self) {
        let hooks = self.inner.lock().more.hooks().map(Hooks::clear);
        drop_caught(hooks);
    }

    fn has_hooks(&self) -> bool {
        self.inner.lock().more.hooks().is_some()
    }

    fn note_start(&self, at: Instant, worker: &str, executor: &'static str) {
        let started = self.inner.lock().more.hooks().map(|hooks| hooks.start(at, Some(worker)));
        if let Some(started) = started {
            started.run(Some(executor), self.name().as_deref());
        }
    }

    fn note_executor(&self, kind: &'static str) {
        if let Some(hooks) = self.inner.lock().more.hooks() {
            hooks.note_executor(Some(kind));
        }
    }
}
