//! [`Report`]: the figures of a run, as a table in Markdown and as JSON.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::contest::{Role, Standing, Standings};
use crate::settings::Effort;
use crate::spread::Spread;
use crate::table::{print_head, print_row};
use crate::target::Judgement;
use crate::unit::Unit;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) effort: Effort,
    pub(crate) machine: String,
    pub(crate) workloads: Vec<Standings>,
}

impl Report {
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// Returns the number of targets, and of those that are met.
    pub(crate) fn targets(&self) -> (usize, usize) {
        let standings = self.workloads.iter().flat_map(|workload| &workload.contestants);
        let verdicts: Vec<bool> = standings.flat_map(|standing| &standing.judgements).filter_map(|j| j.met).collect();
        (verdicts.len(), verdicts.iter().filter(|met| **met).count())
    }
}

/// Returns the cpus and the kernel.
pub(crate) fn machine() -> String {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = text("/proc/cpuinfo").lines().find_map(|line| Some(line.strip_prefix("model name")?.to_owned()));
    let model = model.as_deref().map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let release = text("/proc/sys/kernel/osrelease");
    let version: Vec<&str> = release.trim().split('.').take(2).collect();
    format!("{cpus} cpus, {model}, Linux {}", version.join("."))
}

/// Prints the head of the table, whose rows are printed as contests end.
pub(crate) fn print_heads() {
    print_head(["workload", "contestant", "median", "p10 .. p90", "time, of this crate to", "target"]);
}

pub(crate) fn print(standings: &Standings) {
    let mut workload = standings.workload.as_str();
    for standing in &standings.contestants {
        let (median, spread) = figures(standing, standings.unit);
        let mut row = [workload.into(), standing.title(), median, spread, String::new(), String::new()];
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

impl Standing {
    pub(crate) fn title(&self) -> String {
        if self.role == Role::Limit { format!("limit: {}", self.name) } else { self.name.clone() }
    }
}

fn figures(standing: &Standing, unit: Unit) -> (String, String) {
    match (&standing.shown, &standing.absent) {
        (Some(shown), _) => {
            let median = format!("{} {}", number(shown.median), unit.name());
            (median.trim_end().into(), spread(shown))
        }
        (None, absent) => ("-".into(), absent.clone().unwrap_or_default()),
    }
}

/// Returns the percentiles, and says if the median says little.
fn spread(figures: &Spread) -> String {
    let range = format!("{} .. {}", number(figures.p10), number(figures.p90));
    match figures.modes {
        Some([low, high]) => format!("{range}, two modes: {} and {}", number(low), number(high)),
        None if figures.is_wide() => format!("{range}, wide"),
        None => range,
    }
}

/// Formats the number, with fewer decimals the larger it is.
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
    let comparison = judgement.ratio.zip(judgement.against.as_ref()).map(|(ratio, other)| {
        let ratio = format!("{:.3} ({:.3} .. {:.3})", ratio.median, ratio.p10, ratio.p90);
        if judgement.of_speed { format!("{ratio} of the speed of {other}") } else { format!("{ratio} x {other}") }
    });
    let target = judgement.target.as_ref().zip(judgement.met);
    let target = target.map(|(target, met)| format!("{target}: {}", if met { "met" } else { "not met" }));
    [comparison.unwrap_or_default(), target.unwrap_or_default()]
}
