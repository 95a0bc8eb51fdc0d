//! Programs that reach a limit: fewer workers, but never a panic, and never a hang.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use concurrent_futures::{Backend, Bytes, Error, Executor, Exit, ProcessPoolExecutor};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "few_descriptors_mean_fewer_workers", host: count, check: few_descriptors },
    Case { name: "a_worker_makes_room_for_its_replacement", host: recycle, check: room_for_one },
    Case { name: "a_moment_without_descriptors_costs_no_worker", host: lack_for_a_moment, check: end },
    Case { name: "few_processes_mean_fewer_workers", host: count, check: few_processes },
    Case { name: "a_file_size_limit_does_not_end_the_program", host: use_no_long_file, check: small_files },
    Case { name: "a_file_size_limit_does_not_end_a_worker", host: lower_in_workers, check: end_well },
    Case { name: "little_memory_costs_the_task_that_wants_more", host: use_memory, check: little_memory },
    Case {
        name: "a_worker_killed_for_lack_of_memory_is_reported_with_a_hint",
        host: want_memory,
        check: short_of_memory,
    },
];

/// How many processes and threads the program's user may have.
const PROCESSES: &str = "CONCURRENT_FUTURES_TEST_PROCESSES";

fn work(n: u32) -> u32 {
    // Long enough for all workers to be wanted.
    thread::sleep(Duration::from_millis(10));
    n + 1
}

/// Says how many tasks were run, and how many could not be. All end.
fn count() {
    if let Ok(limit) = std::env::var(PROCESSES) {
        let limit = Some(limit.parse().expect("a number"));
        setrlimit(Resource::Nproc, Rlimit { current: limit, maximum: limit }).expect("a lower limit");
    }
    let pool = ProcessPoolExecutor::new(8);
    let (mut run, mut not_run) = (0, 0);
    for round in 0..3 {
        let futures: Vec<_> = (0..20).map(|n| pool.submit(work, n)).collect();
        for (n, future) in futures.into_iter().enumerate() {
            match future.result() {
                Ok(next) => {
                    assert_eq!(next as usize, n + 1);
                    run += 1;
                }
                Err(Error::Broken(broken)) => {
                    if round == 0 && not_run == 0 {
                        eprintln!("{broken}");
                    }
                    not_run += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    drop(pool);
    println!("{run} {not_run}");
}

#[track_caller]
fn counted(host: Host, what: &str) -> (u32, u32) {
    let (status, output, errors) = host.ends();
    assert!(status.success() && !errors.contains("panicked"), "{what}: {status} {output}{errors}");
    let (run, not_run) = output.trim().split_once(' ').unwrap_or_else(|| panic!("{what}: {output}{errors}"));
    (run.parse().expect("a number"), not_run.parse().expect("a number"))
}

fn few_descriptors(name: &str) {
    for limit in 5..=40 {
        let script = format!(r#"ulimit -n {limit}; exec "$0""#);
        let (run, not_run) = counted(Host::by_script(name, &script), &format!("{limit} descriptors"));
        assert_eq!(run + not_run, 60);
        // Enough for one worker, so all tasks are run, also when several start together and none gets what it needs.
        assert!(limit < 10 || not_run == 0, "{not_run} of 60 were not run with {limit} descriptors");
    }
}

fn recycle() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(1).build().expect("a pool");
    let futures: Vec<_> = (0..4).map(|n| pool.submit(work, n)).collect();
    for (n, future) in (1..).zip(futures) {
        assert_eq!(future.result().expect("one worker has room"), n);
    }
}

fn room_for_one(name: &str) {
    for limit in 11..=18 {
        Host::by_script(name, &format!(r#"ulimit -n {limit}; exec "$0""#)).ends_well();
    }
}

fn limit_descriptors(current: Option<u64>) -> Option<u64> {
    let Rlimit { current: before, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("a limit that is permitted");
    before
}

/// Two tasks need each other, and the worker for the second cannot be started at first.
fn lack_for_a_moment() {
    let checkpoint = Checkpoint::new();
    let pool = ProcessPoolExecutor::new(2);
    // So that tasks are sent ahead to this worker.
    pool.submit(|n: u32| n, 1).result().expect("a worker");
    let first = pool.submit(stop_at, checkpoint.address());
    let held = checkpoint.arrived();
    let before = limit_descriptors(Some(3));
    let second = pool.submit(work, 1);
    assert_eq!(pool.stats().pending, 1);
    while pool.stats().workers > 1 {
        thread::yield_now();
    }
    limit_descriptors(before);
    let outcome = second.result_timeout(Duration::from_secs(60)).expect("a worker is started for it");
    assert_eq!(outcome.expect("an outcome"), 2);
    drop(held);
    first.result().expect("it was let go");
}

fn end(name: &str) {
    Host::start(name).ends_well();
}

fn few_processes(name: &str) {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can be another user, who has no other processes");
        return;
    }
    // Root has no such limit; a user that nobody else is has it for these processes alone.
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_for_all(directory.path());
    // A host has its main thread, and for each worker a thread and a process of two: its other threads are those that there is room for.
    for limit in 1..=16 {
        let mut command = Command::new(&program);
        let host = Host::run(name, command.env(PROCESSES, limit.to_string()).current_dir("/").uid(USER).gid(USER));
        let (run, not_run) = counted(host, &format!("{limit} processes"));
        assert_eq!(run + not_run, 60);
        assert!(limit < 4 || not_run == 0, "{not_run} of 60 were not run with {limit} processes");
    }
}

fn lower_file_size(bytes: u64) {
    let current = Some(bytes);
    setrlimit(Resource::Fsize, Rlimit { current, maximum: getrlimit(Resource::Fsize).maximum }).expect("a lower limit");
}

fn echo_long(pool: &ProcessPoolExecutor) -> Result<(), Error> {
    let long = Bytes::from(vec![7; 1 << 20]);
    let back = pool.submit(|bytes: Bytes| bytes, long.clone()).result()?;
    assert!(back == long);
    Ok(())
}

fn use_no_long_file() {
    let pool = ProcessPoolExecutor::new(2);
    match echo_long(&pool) {
        Ok(()) => assert_works(&pool),
        Err(error) => println!("{error}"),
    }
    // Also where there is a worker, and the limit comes later.
    if getrlimit(Resource::Fsize).current.is_none_or(|limit| limit > 1 << 20) {
        let pool = ProcessPoolExecutor::new(1);
        assert_works(&pool);
        lower_file_size(1000);
        echo_long(&pool).expect("the socket will do");
        pool.kill_workers();
        assert!(matches!(pool.submit(work, 1).result(), Ok(_) | Err(Error::WorkerDied(_) | Error::Broken(_))));
        println!("{}", ProcessPoolExecutor::new(1).submit(work, 1).result().expect_err("no page is shared"));
    }
}

fn small_files(name: &str) {
    // In 512 bytes: none for what is shared with a worker, none for segments, enough for both.
    for (limit, works) in
        [("0", false), ("100", false), ("300", true), ("1000", true), ("100000", false), ("unlimited", false)]
    {
        let said = Host::by_script(name, &format!(r#"ulimit -f {limit}; exec "$0""#)).ends_well();
        assert_eq!(said.is_empty(), works, "{limit}: {said}");
        let told = ["RLIMIT_FSIZE", "ulimit -f", "98304 bytes"].iter().all(|part| said.contains(part));
        assert!(works || told, "{limit}: {said}");
    }
}

fn lower_in_workers() {
    let builder = ProcessPoolExecutor::builder().max_workers(1).initializer(lower_file_size, 1000);
    let pool = builder.build().expect("a pool");
    echo_long(&pool).expect("the socket will do");
    // What tasks write themselves is theirs.
    let write = |()| {
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, &[0; 2000]).is_ok()
    };
    assert_eq!(exit_of(pool.submit(write, ())), Exit::Signal("SIGXFSZ".into()));
    echo_long(&pool).expect("another worker");
}

fn end_well(name: &str) {
    Host::by_script(name, r#"ulimit -c 0; exec "$0""#).ends_well();
}

fn use_memory() {
    let pool = ProcessPoolExecutor::new(4);
    let take = |bytes: usize| vec![1_u8; bytes].iter().map(|byte| usize::from(*byte)).sum::<usize>();
    for _ in 0..3 {
        let futures: Vec<_> = (0..20).map(|n| pool.submit(take, n * 1000)).collect();
        let greedy = pool.submit(take, 4 << 30);
        assert_eq!(exit_of(greedy), Exit::Signal("SIGABRT".into()));
        for (n, future) in futures.into_iter().enumerate() {
            assert_eq!(future.result().expect("the task needs little memory"), n * 1000);
        }
    }
    assert_works(&pool);
}

fn little_memory(name: &str) {
    Host::by_script(name, r#"ulimit -c 0; ulimit -v 1000000; exec "$0""#).ends_well();
}

fn want_memory() {
    let pool = ProcessPoolExecutor::new(1);
    let take = |bytes: usize| vec![1_u8; bytes].len();
    let Err(Error::WorkerDied(died)) = pool.submit(take, 1 << 30).result() else {
        panic!("the task wants more memory than there is")
    };
    assert_eq!(*died.exit(), Exit::Signal("SIGKILL".into()));
    assert_eq!(died.hint(), Some("probably killed by the system because memory ran out"));
    assert_works(&pool);
}

/// A control group that may have little memory.
struct Group(PathBuf);

impl Group {
    /// `None`: that is not permitted.
    fn new() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let directory = groups.lines().find_map(|line| {
            let (root, path) = match line.split_once(":memory:") {
                Some((_, path)) => ("/sys/fs/cgroup/memory", path),
                None => ("/sys/fs/cgroup", line.strip_prefix("0::")?),
            };
            let directory = format!("{root}{path}/concurrent-futures-{}", std::process::id());
            fs::create_dir(&directory).ok().map(|()| Self(directory.into()))
        })?;
        // One for each version.
        let limited = ["memory.limit_in_bytes", "memory.max"].map(|file| fs::write(directory.0.join(file), "256M"));
        limited.iter().any(Result::is_ok).then_some(directory)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn short_of_memory(name: &str) {
    let Some(group) = Group::new() else {
        eprintln!("skipped: not permitted to make a control group");
        return;
    };
    let script = format!(r#"echo $$ >"{}"/cgroup.procs && exec "$0""#, group.0.display());
    Host::by_script(name, &script).ends_well();
}
