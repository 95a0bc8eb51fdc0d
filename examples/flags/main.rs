//! Downloads flags over HTTP, each as a task of an executor: one after the other, on threads, or on worker
//! processes.
//!
//! `cargo run --release --example flags` starts a server that takes a second for each flag, and gets twenty of them.
//! `--help` tells what else it can do.

mod arguments;
mod canvas;
mod country;
mod download;
mod picture;
mod report;
mod screen;
mod server;
mod store;

use std::error::Error;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::thread;

#[cfg(processes)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{Backend, Executor, InlineExecutor, MapOptions, ThreadPoolExecutor, as_completed};
use parking_lot::{Mutex, MutexGuard};

use arguments::{Arguments, ExecutorKind, Style};
use country::Country;
use download::{Task, download};
use report::Report;
use server::{Server, ServerKind};

/// What a shell reports of a program that Ctrl-C ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    // The first line, for the systems where worker processes do not start by themselves: they go no further.
    #[cfg(processes)]
    concurrent_futures::init();
    let status = run(Arguments::read()).unwrap_or_else(|problem| {
        screen::complain(format_args!("flags: {problem}"));
        ExitCode::FAILURE
    });
    store::close();
    status
}

fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let executor = executor(&arguments);
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let server = Server::start(arguments.server, seed).map_err(|cause| format!("no server can be started: {cause}"))?;
    let countries = countries(&arguments, &server);
    let dest = arguments.dest.clone();
    let workshop = store::open(&dest, &countries)
        .map_err(|cause| format!("--dest {} cannot be written to: {cause}", dest.display()))?;
    let place = |country| Task { country, url: server.url(country), workshop: workshop.clone(), dest: dest.clone() };
    let tasks: Vec<Task> = countries.into_iter().map(place).collect();

    if arguments.verbose {
        screen::print(format_args!("Up to {} at a time from {}\n", executor.max_workers(), server.base()));
        if arguments.server == ServerKind::Error {
            screen::print(format_args!("The same failures again: --seed {seed}\n"));
        }
    }
    let mut report = Report::new(tasks.len(), dest.clone(), arguments.verbose);
    if arguments.style == Style::AsCompleted {
        report = report.with_bar();
    }
    let report = Arc::new(Mutex::new(report));
    stop_on_interrupt(Arc::clone(&executor), Arc::clone(&report))?;
    match arguments.style {
        Style::Map => in_order(&*executor, tasks, &report),
        Style::AsCompleted => as_they_arrive(&*executor, tasks, &report),
    }
    let mut report = report.lock();
    let status = report.summarise();
    // Never given back: who interrupts now is too late.
    MutexGuard::leak(report);
    Ok(status)
}

/// The one place that knows where downloads run.
fn executor(arguments: &Arguments) -> Arc<dyn Backend> {
    match arguments.executor {
        ExecutorKind::Sequential => Arc::new(InlineExecutor),
        ExecutorKind::Threads => Arc::new(ThreadPoolExecutor::new(arguments.max_workers)),
        #[cfg(processes)]
        ExecutorKind::Processes => Arc::new(ProcessPoolExecutor::new(arguments.max_workers)),
    }
}

/// What was asked for, each once.
fn countries(arguments: &Arguments, server: &Server) -> Vec<Country> {
    let mut countries = match arguments {
        Arguments { all: true, .. } => server.countries(),
        Arguments { every: true, .. } => Country::every(),
        Arguments { countries, .. } if countries.is_empty() => Country::populous(),
        Arguments { countries, .. } => countries.clone(),
    };
    let mut seen = std::collections::HashSet::new();
    countries.retain(|&country| seen.insert(country));
    countries.truncate(arguments.limit.unwrap_or(usize::MAX));
    countries
}

/// Downloads with `map`: outcomes come in the order of the tasks.
fn in_order(executor: &dyn Backend, tasks: Vec<Task>, report: &Mutex<Report>) {
    let countries: Vec<Country> = tasks.iter().map(|task| task.country).collect();
    // A map submits everything before its first result. Where that means to do everything, take one task at a time.
    let at_a_time = if executor.max_workers() == 1 { 1 } else { usize::MAX };
    let executor = executor.with(MapOptions::new().buffer_size(at_a_time));
    for (country, outcome) in countries.into_iter().zip(executor.try_map(download, tasks)) {
        report.lock().arrived(country, outcome);
    }
}

/// Downloads with `submit` and `as_completed`: outcomes come as they are there.
fn as_they_arrive(executor: &dyn Backend, tasks: Vec<Task>, report: &Mutex<Report>) {
    let mut downloads = Vec::new();
    for task in tasks {
        let country = task.country;
        let future = executor.try_submit(download, task);
        // Lets a worker begin, so that the future shows whether it has one.
        thread::yield_now();
        report.lock().scheduled(country, &future);
        if future.is_done() {
            // Without workers each task is done when it is submitted: no reason to keep its result back.
            report.lock().completed(country, future);
        } else {
            downloads.push((country, future));
        }
    }
    for (country, future) in as_completed(downloads) {
        report.lock().completed(country, future);
    }
}

/// On Ctrl-C: cancels what is pending, lets nothing more be saved, and says what was.
fn stop_on_interrupt(executor: Arc<dyn Backend>, report: Arc<Mutex<Report>>) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        // Kept to the end, so that nothing more is shown.
        let mut report = report.lock();
        let saved = store::close();
        let cancelled = executor.cancel_pending();
        report.stopped(&saved, cancelled);
        exit(INTERRUPTED);
    })
}
