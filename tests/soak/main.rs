//! Pools of processes under stress: tasks of every kind, against kills, cancels, deadlines and shutdowns, all at random.
//!
//!     cargo test --test soak                                      # ten seconds
//!     cargo test --release --test soak -- --ignored --nocapture   # a minute
//!
//! `SOAK_SECONDS` says how long, `SOAK_SEED` repeats the choices of a run (not its timing); both are printed.
//!
//! A round is a few pools that live side by side, each with its tasks, a thread that interferes with them, and a thread that kills
//! workers from outside. Tasks record each run in a file, and killers record each worker that they kill. So after a round it is known of each
//! future which outcomes it may have, and nothing may be left: no process, no thread, no descriptor.
#![cfg(automatic)]
#![forbid(unsafe_code)]

mod judge;
mod killer;
mod life;
mod resources;
mod settings;
mod tasks;
mod ticket;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use concurrent_futures_conformance::support::leak_check::Resources;

use life::Life;
use resources::{Growth, resident_kilobytes};

#[test]
fn a_short_soak() {
    soak(10);
}

#[test]
#[ignore = "takes a minute"]
fn a_long_soak() {
    soak(60);
}

/// How often a task of some kind had some outcome.
type Counts = BTreeMap<(String, String), usize>;

/// Rounds that are not measured: what the program keeps for good, it has after these.
const WARM_UP: usize = 5;

fn soak(seconds: u64) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let seconds = number("SOAK_SECONDS").unwrap_or(seconds);
    println!("soak: SOAK_SEED={seed} SOAK_SECONDS={seconds}");
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().expect("a directory for the notes");
    let start = Instant::now();
    let mut counts = Counts::new();
    let mut rounds = 0;
    let mut warm = None;
    while start.elapsed() < Duration::from_secs(seconds) || rounds <= WARM_UP {
        let lives: Vec<_> = (0..random.usize(1..=3))
            .map(|number| Arc::new(Life::new(directory.path().join(format!("{rounds}-{number}")), random.fork())))
            .collect();
        let complaints = round(&lives, &mut counts);
        let left = warm.as_ref().map_or_else(Vec::new, |(resources, _): &(Resources, u64)| resources.left());
        assert!(
            complaints.is_empty() && left.is_empty(),
            "SOAK_SEED={seed}, round {rounds}:\n{}\n{}",
            complaints.join("\n"),
            left.join("\n"),
        );
        rounds += 1;
        if rounds == WARM_UP {
            warm = Some((Resources::now(), resident_kilobytes()));
        }
    }
    report(&counts);
    let (_, from) = warm.expect("there are more rounds than those");
    let memory = Growth::since(from);
    println!("soak: {rounds} rounds in {:.0?}, memory {memory}", start.elapsed());
    assert!(memory.is_flat(), "SOAK_SEED={seed}: the memory grew, {memory}");
}

fn round(lives: &[Arc<Life>], counts: &mut Counts) -> Vec<String> {
    let complaints = watchdog::guard(lives, || {
        std::thread::scope(|scope| {
            let lives: Vec<_> = lives.iter().map(|life| scope.spawn(|| life.lead())).collect();
            let ended = lives.into_iter().map(|life| life.join().expect("a life does not panic"));
            ended.flatten().collect()
        })
    });
    for life in lives {
        life.count(counts);
    }
    complaints
}

fn report(counts: &Counts) {
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for ((kind, outcome), count) in counts {
        kinds.entry(kind).or_default().push(format!("{count} {outcome}"));
    }
    for (kind, outcomes) in kinds {
        println!("soak: {kind}: {}", outcomes.join(", "));
    }
    println!("soak: {} tasks", counts.values().sum::<usize>());
}
