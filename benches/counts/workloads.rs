//! [`WORKLOADS`]: what is counted.
//!
//! A figure can be kept only if it does not depend on time. A thread that waits looks for a while before it sleeps, and
//! how often it can look depends on how fast the others are. So the workloads avoid waits, or make them alike:
//!
//! - On one thread, all tasks are queued behind one that waits until the last is submitted, and their results are taken
//!   once the thread has ended. A round trip on threads consists of looks, and varies by a fifth: it is not counted.
//! - A flood makes hardly any system calls as long as the workers are slower than who submits. That depends on the
//!   machine, so they are not counted.
//! - A process task is waited for with a time limit, because a thread with a time limit does not look. Of its system
//!   calls only those are counted that send tasks: the others wait and wake, and vary by a third. Its instructions vary
//!   most of those that are kept: by 4 %, and by 8 % between an idle machine and a busy one.
//! - Context switches are not counted, because they depend on all of that. If a workload sleeps once for each task, its
//!   system calls show it.
//! - A map on processes has a chunk size. Without one, the size of its ranges follows the time that items take, and its
//!   figures vary by more than themselves. Its system calls, one for dozens of items, vary even so. So do the
//!   allocations of a map on threads.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
#[cfg(target_os = "linux")]
use std::time::Duration;

use concurrent_futures::{Executor, Future, InlineExecutor, ThreadPoolExecutor};
#[cfg(target_os = "linux")]
use concurrent_futures::{MapOptions, ProcessPoolExecutor};

use crate::allocator::Usage;
use crate::measure::Unit::{self, Allocations, Atomics, Bytes, Instructions, Messages, SystemCalls};

/// A number of tasks, run by a process of its own.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The number of tasks or items. The process runs it, and another one twice as many.
    pub(crate) times: u64,
    /// The figures of it that are steady enough to be kept.
    pub(crate) units: &'static [Unit],
    /// Runs so many tasks, and returns what they have allocated.
    pub(crate) run: fn(u64) -> Usage,
}

/// All workloads. A number of tasks is a power of two where a queue grows with it, so that it doubles with them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "inline submit",
        times: 2048,
        units: &[Instructions, Atomics, Allocations, SystemCalls],
        run: inline,
    },
    Workload {
        name: "submit, 1 thread",
        times: 2048,
        units: &[Instructions, Atomics, Allocations, SystemCalls],
        run: queued,
    },
    Workload { name: "flood, 2 threads", times: 4096, units: &[Instructions, Atomics, Allocations], run: flood },
    Workload { name: "map, 2 threads", times: 16_384, units: &[Instructions, Atomics, SystemCalls], run: map },
    Workload {
        name: "fork-join, 1 thread",
        times: 20 * CALLS,
        units: &[Instructions, Atomics, Allocations],
        run: fork_join,
    },
    Workload { name: "pending future", times: 8192, units: &[Allocations, Bytes, SystemCalls], run: pending },
    #[cfg(target_os = "linux")]
    Workload {
        name: "process task",
        times: 1024,
        units: &[Instructions, Atomics, Allocations, Messages],
        run: process_task,
    },
    #[cfg(target_os = "linux")]
    Workload { name: "process map", times: 16_384, units: &[Instructions, Atomics, Allocations], run: process_map },
];

fn inline(times: u64) -> Usage {
    for number in 0..times {
        assert_eq!(InlineExecutor.submit(|n: u64| n + 1, black_box(number)).result().unwrap(), number + 1);
    }
    Usage::now()
}

/// Runs `submit` while all workers of the pool are held, so that what it submits is queued.
fn while_held<R>(threads: &ThreadPoolExecutor, workers: usize, submit: impl FnOnce() -> R) -> R {
    let barrier = Arc::new(Barrier::new(workers + 1));
    for _ in 0..workers {
        let barrier = Arc::clone(&barrier);
        let hold = move || {
            barrier.wait();
            barrier.wait();
        };
        threads.spawn(hold).detach();
    }
    barrier.wait();
    let submitted = submit();
    barrier.wait();
    submitted
}

fn submit_all(threads: &ThreadPoolExecutor, times: u64) -> Vec<Future<u64>> {
    (0..times).map(|number| threads.submit(|n: u64| n + 1, number)).collect()
}

fn take_all(futures: Vec<Future<u64>>) {
    for (number, future) in (1..).zip(futures) {
        assert_eq!(future.result().unwrap(), number);
    }
}

fn queued(times: u64) -> Usage {
    let threads = ThreadPoolExecutor::new(1);
    let futures = while_held(&threads, 1, || submit_all(&threads, times));
    threads.shutdown();
    take_all(futures);
    Usage::now()
}

fn flood(times: u64) -> Usage {
    let threads = ThreadPoolExecutor::new(2);
    take_all(submit_all(&threads, times));
    Usage::now()
}

fn map(times: u64) -> Usage {
    let sum = ThreadPoolExecutor::new(2).map(|n| n + 1, 0..times).map(Result::unwrap).sum::<u64>();
    assert_eq!(sum, times * (times + 1) / 2);
    Usage::now()
}

/// The argument of `fib`, and how many calls it makes.
const N: u64 = 10;
const CALLS: u64 = 177;

fn fork_join(times: u64) -> Usage {
    // Tasks borrow the pool without a limit in time, so it is leaked and ends with the program.
    let threads: &ThreadPoolExecutor = Box::leak(Box::new(ThreadPoolExecutor::new(1)));
    for _ in 0..times / CALLS {
        assert_eq!(threads.spawn(|| fib(threads, N)).result().unwrap(), 55);
    }
    Usage::now()
}

fn fib(threads: &'static ThreadPoolExecutor, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let [one, other] = [n - 1, n - 2].map(|n| threads.spawn(move || fib(threads, n)));
    one.result().unwrap() + other.result().unwrap()
}

fn pending(times: u64) -> Usage {
    let threads = ThreadPoolExecutor::new(2);
    let (futures, usage) = while_held(&threads, 2, || (submit_all(&threads, times), Usage::now()));
    take_all(futures);
    usage
}

#[cfg(target_os = "linux")]
fn process_task(times: u64) -> Usage {
    const LONG: Duration = Duration::from_secs(600);
    let processes = ProcessPoolExecutor::new(1);
    for number in 0..times {
        assert_eq!(processes.submit(|n: u64| n + 1, number).result_timeout(LONG).unwrap().unwrap(), number + 1);
    }
    Usage::now()
}

#[cfg(target_os = "linux")]
fn process_map(times: u64) -> Usage {
    let processes = ProcessPoolExecutor::new(1);
    let in_chunks = processes.with(MapOptions::new().chunk_size(128));
    let sum = in_chunks.map(|n: u64| n + 1, 0..times).map(Result::unwrap).sum::<u64>();
    assert_eq!(sum, times * (times + 1) / 2);
    Usage::now()
}
