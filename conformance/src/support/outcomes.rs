//! Texts of panics and errors.

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use concurrent_futures::{Broken, Error, Outcome};

thread_local! {
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Returns `true` if a panic of this thread is part of the test.
pub(crate) fn is_expected() -> bool {
    IS_EXPECTED.get()
}

/// Returns the text that `body` panics with.
///
/// # Panics
///
/// Panics if `body` does not.
#[track_caller]
pub fn panic_text<R>(body: impl FnOnce() -> R) -> String {
    IS_EXPECTED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    IS_EXPECTED.set(false);
    let Err(payload) = outcome else { panic!("it did not panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().map_or_else(String::new, ToString::to_string),
    }
}

/// Returns the message that a task panicked with.
///
/// # Panics
///
/// Panics if the outcome is not a panic.
#[track_caller]
pub fn panic_message<T: Debug>(outcome: Outcome<T>) -> String {
    match outcome {
        Err(Error::Panicked(panicked)) => panicked.message().to_owned(),
        other => panic!("not a panic: {other:?}"),
    }
}

/// Returns the reason of a `Broken` outcome.
///
/// # Panics
///
/// Panics if the outcome is not `Broken`.
#[track_caller]
pub fn broken<T: Debug>(outcome: Outcome<T>) -> Broken {
    match outcome {
        Err(Error::Broken(broken)) => broken,
        other => panic!("not broken: {other:?}"),
    }
}
