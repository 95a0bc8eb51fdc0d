//! Why a worker ended before it was ready, and whether the next one would do better.
#![forbid(unsafe_code)]

use crate::error::{Error, Exit};
use crate::process::program::entry::{ENTERS_BY_ITSELF, StartFailure};
use crate::process::scheduler::Prospect;
use crate::process::worker::exit::LOST;

/// The exit code of a program whose libraries cannot be loaded.
const NOT_LOADED: i32 = 127;

/// Signals that end a process because of something that it did itself.
const CRASHES: [&str; 7] = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"];

const IS_INIT_MISSING: &str = "is `concurrent_futures::init()` the first line of `main`?";

/// Returns why the process refused to be a worker, if its exit status says so.
fn start_failure(exit: &Exit) -> Option<StartFailure> {
    if let Exit::Code(code) = exit { StartFailure::of(*code) } else { None }
}

/// Returns what to expect of the next worker, if this one ended before it said hello.
///
/// | this one | the next ones |
/// |---|---|
/// | exited with the code of a [`StartFailure`] | will do no better |
/// | exited with [`LOST`] | may find what this one lacked |
/// | exited with the code of a loader, or died of a signal in `CRASHES` | will do no better, if this one was alone |
/// | exited with any other code | will do no better: another program has run, or `main` |
/// | died of another signal, or in an unknown way | may do better: the sender of the signal did not mean the program |
/// | was killed before it said hello | may do better, unless `init()` is needed: then it may be a `main` without it |
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

/// Returns a text that says why a worker ended before it was ready.
pub(super) fn reason(exit: &Exit, complaint: Option<&Error>, said_hello: bool, has_initializer: bool) -> String {
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
