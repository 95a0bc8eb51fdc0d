//! What executors take up that is not time: cpu and wake-ups while they are idle, memory, descriptors.

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

/// For how long an idle executor is watched.
fn interval(contest: &Contest<'_>) -> Duration {
    Duration::from_millis(if contest.settings.effort == Effort::Full { 1000 } else { 300 })
}

/// Cpu time of the threads of this program meanwhile, but for the one that watches them.
#[derive(Clone)]
struct Idle(Duration);

impl Race for Idle {
    fn run<P: Pool>(&self, pool: &P, _: u64) -> f64 {
        let handles = (0..1000_u64).map(|n| pool.submit(move || n)).collect();
        assert_eq!(pool.sum(handles), 499_500);
        // What the last results set in motion comes to rest.
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

/// Starts all workers of a pool, and says which processes they are.
fn workers(processes: &ProcessPoolExecutor, count: usize) -> Vec<u32> {
    fn pid(_: ()) -> u32 {
        nap(());
        std::process::id()
    }
    // As long as all are needed at once, each is of another worker.
    let mut pids: Vec<u32> = processes.map(pid, vec![(); count]).collect::<Result<_, _>>().unwrap();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), count);
    pids
}

/// Pages that belong to the process alone, clean or dirty, once it has run a task. What it shares with the program it was
/// started from, such as the code, does not count; nor does what Python's worker has in common with the one it was forked from.
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

/// A fixed few a worker, and none for tasks.
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
        // The worker is up.
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
