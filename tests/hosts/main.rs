//! Faults of a whole program: each test starts this binary again as a program that has a pool, and looks how it ends.

mod ends;
mod fork;
mod host;
mod limits;
mod output;
mod reaping;
mod surroundings;

use libtest_mimic::{Arguments, Trial};

use host::{Case, HOST, within};

fn cases() -> impl Iterator<Item = &'static Case> {
    let modules = [ends::CASES, fork::CASES, limits::CASES, output::CASES, reaping::CASES, surroundings::CASES];
    modules.into_iter().flatten()
}

fn main() {
    if let Ok(name) = std::env::var(HOST) {
        let case = cases().find(|case| case.name == name).expect("the name of a case");
        return (case.host)();
    }
    let trial = |case: &'static Case| {
        let check = || {
            within(|| (case.check)(case.name));
            Ok(())
        };
        Trial::test(case.name, check)
    };
    libtest_mimic::run(&Arguments::from_args(), cases().map(trial).collect()).exit();
}
