//! The executor's side of a task: start, run, encode, complete.
#![forbid(unsafe_code)]

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::roles::{Claim, Ran, Runnable};
use super::state::{By, Phase, Task, wait_for_itself};
#[cfg(processes)]
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::error::{Broken, Decode, Encode, Error, Outcome, Part, TimeLimit};
use crate::fork;
use crate::held::Held;
use crate::options::{TaskOptions, sooner};
use crate::panics::{self, catch_and_log, drop_caught};
use crate::sync::with_room;
use crate::task;
use crate::task::call::{Call, Encoded};
use crate::task::owner::{self, TaskOwner};

impl<C, T, H> Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: Held<Outcome<T>>,
{
    /// Runs call that was taken out of `Pending`.
    fn perform(&self, me: Arc<dyn Runnable>, mut call: C, owner: Option<&Arc<dyn TaskOwner>>) -> Ran {
        if let Some(owner) = owner
            && let Some(limit) = self.limit(&**owner)
        {
            owner.watch(Arc::downgrade(&me), limit);
        }
        // Lives until the outcome is stored or dropped: a scope ends when its guards have.
        let _guard = call.guard();
        let outcome: H = task::enter(me, || caught(|| call.run()));
        let failed = outcome.get().is_err();
        match self.end(outcome, By::Owner) {
            true if !C::COUNTS => Ran::Uncounted,
            true if failed => Ran::Failed,
            true => Ran::Completed,
            false if self.was_cancelled() => Ran::Uncounted,
            false => Ran::Failed,
        }
    }

    /// How long it may run there.
    fn limit(&self, owner: &dyn TaskOwner) -> Option<Duration> {
        sooner(self.options.as_ref().and_then(|options| options.get_time_limit()), owner.time_limit())
    }
}

/// What a panic in the user's `Serialize` is to the task.
pub(crate) fn unwritten(error: Error) -> Error {
    match error {
        Error::Panicked(panic) => Error::Encode(Encode::new(Part::Argument, panic.to_string())),
        error => error,
    }
}

/// What a panic in the user's `Deserialize` is to the task.
pub(crate) fn unread(error: Error) -> Error {
    match error {
        Error::Panicked(panic) => Error::Decode(Decode::new(Part::Result, panic.to_string())),
        error => error,
    }
}

/// What a call comes to, a panic included.
pub(crate) fn caught<T, H: Held<Outcome<T>>>(call: impl FnOnce() -> Outcome<T>) -> H {
    panics::catch_or(|| H::hold(call), |panicked| H::hold(|| Err(panicked)))
}

/// What a result comes to that the user's `Deserialize` reads.
pub(crate) fn read<T, H: Held<Outcome<T>>>(decode: impl FnOnce() -> Outcome<T>) -> H {
    panics::catch_or(|| H::hold(decode), |panicked| H::hold(|| Err(unread(panicked))))
}

impl<C, T, H> Runnable for Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: Held<Outcome<T>> + Send,
{
    fn options(&self) -> &TaskOptions {
        self.options.as_deref().unwrap_or(TaskOptions::NONE)
    }

    fn is_waiting(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Pending(_) | Phase::Running { call: Some(_), .. })
    }

    #[cfg(any(processes, model = "loom", model = "shuttle"))]
    fn has_callbacks(&self) -> bool {
        self.inner.lock().extras.as_ref().is_some_and(|extras| !extras.callbacks.is_empty())
    }

    fn is_aborted(&self) -> bool {
        self.inner.lock().aborted
    }

    fn attach(&self, owner: Arc<dyn TaskOwner>) -> bool {
        let mut inner = self.inner.lock();
        let waits = matches!(inner.phase.call(), Some(Some(_)));
        if waits {
            inner.owner = Some(owner);
            self.generation.store(fork::generation(), Ordering::Relaxed);
        }
        waits
    }

    #[cfg(processes)]
    fn encode_call(&self) -> Result<crate::process::EncodedCall, Error> {
        let Some(call) = self.inner.lock().phase.call().and_then(Option::take) else {
            return Err(Error::Cancelled);
        };
        let encoded = panics::catch(|| call.encode_call()).map_err(unwritten);
        drop_caught(call);
        encoded
    }

    #[cfg(processes)]
    fn entrust(&self, owner: Arc<dyn TaskOwner>) -> bool {
        let mut inner = self.inner.lock();
        let open = inner.phase.call().is_some();
        if open {
            inner.owner = Some(owner);
            self.generation.store(fork::generation(), Ordering::Relaxed);
        }
        open
    }

    fn run(&self, me: Arc<dyn Runnable>) -> Ran {
        let (call, owner) = {
            let mut inner = self.inner.lock();
            let Some(call) = inner.phase.call().and_then(Option::take) else {
                return Ran::Skipped;
            };
            inner.phase = Phase::Running { call: None, thread: owner::thread_token() };
            (call, inner.owner.take())
        };
        if let Some(owner) = &owner {
            owner.started();
        }
        self.perform(me, call, owner.as_ref())
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
        let own = inner.owner.as_ref().is_some_and(|own| owner::address(own) == owner::address(owner));
        let Phase::Pending(call) = &mut inner.phase else {
            return Claim::Elsewhere;
        };
        if !own {
            return Claim::Elsewhere;
        }
        if self.limit(&**owner).is_some() {
            return Claim::Limited;
        }
        let Some(call) = call.take() else {
            return Claim::Elsewhere;
        };
        inner.phase = Phase::Running { call: None, thread: owner::thread_token() };
        let released = inner.owner.take();
        drop(inner);
        drop(released);
        owner.claimed(Arc::as_ptr(&me).cast());
        let run = || with_room(|| self.perform(me, call, None));
        let ran = panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
            // What a task throws is caught further in.
            drop_caught(payload);
            self.fail(Error::Broken(Broken::new("there is no memory for the stack of a nested task")));
            Ran::Failed
        });
        owner.claim_ended(ran);
        Claim::Done
    }

    fn start(&self) -> bool {
        let mut inner = self.inner.lock();
        let Phase::Pending(call) = &mut inner.phase else {
            return matches!(inner.phase, Phase::Running { .. });
        };
        let call = call.take();
        inner.phase = Phase::Running { call, thread: 0 };
        true
    }

    fn withdraw(&self) -> bool {
        self.end_with(Error::Cancelled, By::Cancel)
    }

    fn refuse(&self, error: Error) -> bool {
        self.end_with(error, By::Refusal)
    }

    fn fail(&self, error: Error) -> bool {
        self.end_with(error, By::Owner)
    }

    fn expire(&self, limit: Duration) -> bool {
        let late = Error::TimeLimit(TimeLimit::new(limit)).named(self.options().get_name());
        self.end_with(late, By::Limit)
    }

    fn encode(&self) -> Result<Encoded, Error> {
        // Out of the task: serde code is the user's, and must not run under the lock.
        let Some(call) = self.inner.lock().phase.call().and_then(Option::take) else {
            return Err(Error::Cancelled);
        };
        let encoded = panics::catch(|| call.encode()).map_err(unwritten);
        let mut call = Some(call);
        if let Some(slot) = self.inner.lock().phase.call() {
            *slot = call.take();
        }
        drop_caught(call);
        encoded
    }

    fn complete(&self, reply: Result<&[u8], Error>) -> bool {
        match reply {
            Ok(bytes) => self.end(read(|| C::decode(bytes)), By::Owner),
            Err(error) => self.end_with(error, By::Owner),
        }
    }

    #[cfg(processes)]
    fn complete_remote(&self, result: &[u8], out_of_band: &Arc<dyn OutOfBand>) -> bool {
        // For the decoding alone: the callbacks, which `end` runs, have nothing to do with the out-of-band channel.
        let (outcome, _) = with_out_of_band(out_of_band, || read(|| C::decode(result)));
        self.end(outcome, By::Owner)
    }

    #[cfg(processes)]
    fn complete_items(&self, replies: Vec<Result<&[u8], Error>>, out_of_band: &Arc<dyn OutOfBand>) -> bool {
        let (outcome, _) = with_out_of_band(out_of_band, || H::hold(|| C::decode_items(replies)));
        self.end(outcome, By::Owner)
    }

    fn on_abort(&self, hook: Box<dyn FnOnce() + Send>) {
        let mut inner = self.inner.lock();
        if inner.aborted {
            drop(inner);
            catch_and_log("an on_abort hook", hook);
        } else if inner.phase.call().is_some() {
            let replaced = inner.extras().on_abort.replace(hook);
            drop(inner);
            drop_caught(replaced);
        } else {
            drop(inner);
            drop_caught(hook);
        }
    }
}
