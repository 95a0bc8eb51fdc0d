//! Several runs, each in a process of its own. Some things differ between runs but stay the same within one, such as
//! where the kernel puts threads and memory. So a figure is only as good as the worst of its runs.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::contest::{Standing, Standings};
use crate::report::{Report, number};
use crate::table::{print_head, print_row};
use crate::unit::Unit;

/// Runs this program `count` times with `arguments`, then prints the ranges of the medians. The report of run `n` stays
/// in `compare-n.json`.
pub(crate) fn run(count: usize, arguments: &[String], target: &Path) -> Result<(), Box<dyn Error>> {
    let mut reports = Vec::new();
    for number in 1..=count {
        println!("Run {number} of {count}\n");
        let status = Command::new(env::current_exe()?).args(arguments).status()?;
        if !status.success() {
            return Err(format!("run {number} ended with {status}").into());
        }
        let path = target.join(format!("compare-{number}.json"));
        fs::rename(target.join("compare.json"), &path)?;
        reports.push(serde_json::from_slice::<Report>(&fs::read(path)?)?);
        println!();
    }
    print(&reports);
    Ok(())
}

/// Prints a table with a row for each contestant.
fn print(reports: &[Report]) {
    let count = reports.len();
    println!("Medians of {count} runs\n");
    print_head(["workload", "contestant", "best", "worst", "time, of this crate to", "target met in every run"]);
    let Some(first) = reports.first() else { return };
    for (place, standings) in first.workloads.iter().enumerate() {
        let all: Vec<&Standings> = reports.iter().map(|report| &report.workloads[place]).collect();
        let mut workload = standings.workload.as_str();
        for (place, standing) in standings.contestants.iter().enumerate() {
            let same: Vec<&Standing> = all.iter().map(|standings| &standings.contestants[place]).collect();
            let [best, worst] = medians(&same, standings.unit);
            let mut head = [workload.to_owned(), standing.title(), best, worst];
            workload = "";
            for text in comparisons(&same) {
                let [a, b, c, d] = std::mem::take(&mut head);
                let [comparison, target] = text;
                print_row([a, b, c, d, comparison, target]);
            }
        }
    }
}

/// Returns the best and the worst median.
fn medians(runs: &[&Standing], unit: Unit) -> [String; 2] {
    let shown = || runs.iter().filter_map(|run| run.shown.map(|shown| shown.median));
    let (low, high) = (shown().fold(f64::INFINITY, f64::min), shown().fold(f64::NEG_INFINITY, f64::max));
    let (best, worst) = if unit.is_rate() { (high, low) } else { (low, high) };
    [best, worst]
        .map(|figure| if figure.is_finite() { format!("{} {}", number(figure), unit.name()) } else { "-".into() })
}

/// Returns, for each judgement of a contestant, the range of the ratios, and in how many runs the target was met. The
/// fastest peer may differ between runs, so all of them are named.
fn comparisons(runs: &[&Standing]) -> Vec<[String; 2]> {
    let judgements = runs.iter().map(|run| run.judgements.len()).min().unwrap_or(0);
    let of = |place: usize| runs.iter().map(move |run| &run.judgements[place]);
    let lines = (0..judgements).map(|place| {
        let ratios: Vec<f64> = of(place).filter_map(|judgement| Some(judgement.ratio?.median)).collect();
        let mut others: Vec<&str> = of(place).filter_map(|judgement| judgement.against.as_deref()).collect();
        others.sort_unstable();
        others.dedup();
        let (low, high) = ratios.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), ratio| (a.min(*ratio), b.max(*ratio)));
        let of_speed = of(place).any(|judgement| judgement.of_speed);
        let comparison = match ratios.is_empty() {
            true => String::new(),
            false if of_speed => format!("{low:.3} .. {high:.3} of the speed of {}", others.join(" or ")),
            false => format!("{low:.3} .. {high:.3} x {}", others.join(" or ")),
        };
        let verdicts: Vec<bool> = of(place).filter_map(|judgement| judgement.met).collect();
        let met = verdicts.iter().filter(|met| **met).count();
        let target = of(place).find_map(|judgement| judgement.target.as_deref());
        let target = target.map(|target| match (met, verdicts.len()) {
            (met, all) if met == all => format!("{target}: met"),
            (0, _) => format!("{target}: not met"),
            (met, all) => format!("{target}: in {met} of {all}"),
        });
        [comparison, target.unwrap_or_default()]
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { vec![Default::default()] } else { lines }
}
