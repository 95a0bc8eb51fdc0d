//! Tests the crate beside RabbitMQ, Celery for Python and celery-rs, which it starts and ends.
//!
//!     cargo test -p concurrent-futures-celery --test peers
#![forbid(unsafe_code)]

mod answers;
mod celery_rs;
#[cfg(all(feature = "cli", unix))]
mod command_line;
mod faults;
mod machines;
mod poison;
mod python_worker;
mod rust_worker;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
mod worker_faults;

use std::process::ExitCode;
use std::sync::Arc;

use concurrent_futures_conformance::support::{LONG, within};
use libtest_mimic::{Arguments, Trial};
use support::{Broker, Machines};

/// What all tests use.
struct Peers {
    /// The URL of the broker.
    url: String,
}

type Test = (&'static str, fn(&Peers));

/// Lists functions as tests.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}
pub(crate) use tests;

fn main() -> ExitCode {
    #[cfg(all(feature = "cli", unix))]
    if std::env::var_os(command_line::IS_WORKER).is_some() {
        return concurrent_futures_celery::cli::worker();
    }
    #[cfg(feature = "tls")]
    if let Some(code) = tls::serve() {
        return code;
    }
    if let Some(code) = support::serve() {
        return code;
    }
    if let Some(code) = machines::serve() {
        return code;
    }
    let arguments = Arguments::from_args();
    let tests = [
        answers::TESTS,
        celery_rs::TESTS,
        python_worker::TESTS,
        rust_worker::TESTS,
        worker_faults::TESTS,
        #[cfg(all(feature = "cli", unix))]
        command_line::TESTS,
        faults::TESTS,
        poison::TESTS,
        machines::TESTS,
        #[cfg(feature = "tls")]
        tls::TESTS,
    ]
    .concat();
    if arguments.list {
        let trials = tests.iter().map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    // The environment of Python takes long to make, so it is made before the tests, which have a time limit.
    let broker = match support::programs().and_then(|_| Broker::start("peers")) {
        Ok(broker) => broker,
        Err(missing) => {
            eprintln!("the tests beside other programs cannot run: {missing}");
            return ExitCode::FAILURE;
        }
    };
    let no_machines = Machines::start(1).err();
    if let Some(missing) = &no_machines {
        eprintln!("the tests with several machines are left out, because there can be none here: {missing}");
    }
    let peers = Arc::new(Peers { url: broker.url.clone() });
    let trials = tests.into_iter().map(|(name, test)| {
        let peers = Arc::clone(&peers);
        let is_left_out = no_machines.is_some() && name.contains("machines::");
        let trial = Trial::test(name.trim_start_matches("peers::"), move || {
            if name.contains("celery_rs::") {
                support::celery_rs()?;
            }
            within(LONG, move || test(&peers));
            Ok(())
        });
        trial.with_ignored_flag(is_left_out)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // A test that hangs does not keep the broker alive.
    drop(broker);
    support::end_all();
    conclusion.exit_code()
}
