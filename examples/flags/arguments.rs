//! The command line.

use std::path::PathBuf;
use std::process::exit;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, ValueEnum};

use crate::country::Country;
use crate::screen;
use crate::server::ServerKind;

/// Downloads flags, each as a task of an executor.
#[derive(Debug, Parser)]
#[command(name = "flags")]
#[cfg_attr(not(processes), command(after_help = "There are no worker processes on this system."))]
pub(crate) struct Arguments {
    /// Countries, as in BR IN US [default: the twenty most populous]
    #[arg(value_name = "COUNTRY", conflicts_with_all = ["all", "every"])]
    pub(crate) countries: Vec<Country>,

    /// Get all the flags that the server has
    #[arg(long, conflicts_with = "every")]
    pub(crate) all: bool,

    /// Ask for every code from AA to ZZ, most of which no country has
    #[arg(long)]
    pub(crate) every: bool,

    /// Stop after the first N countries
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub(crate) limit: Option<usize>,

    /// Download up to N flags at the same time
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true, default_value = "20")]
    pub(crate) max_workers: usize,

    /// Where the downloads run
    #[arg(long, value_enum, default_value_t = ExecutorKind::Threads)]
    pub(crate) executor: ExecutorKind,

    /// How the results are collected
    #[arg(long, value_enum, default_value_t = Style::Map)]
    pub(crate) style: Style,

    /// Which server to ask; all but `remote` are started by this program
    #[arg(long, value_enum, default_value_t = ServerKind::Delay)]
    pub(crate) server: ServerKind,

    /// Repeat the same failures of `--server error`
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// The directory that the flags are saved in
    #[arg(long, value_name = "DIR", default_value = "downloads")]
    pub(crate) dest: PathBuf,

    /// Say more about each download
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorKind {
    /// On a pool of threads
    Threads,
    /// On a pool of worker processes
    #[cfg(processes)]
    Processes,
    /// One after the other, in the main thread
    Sequential,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// In the order of the countries
    Map,
    /// In the order in which they arrive
    AsCompleted,
}

impl Arguments {
    /// Reads the command line; what is wrong with it is said in one line, and ends the program.
    pub(crate) fn read() -> Self {
        match Self::try_parse().and_then(Self::check) {
            Ok(arguments) => arguments,
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => error.exit(),
            Err(error) => {
                screen::complain(in_one_line(&error));
                exit(1);
            }
        }
    }

    fn check(self) -> Result<Self, clap::Error> {
        if self.seed.is_some() && self.server != ServerKind::Error {
            let text = "--seed is only of use with --server error";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        }
        Ok(self)
    }
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("must be a whole number of at least 1"),
    }
}

/// What clap says up to its hints.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    match error.get(ContextKind::SuggestedArg).or(error.get(ContextKind::SuggestedValue)) {
        Some(suggestion) => format!("{}; is it {suggestion}?", said.join(" ")),
        None => said.join(" "),
    }
}

#[cfg(test)]
mod tests {
    //! Bad input: one line that names the parameter and what it must be.
    use super::{Arguments, in_one_line};
    use clap::{CommandFactory, Parser};

    #[track_caller]
    fn said_to(arguments: &[&str]) -> String {
        let all = std::iter::once("flags").chain(arguments.iter().copied());
        in_one_line(&Arguments::try_parse_from(all).and_then(Arguments::check).unwrap_err())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_mistake_is_one_line() {
        for (arguments, parameter, must) in [
            (vec!["--max-workers", "0"], "--max-workers", "at least 1"),
            (vec!["--max-workers", "-3"], "--max-workers", "at least 1"),
            (vec!["--limit", "0"], "--limit", "at least 1"),
            (vec!["--limit", "many"], "--limit", "at least 1"),
            (
                vec!["--executor", "fibres"],
                "--executor",
                if cfg!(processes) { "threads, processes, sequential" } else { "threads, sequential]" },
            ),
            (vec!["B1"], "COUNTRY", "two letters"),
            (vec!["BR", "--all"], "COUNTRY", "--all"),
            (vec!["--seed", "3"], "--seed", "--server error"),
        ] {
            let said = said_to(&arguments);
            assert!(said.contains(parameter) && said.contains(must) && !said.contains('\n'), "{said}");
        }
    }
}
