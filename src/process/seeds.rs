//! Seeds for the schedules of the simulations.
//!
//! The seed of a schedule that fails is printed. `SIMULATION_SEED=<number>` runs that one again and traces it;
//! `SIMULATION_SCHEDULES=<count>` runs that many others, on all processors.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Runs `usually` schedules, always the same, unless a variable asks for others. The function that `runner` returns
/// takes the seed, and whether to trace.
pub(super) fn each<R: FnMut(u64, bool)>(usually: u64, runner: impl Fn() -> R + Sync) {
    if let Some(seed) = number("SIMULATION_SEED") {
        return runner()(seed, true);
    }
    let Some(count) = number("SIMULATION_SCHEDULES") else {
        return Seeds { next: AtomicU64::new(0), end: usually }.run(runner());
    };
    let first = fastrand::u64(..1 << 40);
    let seeds = Seeds { next: AtomicU64::new(first), end: first + count };
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..num_cpus::get() {
            scope.spawn(|| seeds.run(runner()));
        }
    });
    println!("{count} schedules from {first} on, {:.0} a second", count as f64 / begin.elapsed().as_secs_f64());
}

struct Seeds {
    next: AtomicU64,
    end: u64,
}

impl Seeds {
    fn run(&self, mut run: impl FnMut(u64, bool)) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let _tell = Tell(self, seed);
            run(seed, false);
        }
    }
}

struct Tell<'a>(&'a Seeds, u64);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this was SIMULATION_SEED={}", self.1);
            // One failure is enough.
            self.0.next.store(self.0.end, Ordering::Relaxed);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {text}")))
}
