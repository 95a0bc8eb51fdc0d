//! The promises that the crate `concurrent-futures` makes for every executor, as tests that run on any of them.
//!
//! A test program of the author, with `harness = false`, has one line for each executor:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use concurrent_futures::ThreadPoolExecutor;
//! use concurrent_futures_conformance::{backend, run};
//!
//! fn main() -> ExitCode {
//!     run([backend("threads", |workers| ThreadPoolExecutor::new(workers))])
//! }
//! ```
//!
//! README.md says how to add it to a crate, and how to read a failure. With the methods of [`Subject`], an author
//! states what an executor does not promise.

pub mod functions;
mod need;
mod points;
mod subject;
pub mod support;

use std::panic;
use std::process::ExitCode;

use concurrent_futures::task;
use libtest_mimic::{Arguments, Trial};

pub use subject::{Subject, backend};

use points::{FILES, Point};
use support::{LONG, within};

/// Runs every point on every backend. The program's arguments choose among them: `--help` lists them.
///
/// With `--test-threads=1` on Linux, a point also fails if it leaves a thread, a descriptor or a child process behind.
pub fn run(backends: impl IntoIterator<Item = Subject>) -> ExitCode {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // The panics of tasks are part of the tests.
        if task::current().is_none() && !support::is_expected() {
            hook(info);
        }
    }));
    // Starts the log now, so that no record is missed.
    support::logged("");
    let arguments = Arguments::from_args();
    // If points ran at the same time, it would be unknown which one left what.
    #[cfg(target_os = "linux")]
    if arguments.test_threads == Some(1) {
        support::leak_check::check_each();
    }
    let trials = backends.into_iter().flat_map(|backend| {
        let points = FILES.iter().flat_map(|&(file, points)| points.iter().map(move |point| (file, point)));
        points.map(|(file, point)| trial(&backend, file, point)).collect::<Vec<_>>()
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Returns the names of all points: `file::point`.
pub fn points() -> impl Iterator<Item = String> {
    FILES.iter().flat_map(|&(file, points)| points.iter().map(move |point| format!("{file}::{}", point.name)))
}

/// Makes the test of a point. A point that needs what the backend does not promise is ignored, and its kind gives the
/// reason.
fn trial(backend: &Subject, file: &str, point: &'static Point) -> Trial {
    let (name, make) = (format!("{file}::{}", point.name), backend.make());
    let trial = Trial::test(format!("{}::{name}", backend.name), move || {
        within(LONG, move || (point.run)(&*make));
        Ok(())
    });
    match backend.misses(&name, point) {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}
