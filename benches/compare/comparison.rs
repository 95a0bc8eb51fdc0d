//! The command line of the comparison. It runs the chosen workloads and writes the report.

pub(crate) mod allocator;
pub(crate) mod ball;
pub(crate) mod busy;
pub(crate) mod chart;
pub(crate) mod contest;
pub(crate) mod limits;
pub(crate) mod maps;
pub(crate) mod pools;
pub(crate) mod proc;
pub(crate) mod processes;
pub(crate) mod python;
pub(crate) mod report;
pub(crate) mod resources;
pub(crate) mod runs;
pub(crate) mod settings;
pub(crate) mod spread;
pub(crate) mod surroundings;
pub(crate) mod table;
pub(crate) mod target;
pub(crate) mod tasks;
pub(crate) mod unit;
pub(crate) mod waits;
pub(crate) mod workloads;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

use contest::Contest;
use report::Report;
use settings::{Effort, Settings, picks};
use surroundings::Surroundings;
use workloads::{WORKLOADS, Workload};

/// Compares this crate with what its users would pick instead.
#[derive(Parser)]
struct Arguments {
    /// Does a tenth of the work in fewer rounds, for a look
    #[arg(long)]
    quick: bool,
    /// Runs the workloads whose names contain this
    #[arg(long, value_name = "NAME")]
    workload: Vec<String>,
    /// Lets the peers take part whose names contain this, such as rayon, tokio, procspawn or Python
    #[arg(long, value_name = "NAME")]
    peer: Vec<String>,
    /// Runs everything this many times, each time in a process of its own, and shows the range of each figure
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = at_least_one)]
    runs: usize,
    /// Lists the workloads
    #[arg(long)]
    list: bool,
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    // The worker processes of procspawn do not return from this call.
    procspawn::init();
    if ball::is_child() || surroundings::is_child() {
        return Ok(());
    }
    let Arguments { quick, workload, peer, runs, list } = Arguments::parse();
    let everywhere = WORKLOADS.iter().flat_map(|known| known.surroundings.iter().map(move |at| (known, *at)));
    let workloads: Vec<(&Workload, Surroundings)> =
        everywhere.filter(|(known, at)| picks(&workload, &at.name(known.name))).collect();
    if workloads.is_empty() {
        let text = "no workload has such a name; --list shows their names";
        Arguments::command().error(ErrorKind::InvalidValue, text).exit();
    }
    if list {
        workloads.iter().for_each(|(workload, at)| println!("{}", at.name(workload.name)));
        return Ok(());
    }
    let target = target_directory()?;
    if runs > 1 {
        let flag = |name: &'static str, values: Vec<String>| values.into_iter().flat_map(move |v| [name.into(), v]);
        let mut arguments: Vec<String> = flag("--workload", workload).chain(flag("--peer", peer)).collect();
        arguments.extend(quick.then(|| "--quick".into()));
        return runs::run(runs, &arguments, &target);
    }
    let effort = if quick { Effort::Quick } else { Effort::Full };
    let settings = Settings { effort, peers: peer };
    let mut report = Report { effort, machine: report::machine(), workloads: Vec::new() };
    println!("{}\n", report.machine);
    report::print_heads();
    for (workload, at) in workloads {
        let mut contest = Contest::new(workload.name, workload.unit, at, &settings);
        (workload.enter)(&mut contest);
        let standings = contest.run();
        report::print(&standings);
        report.workloads.push(standings);
    }
    let (targets, met) = report.targets();
    println!("\n{met} of {targets} targets met");
    write(&report, &target)
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("it must be a whole number of at least 1")
}

/// Returns Cargo's target directory, and creates it if there is none.
fn target_directory() -> Result<PathBuf, Box<dyn Error>> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from);
    fs::create_dir_all(&target)?;
    Ok(target.canonicalize()?)
}

/// Writes the report and the chart to files in the target directory.
fn write(report: &Report, target: &Path) -> Result<(), Box<dyn Error>> {
    fs::write(target.join("compare.json"), report.json()?)?;
    fs::write(target.join("compare.svg"), chart::draw(&report.workloads)?)?;
    println!("compare.json and compare.svg are in {}", target.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Arguments;

    #[test]
    fn no_run_at_all_is_refused() {
        Arguments::command().debug_assert();
        for count in ["0", "many"] {
            let refusal = Arguments::try_parse_from(["compare", "--runs", count]).err().expect("a refusal").to_string();
            assert!(refusal.contains("--runs") && refusal.contains("at least 1"), "{refusal}");
        }
        assert_eq!(Arguments::try_parse_from(["compare", "--runs", "2"]).map(|read| read.runs).ok(), Some(2));
    }
}
