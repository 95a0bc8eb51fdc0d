//! Why a worker ended before it was ready, and whether the next one would do better.
#![forbid(unsafe_code)]

use crate::error::{Error, Exit};
use crate::process::program::entry::{ENTERS_BY_ITSELF, StartFailure};
use crate::process::scheduler::Prospect;
use crate::process::worker::exit::LOST;

/// The code that a program exits with whose libraries cannot be loaded.
const NOT_LOADED: i32 = 127;

/// What ends a process for what it did itself.
const CRASHES: [&str; 7] = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"];

const IS_INIT_MISSING: &str = "is `concurrent_futures::init()` the first line of `main`?";

/// Returns why the process refused to be a worker, if that is what it ended with.
fn start_failure(exit: &Exit) -> Option<StartFailure> {
    if let Exit::Code(code) = exit { StartFailure::of(*code) } else { None }
}

/// Returns what is to be expected of the next worker, if one ended before it said hello.
///
/// | it ended | others |
/// |---|---|
/// | with the code of a [`StartFailure`] | would do no better |
/// | with [`LOST`] | may find what this one lacked |
/// | with the code of a loader, or by a signal of its own doing | would do no better, if it was alone |
/// | with any other code | would do no better: some other program has run, or `main` |
/// | by another signal, or nobody knows how | may do better: who sent that did not mean the program |
/// | was killed because it said nothing | may do better, unless that is `main`, which was to call `init()` |
pub(super) fn prospect_without_hello(exit: &Exit, was_killed: bool) -> Prospect {
    if was_killed {
        return if ENTERS_BY_ITSELF { Prospect::Fair } else { Prospect::None };
    }
    match exit {
        Exit::Code(LOST) => Prospect::Fair,
        Exit::Code(NOT_LOADED) => Prospect::Poor,
        Exit::Code(_) => Prospect::None,
        Exit::Signal(name) if CRASHES.contains(&name.as_str()) => Prospect::Poor,
        _ => Prospect::Fair,
    }
}

/// Says why a worker ended before it was ready.
pub(super) fn of_early_end(exit: &Exit, complaint: Option<&Error>, said_hello: bool, has_initializer: bool) -> String {
    match complaint {
        Some(Error::Panicked(panic)) => {
            let location = panic.location().map(|location| format!(" at {location}")).unwrap_or_default();
            let worker = panic.worker_name().unwrap_or("a worker");
            format!("the initializer of {worker} panicked{location}: {}", panic.message())
        }
        Some(Error::Broken(broken)) if said_hello || ENTERS_BY_ITSELF => broken.cause().to_string(),
        Some(Error::Broken(broken)) => format!("{}; {IS_INIT_MISSING}", broken.cause()),
        Some(other) => format!("the initializer failed: {other}"),
        None if said_hello && has_initializer => format!("the initializer ended its worker process, which {exit}"),
        None if said_hello => format!("a worker process {exit} while it was set up"),
        None if start_failure(exit).is_some() => start_failure(exit).map_or("", StartFailure::reason).into(),
        None if ENTERS_BY_ITSELF && matches!(exit, Exit::Code(code) if ![LOST, NOT_LOADED].contains(code)) => {
            format!(
                "what was started as a worker has run something else, which may be another program in the place of this one, a wrapper of it, \
                 or what it does before `main`: a worker process {exit} before it said hello"
            )
        }
        None if ENTERS_BY_ITSELF => format!("a worker process {exit} before it said hello"),
        None => format!("a worker process {exit} before it said hello; {IS_INIT_MISSING}"),
    }
}
