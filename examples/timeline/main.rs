//! Downloads twenty flags on threads, hashes each of them on worker processes, and shows when each task waited and ran.
//!
//! `cargo run --release --features tracing --example timeline` writes a trace that <https://ui.perfetto.dev> opens, and a
//! picture of it. Both are made of the spans that tasks have with the feature `tracing`: [`Bars`] is the layer that
//! collects them. The server, the countries and the download are those of the example `flags`.

mod arguments;
mod bars;
mod drawing;
mod rows;
mod trace_file;

// Modules of the example `flags`. This example does not use everything in them.
#[allow(dead_code)]
#[path = "../flags/canvas.rs"]
mod canvas;
#[allow(dead_code)]
#[path = "../flags/country.rs"]
mod country;
#[path = "../flags/download.rs"]
mod download;
#[allow(dead_code)]
#[path = "../flags/picture.rs"]
mod picture;
#[allow(dead_code)]
#[path = "../flags/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../flags/store.rs"]
mod store;

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
#[cfg(processes)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{Backend, Executor, InlineExecutor, TaskOptions, ThreadPoolExecutor, as_completed};
use sha2::{Digest, Sha256};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use arguments::{Arguments, ExecutorKind};
use bars::{Bar, Bars};
use country::Country;
use download::{Task, download};
use server::{Server, ServerKind};

/// There are fewer threads than flags, so that some tasks wait.
const THREADS: usize = 6;
const PROCESSES: usize = 2;

fn main() -> ExitCode {
    // This must be the first line on systems where worker processes do not start by themselves. They do not return from
    // it.
    #[cfg(processes)]
    concurrent_futures::init();
    match run(&Arguments::parse()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("timeline: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Does the work, and writes the trace and the picture of it. Returns a summary.
fn run(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let bars = Bars::new();
    // A program would set the subscriber as the global default. A test needs one for each run.
    tracing::subscriber::with_default(Registry::default().with(bars.clone()), || work(arguments))?;
    let bars = bars.take();
    let rows = rows::rows(&bars);
    for path in [&arguments.trace, &arguments.picture] {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
    }
    let unwritable = |path: &Path, cause: io::Error| format!("{} cannot be written: {cause}", path.display());
    trace_file::write(&arguments.trace, &rows).map_err(|cause| unwritable(&arguments.trace, cause))?;
    drawing::write(&arguments.picture, &rows).map_err(|cause| unwritable(&arguments.picture, cause))?;
    Ok(summary(&bars, arguments)?)
}

/// Downloads flags, and hashes each of them as soon as it is there.
fn work(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let server = Server::start(if arguments.quick { ServerKind::Local } else { ServerKind::Delay }, 0)?;
    let directory = tempfile::tempdir()?;
    let (workshop, dest) = (directory.path().join("workshop"), directory.path().join("flags"));
    [&workshop, &dest].into_iter().try_for_each(fs::create_dir)?;
    let rounds = if arguments.quick { 10 } else { 150_000 };
    let (downloads, hashes) = executors(arguments.executor);

    let mut to_come = Vec::new();
    for country in Country::populous() {
        let named = downloads.with(TaskOptions::new().name(format!("download {country}")));
        let task = Task { country, url: server.url(country), workshop: workshop.clone(), dest: dest.clone() };
        to_come.push((country, named.try_submit(download, task)));
    }
    let mut digests = Vec::new();
    for (country, download) in as_completed(to_come) {
        download.result()?;
        let named = hashes.with(TaskOptions::new().name(format!("hash {country}")));
        digests.push(named.try_submit(hash, (store::path(&dest, country), rounds)));
    }
    for digest in digests {
        digest.result()?;
    }
    Ok(())
}

/// Returns the executors for downloads and for hashes.
fn executors(kind: ExecutorKind) -> (Arc<dyn Backend>, Arc<dyn Backend>) {
    let both = |executor: Arc<dyn Backend>| (Arc::clone(&executor), executor);
    match kind {
        #[cfg(processes)]
        ExecutorKind::Both => {
            (Arc::new(ThreadPoolExecutor::new(THREADS)), Arc::new(ProcessPoolExecutor::new(PROCESSES)))
        }
        ExecutorKind::Threads => both(Arc::new(ThreadPoolExecutor::new(THREADS))),
        #[cfg(processes)]
        ExecutorKind::Processes => both(Arc::new(ProcessPoolExecutor::new(PROCESSES))),
        ExecutorKind::Sequential => both(Arc::new(InlineExecutor)),
    }
}

/// Hashes a file `rounds` times.
fn hash((path, rounds): (PathBuf, usize)) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let mut digest = Sha256::digest(&bytes);
    for _ in 1..rounds {
        digest = Sha256::new().chain_update(digest).chain_update(&bytes).finalize();
    }
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn summary(bars: &[Bar], arguments: &Arguments) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for kind in ["download", "hash"] {
        let of_kind: Vec<&Bar> = bars.iter().filter(|bar| bar.name.starts_with(kind)).collect();
        let (count, queued) = (of_kind.len(), of_kind.iter().map(|bar| bar.queued.as_secs_f64()).sum::<f64>());
        let ran: f64 = of_kind.iter().map(|bar| bar.ran.as_secs_f64()).sum();
        let each = |sum: f64| sum / count.max(1) as f64;
        writeln!(text, "{count} x {kind:8}  in the queue {:.3} s, ran {:.3} s on average", each(queued), each(ran))?;
    }
    writeln!(text, "Open {} with https://ui.perfetto.dev", arguments.trace.display())?;
    write!(text, "Picture: {}", arguments.picture.display())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    //! Every task is in the trace and in the picture, wherever it ran.
    use std::collections::HashSet;

    use clap::{CommandFactory, Parser, ValueEnum};
    use serde_json::Value;

    use super::{Arguments, ExecutorKind, run};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_task_has_a_bar() {
        for kind in ExecutorKind::value_variants() {
            let directory = tempfile::tempdir().unwrap();
            let mut arguments = Arguments::parse_from(["timeline", "--quick"]);
            arguments.executor = *kind;
            arguments.trace = directory.path().join("new/trace.json");
            arguments.picture = directory.path().join("picture.svg");
            let said = run(&arguments).unwrap();
            assert!(said.contains("20 x download") && said.contains("20 x hash"), "{said}");
            let trace = std::fs::read_to_string(&arguments.trace).unwrap();
            let trace: Value = serde_json::from_str(&trace).unwrap();
            let events = trace["traceEvents"].as_array().unwrap();
            let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
            assert_eq!((count("X"), count("b"), count("e")), (40, 40, 40), "{kind:?}");
            let waits: HashSet<_> = events.iter().filter(|event| event["ph"] == "b").map(|wait| &wait["id"]).collect();
            assert_eq!(waits.len(), 40, "each has an id of its own");
            let ran = events.iter().filter(|event| event["ph"] == "X");
            assert!(ran.into_iter().all(|event| event["args"]["outcome"] == "Ok"), "{kind:?}");
            let picture = std::fs::read_to_string(&arguments.picture).unwrap();
            assert!(picture.starts_with("<svg") && picture.matches("<rect").count() > 40, "{kind:?}");
            for row in events.iter().filter(|event| event["name"] == "thread_name") {
                assert!(picture.contains(row["args"]["name"].as_str().unwrap()), "{row}");
            }
        }
    }
}
