//! Workloads of tasks on threads.

use std::thread;
use std::time::Duration;

use concurrent_futures::ThreadPoolExecutor;
use rayon::prelude::*;

use crate::busy::Busy;
use crate::contest::{Contest, time};
use crate::limits;
use crate::pools::{Pool, Race, Rayon, enter_ours, enter_peers};
use crate::python;
use crate::surroundings::Surroundings;
use crate::target::Target;

/// Submits all tasks, then waits for all of them.
#[derive(Clone)]
struct Flood;

impl Race for Flood {
    fn run<P: Pool>(&self, pool: &P, times: u64) -> f64 {
        time(|| pool.sum((0..times).map(|n| pool.submit(move || n)).collect()))
    }
}

/// 300,000 tiny closures.
pub(crate) fn submit(contest: &mut Contest<'_>) {
    let times = contest.settings.scaled(300_000);
    enter_ours(contest, "submit all, then collect", times, Flood).target(Target::BestPeer(0.75));
    enter_peers(contest, times, &Flood);
    // Python takes so long for a task that a tenth of them is enough.
    contest.python(python::THREADS, times / 10, "threads submit");
    contest.limit("plain loop", times, limits::plain_loop);
}

/// Each of four threads submits a quarter of the tasks, then waits for them.
#[derive(Clone)]
struct FloodFromFour;

impl Race for FloodFromFour {
    fn run<P: Pool>(&self, pool: &P, times: u64) -> f64 {
        time(|| {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| Flood.run(pool, times / 4));
                }
            });
        })
    }
}

pub(crate) fn submit_from_four(contest: &mut Contest<'_>) {
    let times = contest.settings.scaled(300_000);
    enter_ours(contest, "submit all, then collect", times, FloodFromFour).target(Target::BestPeer(0.7));
    enter_peers(contest, times, &FloodFromFour);
}

/// Submits one task and waits for it, then the next one.
#[derive(Clone)]
struct RoundTrip;

impl Race for RoundTrip {
    fn run<P: Pool>(&self, pool: &P, times: u64) -> f64 {
        time(|| (0..times).map(|n| pool.wait(pool.submit(move || n))).fold(0, u64::wrapping_add))
    }
}

pub(crate) fn round_trip(contest: &mut Contest<'_>) {
    let times = contest.settings.scaled(10_000);
    let at = contest.surroundings;
    let ours = enter_ours(contest, "submit, wait", times, RoundTrip);
    match at {
        Surroundings::Quiet | Surroundings::ManyWorkers => ours.target(Target::BestPeer(0.4)),
        Surroundings::BusyCpus => ours.target(Target::BestPeer(1.0)).target(Target::NeverAbove(Rayon::NAME, 2.0)),
    };
    enter_peers(contest, times, &RoundTrip);
    let rayon = Rayon::new(at.workers());
    contest.peer("rayon install", times, move |times| {
        time(|| (0..times).map(|n| rayon.0.install(move || n)).fold(0, u64::wrapping_add))
    });
    contest.python(python::THREADS, times, "threads round_trip");
    contest.limit("condvar ping-pong", times, limits::condvar_ping_pong);
}

/// Tasks of a known length.
#[derive(Clone)]
struct Long(Busy);

impl Race for Long {
    fn run<P: Pool>(&self, pool: &P, times: u64) -> f64 {
        let busy = self.0;
        time(|| pool.sum((0..times).map(|_| pool.submit(move || busy.run())).collect()))
    }
}

pub(crate) fn tasks_of_1_us(contest: &mut Contest<'_>) {
    tasks_of(contest, 1, 0.75, 0.75);
}

pub(crate) fn tasks_of_10_us(contest: &mut Contest<'_>) {
    tasks_of(contest, 10, 0.93, 0.97);
}

pub(crate) fn tasks_of_100_us(contest: &mut Contest<'_>) {
    tasks_of(contest, 100, 0.99, 0.99);
}

fn tasks_of(contest: &mut Contest<'_>, micros: u64, submit: f64, map: f64) {
    const BY_HAND: &str = "threads that split it";
    // A full run has 80 ms of work, and a quick one a quarter of that: less would measure the start of threads.
    let times = contest.settings.scaled(80_000).max(20_000) / micros;
    let busy = Busy::of(Duration::from_micros(micros));
    enter_ours(contest, "submit", times, Long(busy)).target(Target::Share(BY_HAND, submit));
    let threads = ThreadPoolExecutor::new(2);
    let mapped = contest.ours("map", times, move |times| {
        time(|| threads.map(move |_| busy.run(), 0..times).map(Result::unwrap).fold(0, u64::wrapping_add))
    });
    mapped.target(Target::Share(BY_HAND, map));
    contest.limit(BY_HAND, times, move |times| limits::halves(busy, times));
    enter_peers(contest, times, &Long(busy));
    let rayon = Rayon::new(2);
    contest.peer("rayon par_iter", times, move |times| {
        time(|| rayon.0.install(|| (0..times).into_par_iter().map(|_| busy.run()).collect::<Vec<_>>()))
    });
}

/// 100,000 short closures that borrow, spawned in a scope. The limit is two threads that do half of them each.
pub(crate) fn scope(contest: &mut Contest<'_>) {
    const BY_HAND: &str = "threads that split it";
    const RAYON: &str = "rayon scope";
    let times = contest.settings.scaled(100_000);
    let busy = Busy::of(Duration::from_micros(1));
    let threads = ThreadPoolExecutor::new(2);
    let ours = contest.ours("scope.spawn", times, move |times| {
        time(|| {
            threads.scope(|scope| {
                let futures: Vec<_> = (0..times).map(|_| scope.spawn(|| busy.run())).collect();
                futures.into_iter().map(|future| future.result().unwrap()).fold(0, u64::wrapping_add)
            })
        })
    });
    ours.target(Target::Times(BY_HAND, 1.3)).target(Target::Times(RAYON, 1.2));
    contest.limit(BY_HAND, times, move |times| limits::halves(busy, times));
    let rayon = Rayon::new(2);
    contest.peer(RAYON, times, move |times| {
        time(|| {
            let mut results = vec![0; times as usize];
            rayon.0.scope(|scope| {
                for result in &mut results {
                    scope.spawn(|_| *result = busy.run());
                }
            });
            results.into_iter().fold(0, u64::wrapping_add)
        })
    });
}

/// fib(22), where each call that is not of a leaf submits two more and waits for them.
pub(crate) fn fork_join(contest: &mut Contest<'_>) {
    const N: u32 = 22;
    let tasks = calls(N);
    for (name, workers, most) in [("nested submit, 1 worker", 1, 0.3), ("nested submit, 2 workers", 2, 0.35)] {
        // Tasks borrow the pool without a limit in time, so it is leaked and ends with the program.
        let threads: &ThreadPoolExecutor = Box::leak(Box::new(ThreadPoolExecutor::new(workers)));
        let ours = contest.ours(name, tasks, move |_| {
            time(|| assert_eq!(threads.spawn(move || submitted(threads, N)).result().unwrap(), 17_711))
        });
        ours.target(Target::AtMost(most));
    }
    for (name, workers) in [("rayon join, 1 worker", 1), ("rayon join, 2 workers", 2)] {
        let rayon = Rayon::new(workers);
        contest.peer(name, tasks, move |_| time(|| assert_eq!(rayon.0.install(|| joined(N)), 17_711)));
    }
    contest.limit("plain recursion", tasks, |_| time(|| assert_eq!(plain(N), 17_711)));
}

/// Returns how many calls `fib(n)` makes.
fn calls(n: u32) -> u64 {
    if n < 2 { 1 } else { 1 + calls(n - 1) + calls(n - 2) }
}

fn submitted(threads: &'static ThreadPoolExecutor, n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let [one, other] = [n - 1, n - 2].map(|n| threads.spawn(move || submitted(threads, n)));
    one.result().unwrap() + other.result().unwrap()
}

fn joined(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let (one, other) = rayon::join(|| joined(n - 1), || joined(n - 2));
    one + other
}

fn plain(n: u32) -> u64 {
    if n < 2 { n.into() } else { plain(std::hint::black_box(n - 1)) + plain(n - 2) }
}
