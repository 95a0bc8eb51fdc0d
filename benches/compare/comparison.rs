//! The command line of the comparison, and its way from workloads to a report.

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
pub(crate) mod settings;
pub(crate) mod spread;
pub(crate) mod target;
pub(crate) mod tasks;
pub(crate) mod unit;
pub(crate) mod waits;
pub(crate) mod workloads;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

use contest::Contest;
use report::Report;
use settings::{Effort, Settings, picks};
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
    /// Lists the workloads
    #[arg(long)]
    list: bool,
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    // Its worker processes go no further.
    procspawn::init();
    if ball::is_child() {
        return Ok(());
    }
    let Arguments { quick, workload, peer, list } = Arguments::parse();
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(|known| picks(&workload, known.name)).collect();
    if workloads.is_empty() {
        let text = "no workload is called so; --list says how they are called";
        Arguments::command().error(ErrorKind::InvalidValue, text).exit();
    }
    if list {
        workloads.iter().for_each(|workload| println!("{}", workload.name));
        return Ok(());
    }
    let effort = if quick { Effort::Quick } else { Effort::Full };
    let settings = Settings { effort, peers: peer };
    let mut report = Report { effort, machine: report::machine(), workloads: Vec::new() };
    println!("{}\n", report.machine);
    report::print_head();
    for workload in workloads {
        let mut contest = Contest::new(workload.name, workload.unit, &settings);
        (workload.enter)(&mut contest);
        let standings = contest.run();
        report::print(&standings);
        report.workloads.push(standings);
    }
    let (targets, met) = report.targets();
    println!("\n{met} of {targets} targets met");
    write(&report)
}

/// Leaves files where Cargo leaves its own.
fn write(report: &Report) -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from);
    fs::create_dir_all(&target)?;
    let target = target.canonicalize()?;
    fs::write(target.join("compare.json"), report.json()?)?;
    fs::write(target.join("compare.svg"), chart::draw(&report.workloads)?)?;
    println!("compare.json and compare.svg are in {}", target.display());
    Ok(())
}
