//! What is printed, and what is written to a file: a table in Markdown, and JSON.

use std::fs;

use serde::Serialize;

use crate::contest::{Role, Standing, Standings};
use crate::settings::Effort;
use crate::target::Judgement;
use crate::unit::Unit;

/// All of it, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) effort: Effort,
    pub(crate) machine: String,
    pub(crate) workloads: Vec<Standings>,
}

impl Report {
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// How many targets there were, and how many of them were met.
    pub(crate) fn targets(&self) -> (usize, usize) {
        let standings = self.workloads.iter().flat_map(|workload| &workload.contestants);
        let verdicts: Vec<bool> = standings.flat_map(|standing| &standing.judgements).filter_map(|j| j.met).collect();
        (verdicts.len(), verdicts.iter().filter(|met| **met).count())
    }
}

/// Its cpus and its kernel.
pub(crate) fn machine() -> String {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = text("/proc/cpuinfo").lines().find_map(|line| Some(line.strip_prefix("model name")?.to_owned()));
    let model = model.as_deref().map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let release = text("/proc/sys/kernel/osrelease");
    let version: Vec<&str> = release.trim().split('.').take(2).collect();
    format!("{cpus} cpus, {model}, Linux {}", version.join("."))
}

const WIDTHS: [usize; 6] = [22, 32, 12, 22, 46, 29];

/// The table is written as contests end.
pub(crate) fn print_head() {
    print_row(["workload", "contestant", "median", "min .. max", "time, of this crate to", "target"].map(String::from));
    let [v, w, x, y, z, last] = WIDTHS.map(|width| "-".repeat(width));
    println!("|-{v}-|-{w}-|-{x}:|-{y}:|-{z}-|-{last}-|");
}

pub(crate) fn print(standings: &Standings) {
    let mut workload = standings.workload;
    for standing in &standings.contestants {
        let (median, spread) = figures(standing, standings.unit);
        let name =
            if standing.role == Role::Limit { format!("limit: {}", standing.name) } else { standing.name.into() };
        let mut row = [workload.into(), name, median, spread, String::new(), String::new()];
        workload = "";
        let (first, more) = match standing.judgements.split_first() {
            Some((first, more)) => (Some(first), more),
            None => (None, &[][..]),
        };
        if let Some(first) = first {
            [row[4], row[5]] = texts(first);
        }
        print_row(row);
        for judgement in more {
            let [comparison, target] = texts(judgement);
            print_row([String::new(), String::new(), String::new(), String::new(), comparison, target]);
        }
    }
}

fn figures(standing: &Standing, unit: Unit) -> (String, String) {
    match (standing.shown, standing.absent) {
        (Some(shown), _) => {
            let median = format!("{} {}", number(shown.median), unit.name());
            (median.trim_end().into(), format!("{} .. {}", number(shown.min), number(shown.max)))
        }
        (None, absent) => ("-".into(), absent.unwrap_or_default().into()),
    }
}

/// Some digits of it.
pub(crate) fn number(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        1000.0.. => format!("{number:.0}"),
        _ if number.fract() == 0.0 => format!("{number}"),
        0.095.. => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

fn texts(judgement: &Judgement) -> [String; 2] {
    let comparison = judgement.ratio.zip(judgement.against).map(|(ratio, other)| {
        if judgement.of_speed { format!("{ratio:.3} of the speed of {other}") } else { format!("{ratio:.3} x {other}") }
    });
    let target = judgement.target.as_ref().zip(judgement.met);
    let target = target.map(|(target, met)| format!("{target}: {}", if met { "met" } else { "not met" }));
    [comparison.unwrap_or_default(), target.unwrap_or_default()]
}

fn print_row(cells: [String; 6]) {
    let [a, b, c, d, e, f] = cells;
    let [v, w, x, y, z, last] = WIDTHS;
    println!("| {a:<v$} | {b:<w$} | {c:>x$} | {d:>y$} | {e:<z$} | {f:<last$} |");
}
