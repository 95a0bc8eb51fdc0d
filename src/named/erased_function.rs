//! [`ErasedFunction`]: a function with its types erased, which another program can have called here.
#![forbid(unsafe_code)]

use std::any::TypeId;

use crate::backend::{Backend, dispatch};
use crate::codec::{Payload, unread};
use crate::error::{Decode, Error, Outcome, Part};
use crate::executor::Executor;
use crate::future::Future;
use crate::held::is_large;
use crate::options::TaskOptions;
use crate::panics;
use crate::task::bound::{Bound, ContextFunction};
use crate::task::encoded::FunctionKey;
use crate::task::formats::Caught;
use crate::task::function::{Function, Pointer};
use crate::task::shared_context::SharedContext;

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

/// A callback that gets the outcome of a task.
pub(super) type Done = Box<dyn FnOnce(Result<&dyn erased_serde::Serialize, &Error>) + Send>;

type Submitted = Result<Box<dyn Handle>, Error>;

type Submit =
    dyn Fn(&dyn Backend, TaskOptions, &mut dyn erased_serde::Deserializer<'_>, Done) -> Submitted + Send + Sync;

/// A function with its types erased.
#[expect(missing_debug_implementations, reason = "it is passed on and not looked at")]
pub struct ErasedFunction {
    /// The keys that the function has in tasks: that of the right way to submit it, and that of `submit`. They differ if
    /// its `Err` is the task's error. An executor finds its name by either, and so can tell that `submit` was wrong.
    pub(super) keys: [FunctionKey; 2],
    pub(super) is_fallible: bool,
    pub(super) submit: Box<Submit>,
}

impl ErasedFunction {
    /// Erases the types of a function. `pointer` is the type of the pointer to it.
    pub(super) fn of<F, A, R>(function: F, pointer: TypeId) -> Self
    where
        F: Function<A, R> + 'static,
        A: Payload,
        R: Payload,
    {
        let keys = [F::pointer_type(), pointer].map(|pointer| (pointer, function.address()));
        let submit: Box<Submit> = Box::new(move |executor, options, argument, done| {
            Ok(hand_over(dispatch(&executor.with(options), function.clone(), read(argument)?), done))
        });
        Self { keys, is_fallible: F::IS_FALLIBLE, submit }
    }

    /// Erases the types of a function with a context. Other programs send the pair of context and argument.
    pub(super) fn in_context<F, C, A, R>(function: F, pointer: TypeId) -> Self
    where
        F: ContextFunction<C, A, R> + 'static,
        C: Payload + Sync,
        A: Payload,
        R: Payload,
    {
        let keys = [Bound::<F, C>::pointer_type(), pointer].map(|pointer| (pointer, Pointer::address(function)));
        let submit: Box<Submit> = Box::new(move |executor, options, argument, done| {
            let (context, argument): (C, A) = read(argument)?;
            let bound = SharedContext::new(context).bind(function);
            Ok(hand_over(dispatch(&executor.with(options), bound, argument), done))
        });
        Self { keys, is_fallible: F::IS_FALLIBLE, submit }
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
    panics::catch(read).map_err(|error| unread(Part::Argument, error))
}

/// Registers `done` as the callback that gets the outcome of the task.
fn hand_over<R: Payload>(future: Future<R>, done: Done) -> Box<dyn Handle> {
    future.add_done_callback(move |outcome| match outcome {
        Ok(value) => done(Ok(&Caught(value))),
        Err(error) => done(Err(error)),
    });
    Box::new(future)
}
