//! How often the crate allocates: once for a task and its result, never to queue, wait or take.
//!
//! A binary of its own, with one test: the counter sees every thread of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use concurrent_futures::{
    AsCompleted, Executor, Future, InlineExecutor, ReturnWhen, ThreadPoolExecutor, as_completed, promise, wait,
};
use parking_lot::{Condvar, Mutex};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicIsize = AtomicIsize::new(0);

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `body` made, in every thread.
fn allocations(body: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    body();
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

const TASKS: usize = 10_000;

fn round_trips(threads: &ThreadPoolExecutor) {
    for number in 0..TASKS {
        let captured = [number; 8];
        let sum = threads.submit(move |n: usize| captured.iter().sum::<usize>() + n, number).result();
        assert_eq!(sum.unwrap(), 9 * number);
    }
}

fn flood(threads: &ThreadPoolExecutor, futures: &mut Vec<Future<usize>>) {
    futures.extend((0..TASKS).map(|number| threads.spawn(move || number)));
    for future in futures.drain(..) {
        future.result().unwrap();
    }
}

#[test]
fn a_task_is_one_allocation_and_a_wait_is_none() {
    let threads = ThreadPoolExecutor::new(2);
    let mut futures = Vec::with_capacity(TASKS);
    // Start the workers, grow the queue and the tables of the locks: with both workers held, all tasks are queued.
    round_trips(&threads);
    let all_held = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let all_held = Arc::clone(&all_held);
        let hold = move || {
            all_held.wait();
            // The first time that a thread sleeps grows the tables. A worker that always found a task has not slept yet.
            Condvar::new().wait_for(&mut Mutex::new(()).lock(), Duration::from_nanos(1));
            all_held.wait();
        };
        threads.spawn(hold).detach();
    }
    all_held.wait();
    futures.extend((0..TASKS).map(|number| threads.spawn(move || number)));
    all_held.wait();
    flood(&threads, &mut futures);

    assert_eq!(allocations(|| round_trips(&threads)), TASKS, "submit, run and result");
    assert_eq!(allocations(|| flood(&threads, &mut futures)), TASKS, "a queue that has grown once");

    let inline = || (0..1000_u64).for_each(|n| assert_eq!(InlineExecutor.submit(|n: u64| n, n).result().unwrap(), n));
    inline();
    assert_eq!(allocations(inline), 1000, "inline");

    let promises = || {
        for number in 0..1000 {
            let (promise, future) = promise();
            promise.start();
            promise.complete(Ok(number));
            assert_eq!(future.result().unwrap(), number);
        }
    };
    assert_eq!(allocations(promises), 1000, "a promise and its future");

    let (_promise, pending) = promise::<u8>();
    let one = allocations(|| {
        for _ in 0..100 {
            assert!(!pending.is_done() && !pending.wait_timeout(Duration::ZERO));
            assert!(!pending.wait_timeout(Duration::from_nanos(1)));
        }
    });
    assert_eq!(one, 0, "looking at a future, and waiting for one");

    let wait_for = |count: usize, done: bool| {
        let futures: Vec<_> = (0..count).map(|_| promise::<u8>()).collect();
        if done {
            futures.iter().for_each(|(_, future)| assert!(future.cancel()));
        }
        let lent: Vec<_> = futures.iter().map(|(_, future)| future).collect();
        let waits = allocations(|| {
            let waited = wait(lent, Duration::from_nanos(1), ReturnWhen::AllCompleted);
            assert_eq!(waited.done.len(), if done { count } else { 0 });
        });
        let live = LIVE.load(Ordering::SeqCst);
        for _ in 0..100 {
            let lent = futures.iter().map(|(_, future)| future);
            drop(wait(lent, Duration::from_nanos(1), ReturnWhen::FirstCompleted));
        }
        assert!(LIVE.load(Ordering::SeqCst) <= live, "a wait leaves nothing behind");
        waits
    };
    wait_for(64, false);
    assert_eq!([wait_for(64, true), wait_for(4096, true)], [1, 1], "a wait costs the same for any number");
    // What is not done moves to a list of its own, which grows by doubling.
    assert!(wait_for(4096, false) <= 1 + 12);

    let (promises, futures): (Vec<_>, Vec<_>) = (0..64).map(|_| promise::<u8>()).unzip();
    let mut promises = promises.into_iter();
    for way in [|completed| drop(completed), |completed: AsCompleted<_>| drop(completed.into_unfinished())] {
        // Some have come out before.
        promises.next().map(|promise| promise.complete(Ok(1)));
        let leave = || {
            let mut completed = as_completed(&futures);
            assert!(completed.next_timeout(Duration::ZERO).is_ok());
            way(completed);
        };
        leave();
        let live = LIVE.load(Ordering::SeqCst);
        (0..100).for_each(|_| leave());
        assert!(LIVE.load(Ordering::SeqCst) <= live, "futures in completion order leave nothing behind");
    }

    let map = || assert_eq!(threads.map(|n: usize| n, 0..10).map(Result::unwrap).sum::<usize>(), 45);
    map();
    let live = LIVE.load(Ordering::SeqCst);
    (0..100).for_each(|_| map());
    assert!(LIVE.load(Ordering::SeqCst) < live + 50, "a map leaves nothing behind");

    threads.scope(|scope| {
        let live = LIVE.load(Ordering::SeqCst);
        (0..5000).for_each(|_| scope.spawn(|| ()).result().unwrap());
        assert!(LIVE.load(Ordering::SeqCst) < live + 500, "a scope forgets tasks that have ended");
    });
}
