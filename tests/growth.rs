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
    Backend, Error, Executor, Future, InlineExecutor, MapOptions, Promise, ReturnWhen, TaskOptions, ThreadPoolExecutor,
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

/// Panics with a text when it is dropped.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("on purpose".to_owned()));
    }
}

fn few(world: &World) -> Vec<Future<u64>> {
    (0..4).map(|n| world.threads.spawn(move || n)).collect()
}

fn poll_once<F: IntoFuture<IntoFuture: std::future::Future + Unpin>>(future: F) {
    let mut awaiting = future.into_future();
    let polled = std::future::Future::poll(std::pin::Pin::new(&mut awaiting), &mut Context::from_waker(Waker::noop()));
    drop(polled);
}

/// What is done again and again, and how much rarer than the others.
type Operations<F> = &'static [(&'static str, usize, F)];

/// With the futures of any pool.
const ON_FUTURES: Operations<fn(Vec<Future<u64>>)> = &[
    ("submit and drop", 1, drop),
    ("cancel", 1, |futures| futures.iter().for_each(|future| _ = future.cancel())),
    ("as_completed", 1, |futures| _ = as_completed(futures).count()),
    ("as_completed and drop", 1, |futures| drop(as_completed(futures).next())),
    ("wait", 1, |futures| drop(wait(futures, None, ReturnWhen::AllCompleted))),
    ("wait for the first", 1, |futures| drop(wait(futures, None, ReturnWhen::FirstCompleted))),
    ("await", 1, |futures| futures.into_iter().for_each(poll_once)),
    ("callbacks", 1, |futures| {
        for future in futures {
            let bytes = vec![0; 100];
            future.add_done_callback(move |_| drop(bytes));
        }
    }),
    ("share", 1, |futures| {
        for shared in futures.into_iter().map(Future::share) {
            let other = shared.clone();
            shared.add_done_callback(move |_| drop(other));
        }
    }),
    ("share and await", 1, |futures| {
        for shared in futures.into_iter().map(Future::share) {
            poll_once(&shared);
            drop(shared.result());
        }
    }),
];

const ON_THREADS: Operations<fn(&World)> = &[
    ("submit and result", 1, |world| drop(world.threads.submit(|n: u64| n, 1).result())),
    ("detach", 1, |world| world.threads.spawn(|| vec![0; 100]).detach()),
    ("bind", 1, |world| drop(world.threads.bind(|n: u64| n)(1).result())),
    ("inline", 1, |_| drop(InlineExecutor.submit(|n: u64| n, 1).result())),
    ("panic", 10, |world| drop(world.threads.spawn(|| std::panic::resume_unwind(Box::new("on purpose"))).result())),
    ("a drop that panics", 1, |world| world.threads.spawn(|| PanicsOnDrop).detach()),
    ("error", 1, |world| drop(world.threads.try_spawn(|| Err::<(), _>("on purpose")).result())),
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
        let options = MapOptions::new().buffer_size(3).timeout(LONG);
        _ = world.threads.with(options).map(|n: u64| n, 0..).take(20).count();
    }),
    ("map with a timeout", 10, |world| {
        let options = MapOptions::new().timeout(Duration::ZERO);
        _ = world.threads.with(options).map(|n: u64| n, 0..20).count();
    }),
    ("as_completed of one that is pending", 1, |world| {
        _ = as_completed([&world.pending]).next_timeout(Duration::ZERO);
        drop(as_completed([&world.pending]).into_unfinished());
    }),
    ("wait for one that is pending", 1, |world| {
        drop(wait([&world.pending], Duration::from_nanos(1), ReturnWhen::AllCompleted));
        world.pending.wait_timeout(Duration::from_nanos(1));
    }),
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
    ("retries", 1, |world| {
        let persistent = world.threads.with(TaskOptions::new().retries(2).retry_if(|_| true));
        drop(persistent.try_submit(|bytes: Vec<u8>| Err::<(), _>(bytes.len().to_string()), vec![0; 100]).result());
    }),
    ("retries and a pause that is ended", 10, |world| {
        let options = TaskOptions::new().retries(2).retry_if(|_| true).back_off(LONG * 10_000, LONG * 10_000);
        let paused = world.threads.with(options).try_submit(|_| Err::<(), _>("on purpose"), vec![0; 100]);
        world.threads.spawn(|| ()).wait();
        assert!(paused.cancel());
    }),
    ("submit_after of one that is pending, and cancel", 1, |world| {
        let (promise, input) = promise::<u64>();
        assert!(world.threads.submit_after(input, |n| n + 1).cancel());
        drop(promise);
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

/// So often all is waited for, or the queue would need more and more room.
const PAUSE: usize = 16;

struct Watch<'a> {
    runs: usize,
    /// Returns once all before it is gone, with how many bytes the worker has, where that is another process.
    catch_up: Box<dyn Fn() -> isize + 'a>,
    /// Of what was not flat.
    complaints: Vec<String>,
}

impl Watch<'_> {
    /// Repeats it, and looks how many bytes more there are than before.
    fn repeat(&mut self, name: &str, rarer: usize, operation: impl Fn()) {
        let runs = (self.runs / rarer).max(1);
        let repeat = |runs| {
            let mut there = 0;
            for run in 0..runs {
                operation();
                if run % PAUSE == 0 || run == runs - 1 {
                    there = (self.catch_up)();
                }
            }
            (there, live(()))
        };
        // Queues and tables get the room that they need.
        let before = repeat(runs.div_ceil(2));
        let after = repeat(runs);
        let (there, here) = (after.0 - before.0, after.1 - before.1);
        let found = format!("{name}: {here} bytes more after {runs} runs, and {there} in the worker");
        println!("{found}");
        if !is_flat(here, runs) || !is_flat(there, runs) {
            self.complaints.push(found);
        }
    }

    fn end(self) {
        assert!(self.complaints.is_empty(), "{}", self.complaints.join("\n"));
    }
}

/// The least that could be left is a word a time. What a thread keeps for its next task comes and goes.
fn is_flat(growth: isize, runs: usize) -> bool {
    growth < isize::try_from(8 * runs).unwrap_or(isize::MAX).max(4096)
}

#[cfg(automatic)]
mod processes {
    use concurrent_futures::{Bytes, ProcessPoolExecutor};

    use super::*;

    fn few(pool: &ProcessPoolExecutor) -> Vec<Future<u64>> {
        (0..4).map(|n| pool.submit(|n| n, n)).collect()
    }

    const LENGTH: usize = 300 << 10;

    const OPERATIONS: Operations<fn(&ProcessPoolExecutor)> = &[
        ("processes: submit and result", 1, |pool| drop(pool.submit(|n: u64| n, 1).result())),
        ("processes: panic", 10, |pool| {
            drop(pool.submit(|(): ()| -> () { std::panic::resume_unwind(Box::new("on purpose")) }, ()).result());
        }),
        ("processes: error", 1, |pool| drop(pool.try_submit(|(): ()| Err::<(), _>("on purpose"), ()).result())),
        ("processes: cancel_pending", 1, |pool| {
            let futures = few(pool);
            pool.cancel_pending();
            drop(futures);
        }),
        ("processes: time limit", 1, |pool| {
            drop(pool.with(TaskOptions::new().time_limit(LONG)).submit(|n: u64| n, 1).result());
        }),
        ("processes: map", 10, |pool| assert_eq!(pool.map(|n: u64| n, 0..100).count(), 100)),
        ("processes: map and drop", 10, |pool| drop(pool.map(|n: u64| n, 0..100).next())),
        ("processes: map_unordered", 10, |pool| _ = pool.map_unordered(|n: u64| n, 0..100).take(50).count()),
        ("processes: map with a buffer", 10, |pool| {
            _ = pool.with(MapOptions::new().buffer_size(3)).map(|n: u64| n, 0..).take(20).count();
        }),
        ("processes: map in chunks", 10, |pool| {
            _ = pool.with(MapOptions::new().chunk_size(7)).map(|n: u64| n, 0..100).count();
        }),
        ("processes: bytes there and back", 10, |pool| {
            drop(pool.submit(|bytes: Bytes| bytes, Bytes::from(vec![7; LENGTH])).result());
        }),
        ("processes: bytes, dropped", 10, |pool| {
            drop(pool.submit(|bytes: Bytes| bytes, Bytes::from(vec![7; LENGTH])));
            drop(pool.submit(|bytes: Bytes| bytes.len(), Bytes::from(vec![7; LENGTH])).result());
        }),
        // The worker may have the last one still: short enough not to count.
        ("processes: a context", 1, |pool| {
            let context = pool.with_context(vec![7_u64; 50]);
            drop(context.submit(|context, n: usize| context[n], 3).result());
            drop(context.map(|context, n: usize| context[n], 0..10).next());
        }),
        ("processes: bytes in a context", 10, |pool| {
            let context = pool.with_context(Bytes::from(vec![7; LENGTH]));
            drop(context.submit(|context, n: usize| context[n], 3).result());
        }),
        ("processes: a context, cancelled", 10, |pool| {
            let context = pool.with_context(vec![7_u64; 50]);
            context.submit(|context, n: usize| context[n], 3).cancel();
        }),
        ("processes: bytes, cancelled", 10, |pool| {
            let futures = [(); 3].map(|()| pool.submit(|bytes: Bytes| bytes.len(), Bytes::from(vec![7; LENGTH])));
            futures.iter().for_each(|future| _ = future.cancel());
        }),
    ];

    /// These end workers: what they keep is not asked for.
    const ENDS: Operations<fn(&ProcessPoolExecutor)> = &[
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

    pub(super) fn watch(runs: usize) {
        let pool = ProcessPoolExecutor::new(1);
        let catch_up = || pool.submit(live, ()).result().expect("it works");
        let mut watch = Watch { runs, catch_up: Box::new(catch_up), complaints: Vec::new() };
        for (name, rarer, operation) in ON_FUTURES {
            watch.repeat(&format!("processes: {name}"), *rarer, || operation(few(&pool)));
        }
        for (name, rarer, operation) in OPERATIONS {
            watch.repeat(name, *rarer, || operation(&pool));
        }
        watch.catch_up = Box::new(|| {
            catch_up();
            0
        });
        for (name, rarer, operation) in ENDS {
            watch.repeat(name, *rarer, || operation(&pool));
        }
        watch.end();
    }
}

#[test]
fn what_is_done_again_and_again_leaves_nothing() {
    let runs = std::env::var("GROWTH_RUNS").map_or(1000, |text| text.parse().expect("a number"));
    let (promise, pending) = promise();
    let world = World { threads: ThreadPoolExecutor::new(1), _promise: promise, pending };
    let catch_up = || {
        world.threads.spawn(|| ()).result().expect("it works");
        0
    };
    let mut watch = Watch { runs, catch_up: Box::new(catch_up), complaints: Vec::new() };
    for (name, rarer, operation) in ON_FUTURES {
        watch.repeat(name, *rarer, || operation(few(&world)));
    }
    for (name, rarer, operation) in ON_THREADS {
        watch.repeat(name, *rarer, || operation(&world));
    }
    watch.end();
    #[cfg(automatic)]
    processes::watch(runs);
}
