//! Finds out which hosts fetched /robots.txt, in compressed access logs of a web server, each log a task.
//!
//! `cargo run --release --example access_logs -- --generate 8` makes eight days of logs in `target/access_logs` and
//! searches them; `cargo run --release --example access_logs -- /var/log/apache2` searches real ones. To decompress and
//! to read is work for the processor, and a log shares nothing with the next: `--executor` tells what it is worth to do
//! several at a time. A log that cannot be read to its end costs its own results, not those of the others.

mod directory;
mod generate;
mod request;
mod search;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use clap::{Parser, ValueEnum};
#[cfg(processes)]
use concurrent_futures::ProcessPoolExecutor;
use concurrent_futures::{Backend, Executor, InlineExecutor, ThreadPoolExecutor};

use generate::{Plan, generate};
use search::{Found, Log, search};

/// Finds the hosts that fetched /robots.txt, in the compressed access logs of a directory.
#[derive(Debug, Parser)]
#[command(name = "access_logs")]
#[cfg_attr(not(processes), command(after_help = "There are no worker processes on this system."))]
struct Arguments {
    /// The directory of the logs [default: target/access_logs]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,

    /// The same
    #[arg(long, value_name = "DIR", conflicts_with = "directory")]
    dir: Option<PathBuf>,

    /// Where the logs are searched
    #[arg(long, value_enum, default_value_t)]
    executor: Kind,

    /// Search up to N logs at the same time [default: one a cpu]
    #[arg(long, value_name = "N")]
    max_workers: Option<NonZero<usize>>,

    /// Leave out lines that are not in the common or combined log format
    #[arg(long)]
    skip_bad_lines: bool,

    /// Make N logs first, in a new directory or in place of those generated before
    #[arg(long, value_name = "N")]
    generate: Option<NonZero<u32>>,

    /// How many lines each generated log has
    #[arg(long, value_name = "N", requires = "generate", default_value_t = 50_000)]
    lines: u32,

    /// Another seed makes other logs
    #[arg(long, value_name = "N", requires = "generate", default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Kind {
    #[cfg(processes)]
    #[default]
    Processes,
    #[cfg_attr(not(processes), default)]
    Threads,
    Sequential,
}

fn main() -> ExitCode {
    // The first line, for the systems where worker processes do not start by themselves: they go no further.
    #[cfg(processes)]
    concurrent_futures::init();
    match run(&Arguments::parse()) {
        Ok(status) => status,
        // Whoever read the hosts has seen enough.
        Err(problem) if problem.downcast_ref().is_some_and(is_closed_pipe) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(problem);
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

fn complain(problem: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "access_logs: {problem}");
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let directory = arguments.directory.as_ref().or(arguments.dir.as_ref());
    let directory = directory.map_or(Path::new("target/access_logs"), PathBuf::as_path);
    let executor = executor(arguments)?;
    let mut out = io::stdout().lock();
    if let Some(logs) = arguments.generate {
        let started = Instant::now();
        let content = make_logs(&*executor, directory, logs.get(), arguments)?;
        let seconds = started.elapsed().as_secs_f64();
        writeln!(out, "Generated {content}, in {} in {seconds:.2}s", directory.display())?;
    }

    let started = Instant::now();
    let paths = directory::logs(directory)?;
    let logs = paths.iter().map(|path| Log { path: path.clone(), skip_bad_lines: arguments.skip_bad_lines });
    let mut total = Found::default();
    let mut failed = 0;
    for (path, outcome) in paths.iter().zip(executor.try_map(search, logs)) {
        match outcome {
            Ok(found) => {
                total.hosts.extend(found.hosts);
                total.lines += found.lines;
                total.bad_lines += found.bad_lines;
            }
            Err(error) => {
                failed += 1;
                complain(format_args!("{}: {error}", path.display()));
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    for host in &total.hosts {
        writeln!(out, "{host}")?;
    }
    let Found { hosts, lines, bad_lines } = total;
    let hosts = counted(hosts.len() as u64, "host");
    let searched = counted((paths.len() - failed) as u64, "log");
    let lines = counted(lines, "line");
    writeln!(out, "{hosts} fetched /robots.txt; {searched} with {lines} searched in {seconds:.2}s")?;
    if bad_lines > 0 {
        writeln!(out, "{} left out", counted(bad_lines, "line"))?;
    }
    if failed > 0 {
        writeln!(out, "{} could not be searched", counted(failed as u64, "log"))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The one place that knows where logs are searched.
fn executor(arguments: &Arguments) -> io::Result<Box<dyn Backend>> {
    let workers = arguments.max_workers.map_or_else(available_parallelism, Ok)?.get();
    Ok(match arguments.executor {
        #[cfg(processes)]
        Kind::Processes => Box::new(ProcessPoolExecutor::new(workers)),
        Kind::Threads => Box::new(ThreadPoolExecutor::new(workers)),
        Kind::Sequential => Box::new(InlineExecutor),
    })
}

/// Makes logs, each a task too. Returns what they contain, which also stands in a file beside them.
fn make_logs(
    executor: &dyn Backend,
    directory: &Path,
    logs: u32,
    arguments: &Arguments,
) -> Result<String, Box<dyn Error>> {
    let &Arguments { lines, seed, .. } = arguments;
    directory::clear(directory)?;
    let plans = (1..=logs).map(|number| {
        let path = directory.join(format!("access.log.{number}.gz"));
        Plan { path, number, lines, seed }
    });
    let mut hosts = BTreeSet::new();
    for (number, outcome) in (1..=logs).zip(executor.try_map(generate, plans)) {
        hosts.extend(outcome.map_err(|error| format!("access.log.{number}.gz cannot be generated: {error}"))?);
    }
    let content = format!("{logs} logs of {lines} lines with seed {seed}: {} hosts fetched /robots.txt", hosts.len());
    directory::mark(directory, &content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    //! The command line.
    use super::Arguments;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        for bad in [
            vec!["--generate", "0"],
            vec!["--lines", "5"],
            vec!["--seed", "5"],
            vec!["--max-workers", "0"],
            vec!["here", "--dir", "there"],
            vec!["--executor", "fibres"],
        ] {
            let said = Arguments::try_parse_from(std::iter::once("access_logs").chain(bad.iter().copied()));
            assert!(said.unwrap_err().to_string().contains(bad[0].trim_start_matches("here")), "{bad:?}");
        }
        Arguments::try_parse_from(["access_logs", "--generate", "2", "--lines", "0", "--seed", "3"]).unwrap();
    }
}
