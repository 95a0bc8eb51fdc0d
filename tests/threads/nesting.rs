//! Tasks that submit to their own executor and wait: at any depth, in any way, on one worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Duration;

use concurrent_futures::{
    Backend, Executor, Future, MapOptions, ReturnWhen, TaskOptions, ThreadPoolExecutor, as_completed, promise, wait,
};

use super::support::*;

pub(super) type Threads = Arc<ThreadPoolExecutor>;

/// Has `level` of a smaller depth run as a task, and waits for it in one way or another.
type Step = fn(&Threads, u32) -> u32;

pub(super) fn one_worker() -> Threads {
    Arc::new(ThreadPoolExecutor::new(1))
}

fn level(threads: &Threads, depth: u32, step: Step) -> u32 {
    if depth == 0 { 0 } else { step(threads, depth - 1) + 1 }
}

fn spawn(threads: &Threads, depth: u32, step: Step) -> Future<u32> {
    let own = Arc::clone(threads);
    threads.spawn(move || level(&own, depth, step))
}

/// Runs a test's body, and fails if it hangs. One at a time where addresses have 32 bits: a thousand threads take half of what there is
/// for stacks, and when no more can be started, each level's panic quotes that of the next one until the texts take all memory.
pub(super) fn in_time<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = cfg!(target_pointer_width = "32").then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    within(LONG, body)
}

/// Goes down `depth` levels in one way, with one worker and with three, and leaves no worker too many.
fn descend(depth: u32, step: Step) {
    in_time(move || {
        for workers in [1, 3] {
            let threads = Arc::new(ThreadPoolExecutor::new(workers));
            assert_eq!(spawn(&threads, depth, step).result().unwrap(), depth);
            threads.shutdown();
            let stats = threads.stats();
            assert_eq!((stats.workers, stats.running, stats.pending), (0, 0, 0));
            assert_eq!(stats.completed, u64::from(depth) + 1);
        }
    });
}

#[test]
fn ten_thousand_levels_by_result() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        spawn(threads, depth, step).result().unwrap()
    }
    descend(10_000, step);
}

/// A level takes a kilobyte or two of stack, and each worker has a megabyte for them, half of its stack.
const A_HANDFUL: usize = 64;

fn levels(threads: &Threads, depth: u32) -> Future<u32> {
    fn step(threads: &Threads, depth: u32) -> u32 {
        spawn(threads, depth, step).result().unwrap()
    }
    spawn(threads, depth, step)
}

#[test]
fn ten_thousand_levels_take_few_threads() {
    in_time(|| {
        for workers in [1, 3] {
            let (started, threads) = counted(workers);
            assert_eq!(levels(&threads, 10_000).result().unwrap(), 10_000);
            let started = started.load(Ordering::Relaxed);
            assert!(started <= A_HANDFUL, "{started} threads");
        }
    });
}

/// A pool that counts the threads that it has started.
fn counted(workers: usize) -> (Arc<AtomicUsize>, Threads) {
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let initializer = move || {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let builder = ThreadPoolExecutor::builder().max_workers(workers).initializer(initializer);
    (started, Arc::new(builder.build().unwrap()))
}

#[test]
fn levels_that_use_much_stack_take_more_threads() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let much = std::hint::black_box([1_u8; 100 << 10]);
        spawn(threads, depth, step).result().unwrap() + u32::from(much[0]) - 1
    }
    in_time(|| {
        let (started, threads) = counted(1);
        assert_eq!(spawn(&threads, 200, step).result().unwrap(), 200);
        let started = started.load(Ordering::Relaxed);
        assert!((200 / 10..=200 / 4).contains(&started), "{started} threads");
    });
}

#[test]
fn a_deep_task_ends_before_the_next_begins() {
    // Else each would hold ten threads or so, until all have begun. The worker that is done with the deepest level may begin the next
    // before those that wait for it have left.
    fn down(threads: &Threads, depth: u32, most: &Arc<AtomicUsize>) -> u32 {
        if depth == 0 {
            most.fetch_max(threads.stats().workers, Ordering::Relaxed);
            return 0;
        }
        let (own, also) = (Arc::clone(threads), Arc::clone(most));
        threads.spawn(move || down(&own, depth - 1, &also)).result().unwrap() + 1
    }
    in_time(|| {
        for workers in [1, 2] {
            let threads = Arc::new(ThreadPoolExecutor::new(workers));
            let most = Arc::new(AtomicUsize::new(0));
            let roots: Vec<_> = (0..100)
                .map(|_| {
                    let (own, most) = (Arc::clone(&threads), Arc::clone(&most));
                    threads.spawn(move || down(&own, 2000, &most))
                })
                .collect();
            for root in roots {
                assert_eq!(root.result().unwrap(), 2000);
            }
            let most = most.load(Ordering::Relaxed);
            assert!(most <= A_HANDFUL * workers, "{most} threads");
        }
    });
}

#[test]
fn ten_thousand_levels_by_wait() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn(threads, depth, step);
        future.wait();
        future.result().unwrap()
    }
    descend(10_000, step);
}

#[test]
fn ten_thousand_levels_by_a_shared_result() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn(threads, depth, step).share();
        assert!(future.error().is_none());
        *future.result().unwrap()
    }
    descend(10_000, step);
}

#[test]
fn ten_thousand_levels_by_plain_functions() {
    // A plain function finds its executor in a static.
    static THREADS: Mutex<Option<Threads>> = Mutex::new(None);
    fn down(depth: u32) -> u32 {
        let threads = THREADS.lock().unwrap().clone().unwrap();
        if depth == 0 { 0 } else { Executor::submit(&*threads, down, depth - 1).result().unwrap() + 1 }
    }
    in_time(|| {
        let threads = one_worker();
        *THREADS.lock().unwrap() = Some(Arc::clone(&threads));
        assert_eq!(threads.submit(down, 10_000).result().unwrap(), 10_000);
        *THREADS.lock().unwrap() = None;
    });
}

#[test]
fn levels_by_map() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let own = Arc::clone(threads);
        let mut map = threads.map(move |depth| level(&own, depth, step), [depth]);
        map.next().unwrap().unwrap()
    }
    descend(10_000, step);
}

#[test]
fn levels_by_map_in_chunks() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let own = Arc::clone(threads);
        let chunks = threads.with(MapOptions::new().chunk_size(2).buffer_size(2));
        let outcomes: Vec<_> = chunks.map(move |depth| level(&own, depth, step), [depth, 0, 0]).collect();
        assert_eq!(outcomes.len(), 3);
        outcomes.into_iter().next().unwrap().unwrap()
    }
    in_time(|| assert_eq!(spawn(&one_worker(), 2000, step).result().unwrap(), 2000));
}

#[test]
fn levels_by_map_with_a_timeout() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let own = Arc::clone(threads);
        let timed = threads.with(MapOptions::new().timeout(LONG));
        timed.map(move |depth| level(&own, depth, step), [depth]).next().unwrap().unwrap()
    }
    descend(1000, step);
}

#[test]
fn levels_by_map_unordered() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let own = Arc::clone(threads);
        threads.map_unordered(move |depth| level(&own, depth, step), [depth]).next().unwrap().1.unwrap()
    }
    descend(1000, step);
}

fn by_waiting(threads: &Threads, depth: u32, step: Step, timeout: Option<Duration>, return_when: ReturnWhen) -> u32 {
    let mut waited = wait([spawn(threads, depth, step)], timeout, return_when);
    waited.done.remove(0).result().unwrap()
}

#[test]
fn levels_by_wait_for_all() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        by_waiting(threads, depth, step, None, ReturnWhen::AllCompleted)
    }
    descend(10_000, step);
}

#[test]
fn levels_by_wait_for_all_with_a_limit() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        by_waiting(threads, depth, step, Some(LONG), ReturnWhen::AllCompleted)
    }
    descend(1000, step);
}

#[test]
fn levels_by_wait_for_the_first() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        by_waiting(threads, depth, step, None, ReturnWhen::FirstCompleted)
    }
    descend(1000, step);
}

#[test]
fn levels_by_wait_for_the_first_error() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        by_waiting(threads, depth, step, None, ReturnWhen::FirstError)
    }
    descend(1000, step);
}

#[test]
fn levels_by_as_completed() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        as_completed([spawn(threads, depth, step)]).next().unwrap().result().unwrap()
    }
    descend(1000, step);
}

#[test]
fn levels_by_next_timeout() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let mut all = as_completed([spawn(threads, depth, step)]);
        all.next_timeout(LONG).unwrap().unwrap().result().unwrap()
    }
    descend(1000, step);
}

#[test]
fn levels_by_result_timeout() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        spawn(threads, depth, step).result_timeout(LONG).unwrap().unwrap()
    }
    descend(1000, step);
}

#[test]
fn levels_by_wait_timeout_without_end() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn(threads, depth, step);
        assert!(future.wait_timeout(Duration::MAX));
        future.result().unwrap()
    }
    descend(1000, step);
}

#[test]
fn levels_by_await() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn(threads, depth, step);
        block_on(async { future.await.unwrap() })
    }
    descend(10_000, step);
}

#[test]
fn levels_by_await_of_a_shared_future() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn(threads, depth, step).share();
        block_on(async { *(&future).await.unwrap() })
    }
    descend(10_000, step);
}

fn spawn_limited(threads: &Threads, depth: u32, step: Step) -> Future<u32> {
    let own = Arc::clone(threads);
    threads.with(TaskOptions::new().time_limit(LONG)).spawn(move || level(&own, depth, step))
}

#[test]
fn levels_of_tasks_with_time_limits() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        spawn_limited(threads, depth, step).result().unwrap()
    }
    descend(1000, step);
}

#[test]
fn levels_of_tasks_with_time_limits_by_wait() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let futures = [spawn_limited(threads, depth, step), spawn_limited(threads, 0, step)];
        wait(futures, None, ReturnWhen::AllCompleted).done.remove(0).result().unwrap()
    }
    in_time(|| assert_eq!(spawn(&one_worker(), 1000, step).result().unwrap(), 1000));
}

#[test]
fn levels_of_tasks_with_time_limits_by_await() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn_limited(threads, depth, step);
        block_on(async { future.await.unwrap() })
    }
    descend(1000, step);
}

#[test]
fn levels_of_tasks_with_time_limits_by_await_of_a_shared_future() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let future = spawn_limited(threads, depth, step).share();
        block_on(async { *(&future).await.unwrap() })
    }
    descend(1000, step);
}

#[test]
fn levels_by_scope() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let mut result = 0;
        threads.scope(|scope| scope.spawn(|| result = level(threads, depth, step)).detach());
        result
    }
    descend(10_000, step);
}

#[test]
fn levels_beyond_a_bounded_queue() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        let (next, other) = (spawn(threads, depth, step), spawn(threads, 0, step));
        next.result().unwrap() + other.result().unwrap()
    }
    in_time(|| {
        let threads = Arc::new(ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap());
        assert_eq!(spawn(&threads, 2000, step).result().unwrap(), 2000);
    });
}

#[test]
fn levels_while_closing() {
    fn by_result(threads: &Threads, depth: u32) -> u32 {
        spawn(threads, depth, by_result).result().unwrap()
    }
    fn by_limit(threads: &Threads, depth: u32) -> u32 {
        spawn(threads, depth, by_limit).result_timeout(LONG).unwrap().unwrap()
    }
    fn by_time_limit(threads: &Threads, depth: u32) -> u32 {
        spawn_limited(threads, depth, by_time_limit).result().unwrap()
    }
    in_time(|| {
        for (depth, step) in [(10_000, by_result as Step), (1000, by_limit), (1000, by_time_limit)] {
            let (threads, gate) = (one_worker(), Gate::default());
            let (own, hold, (started, wait_for_start)) = (Arc::clone(&threads), gate.clone(), channel());
            let outer = threads.spawn(move || {
                started.send(()).unwrap();
                hold.pass();
                level(&own, depth, step)
            });
            soon(&wait_for_start);
            threads.close();
            gate.open();
            assert_eq!(outer.result().unwrap(), depth);
            threads.shutdown();
            assert_eq!(threads.stats().workers, 0);
        }
    });
}

#[test]
fn a_tree_of_tasks() {
    fn fibonacci(threads: &Threads, n: u32) -> u32 {
        if n < 2 {
            return n;
        }
        let [left, right] = [n - 1, n - 2].map(|n| {
            let own = Arc::clone(threads);
            threads.spawn(move || fibonacci(&own, n))
        });
        // Last things first, and half of the time with a spare worker.
        let right = if n.is_multiple_of(2) { right.result() } else { right.result_timeout(LONG).unwrap() };
        right.unwrap() + left.result().unwrap()
    }
    in_time(|| {
        for workers in 1..=4 {
            assert_eq!(fibonacci(&Arc::new(ThreadPoolExecutor::new(workers)), 16), 987);
        }
    });
}

#[test]
fn spare_workers_leave_when_they_are_no_longer_needed() {
    fn step(threads: &Threads, depth: u32) -> u32 {
        spawn(threads, depth, step).result_timeout(LONG).unwrap().unwrap()
    }
    in_time(|| {
        let (initializer, ended) = thread_ends();
        let threads = Arc::new(ThreadPoolExecutor::builder().max_workers(2).initializer(initializer).build().unwrap());
        assert_eq!(spawn(&threads, 50, step).result().unwrap(), 50);
        // Each blocked a worker but the last. Now two may stay, and each of the others tells when it has left.
        while threads.stats().workers > 2 {
            soon(&ended);
        }
    });
}

#[test]
fn awaited_tasks_with_time_limits_run_at_the_same_time() {
    in_time(|| {
        let threads = Arc::new(ThreadPoolExecutor::new(2));
        let own = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let limited = own.with(TaskOptions::new().time_limit(LONG));
            let barrier = Arc::new(Barrier::new(2));
            // Their waiter does not run them, because it is no worker meanwhile: the two others do.
            let meet = || {
                let barrier = Arc::clone(&barrier);
                move || barrier.wait().is_leader()
            };
            let inner: Vec<_> = (0..2).map(|_| limited.spawn(meet())).collect();
            wait(inner, None, ReturnWhen::AllCompleted).done.len()
        });
        assert_eq!(outer.result().unwrap(), 2);
    });
}

#[test]
fn a_spare_worker_that_sleeps_is_woken_to_leave() {
    in_time(|| {
        // Whether it sleeps by then is unknown: often enough, it does.
        for _ in 0..20 {
            let (initializer, ended) = thread_ends();
            let threads = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
            let ((promise, promised), gate) = (promise::<u8>(), Gate::default());
            let hold = gate.clone();
            let waiting = threads.spawn(move || {
                promised.wait();
                hold.pass();
            });
            // While that one waits, a spare worker runs this one.
            threads.spawn(|| ()).result().unwrap();
            promise.complete(Ok(1));
            soon(&ended);
            gate.open();
            waiting.result().unwrap();
        }
    });
}

/// The deadlock of Python's own documentation: each of two tasks waits for the future of the other one's work.
#[test]
fn tasks_that_wait_for_children_of_each_other_end() {
    in_time(|| {
        let threads = Arc::new(ThreadPoolExecutor::new(2));
        let meet = Arc::new(Barrier::new(2));
        let parents = [1, 2].map(|n| {
            let (threads, meet) = (Arc::clone(&threads), Arc::clone(&meet));
            let inside = Arc::clone(&threads);
            threads.spawn(move || {
                // Both workers are taken when the children come.
                meet.wait();
                let children: Vec<Future<u64>> = (0..4).map(|child| inside.spawn(move || n * child)).collect();
                children.into_iter().map(|child| child.result().unwrap()).sum::<u64>()
            })
        });
        assert_eq!(parents.map(|parent| parent.result().unwrap()), [6, 12]);
    });
}
