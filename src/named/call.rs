//! [`Call`]: a function with its types erased, which another program can have called here.
#![forbid(unsafe_code)]

use std::any::TypeId;

use crate::backend::Backend;
use crate::codec::Payload;
use crate::error::{BoxError, Decode, Error, Outcome, Part};
use crate::executor::Executor;
use crate::future::Future;
use crate::held::is_large;
use crate::options::TaskOptions;
use crate::panics;
use crate::task::encoded::FunctionKey;
use crate::task::formats::Caught;

/// A task that runs for another program.
pub trait Handle: Send + Sync {
    /// Cancels the task if it has not started. See [`Future::cancel`].
    fn cancel(&self) -> bool;
    /// Cancels the task, also if it runs. See [`Future::abort`].
    fn abort(&self) -> bool;
}

impl<T: Send> Handle for Future<T> {
    fn cancel(&self) -> bool {
        Future::cancel(self)
    }
    fn abort(&self) -> bool {
        Future::abort(self)
    }
}

/// Gets the outcome of a task.
pub(super) type Done = Box<dyn FnOnce(Result<&dyn erased_serde::Serialize, &Error>) + Send>;

/// A function with its types erased.
pub(super) trait Call: Send + Sync {
    /// Returns the keys that the function has in tasks: one for each way to submit it.
    fn keys(&self) -> Vec<FunctionKey>;
    fn is_fallible(&self) -> bool;
    fn submit(
        &self,
        executor: &dyn Backend,
        options: TaskOptions,
        argument: &mut dyn erased_serde::Deserializer<'_>,
        done: Done,
    ) -> Result<Box<dyn Handle>, Error>;
}

/// A function whose return value is the result.
pub(super) struct Plain<A, R>(pub(super) fn(A) -> R);

/// A function whose `Err` is the task's error.
pub(super) struct Fallible<A, R, E>(pub(super) fn(A) -> Result<R, E>);

impl<A: Payload, R: Payload> Call for Plain<A, R> {
    fn keys(&self) -> Vec<FunctionKey> {
        vec![(TypeId::of::<fn(A) -> R>(), self.0 as usize)]
    }
    fn is_fallible(&self) -> bool {
        false
    }
    fn submit(
        &self,
        executor: &dyn Backend,
        options: TaskOptions,
        argument: &mut dyn erased_serde::Deserializer<'_>,
        done: Done,
    ) -> Result<Box<dyn Handle>, Error> {
        Ok(hand_over(executor.with(options).submit(self.0, read(argument)?), done))
    }
}

impl<A: Payload, R: Payload, E: Into<BoxError> + 'static> Call for Fallible<A, R, E> {
    fn keys(&self) -> Vec<FunctionKey> {
        // By `try_submit`, and by `submit`, of which the executor shall be able to tell that it is the wrong one.
        [TypeId::of::<fn(A) -> R>(), TypeId::of::<fn(A) -> Result<R, E>>()].map(|id| (id, self.0 as usize)).into()
    }
    fn is_fallible(&self) -> bool {
        true
    }
    fn submit(
        &self,
        executor: &dyn Backend,
        options: TaskOptions,
        argument: &mut dyn erased_serde::Deserializer<'_>,
        done: Done,
    ) -> Result<Box<dyn Handle>, Error> {
        Ok(hand_over(executor.with(options).try_submit(self.0, read(argument)?), done))
    }
}

/// A function with a context, whose return value is the result. Other programs send the pair of context and argument.
pub(super) struct PlainInContext<C, A, R>(pub(super) fn(&C, A) -> R);

/// A function with a context, whose `Err` is the task's error.
pub(super) struct FallibleInContext<C, A, R, E>(pub(super) fn(&C, A) -> Result<R, E>);

impl<C: Payload + Sync, A: Payload, R: Payload> Call for PlainInContext<C, A, R> {
    fn keys(&self) -> Vec<FunctionKey> {
        vec![(TypeId::of::<fn(&C, A) -> R>(), self.0 as usize)]
    }
    fn is_fallible(&self) -> bool {
        false
    }
    fn submit(
        &self,
        executor: &dyn Backend,
        options: TaskOptions,
        argument: &mut dyn erased_serde::Deserializer<'_>,
        done: Done,
    ) -> Result<Box<dyn Handle>, Error> {
        let (context, argument): (C, A) = read(argument)?;
        Ok(hand_over(executor.with(options).with_context(context).submit(self.0, argument), done))
    }
}

impl<C, A, R, E> Call for FallibleInContext<C, A, R, E>
where
    C: Payload + Sync,
    A: Payload,
    R: Payload,
    E: Into<BoxError> + 'static,
{
    fn keys(&self) -> Vec<FunctionKey> {
        let by_types = [TypeId::of::<fn(&C, A) -> R>(), TypeId::of::<fn(&C, A) -> Result<R, E>>()];
        by_types.map(|id| (id, self.0 as usize)).into()
    }
    fn is_fallible(&self) -> bool {
        true
    }
    fn submit(
        &self,
        executor: &dyn Backend,
        options: TaskOptions,
        argument: &mut dyn erased_serde::Deserializer<'_>,
        done: Done,
    ) -> Result<Box<dyn Handle>, Error> {
        let (context, argument): (C, A) = read(argument)?;
        Ok(hand_over(executor.with(options).with_context(context).try_submit(self.0, argument), done))
    }
}

/// Reads an argument. Runs user code, and catches its panics.
fn read<A: Payload>(argument: &mut dyn erased_serde::Deserializer<'_>) -> Outcome<A> {
    let failed = |error: erased_serde::Error| Error::Decode(Decode::new(Part::Argument, error.to_string()));
    let read = || {
        if const { is_large::<A>() } {
            return erased_serde::deserialize::<Box<A>>(argument).map(|argument| *argument).map_err(failed);
        }
        erased_serde::deserialize(argument).map_err(failed)
    };
    panics::catch(read).map_err(|error| match error {
        Error::Panicked(panicked) => Error::Decode(Decode::new(Part::Argument, panicked.to_string())),
        error => error,
    })
}

/// Has `done` called with the outcome of the task.
fn hand_over<R: Payload>(future: Future<R>, done: Done) -> Box<dyn Handle> {
    future.add_done_callback(move |outcome| match outcome {
        Ok(value) => done(Ok(&Caught(value))),
        Err(error) => done(Err(error)),
    });
    Box::new(future)
}
