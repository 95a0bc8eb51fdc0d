//! What Python documents of `concurrent.futures`, and what its users miss there, on every executor.
//!
//!     cargo test --test conformance                  # everything
//!     cargo test --test conformance -- processes::   # one kind of executor
//!     cargo test --test conformance -- --test-threads=1   # and each leaves nothing: no descriptor, thread or process
//!
//! A point is written once, against the trait, and runs on every backend of [`BACKENDS`]: its functions are plain, and its values
//! can be written and read. What only one kind of executor has is in a file of its own, and so is what needs no executor.
//! README.md has the table of all points; `table.rs` holds it to the tests.
#![forbid(unsafe_code)]

/// Makes a list of tests: functions with their names. One that is forgotten is dead code.
macro_rules! list {
    ($($test:ident),* $(,)?) => { &[$((stringify!($test), $test)),*] };
}

mod callbacks;
mod cancel;
#[allow(dead_code)]
#[cfg_attr(target_os = "linux", path = "../it/census.rs")]
mod census;
mod completed;
mod costs;
#[cfg_attr(automatic, path = "../it/processes/support.rs")]
mod doors;
mod future;
mod map;
mod map_limits;
#[path = "../it/processes/marks.rs"]
mod marks;
#[cfg(automatic)]
mod processes;
mod promises;
mod shutdown;
mod submit;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;
mod table;
mod threads;
mod tools;
mod wait;

#[cfg(automatic)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{Backend, ThreadPoolExecutor, task};
use libtest_mimic::{Arguments, Trial};

use census::Census;
use support::{LONG, within};

/// Makes an executor with so many workers.
type Make = fn(usize) -> Box<dyn Backend>;

/// The tests of a file: each point with its name.
type Points = &'static [(&'static str, fn(Make))];

/// The tests of a file that choose their executors, if they need any.
type Own = &'static [(&'static str, fn())];

/// A new kind of executor is one line.
const BACKENDS: &[(&str, Make)] = &[
    ("threads", |workers| Box::new(ThreadPoolExecutor::new(workers))),
    #[cfg(automatic)]
    ("processes", |workers| Box::new(ProcessPoolExecutor::new(workers))),
];

const POINTS: &[(&str, Points)] = &[
    ("callbacks", callbacks::POINTS),
    ("cancel", cancel::POINTS),
    ("completed", completed::POINTS),
    ("costs", costs::POINTS),
    ("future", future::POINTS),
    ("map", map::POINTS),
    ("map_limits", map_limits::POINTS),
    ("shutdown", shutdown::POINTS),
    ("submit", submit::POINTS),
    ("wait", wait::POINTS),
];

const OWN: &[(&str, Own)] = &[
    #[cfg(automatic)]
    ("processes", processes::OWN),
    ("promises", promises::OWN),
    ("table", table::OWN),
    ("threads", threads::OWN),
];

/// One that is alone is to leave nothing. Of those that run side by side nobody could say what is whose.
fn trial(name: String, is_alone: bool, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let before = is_alone.then(Census::take);
        within(LONG, test);
        if let Some(before) = before {
            before.assert_nothing_is_left();
        }
        Ok(())
    })
}

fn main() {
    // What tasks panic with is theirs, and belongs to the tests.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if task::current().is_none() {
            hook(panic);
        }
    }));
    // From the start, so that nothing which is to be logged is missed.
    support::logged("");
    let arguments = Arguments::from_args();
    let is_alone = arguments.test_threads == Some(1);
    if is_alone {
        census::start_smol();
    }
    let mut trials = Vec::new();
    for &(backend, make) in BACKENDS {
        for &(file, points) in POINTS {
            trials.extend(
                points
                    .iter()
                    .map(|&(name, test)| trial(format!("{backend}::{file}::{name}"), is_alone, move || test(make))),
            );
        }
    }
    for &(file, tests) in OWN {
        trials.extend(tests.iter().map(|&(name, test)| trial(format!("{file}::{name}"), is_alone, test)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
