//! Workloads that measure something else than time: cpu time and wake-ups of idle executors, memory, descriptors.

use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend as _, Executor, ProcessPoolExecutor};

use crate::ball::Ball;
use crate::contest::Contest;
use crate::pools::{Pool, Race, enter_ours, enter_peers};
use crate::proc;
use crate::processes::{PROCSPAWN, nap, next, procspawn_pool};
use crate::python;
use crate::settings::Effort;
use crate::target::Target;

/// Returns for how long an idle executor is watched.
fn interval(contest: &Contest<'_>) -> Duration {
    Duration::from_millis(if contest.settings.effort == Effort::Full { 1000 } else { 300 })
}

/// Measures the cpu time of all threads of this program but the measuring one, during this interval without tasks.
#[derive(Clone)]
struct Idle(Duration);

impl Race for Idle {
    fn run<P: Pool>(&self, pool: &P, _: u64) -> f64 {
        let handles = (0..1000_u64).map(|n| pool.submit(move || n)).collect();
        assert_eq!(pool.sum(handles), 499_500);
        // The workers may need a moment to go to sleep after the last result.
        thread::sleep(self.0 / 5);
        let before = proc::cpu_seconds_of_others();
        thread::sleep(self.0);
        proc::cpu_seconds_of_others() - before
    }
}

pub(crate) fn idle_threads(contest: &mut Contest<'_>) {
    contest.once();
    let interval = interval(contest);
    enter_ours(contest, "cpu time while idle", 1, Idle(interval)).target(Target::AtMost(0.0));
    enter_peers(contest, 1, &Idle(interval));
}

pub(crate) fn idle_processes(contest: &mut Contest<'_>) {
    contest.once();
    let interval = interval(contest);
    let ours = contest.ours("wake-ups while idle", 1, move |_| {
        let processes = ProcessPoolExecutor::new(2);
        let workers = workers(&processes, 2);
        let sleeps = || {
            // The kernel keeps 15 characters of a name.
            let threads = proc::sleeps(std::process::id(), "ProcessPoolExec");
            threads + workers.iter().map(|worker| proc::sleeps(*worker, "")).sum::<u64>()
        };
        thread::sleep(interval / 5);
        let before = sleeps();
        thread::sleep(interval);
        (sleeps() - before) as f64
    });
    ours.target(Target::AtMost(0.0));
}

/// Starts all workers of a pool, and returns their process ids.
fn workers(processes: &ProcessPoolExecutor, count: usize) -> Vec<u32> {
    fn pid(_: ()) -> u32 {
        nap(());
        std::process::id()
    }
    // All items run at once, each for a while, so each runs on a worker of its own.
    let mut pids: Vec<u32> = processes.map(pid, vec![(); count]).collect::<Result<_, _>>().unwrap();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), count);
    pids
}

/// The pages, clean or dirty, that belong to a worker alone after it has run a task. Pages that it shares with its
/// program, such as the code, do not count. Nor do those that a worker of Python shares with the process that it was
/// forked from.
pub(crate) fn memory(contest: &mut Contest<'_>) {
    fn pid(_: ()) -> u32 {
        std::process::id()
    }
    contest.once();
    let ours = contest.ours("private memory of a worker", 1, |_| {
        let processes = ProcessPoolExecutor::new(2);
        let worker = processes.submit(pid, ()).result().unwrap();
        proc::private_bytes(worker) as f64
    });
    ours.target(Target::AtMost(1000.0));
    contest.peer(PROCSPAWN, 1, |_| {
        let pool = procspawn_pool(2);
        let worker = pool.spawn((), pid).join().unwrap();
        proc::private_bytes(worker) as f64
    });
    contest.python(python::PROCESSES, 1, "processes private");
    contest.limit("bare process", 1, |_| {
        let mut child = Ball::new();
        child.ping();
        proc::private_bytes(child.pid()) as f64
    });
}

/// The descriptors of each worker, and those of pending tasks, which should have none.
pub(crate) fn descriptors(contest: &mut Contest<'_>) {
    contest.once();
    let ours = contest.ours("each further worker", 4, |times| {
        let open = |count: usize| {
            let before = proc::descriptors();
            let processes = ProcessPoolExecutor::new(count);
            workers(&processes, count);
            proc::descriptors() - before
        };
        (open(1 + times as usize) - open(1)) as f64
    });
    ours.target(Target::AtMost(5.0));
    let pending = contest.settings.scaled(10_000);
    let ours = contest.ours("all pending tasks", 1, move |_| {
        let processes = ProcessPoolExecutor::new(1);
        // This waits until the worker is up.
        assert_eq!(processes.submit(next, 1).result().unwrap(), 2);
        let running = processes.submit(thread::sleep, Duration::from_secs(60));
        let before = proc::descriptors();
        let pending: Vec<_> = (0..pending).map(|n| processes.submit(next, n)).collect();
        let more = proc::descriptors().saturating_sub(before);
        running.abort();
        processes.cancel_pending();
        drop(pending);
        more as f64
    });
    ours.target(Target::AtMost(0.0));
}
