//! Many threads, and few cpus.

use std::thread;

use concurrent_futures::{Executor, ProcessPoolExecutor, ThreadPoolExecutor};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::exercise::{double, exercise};
use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "one_cpu_is_enough", host: use_one_cpu, check: end_well },
    Case { name: "two_hundred_threads_submit_to_one_pool", host: submit_all, check: end_well },
];

fn end_well(name: &str) {
    Host::start(name).ends_well();
}

fn use_one_cpu() {
    let all = sched_getaffinity(None).expect("the cpus of this thread");
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).expect("a cpu");
    let mut one = CpuSet::new();
    one.set(first);
    // Threads and processes of this one have no more.
    sched_setaffinity(None, &one).expect("fewer cpus");
    exercise(&ProcessPoolExecutor::new(3));
}

#[track_caller]
fn submit_from_all(pool: &(impl Executor + Sync)) {
    thread::scope(|scope| {
        for thread in 0..200 {
            scope.spawn(move || {
                let tasks: Vec<_> = (0..5).map(|n| pool.submit(double, 5 * thread + n)).collect();
                for (n, task) in (0..).zip(tasks) {
                    assert_eq!(task.result().expect("a number"), double(5 * thread + n));
                }
                let results: Result<Vec<_>, _> = pool.map(double, 0..5).collect();
                assert_eq!(results.expect("numbers"), [0, 2, 4, 6, 8]);
            });
        }
    });
    // A worker counts a task after its future is done.
    pool.shutdown();
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.failed), (2000, 0));
}

fn submit_all() {
    submit_from_all(&ThreadPoolExecutor::new(4));
    submit_from_all(&ProcessPoolExecutor::new(3));
    // And where they have to wait for room.
    submit_from_all(&ThreadPoolExecutor::builder().max_workers(2).max_pending(4).build().expect("a pool"));
    submit_from_all(&ProcessPoolExecutor::builder().max_workers(2).max_pending(4).build().expect("a pool"));
}
