//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Downloads flags and hashes them, and shows when each task waited and ran.
#[derive(Debug, Parser)]
#[command(name = "timeline")]
#[cfg_attr(not(processes), command(after_help = "There are no worker processes on this system."))]
pub(crate) struct Arguments {
    /// Where the tasks run
    #[arg(long, value_enum, default_value_t = ExecutorKind::DEFAULT)]
    pub(crate) executor: ExecutorKind,

    /// Do not wait for a slow server, and hash less
    #[arg(long)]
    pub(crate) quick: bool,

    /// The file that the trace is written to, for <https://ui.perfetto.dev>
    #[arg(long, value_name = "JSON", default_value = "target/timeline.json")]
    pub(crate) trace: PathBuf,

    /// The file that the picture is written to
    #[arg(long, value_name = "SVG", default_value = "target/timeline.svg")]
    pub(crate) picture: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorKind {
    /// Downloads on threads, hashes on worker processes
    #[cfg(processes)]
    Both,
    Threads,
    #[cfg(processes)]
    Processes,
    Sequential,
}

impl ExecutorKind {
    #[cfg(processes)]
    const DEFAULT: Self = Self::Both;
    #[cfg(not(processes))]
    const DEFAULT: Self = Self::Threads;
}
