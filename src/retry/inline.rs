//! [`attempt_inline`]: makes all attempts in the calling thread, for an executor that runs tasks there, or that has no
//! [`Submitter`](crate::Submitter).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::attempts::{AfterAttempt, AttemptFactory, Remaining};
use super::policy::Policy;
use crate::backend::{Backend, submit};
use crate::error::Error;
use crate::future::Future;
use crate::future::promise::promise;

/// Submits attempts, and sleeps between them, until one has an outcome that is final. Blocks until then.
pub(super) fn attempt_inline<R: Send + 'static>(
    executor: &impl Backend,
    factory: Box<dyn AttemptFactory<R>>,
    policy: &Policy,
    name: &dyn Fn() -> String,
) -> Future<R> {
    let mut rest = Remaining::new(factory);
    loop {
        let future = match rest.next(policy) {
            Ok(task) => submit(executor, task),
            Err(error) => return failed(error),
        };
        let Some(error) = future.error() else { return future };
        match rest.after(&error, policy, name) {
            AfterAttempt::AttemptAfter(Duration::ZERO) => {}
            AfterAttempt::AttemptAfter(pause) => std::thread::sleep(pause),
            AfterAttempt::Nothing(None) => return future,
            AfterAttempt::Nothing(Some(earlier)) => return failed(earlier),
        }
    }
}

fn failed<R: Send + 'static>(error: Error) -> Future<R> {
    let (promise, future) = promise();
    promise.complete(Err(error));
    future
}
