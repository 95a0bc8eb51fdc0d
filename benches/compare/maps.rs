//! Workloads of `map` on threads.

use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::ThreadPoolExecutor;
use rayon::prelude::*;

use crate::busy::Busy;
use crate::contest::{Contest, time};
use crate::limits;
use crate::pools::{Pool as _, Rayon};
use crate::python;
use crate::target::Target;

const INDEXED: &str = "rayon par_iter";
const SCOPED: &str = "scope.map";
const BRIDGED: &str = "rayon par_bridge";

/// Enters the contestants that call the function on 0, 1, 2 .. and collect the results: `map`, `scope.map`, and two of
/// rayon.
fn enter_maps(
    contest: &mut Contest<'_>,
    times: u64,
    targets: &[Target],
    scoped: Option<Target>,
    function: impl Fn(u64) -> u64 + Send + Sync + Copy + 'static,
) {
    let threads = ThreadPoolExecutor::new(2);
    let map = contest.ours("map", times, move |times| {
        time(|| threads.map(function, 0..times).collect::<Result<Vec<_>, _>>().unwrap())
    });
    for target in targets {
        map.target(*target);
    }
    let threads = ThreadPoolExecutor::new(2);
    let mapped = contest.ours(SCOPED, times, move |times| {
        time(|| threads.scope(|scope| scope.map(function, 0..times).collect::<Result<Vec<_>, _>>()).unwrap())
    });
    if let Some(target) = scoped {
        mapped.target(target);
    }
    let rayon = Arc::new(Rayon::new(2));
    let bridged = Arc::clone(&rayon);
    contest.peer(INDEXED, times, move |times| {
        time(|| rayon.0.install(|| (0..times).into_par_iter().map(function).collect::<Vec<_>>()))
    });
    // The results of `par_bridge` are in no order.
    contest.peer(BRIDGED, times, move |times| {
        time(|| bridged.0.install(|| (0..times).par_bridge().map(function).collect::<Vec<_>>()))
    });
    contest.limit("plain loop", times, move |times| {
        time(|| (0..times).map(|n| function(std::hint::black_box(n))).collect::<Vec<_>>())
    });
}

/// 1,000,000 trivial items.
pub(crate) fn map(contest: &mut Contest<'_>) {
    const SUBMIT: &str = "submit each";
    let times = contest.settings.scaled(1_000_000);
    let ratios = [(SUBMIT, 0.05), (INDEXED, 12.0), (BRIDGED, 0.1)].map(|(name, most)| Target::Times(name, most));
    enter_maps(contest, times, &[&[Target::AtMost(15.0)], &ratios[..]].concat(), None, |n| n + 1);
    let threads = ThreadPoolExecutor::new(2);
    contest.ours(SUBMIT, times, move |times| {
        time(|| {
            let futures: Vec<_> = (0..times).map(|n| threads.submit(|n| n + 1, n)).collect();
            futures.into_iter().map(|future| future.result().unwrap()).collect::<Vec<_>>()
        })
    });
    // Python takes so long for an item that a hundredth of them is enough.
    contest.python(python::THREADS, times / 100, "threads map");
}

pub(crate) fn map_of_10_ns(contest: &mut Contest<'_>) {
    let busy = Busy::of(Duration::from_nanos(10));
    let times = contest.settings.scaled(1_000_000);
    enter_maps(contest, times, &[Target::Times(INDEXED, 2.5)], None, move |_| busy.run());
}

pub(crate) fn map_of_100_ns(contest: &mut Contest<'_>) {
    let busy = Busy::of(Duration::from_nanos(100));
    let times = contest.settings.scaled(1_000_000);
    enter_maps(contest, times, &[Target::Times(INDEXED, 1.2)], Some(Target::Times(INDEXED, 2.0)), move |_| busy.run());
}

/// 3000 items of 10 us, of which one in the middle is 1000 times as long. If it shares a chunk with others, that chunk
/// is late.
pub(crate) fn map_of_unequal(contest: &mut Contest<'_>) {
    const ITEMS: u64 = 3000;
    const LONG: u64 = 1000;
    const PERFECT: &str = "perfect split";
    let busy = Busy::of(Duration::from_micros(10));
    let function = move |n| (0..if n == ITEMS / 2 { LONG } else { 1 }).map(|_| busy.run()).fold(0, u64::wrapping_add);
    enter_maps(contest, ITEMS, &[Target::Times(PERFECT, 1.1)], None, function);
    contest.limit(PERFECT, ITEMS, move |_| {
        let all = ITEMS - 1 + LONG;
        limits::two_threads(busy, all / 2, all - all / 2)
    });
}
