//! What worker processes cost, against the least that it could cost, in one run: `cargo bench --bench processes`, and
//! in some seconds with `-- --quick`. README.md has a run of it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use concurrent_futures::{Backend as _, Bytes, Executor, ProcessPoolExecutor, TaskOptions};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use support::contest::{Contest, Scale, Target, time, verdict};
use support::proc;

mod support;

const LONG: usize = 50_000_000;
/// serde takes a `Vec<u8>` for numbers.
const SHORTER: usize = 5_000_000;
const PING: usize = 64;

/// What others are held against.
const PING_PONG: &str = "bare ping-pong on one cpu";
const COPY: &str = "50 MB into a fresh Vec";
const SPAWN: &str = "bare spawn, exit and wait";

/// What a child of this program is told to be.
const PONG_FLAG: &str = "--pong";
const EXIT_FLAG: &str = "--exit";

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    if has(PONG_FLAG) {
        return pong();
    }
    if has(EXIT_FLAG) {
        return;
    }
    // Not `cargo bench`: somebody wants to see that it works.
    let quick = has("--quick") || !has("--bench");
    contest(quick);
    descriptors();
    idle();
}

fn contest(quick: bool) {
    let scaled = |times: u64| if quick { times / 10 } else { times };
    let (one, two) = (ProcessPoolExecutor::new(1), ProcessPoolExecutor::new(2));
    let long = Bytes::from(vec![7; LONG]);
    let (mut ball, mut free_ball) = (Ball::new(), Ball::new());
    let everywhere = sched_getaffinity(None).expect("the cpus of this thread");
    let mut contest = Contest::default();

    let round_trip = contest.enter("round trip of a task", scaled(5_000), Scale::Micros, |times| {
        time(|| (0..times).for_each(|n| assert_eq!(one.submit(next, n).result().unwrap(), n + 1)))
    });
    round_trip.against(PING_PONG).target(Target::Times(2.0));
    contest.enter(PING_PONG, scaled(5_000), Scale::Micros, |times| {
        let one = one_of(&everywhere);
        ball.stay_on(&one);
        sched_setaffinity(None, &one).expect("a cpu of this thread");
        let took = time(|| (0..times).for_each(|_| ball.ping()));
        sched_setaffinity(None, &everywhere).expect("the cpus of this thread");
        took
    });
    contest.enter("bare ping-pong on any", scaled(5_000), Scale::Micros, |times| {
        time(|| (0..times).for_each(|_| free_ball.ping()))
    });

    let many = contest.enter("many tasks", scaled(100_000), Scale::Micros, |times| {
        time(|| {
            let futures: Vec<_> = (0..times).map(|n| two.submit(next, n)).collect();
            for (n, future) in (0..times).zip(futures) {
                assert_eq!(future.result().unwrap(), n + 1);
            }
        })
    });
    many.target(Target::Micros(3.0));
    let map = contest.enter("map, chunk_size(1000)", scaled(1_000_000), Scale::Micros, |times| {
        let chunks = two.with(TaskOptions::new().chunk_size(1000));
        time(|| assert!(chunks.map(next, 0..times).zip(1..).all(|(outcome, n)| outcome.unwrap() == n)))
    });
    map.target(Target::Micros(0.3));

    let rate = Scale::Gigabytes(LONG as u64);
    let argument = contest.enter("50 MB argument", 1, rate, |_| {
        time(|| assert_eq!(one.submit(length, long.clone()).result().unwrap(), LONG))
    });
    argument.against(COPY).target(Target::Gigabytes(1.5));
    contest.enter("50 MB result", 1, rate, |_| time(|| one.submit(kept, ()).result().unwrap())).against(COPY);
    let both =
        contest.enter("50 MB there and back", 1, rate, |_| time(|| one.submit(same, long.clone()).result().unwrap()));
    both.against(COPY);
    contest.enter(COPY, 1, rate, |_| time(|| long.to_vec()));
    contest.enter("5 MB argument, as a Vec<u8>", 1, Scale::Gigabytes(SHORTER as u64), |_| {
        let bytes = vec![7; SHORTER];
        time(|| assert_eq!(one.submit(vec_length, bytes).result().unwrap(), SHORTER))
    });

    let first = contest.enter("first result of a fresh pool", 1, Scale::Millis, |_| {
        let mut fresh = None;
        time(|| assert_eq!(fresh.insert(ProcessPoolExecutor::new(1)).submit(next, 1).result().unwrap(), 2))
    });
    first.against(SPAWN).target(Target::Millis(5.0));
    contest.enter(SPAWN, 1, Scale::Millis, |_| {
        time(|| assert!(own_program(EXIT_FLAG).status().expect("a process").success()))
    });

    contest.run(if quick { 5 } else { 21 });
    println!("{contest}");
}

fn descriptors() {
    let open = |workers: usize| {
        let before = proc::descriptors();
        let processes = ProcessPoolExecutor::new(workers);
        // Long enough for all of them to be needed.
        let naps = processes.map(nap, vec![100; workers]);
        assert!(naps.into_iter().all(|outcome| outcome.is_ok()));
        assert_eq!(processes.stats().workers, workers);
        proc::descriptors() - before
    };
    let (one, five) = (open(1), open(5));
    let each = (five - one) / 4;
    let fixed = verdict("a fixed few", five - one == 4 * each && each <= 5);
    println!("descriptors: {one} with 1 worker, {five} with 5; {each} a worker; {fixed}");

    let processes = ProcessPoolExecutor::new(1);
    // The worker is up.
    assert_eq!(processes.submit(next, 1).result().unwrap(), 2);
    let running = processes.submit(nap, 60_000);
    let before = proc::descriptors();
    let pending: Vec<_> = (0..10_000).map(|n| processes.submit(next, n)).collect();
    let more = proc::descriptors().saturating_sub(before);
    println!("descriptors for {} pending tasks: {more}; {}", pending.len(), verdict("0", more == 0));
    running.abort();
    processes.shutdown_now();
}

fn idle() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let processes = ProcessPoolExecutor::new(2);
    assert!(processes.map(nap, [100, 100]).into_iter().all(|outcome| outcome.is_ok()));
    let workers = proc::children();
    assert_eq!(workers.len(), 2, "no other children are left");
    let sleeps = || {
        // The kernel keeps 15 characters of a name.
        let threads = proc::sleeps(std::process::id(), "ProcessPoolExec");
        threads + workers.iter().map(|worker| proc::sleeps(*worker, "")).sum::<u64>()
    };
    // What the last results set in motion comes to rest.
    std::thread::sleep(INTERVAL / 10);
    let before = sleeps();
    std::thread::sleep(INTERVAL);
    let woke = sleeps() - before;
    println!("wake-ups of 2 idle workers and their threads in {INTERVAL:?}: {woke}; {}", verdict("0", woke == 0));
}

fn next(n: u64) -> u64 {
    n + 1
}

fn length(bytes: Bytes) -> usize {
    bytes.len()
}

fn vec_length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn same(bytes: Bytes) -> Bytes {
    bytes
}

fn kept(_: ()) -> Bytes {
    static KEPT: OnceLock<Bytes> = OnceLock::new();
    KEPT.get_or_init(|| vec![7; LONG].into()).clone()
}

fn nap(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

fn own_program(argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.arg(argument);
    command
}

/// The first of them alone.
fn one_of(cpus: &CpuSet) -> CpuSet {
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| cpus.is_set(*cpu)).expect("one at least"));
    one
}

/// A child that sends back what it is sent, over a socket, as a worker is reached.
struct Ball {
    socket: UnixStream,
    child: Child,
}

impl Ball {
    fn new() -> Self {
        let (socket, theirs) = UnixStream::pair().expect("a pair of sockets");
        let child = own_program(PONG_FLAG).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().expect("a process");
        Self { socket, child }
    }

    /// Keeps the child on these cpus.
    fn stay_on(&self, cpus: &CpuSet) {
        sched_setaffinity(Some(Pid::from_child(&self.child)), cpus).expect("cpus that a child may run on");
    }

    fn ping(&mut self) {
        let mut ball = [1; PING];
        self.socket.write_all(&ball).expect("a child that reads");
        self.socket.read_exact(&mut ball).expect("a child that answers");
    }
}

impl Drop for Ball {
    fn drop(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).expect("a socket");
        self.child.wait().expect("a child");
    }
}

/// The child's side, until there is no other.
fn pong() {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("the socket");
    let mut socket = UnixStream::from(socket);
    let mut ball = [0; PING];
    while socket.read_exact(&mut ball).is_ok() && socket.write_all(&ball).is_ok() {}
}
