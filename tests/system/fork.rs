//! A program that forks while it has a pool.

use std::cell::Cell;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, Future, Outcome, ProcessPoolExecutor, ReturnWhen, TaskOptions, ThreadPoolExecutor,
    as_completed, promise, wait,
};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_forked_copy_cannot_use_or_damage_the_pool", host: fork, check },
    Case { name: "a_forked_copy_cannot_use_a_pool_of_threads", host: fork_with_threads, check },
    Case { name: "tasks_pending_at_a_fork_are_lost_in_the_copy", host: fork_while_pending, check },
    Case { name: "a_pool_of_threads_is_forked_while_it_is_busy", host: fork_while_busy, check },
    Case { name: "a_task_on_a_thread_forks", host: fork_in_a_task, check },
    Case { name: "the_input_of_a_map_forks", host: fork_in_the_input, check },
    Case { name: "a_copy_has_pools_of_its_own", host: fork_while_tasks_are_cancelled, check },
];

/// Forks. Returns the copy, and `None` in the copy.
fn split() -> Option<Pid> {
    #[allow(unsafe_code)]
    // SAFETY: the copy calls what the C library allows in one: its locks for memory are whole there.
    Pid::from_raw(unsafe { libc::fork() })
}

/// Ends a copy with this code.
fn leave(code: i32) -> ! {
    #[allow(unsafe_code)]
    // SAFETY: ends the copy at once: nothing of the parent's runs in it.
    unsafe {
        libc::_exit(code)
    }
}

/// Returns the code that a copy ends with.
fn code_of(copy: Pid) -> i32 {
    let (_, status) = waitpid(Some(copy), WaitOptions::empty()).expect("our child").expect("it has ended");
    status.exit_status().unwrap_or(-1)
}

/// Forks; the copy runs `body` and ends with the code that it returns.
fn in_a_copy(body: impl FnOnce() -> i32) -> i32 {
    match split() {
        Some(copy) => code_of(copy),
        None => leave(body()),
    }
}

/// What goes wrong in the copy; 0 if nothing does.
fn look(pool: ProcessPoolExecutor) -> i32 {
    match pool.submit(pid, ()).result() {
        Err(Error::Broken(broken)) if broken.to_string().contains("forked copy") => {}
        _ => return 1,
    }
    for outcome in pool.map(|n: u8| n, 0..3) {
        if !matches!(outcome, Err(Error::Broken(_))) {
            return 2;
        }
    }
    pool.kill_workers();
    if pool.cancel_pending() != 0 || pool.join(None) {
        return 3;
    }
    pool.shutdown();
    drop(pool);
    // One of its own it may have.
    let own = ProcessPoolExecutor::new(1);
    if own.submit(|n: u8| n + 1, 1).result().is_ok_and(|two| two == 2) { 0 } else { 4 }
}

fn fork() {
    let pool = ProcessPoolExecutor::new(2);
    let checkpoint = Checkpoint::new();
    let futures: Vec<_> = (0..2).map(|_| pool.submit(stop_at, checkpoint.address())).collect();
    let calls = [checkpoint.arrived(), checkpoint.arrived()];
    let pending = pool.submit(pid, ());
    let mut pool = Some(pool);
    // The copy takes it; here it stays.
    let code = in_a_copy(|| look(pool.take().expect("a pool")));
    assert_eq!(code, 0);
    let pool = pool.expect("the copy has taken its own");
    drop(calls);
    for future in futures {
        future.result().expect("the copy does no harm");
    }
    pending.result().expect("nor to what waits");
    assert_works(&pool);
}

fn is_lost<T>(outcome: &Outcome<T>) -> bool {
    matches!(outcome, Err(Error::Broken(broken)) if broken.to_string().contains("forked copy"))
}

/// Polls once what is done.
fn poll<T>(future: Future<T>) -> Option<Outcome<T>> {
    match pin!(future.into_future()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// The number of the first of these that is not so; 0 if all are.
fn first_wrong(looks: impl IntoIterator<Item = bool>) -> i32 {
    looks.into_iter().position(|is_right| !is_right).map_or(0, |at| i32::try_from(at + 1).expect("few"))
}

fn look_at_threads(pool: ThreadPoolExecutor) -> i32 {
    let two = || [pool.spawn(|| 1), pool.spawn(|| 2)];
    let limited = pool.with(TaskOptions::new().time_limit(Duration::from_secs(1)));
    let code = first_wrong([
        is_lost(&pool.spawn(|| 1).result()),
        is_lost(&pool.submit(|n: u8| n, 1).result()),
        is_lost(&Executor::submit(&pool, |n: u8| n, 1).result()),
        is_lost(&limited.spawn(|| 1).result()),
        is_lost(&pool.spawn(|| 1).map(|n| n + 1).result()),
        is_lost(&pool.submit_after(two(), |[one, two]| one + two).result()),
        pool.map(|n: u8| n, 0..3).filter(is_lost).count() == 3,
        pool.map_unordered(|n: u8| n, 0..3).filter(|(_, outcome)| is_lost(outcome)).count() == 3,
        pool.wait(two(), None, ReturnWhen::AllCompleted).done.len() == 2,
        as_completed(two()).all(|future| is_lost(&future.result())),
        poll(pool.spawn(|| 1)).is_some_and(|outcome| is_lost(&outcome)),
        pool.scope(|scope| is_lost(&scope.spawn(|| 1).result())),
        pool.cancel_pending() == 0,
        !pool.join(None),
        pool.stats().workers == 0,
    ]);
    if code != 0 {
        return code;
    }
    pool.shutdown();
    pool.shutdown_now();
    drop(pool);
    // One of its own it may have.
    let own = ThreadPoolExecutor::new(1);
    if own.spawn(|| 2).result().is_ok_and(|two| two == 2) { 0 } else { 20 }
}

fn fork_with_threads() {
    for max_pending in [None, Some(5)] {
        let builder = ThreadPoolExecutor::builder().max_workers(2);
        let pool = max_pending.map_or(ThreadPoolExecutor::builder().max_workers(2), |most| builder.max_pending(most));
        let pool = pool.build().expect("a pool");
        pool.spawn(|| ()).result().expect("it works");
        let mut pool = Some(pool);
        assert_eq!(in_a_copy(|| look_at_threads(pool.take().expect("a pool"))), 0);
        assert_eq!(pool.expect("the copy has taken its own").spawn(|| 1).result().expect("it works"), 1);
    }
}

fn fork_while_pending() {
    let pool = ThreadPoolExecutor::new(2);
    let processes = ProcessPoolExecutor::new(1);
    let (hold, held) = channel::<()>();
    let running = pool.spawn(move || held.recv().is_err());
    let (hold_also, held_also) = channel::<()>();
    let mapped = Arc::new(std::sync::Mutex::new(held_also));
    let mut map = pool.map(move |n: u8| mapped.lock().expect("no panic").recv().is_err().then_some(n), 0..3);
    let queued = || pool.spawn(|| 1);
    // It has begun before the fork: a worker that is killed while it starts would be replaced by one that runs the task.
    let checkpoint = Checkpoint::new();
    let elsewhere = processes.submit(stop_at, checkpoint.address());
    let held_elsewhere = checkpoint.arrived();
    let mut all = as_completed([queued(), queued()]);
    let shared = queued().share();
    let (kept, promised) = promise();
    let [one, two, three, four] = [(); 4].map(|()| queued());
    let chained = [queued().map(|n| n + 1).map(|n| n + 1), pool.submit_after(queued(), |n| n + 1)];
    let mut lent = Some((running, map.by_ref(), &mut all, kept, promised, one, two, three, four, chained));
    let code = in_a_copy(|| {
        let (running, map, all, kept, promised, one, two, three, four, chained) = lent.take().expect("all of it");
        first_wrong([
            is_lost(&running.result()),
            map.filter(is_lost).count() == 3,
            is_lost(&elsewhere.result_timeout(Duration::from_secs(60)).unwrap_or(Ok(()))),
            all.all(|future| is_lost(&future.result())),
            shared.result().is_err() && shared.is_done(),
            is_lost(&one.result()),
            wait([&two, &three], None, ReturnWhen::AllCompleted).done.len() == 2,
            poll(four).is_some_and(|outcome| is_lost(&outcome)),
            chained.into_iter().all(|future| is_lost(&future.result())),
            // The copy may keep its own promise.
            kept.complete(Ok(1)) && promised.result().is_ok_and(|one| one == 1),
        ])
    });
    assert_eq!(code, 0);
    let text = String::from("a word");
    let code = pool.scope(|scope| {
        let lengths = [(); 3].map(|()| scope.spawn(|| text.len()));
        let code = in_a_copy(|| {
            let lost = pool.scope(|inner| is_lost(&inner.spawn(|| text.len()).result()));
            if lost && lengths.into_iter().all(|length| is_lost(&length.result())) { 0 } else { 1 }
        });
        // Until here both workers were held up, so nothing of the scope has run.
        drop((hold, hold_also));
        code
    });
    assert_eq!(code, 0);
    drop(held_elsewhere);
}

/// Another thread has the pool's lock, very likely.
fn fork_while_busy() {
    let (pool, is_over) = (Arc::new(ThreadPoolExecutor::new(2)), Arc::new(AtomicBool::new(false)));
    let (client, stops) = (Arc::clone(&pool), Arc::clone(&is_over));
    let client = std::thread::spawn(move || {
        while !stops.load(Ordering::Relaxed) {
            client.map(|n: u32| n + 1, 0..100).for_each(drop);
            drop(client.spawn(|| ()));
        }
    });
    for _ in 0..100 {
        let mut map = Some(pool.map(|n: u32| n + 1, 0..1000));
        let code = in_a_copy(|| {
            let mut map = map.take().expect("a map");
            let ends = map.by_ref().count() == 1000;
            first_wrong([ends, is_lost(&pool.spawn(|| 1).result()), !pool.join(None)])
        });
        assert_eq!(code, 0);
    }
    is_over.store(true, Ordering::Relaxed);
    client.join().expect("no panic");
}

/// Another thread looks a pool up, quite likely: a cancel does that.
fn fork_while_tasks_are_cancelled() {
    let is_over = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&is_over);
    let client = std::thread::spawn(move || {
        let busy = ThreadPoolExecutor::new(1);
        let (opener, door) = channel::<()>();
        let held = busy.spawn(move || door.recv().is_err());
        while !stops.load(Ordering::Relaxed) {
            let pending: Vec<_> = (0..1000).map(|_| busy.spawn(|| ())).collect();
            pending.iter().for_each(|task| assert!(task.cancel()));
        }
        drop(opener);
        held.result().expect("it was let go")
    });
    for _ in 0..500 {
        let code = in_a_copy(|| {
            let own = ThreadPoolExecutor::new(1);
            let (opener, door) = channel::<()>();
            let held = own.spawn(move || door.recv().is_err());
            let is_cancelled = own.spawn(|| ()).cancel();
            drop(opener);
            first_wrong([is_cancelled, held.result().is_ok_and(|opened| opened)])
        });
        assert_eq!(code, 0);
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(client.join().expect("no panic"));
}

/// Where nothing is left of the map but its input, because the pool refuses each item.
fn fork_in_the_input() {
    let pool = ThreadPoolExecutor::new(1);
    pool.shutdown();
    let (mut pulled, copy) = (0_u8, Cell::new(None));
    let input = std::iter::from_fn(|| {
        pulled += 1;
        if pulled == 2 {
            copy.set(Some(split()));
        }
        Some(pulled)
    });
    let mut map = pool.map(|n| n, input);
    assert!(matches!(map.next(), Some(Err(Error::ShutDown))));
    let second = map.next().expect("the input has no end");
    match copy.get().expect("it was pulled") {
        Some(copy) => {
            assert!(matches!(second, Err(Error::ShutDown)));
            assert_eq!(code_of(copy), 0);
        }
        None => leave(first_wrong([is_lost(&second), map.next().is_none()])),
    }
}

fn fork_in_a_task() {
    let pool = Arc::new(ThreadPoolExecutor::new(1));
    let inside = Arc::clone(&pool);
    let forks = move || {
        let queued = inside.spawn(|| 1);
        let code = in_a_copy(|| {
            let lost = is_lost(&inside.spawn(|| 1).result());
            let nested = as_completed([inside.spawn(|| 1)]).all(|future| is_lost(&future.result()));
            first_wrong([lost, nested, queued.wait_timeout(Duration::from_secs(60)) && queued.is_done()])
        });
        (code, queued.result())
    };
    let (code, queued) = pool.spawn(forks).result().expect("no panic");
    assert_eq!((code, queued.expect("it runs here")), (0, 1));
}

fn check(name: &str) {
    Host::start(name).ends_well();
}
