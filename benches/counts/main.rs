//! Counts what a task costs in instructions, atomics, allocations and system calls, and fails if a figure is more than
//! a tenth above the kept one: `benches/counts/run.sh`. The README.md of the benches says what the figures mean.

mod allocator;
mod atomics;
mod kept;
mod measure;
mod workloads;

use std::collections::BTreeSet;
use std::env;
use std::process::ExitCode;

use allocator::Usage;
use kept::Kept;
use measure::{Unit, measure};
use workloads::{WORKLOADS, Workload};

/// By which part of itself a figure may grow.
const GROWTH: f64 = 0.1;

/// By which part the instructions may grow if they were kept with another compiler: it makes others of the same code.
const GROWTH_BY_COMPILER: f64 = 0.5;

/// By how much a figure may grow that is next to nothing.
const GROWTH_FROM_NOTHING: f64 = 0.05;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => return compare(),
        ["--renew"] => {
            let figures = names().map(|(workload, unit, name)| (name, measure(workload, unit)));
            Kept::write(&kept::compiler(), &figures.collect::<Vec<_>>());
        }
        ["--spread"] => print_spread(),
        ["run", name, times] => _ = run(name, times),
        ["allocations", name, times] => {
            Usage::begin();
            let usage = run(name, times);
            println!("{} {}", usage.allocations, usage.bytes);
        }
        _ => {
            eprintln!("usage: benches/counts/run.sh [--renew | --spread]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs a workload in this process, and returns what it allocated.
fn run(name: &str, times: &str) -> Usage {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name).expect("a workload has this name");
    (workload.run)(times.parse().expect("a number of tasks"))
}

/// Returns the names of all figures.
fn names() -> impl Iterator<Item = (&'static Workload, Unit, String)> {
    let each = |workload: &'static Workload| workload.units.iter().map(move |&unit| (workload, unit));
    WORKLOADS.iter().flat_map(each).map(|(workload, unit)| (workload, unit, format!("{}, {unit}", workload.name)))
}

/// Prints the kept figures beside those of now, and fails if one has grown.
fn compare() -> ExitCode {
    let (kept, compiler) = (Kept::read(), kept::compiler());
    if !names().map(|(_, _, name)| name).collect::<BTreeSet<_>>().iter().eq(kept.figures.keys()) {
        println!("kept.txt has other figures than are counted now. Write it anew: benches/counts/run.sh --renew");
        return ExitCode::FAILURE;
    }
    let same_compiler = kept.compiler == compiler;
    let mut grown = Vec::new();
    println!("{:<34} {:>10} {:>10} {:>7}", "a task or item", "kept", "now", "ratio");
    for (workload, unit, name) in names() {
        let (before, now) = (kept.figures[&name], measure(workload, unit));
        let growth = if same_compiler || unit != Unit::Instructions { GROWTH } else { GROWTH_BY_COMPILER };
        let change = (before * growth).max(GROWTH_FROM_NOTHING);
        let verdict = match now - before {
            more if more > change => " GREW",
            more if more < -change => " shrank",
            _ => "",
        };
        if verdict == " GREW" {
            grown.push(workload);
        }
        let ratio = if before < GROWTH_FROM_NOTHING { "-".into() } else { format!("{:.3}", now / before) };
        println!("{name:<34} {before:>10.2} {now:>10.2} {ratio:>7}{verdict}");
    }
    println!();
    if !same_compiler {
        println!(
            "The instructions were kept with {}, and this is {compiler}. So they may grow by {GROWTH_BY_COMPILER} of \
             themselves, not {GROWTH}, until they are renewed with this compiler, from code that costs no more.",
            kept.compiler
        );
    }
    let Some(Workload { name, times, .. }) = grown.first() else {
        println!("No figure grew. What shrank stays so if it is written anew: benches/counts/run.sh --renew");
        return ExitCode::SUCCESS;
    };
    println!(
        "Figures that grew: {}. This says which functions the instructions are in, before a change and after it:\n\n    \
         valgrind --tool=callgrind --callgrind-out-file=out {} run '{name}' {times}\n    \
         callgrind_annotate out\n\n\
         If the growth is intended, write the figures anew and say why in the commit: benches/counts/run.sh --renew",
        grown.len(),
        env::args().next().unwrap_or_default()
    );
    ExitCode::FAILURE
}

/// Prints the least and the greatest of ten measurements of each figure.
fn print_spread() {
    println!("{:<34} {:>10} {:>10} {:>7}", "a task or item", "least", "greatest", "spread");
    for (workload, unit, name) in names() {
        let mut measured: Vec<_> = (0..10).map(|_| measure(workload, unit)).collect();
        measured.sort_by(f64::total_cmp);
        let (least, greatest) = (measured[0], measured[9]);
        let spread = if greatest < GROWTH_FROM_NOTHING { 0.0 } else { 100.0 * (greatest - least) / least };
        println!("{name:<34} {least:>10.2} {greatest:>10.2} {spread:>5.1} %");
    }
}
