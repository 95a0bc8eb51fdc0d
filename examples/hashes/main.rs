//! Hashes many buffers with SHA-256, each buffer a task: one after the other, on threads, and on worker processes.
//!
//! `cargo run --release --example hashes` prints how fast each executor is with 1, 2, 4 .. workers, and plots it as
//! `target/hashes.svg`. The function, its arguments and the call are the same for all of them. What goes to a worker
//! is a seed and a size, and the buffer is made there: so hashing is measured, not copying. `--help` tells what else
//! there is to choose, `--quick` is done within a second.

mod buffer;
mod contest;
mod plot;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;

use buffer::Buffer;
use contest::Standing;

/// Hashes many buffers on all executors, and compares them.
#[derive(Debug, Parser)]
#[command(name = "hashes")]
#[cfg_attr(not(processes), command(after_help = "There are no worker processes on this system."))]
struct Arguments {
    /// How many buffers to hash [default: 128, with --quick 32]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    buffers: Option<usize>,

    /// The size of a buffer in bytes [default: 1048576, with --quick 262144]
    #[arg(long, value_name = "BYTES", value_parser = at_least_one)]
    size: Option<usize>,

    /// Try up to N workers [default: one a cpu, but at least 4]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_workers: Option<usize>,

    /// Do with less to hash and fewer rounds
    #[arg(long)]
    quick: bool,

    /// The file that the plot is written to
    #[arg(long, value_name = "SVG", default_value = "target/hashes.svg")]
    plot: PathBuf,
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("must be a whole number of at least 1"),
    }
}

fn main() -> ExitCode {
    // The first line, for the systems where worker processes do not start by themselves: they go no further.
    #[cfg(processes)]
    concurrent_futures::init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the table has seen enough.
        Err(problem) if problem.downcast_ref().is_some_and(is_closed_pipe) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "hashes: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (buffers, size, rounds) = if arguments.quick { (32, 256 << 10, 3) } else { (128, 1 << 20, 5) };
    let (buffers, size) = (arguments.buffers.unwrap_or(buffers), arguments.size.unwrap_or(size));
    let cpus = available_parallelism()?.get();
    let contestants = contest::contestants(arguments.max_workers.unwrap_or(cpus.max(4)));

    let mut out = io::stdout().lock();
    writeln!(out, "{buffers} buffers of {size} bytes, {cpus} cpus, medians of {rounds} rounds\n")?;
    let buffers: Vec<Buffer> = (0..buffers).map(|seed| Buffer { seed: seed as u64, size }).collect();
    let standings = contest::compete(&contestants, &buffers, rounds)?;
    table(&standings, &mut out)?;
    let path = arguments.plot.display();
    plot::write(&arguments.plot, &standings).map_err(|cause| format!("--plot {path} cannot be written: {cause}"))?;
    writeln!(out, "\nAll digests agree. Plot: {path}")?;
    Ok(())
}

fn table(standings: &[Standing], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "executor    workers  seconds  speed-up")?;
    for Standing { kind, workers, time, speed_up } in standings {
        writeln!(out, "{kind:10}  {workers:7}  {:7.4}  {speed_up:8.2}", time.as_secs_f64())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! The command line.
    use super::Arguments;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        for bad in [["hashes", "--buffers=0"], ["hashes", "--size=-1"], ["hashes", "--max-workers=many"]] {
            let said = Arguments::try_parse_from(bad).unwrap_err().to_string();
            assert!(said.contains("must be a whole number of at least 1"), "{said}");
        }
    }
}
