//! The numbers from which the schedules of a simulation follow.
//!
//! One that fails is printed. `SIMULATION_SEED=<number>` runs that one again, and tells what happens; `SIMULATION_SCHEDULES=<count>` runs
//! so many others than usual.
#![forbid(unsafe_code)]

use std::time::Instant;

/// Runs so many schedules, always the same, unless something else is asked for. `run` takes the number, and whether it is to tell what
/// happens.
pub(super) fn each(usually: u64, mut run: impl FnMut(u64, bool)) {
    if let Some(seed) = number("SIMULATION_SEED") {
        return run(seed, true);
    }
    let count = number("SIMULATION_SCHEDULES");
    let first = count.map_or(0, |_| fastrand::u64(..1 << 40));
    let begin = Instant::now();
    for seed in first..first + count.unwrap_or(usually) {
        let _tell = Tell(seed);
        run(seed, false);
    }
    if let Some(count) = count {
        println!("{count} schedules from {first} on, {:.0} a second", count as f64 / begin.elapsed().as_secs_f64());
    }
}

struct Tell(u64);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was SIMULATION_SEED={}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {text}")))
}
