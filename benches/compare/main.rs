//! This crate beside what its users would pick instead and beside the least that each thing could cost, in one run:
//! `cargo bench --bench compare`, and in half a minute with `-- --quick`. README.md has a run of it.

mod allocator;
mod ball;
mod busy;
mod contest;
mod limits;
mod maps;
mod pools;
mod proc;
mod processes;
mod python;
mod report;
mod resources;
mod settings;
mod spread;
mod target;
mod tasks;
mod unit;
mod waits;
mod workloads;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use clap::Parser;

use contest::Contest;
use report::Report;
use settings::{Effort, Settings};
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
    /// Lets the peers take part whose names contain this
    #[arg(long, value_name = "NAME")]
    peer: Vec<String>,
    /// Lists the workloads
    #[arg(long)]
    list: bool,
    /// Cargo says so to a bench. Without it, everything is done once, to see that it works
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    // Its worker processes go no further.
    procspawn::init();
    if ball::is_child() {
        return Ok(());
    }
    let Arguments { quick, workload, peer, list, bench } = Arguments::parse();
    let chosen = |name: &str| workload.is_empty() || workload.iter().any(|part| name.contains(part.as_str()));
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(|workload| chosen(workload.name)).collect();
    if list {
        workloads.iter().for_each(|workload| println!("{}", workload.name));
        return Ok(());
    }
    let effort = match (bench, quick) {
        (false, _) => Effort::Trial,
        (true, true) => Effort::Quick,
        (true, false) => Effort::Full,
    };
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
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    let target = env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from);
    fs::create_dir_all(&target)?;
    fs::write(target.join("compare.json"), report.json()?)?;
    Ok(())
}
