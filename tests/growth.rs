//! Nothing accumulates: whatever is done again and again, the program has as many bytes as before, and so have its workers.
//!
//!     cargo test --test growth                                    # most things a thousand times
//!     GROWTH_RUNS=100000 cargo test --test growth -- --nocapture  # more often, and says how many bytes
//!
//! A binary of its own, with one test: the counter sees every thread of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, InlineExecutor, Promise, ReturnWhen, TaskOptions, ThreadPoolExecutor,
    as_completed, promise, task, wait,
};

struct Counting;

/// The bytes that are allocated.
static LIVE: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: usize, sign: isize) {
    LIVE.fetch_add(sign * isize::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live(_: ()) -> isize {
    LIVE.load(Ordering::SeqCst)
}

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(3600);

/// One worker: when the result of a task is there, all before it are gone.
struct World {
    threads: ThreadPoolExecutor,
    /// Never completed.
    _promise: Promise<u64>,
    pending: Future<u64>,
}

/// What is done again and again, and how much rarer than the others.
type Operation = (&'static str, usize, fn(&World));

/// Panics with a text when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("on purpose".to_owned()));
    }
}

fn few(world: &World) -> Vec<Future<usize>> {
    (0..4).map(|n| world.threads.spawn(move || n)).collect()
}

fn poll_once<F: IntoFuture<IntoFuture: std::future::Future + Unpin>>(future: F) {
    let mut awaiting = future.into_future();
    let polled = std::future::Future::poll(std::pin::Pin::new(&mut awaiting), &mut Context::from_waker(Waker::noop()));
    drop(polled);
}

const ON_THREADS: &[Operation] = &[
    ("submit and result", 1, |world| drop(world.threads.submit(|n: u64| n, 1).result())),
    ("submit and drop", 1, |world| drop(few(world))),
    ("detach", 1, |world| world.threads.spawn(|| vec![0; 100]).detach()),
    ("bind", 1, |world| drop(world.threads.bind(|n: u64| n)(1).result())),
    ("inline", 1, |_| drop(InlineExecutor.submit(|n: u64| n, 1).result())),
    ("panic", 10, |world| drop(world.threads.spawn(|| std::panic::resume_unwind(Box::new("on purpose"))).result())),
    ("a drop that panics", 1, |world| world.threads.spawn(|| Bomb).detach()),
    ("error", 1, |world| drop(world.threads.try_spawn(|| Err::<(), _>("on purpose")).result())),
    ("cancel", 1, |world| {
        for future in few(world) {
            future.cancel();
        }
    }),
    ("abort", 1, |world| {
        for future in few(world) {
            future.abort();
        }
    }),
    ("cancel_pending", 1, |world| {
        let futures = few(world);
        world.threads.cancel_pending();
        drop(futures);
    }),
    ("map", 10, |world| assert_eq!(world.threads.map(|n: u64| n, 0..100).count(), 100)),
    ("map and drop", 10, |world| drop(world.threads.map(|n: u64| n, 0..100))),
    ("map and drop after one", 10, |world| drop(world.threads.map(|n: u64| n, 0..100).next())),
    ("map_unordered", 10, |world| assert_eq!(world.threads.map_unordered(|n: u64| n, 0..100).count(), 100)),
    ("map_unordered and drop", 10, |world| drop(world.threads.map_unordered(|n: u64| n, 0..100).next())),
    ("map with a buffer", 10, |world| {
        let options = TaskOptions::new().buffer_size(3).timeout(LONG);
        _ = world.threads.with(options).map(|n: u64| n, 0..).take(20).count();
    }),
    ("map with a timeout", 10, |world| {
        let options = TaskOptions::new().timeout(Duration::ZERO);
        _ = world.threads.with(options).map(|n: u64| n, 0..20).count();
    }),
    ("as_completed", 1, |world| _ = as_completed(few(world)).count()),
    ("as_completed and drop", 1, |world| drop(as_completed(few(world)).next())),
    ("as_completed of one that is pending", 1, |world| {
        _ = as_completed([&world.pending]).next_timeout(Duration::ZERO);
        drop(as_completed([&world.pending]).into_unfinished());
    }),
    ("wait", 1, |world| drop(wait(few(world), None, ReturnWhen::AllCompleted))),
    ("wait for the first", 1, |world| drop(wait(few(world), None, ReturnWhen::FirstCompleted))),
    ("wait for one that is pending", 1, |world| {
        drop(wait([&world.pending], Duration::from_nanos(1), ReturnWhen::AllCompleted));
        world.pending.wait_timeout(Duration::from_nanos(1));
    }),
    ("await", 1, |world| few(world).into_iter().for_each(poll_once)),
    ("scope", 1, |world| {
        let sum = AtomicUsize::new(0);
        world.threads.scope(|scope| {
            for n in 0..4 {
                let sum = &sum;
                scope.spawn(move || sum.fetch_add(n, Ordering::Relaxed)).detach();
            }
        });
    }),
    ("task::current", 1, |world| drop(world.threads.spawn(task::current).result())),
    ("time limit", 1, |world| {
        drop(world.threads.with(TaskOptions::new().time_limit(LONG)).spawn(|| 1).result());
    }),
    ("time limit that is over", 10, |world| {
        drop(world.threads.with(TaskOptions::new().time_limit(Duration::from_nanos(1))).spawn(|| 1).result());
    }),
    ("callbacks", 1, |world| {
        for future in few(world) {
            let bytes = vec![0; 100];
            future.add_done_callback(move |_| drop(bytes));
        }
    }),
    ("share", 1, |world| {
        for future in few(world) {
            let shared = future.share();
            let other = shared.clone();
            shared.add_done_callback(move |_| drop(other));
        }
    }),
    ("share and await", 1, |world| {
        for future in few(world) {
            let shared = future.share();
            poll_once(&shared);
            drop(shared.result());
        }
    }),
    ("promise", 1, |_| {
        let (promise, future) = promise::<Vec<u8>>();
        future.add_done_callback(|_| {});
        drop(promise);
        drop(future);
    }),
    ("a promise that holds its own future", 1, |_| {
        let (promise, future) = promise::<Arc<str>>();
        let shared = future.share();
        let other = shared.clone();
        shared.add_done_callback(move |_| drop(other));
        assert!(promise.start() && promise.complete(Ok("text".into())));
    }),
    ("a pool", 100, |_| {
        let threads = ThreadPoolExecutor::new(2);
        let future = threads.with(TaskOptions::new().time_limit(LONG)).spawn(|| 1);
        drop(threads.map(|n: u64| n, 0..100));
        drop(threads);
        assert_eq!(future.result().unwrap(), 1);
    }),
    ("a pool that is shut down at once", 100, |_| {
        let threads = ThreadPoolExecutor::new(1);
        let future = threads.spawn(|| 1);
        threads.shutdown_now();
        assert!(matches!(threads.spawn(|| 1).result(), Err(Error::ShutDown)));
        drop(future);
    }),
];

/// So often it is waited for all, or the queue would need more and more room.
const PAUSE: usize = 16;

/// Repeats each, and looks how many bytes more there are than before.
fn watch(world: &World, operations: &[Operation], runs: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, rarer, operation) in operations {
        let runs = (runs / rarer).max(1);
        let repeat = |runs| {
            for run in 0..runs {
                operation(world);
                if run % PAUSE == 0 || run == runs - 1 {
                    // What was before it is gone.
                    drop(world.threads.spawn(|| ()).result());
                }
            }
        };
        // Queues and tables get the room that they need.
        repeat(runs.div_ceil(2));
        let before = live(());
        repeat(runs);
        let growth = live(()) - before;
        println!("{name}: {growth} bytes more after {runs} runs");
        if !is_flat(growth, runs) {
            complaints.push(format!("{name}: {growth} bytes more after {runs} runs"));
        }
    }
    complaints
}

/// The least that could be left is a word a time. What a thread keeps for its next task comes and goes.
fn is_flat(growth: isize, runs: usize) -> bool {
    growth < isize::try_from(8 * runs).unwrap_or(isize::MAX).max(4096)
}

#[cfg(feature = "auto-entry")]
mod processes {
    use concurrent_futures::{Bytes, ProcessPoolExecutor};

    use super::*;

    pub(super) type OnProcesses = (&'static str, usize, fn(&ProcessPoolExecutor));

    fn few(pool: &ProcessPoolExecutor) -> Vec<Future<u64>> {
        (0..4).map(|n| pool.submit(|n| n, n)).collect()
    }

    const LENGTH: usize = 300 << 10;

    pub(super) const OPERATIONS: &[OnProcesses] = &[
        ("processes: submit and result", 1, |pool| drop(pool.submit(|n: u64| n, 1).result())),
        ("processes: submit and drop", 1, |pool| drop(few(pool))),
        ("processes: panic", 10, |pool| {
            drop(pool.submit(|(): ()| -> () { std::panic::resume_unwind(Box::new("on purpose")) }, ()).result());
        }),
        ("processes: error", 1, |pool| drop(pool.try_submit(|(): ()| Err::<(), _>("on purpose"), ()).result())),
        ("processes: cancel", 1, |pool| few(pool).iter().for_each(|future| _ = future.cancel())),
        ("processes: cancel_pending", 1, |pool| {
            let futures = few(pool);
            pool.cancel_pending();
            drop(futures);
        }),
        ("processes: time limit", 1, |pool| {
            drop(pool.with(TaskOptions::new().time_limit(LONG)).submit(|n: u64| n, 1).result());
        }),
        ("processes: callbacks", 1, |pool| {
            for future in few(pool) {
                let bytes = vec![0; 100];
                future.add_done_callback(move |_| drop(bytes));
            }
        }),
        ("processes: share", 1, |pool| {
            for future in few(pool) {
                let shared = future.share();
                let other = shared.clone();
                shared.add_done_callback(move |_| drop(other));
            }
        }),
        ("processes: as_completed", 1, |pool| drop(as_completed(few(pool)).next())),
        ("processes: wait", 1, |pool| drop(wait(few(pool), None, ReturnWhen::AllCompleted))),
        ("processes: await", 1, |pool| few(pool).into_iter().for_each(poll_once)),
        ("processes: map", 10, |pool| assert_eq!(pool.map(|n: u64| n, 0..100).count(), 100)),
        ("processes: map and drop", 10, |pool| drop(pool.map(|n: u64| n, 0..100).next())),
        ("processes: map_unordered", 10, |pool| _ = pool.map_unordered(|n: u64| n, 0..100).take(50).count()),
        ("processes: map with a buffer", 10, |pool| {
            _ = pool.with(TaskOptions::new().buffer_size(3)).map(|n: u64| n, 0..).take(20).count();
        }),
        ("processes: map in chunks", 10, |pool| {
            _ = pool.with(TaskOptions::new().chunk_size(7)).map(|n: u64| n, 0..100).count();
        }),
        ("processes: bytes there and back", 10, |pool| {
            drop(pool.submit(|bytes: Bytes| bytes, Bytes::from(vec![7; LENGTH])).result());
        }),
        ("processes: bytes, dropped", 10, |pool| {
            drop(pool.submit(|bytes: Bytes| bytes, Bytes::from(vec![7; LENGTH])));
            drop(pool.submit(|bytes: Bytes| bytes.len(), Bytes::from(vec![7; LENGTH])).result());
        }),
        ("processes: bytes, cancelled", 10, |pool| {
            let futures = [(); 3].map(|()| pool.submit(|bytes: Bytes| bytes.len(), Bytes::from(vec![7; LENGTH])));
            futures.iter().for_each(|future| _ = future.cancel());
        }),
    ];

    /// These end workers: what they keep is not asked for.
    pub(super) const ENDS: &[OnProcesses] = &[
        ("processes: abort", 100, |pool| {
            for future in few(pool) {
                future.abort();
            }
        }),
        ("processes: workers that exit", 100, |pool| {
            drop(pool.submit(|code: i32| -> () { std::process::exit(code) }, 3).result());
        }),
        ("processes: a pool", 100, |_| {
            let pool = ProcessPoolExecutor::new(1);
            drop(pool.submit(|bytes: Bytes| bytes, Bytes::from(vec![7; LENGTH])).result());
            drop(pool.map(|n: u64| n, 0..100));
        }),
    ];

    /// As for threads, and in the worker as well.
    pub(super) fn watch(operations: &[OnProcesses], runs: usize, also_in_worker: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        let pool = ProcessPoolExecutor::new(1);
        for (name, rarer, operation) in operations {
            let runs = (runs / rarer).max(1);
            let repeat = |runs| {
                let mut there = 0;
                for run in 0..runs {
                    operation(&pool);
                    if run % PAUSE == 0 || run == runs - 1 {
                        // All before it have ended.
                        there = pool.submit(live, ()).result().expect("it works");
                    }
                }
                there
            };
            let (there, here) = (repeat(runs.div_ceil(2)), live(()));
            let (there, here) = (repeat(runs) - there, live(()) - here);
            println!("{name}: {here} bytes more after {runs} runs, and {there} in the worker");
            if !is_flat(here, runs) || also_in_worker && !is_flat(there, runs) {
                complaints.push(format!("{name}: {here} bytes more after {runs} runs, and {there} in the worker"));
            }
        }
        complaints
    }
}

#[test]
fn what_is_done_again_and_again_leaves_nothing() {
    let runs = std::env::var("GROWTH_RUNS").map_or(1000, |text| text.parse().expect("a number"));
    let (promise, pending) = promise();
    let world = World { threads: ThreadPoolExecutor::new(1), _promise: promise, pending };
    let mut complaints = Vec::new();
    complaints.extend(watch(&world, ON_THREADS, runs));
    #[cfg(feature = "auto-entry")]
    {
        complaints.extend(processes::watch(processes::OPERATIONS, runs, true));
        complaints.extend(processes::watch(processes::ENDS, runs, false));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
