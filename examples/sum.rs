//! Sums the numbers up to 10,000, 100,000, 1,000,000 and 10,000,000, each sum a task of an executor.
//!
//! `cargo run --release --example sum -- --style wait` shows one of three ways to collect the results, and
//! `--executor processes` that nothing else changes with the place where the sums are made.

use std::hint::black_box;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
#[cfg(processes)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{
    Backend, Error, Executor, InlineExecutor, ReturnWhen, ThreadPoolExecutor, Waited, as_completed, wait,
};

const WORK: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const PATIENCE: Duration = Duration::from_millis(500);

/// Sums up numbers, each sum a task of an executor.
#[derive(Debug, Parser)]
#[cfg_attr(not(processes), command(after_help = "There are no worker processes on this system."))]
struct Arguments {
    /// How the results are collected
    #[arg(long, value_enum, default_value_t = Style::Map)]
    style: Style,

    /// Where the sums are made
    #[arg(long, value_enum, default_value_t = ExecutorKind::Threads)]
    executor: ExecutorKind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Style {
    /// All of them, in the order of the work
    Map,
    /// Those that are done within half a second, then the rest
    Wait,
    /// Each as it is done
    AsCompleted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExecutorKind {
    Threads,
    #[cfg(processes)]
    Processes,
    Sequential,
}

/// Adds up one number after the other. The black box keeps the compiler from knowing the formula.
fn sum_to(n: u64) -> u64 {
    (1..=n).fold(0, |sum, number| sum + black_box(number))
}

fn main() -> ExitCode {
    // The first line, for the systems where worker processes do not start by themselves: they go no further.
    #[cfg(processes)]
    concurrent_futures::init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the results has seen enough.
        Err(problem) if problem.downcast_ref().is_some_and(is_closed_pipe) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "sum: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let executor: Box<dyn Backend> = match arguments.executor {
        ExecutorKind::Threads => Box::new(ThreadPoolExecutor::default()),
        #[cfg(processes)]
        ExecutorKind::Processes => Box::new(ProcessPoolExecutor::default()),
        ExecutorKind::Sequential => Box::new(InlineExecutor),
    };
    let mut out = io::stdout().lock();
    let started = Instant::now();
    match arguments.style {
        Style::Map => with_map(&*executor, &mut out)?,
        Style::Wait => with_wait(&*executor, &mut out)?,
        Style::AsCompleted => with_as_completed(&*executor, &mut out)?,
    }
    writeln!(out, "{:.3}s", started.elapsed().as_secs_f64())?;
    Ok(())
}

fn with_map(executor: &dyn Backend, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    for (n, sum) in WORK.into_iter().zip(executor.map(sum_to, WORK)) {
        writeln!(out, "The sum of the numbers to {n} is {}", sum?)?;
    }
    Ok(())
}

fn with_wait(executor: &dyn Backend, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let futures = WORK.map(|n| executor.submit(sum_to, n));
    for (n, future) in WORK.iter().zip(&futures) {
        writeln!(out, "Scheduled for {n}: {future}")?;
    }
    let Waited { done, not_done } = wait(futures, PATIENCE, ReturnWhen::AllCompleted);
    writeln!(out, "Done after at most {PATIENCE:?}: {done:#?}")?;
    writeln!(out, "Pending: {not_done:#?}")?;
    let sums: Result<Vec<u64>, Error> = done.into_iter().chain(not_done).map(|future| future.result()).collect();
    for sum in sums? {
        writeln!(out, "The sum is {sum}")?;
    }
    Ok(())
}

fn with_as_completed(executor: &dyn Backend, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    for (n, future) in as_completed(WORK.map(|n| (n, executor.submit(sum_to, n)))) {
        writeln!(out, "The sum of the numbers to {n} is {}", future.result()?)?;
    }
    Ok(())
}
