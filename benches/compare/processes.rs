//! Workloads on worker processes.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Bytes, Executor, MapOptions, ProcessPoolExecutor, ThreadPoolExecutor};
use memmap2::MmapMut;

use crate::ball::{self, Ball, on_one_cpu};
use crate::contest::{Contest, time};
use crate::python;
use crate::surroundings::Surroundings;
use crate::target::Target;

pub(crate) const PROCSPAWN: &str = "procspawn pool";

/// Makes a pool of procspawn.
pub(crate) fn procspawn_pool(workers: usize) -> procspawn::Pool {
    procspawn::Pool::new(workers).expect("processes")
}

pub(crate) fn next(n: u64) -> u64 {
    n + 1
}

pub(crate) fn round_trip(contest: &mut Contest<'_>) {
    const ONE_CPU: &str = "bare ping-pong on one cpu";
    const ANY: &str = "bare ping-pong on any";
    fn trips(processes: &ProcessPoolExecutor, times: u64) -> f64 {
        time(|| (0..times).for_each(|n| assert_eq!(processes.submit(next, n).result().unwrap(), n + 1)))
    }
    let times = contest.settings.scaled(5_000);
    let (is_busy, workers) = (contest.surroundings == Surroundings::BusyCpus, contest.surroundings.workers());
    let processes = ProcessPoolExecutor::new(workers);
    let ours = contest.ours("submit, wait", times, move |times| trips(&processes, times));
    ours.target(if is_busy { Target::Times(ANY, 1.5) } else { Target::Times(ONE_CPU, 1.2) });
    ours.target(Target::BestPeer(0.25)).target(Target::Times(python::PROCESSES, 0.1));

    // The threads and workers of this pool start while this thread is bound to one cpu, and stay bound.
    let processes = on_one_cpu(|| {
        let processes = ProcessPoolExecutor::new(workers);
        trips(&processes, 10);
        processes
    });
    let ours =
        contest.ours("submit, wait, all on one cpu", times, move |times| on_one_cpu(|| trips(&processes, times)));
    ours.target(Target::Times(ONE_CPU, if is_busy { 1.5 } else { 1.2 }));

    let mut ball = Ball::new();
    on_one_cpu(|| ball.stay_here());
    contest.limit(ONE_CPU, times, move |times| on_one_cpu(|| time(|| (0..times).for_each(|_| ball.ping()))));
    let mut ball = Ball::new();
    contest.limit(ANY, times, move |times| time(|| (0..times).for_each(|_| ball.ping())));

    let pool = procspawn_pool(workers);
    contest.peer(PROCSPAWN, times.div_ceil(10), move |times| {
        time(|| (0..times).for_each(|n| assert_eq!(pool.spawn(n, next).join().unwrap(), n + 1)))
    });
    contest.python(python::PROCESSES, times.div_ceil(10), "processes round_trip");
}

/// 100,000 tiny tasks.
pub(crate) fn submit(contest: &mut Contest<'_>) {
    let times = contest.settings.scaled(100_000);
    let processes = ProcessPoolExecutor::new(2);
    let ours = contest.ours("submit all, then collect", times, move |times| {
        time(|| {
            let futures: Vec<_> = (0..times).map(|n| processes.submit(next, n)).collect();
            (0..times).zip(futures).for_each(|(n, future)| assert_eq!(future.result().unwrap(), n + 1));
        })
    });
    ours.target(Target::AtMost(1.5)).target(Target::BestPeer(0.04));

    let pool = procspawn_pool(2);
    contest.peer(PROCSPAWN, times.div_ceil(50), move |times| {
        // A task holds four descriptors, and most systems allow 1024. So a hundred tasks are submitted at a time.
        let numbers: Vec<u64> = (0..times).collect();
        time(|| {
            for numbers in numbers.chunks(100) {
                let handles: Vec<_> = numbers.iter().map(|n| pool.spawn(*n, next)).collect();
                numbers.iter().zip(handles).for_each(|(n, handle)| assert_eq!(handle.join().unwrap(), n + 1));
            }
        })
    });
    contest.python(python::PROCESSES, times.div_ceil(20), "processes submit");
}

/// 1,000,000 items.
pub(crate) fn map(contest: &mut Contest<'_>) {
    const IN_CHUNKS: &str = "Python processes, chunksize=1000";
    let times = contest.settings.scaled(1_000_000);
    let processes = ProcessPoolExecutor::new(2);
    let ours = contest.ours("map", times, move |times| {
        time(|| assert!(processes.map(next, 0..times).zip(1..).all(|(outcome, n)| outcome.unwrap() == n)))
    });
    ours.target(Target::AtMost(0.15)).target(Target::Times(IN_CHUNKS, 0.5));
    let processes = ProcessPoolExecutor::new(2);
    contest.ours("map, chunk_size(1000)", times, move |times| {
        let chunks = processes.with(MapOptions::new().chunk_size(1000));
        time(|| assert!(chunks.map(next, 0..times).zip(1..).all(|(outcome, n)| outcome.unwrap() == n)))
    });
    // Python takes so long for an item that fewer of them are enough. Without a `chunksize`, each item is a task.
    contest.python(python::PROCESSES, times.div_ceil(500), "processes map");
    contest.python(IN_CHUNKS, times.div_ceil(5), "processes map_chunks");
}

const MEGABYTE: usize = 1_000_000;
const COPY: &str = "memcpy into fresh memory";

pub(crate) fn bytes_of_1_mb(contest: &mut Contest<'_>) {
    there_and_back(contest, 1, None, "processes bytes_1");
}

pub(crate) fn bytes_of_16_mb(contest: &mut Contest<'_>) {
    there_and_back(contest, 16, Some(0.5), "processes bytes_16");
}

pub(crate) fn bytes_of_64_mb(contest: &mut Contest<'_>) {
    there_and_back(contest, 64, Some(0.5), "processes bytes_64");
}

fn same(bytes: Bytes) -> Bytes {
    bytes
}

fn there_and_back(contest: &mut Contest<'_>, megabytes: usize, share: Option<f64>, in_python: &'static str) {
    let bytes = Bytes::from(vec![7; megabytes * MEGABYTE]);
    // A full run sends about 64 MB in each turn.
    let times = contest.settings.scaled(64 / megabytes as u64);
    let (processes, own) = (ProcessPoolExecutor::new(2), bytes.clone());
    let ours = contest.ours("Bytes, there and back", times, move |times| {
        time(|| (0..times).for_each(|_| drop(processes.submit(same, own.clone()).result().unwrap())))
    });
    if let Some(share) = share {
        ours.target(Target::Share(COPY, share));
    }
    limit_to_copy(contest, times, &bytes);
    // procspawn gets `Bytes` too, because serde writes them at once, but a `Vec<u8>` one number at a time.
    let pool = procspawn_pool(2);
    contest.peer(PROCSPAWN, times, move |times| {
        time(|| (0..times).for_each(|_| drop(pool.spawn(bytes.clone(), same).join().unwrap())))
    });
    contest.python(python::PROCESSES, times, in_python);
}

fn limit_to_copy(contest: &mut Contest<'_>, times: u64, bytes: &Bytes) {
    let bytes = bytes.clone();
    contest.limit(COPY, times, move |times| {
        // The memory comes from the system, because an allocator returns memory that has been written to before.
        let copy = || MmapMut::map_anon(bytes.len()).expect("memory").copy_from_slice(&bytes);
        time(|| (0..times).for_each(|_| copy()))
    });
}

/// 16 MB in one direction.
pub(crate) fn bytes_one_way(contest: &mut Contest<'_>) {
    const LENGTH: usize = 16 * MEGABYTE;
    fn kept(_: ()) -> Bytes {
        static KEPT: OnceLock<Bytes> = OnceLock::new();
        KEPT.get_or_init(|| vec![7; LENGTH].into()).clone()
    }
    let bytes = Bytes::from(vec![7; LENGTH]);
    let times = contest.settings.scaled(4);
    let (processes, argument) = (ProcessPoolExecutor::new(2), bytes.clone());
    let ours = contest.ours("Bytes as an argument", times, move |times| {
        let length = |argument: &Bytes| processes.submit(|bytes: Bytes| bytes.len(), argument.clone()).result();
        time(|| (0..times).for_each(|_| assert_eq!(length(&argument).unwrap(), LENGTH)))
    });
    ours.target(Target::AtLeast(1.5));
    let processes = ProcessPoolExecutor::new(2);
    contest.ours("Bytes as a result", times, move |times| {
        time(|| (0..times).for_each(|_| drop(processes.submit(kept, ()).result().unwrap())))
    });
    let processes = ProcessPoolExecutor::new(2);
    let ours = contest.ours("Vec<u8> as an argument", 1, move |_| {
        let bytes = vec![7; LENGTH];
        time(|| assert_eq!(processes.submit(|bytes: Vec<u8>| bytes.len(), bytes).result().unwrap(), LENGTH))
    });
    ours.target(Target::AtLeast(1.5));
    limit_to_copy(contest, times, &bytes);
}

/// The first result of a fresh pool. The end of the pool is not measured.
pub(crate) fn start(contest: &mut Contest<'_>) {
    const SPAWN: &str = "bare spawn, exit and wait";
    let workers = contest.surroundings.workers();
    let ours = contest.ours("new, submit, wait", 1, move |_| {
        let mut fresh = None;
        time(|| assert_eq!(fresh.insert(ProcessPoolExecutor::new(workers)).submit(next, 1).result().unwrap(), 2))
    });
    ours.target(Target::Times(SPAWN, 1.2));
    contest.peer(PROCSPAWN, 1, move |_| {
        let mut fresh = None;
        time(|| assert_eq!(fresh.insert(procspawn_pool(workers)).spawn(1, next).join().unwrap(), 2))
    });
    contest.python(python::PROCESSES, 1, "processes fresh");
    contest.limit(SPAWN, 1, |_| time(ball::spawn_and_wait));
}

/// Each worker sleeps several times. A perfect pool takes no longer than one thread that sleeps as often.
pub(crate) fn scaling(contest: &mut Contest<'_>) {
    const ALONE: &str = "one thread that sleeps";
    const THREADS: [(&str, usize); 5] =
        [("1 thread", 1), ("2 threads", 2), ("4 threads", 4), ("8 threads", 8), ("16 threads", 16)];
    const PROCESSES: [(&str, usize); 5] =
        [("1 process", 1), ("2 processes", 2), ("4 processes", 4), ("8 processes", 8), ("16 processes", 16)];
    fn naps<E: Executor + 'static>(executor: E, workers: usize) -> impl FnMut(u64) -> f64 + 'static {
        move |times| {
            let naps = vec![(); times as usize * workers];
            time(|| assert!(executor.map(nap, naps).all(|outcome| outcome.is_ok())))
        }
    }
    // A quick run has as many, because starting the map takes as long there.
    let times = contest.settings.scaled(50).min(5);
    for (name, workers) in THREADS {
        let ours = contest.ours(name, times, naps(ThreadPoolExecutor::new(workers), workers));
        ours.target(Target::Times(ALONE, 1.02));
    }
    for (name, workers) in PROCESSES {
        let ours = contest.ours(name, times, naps(ProcessPoolExecutor::new(workers), workers));
        ours.target(Target::Times(ALONE, 1.02));
    }
    contest.limit(ALONE, times, |times| time(|| (0..times).for_each(|_| nap(()))));
}

pub(crate) fn nap(_: ()) {
    thread::sleep(Duration::from_millis(20));
}
