//! A thread that waits for a worker's only task receives the answer itself.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::{
    Backend, Bytes, Error, Executor, ProcessPoolExecutor, ReturnWhen, TaskOptions, Waitable, wait,
};
use rustix::process::Signal;
use serde::{Deserialize, Deserializer, Serialize};

use super::support::{signal, stop};
use crate::support::{Door, LONG, pass, pid, within};

#[test]
fn a_worker_that_is_never_idle_for_long_is_kept() {
    within(LONG, || {
        let keep = Duration::from_millis(500);
        let processes = ProcessPoolExecutor::builder().max_workers(1).keep_alive(keep).build().unwrap();
        let first = processes.submit(pid, ()).result().unwrap();
        let begin = Instant::now();
        let (mut last, mut pause) = (Instant::now(), Duration::ZERO);
        while begin.elapsed() < 3 * keep {
            thread::sleep(keep / 50);
            let worker = processes.submit(pid, ()).result().unwrap();
            pause = pause.max(last.elapsed());
            last = Instant::now();
            assert!(worker == first || pause >= keep, "gone after {pause:?} at most without a task");
        }
    });
}

thread_local! {
    /// What the next [`Slow`] that this thread reads says and waits for.
    static READS: RefCell<Option<(Sender<()>, Receiver<()>)>> = const { RefCell::new(None) };
}

/// Takes a while to be read, on a thread that has been told so.
#[derive(Serialize)]
struct Slow(());

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        if let Some((begun, end)) = READS.take() {
            begun.send(()).expect("the test waits");
            // What is waited for must not come: so long it has time to.
            let _ = end.recv_timeout(Duration::from_millis(300));
        }
        Ok(Self(()))
    }
}

/// A task whose result takes a while to be read.
fn pass_slowly(door: std::path::PathBuf) -> Slow {
    pass(door);
    Slow(())
}

#[test]
fn a_pool_has_not_ended_while_a_result_is_decoded() {
    // The waiter reads the reply if it came in time and holds the right to read.
    within(LONG, || (1..10).any(|round| reads_before_the_end(Duration::from_millis(round * round))));
}

/// Waits for a result, and shuts the pool down while that is read. Did the thread that waits read it?
fn reads_before_the_end(head_start: Duration) -> bool {
    let door = Door::new();
    let processes = ProcessPoolExecutor::new(1);
    let future = processes.submit(pass_slowly, door.path()).share();
    door.arrived();
    let (begun, has_begun) = channel();
    let (joined, has_joined) = channel();
    thread::scope(|scope| {
        let waiting = future.clone();
        scope.spawn(move || {
            READS.set(Some((begun, has_joined)));
            waiting.wait();
            READS.set(None);
        });
        thread::sleep(head_start);
        door.open();
        let is_reading = has_begun.recv().is_ok();
        processes.shutdown();
        assert!(future.is_done(), "everything is, that was submitted before");
        assert_eq!(processes.stats().completed, 1);
        let _ = joined.send(());
        is_reading
    })
}

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn a_waiter_without_a_reply_leaves_the_worker_to_its_monitor() {
    within(LONG, || {
        let door = Door::new();
        let processes = ProcessPoolExecutor::new(1);
        let late = processes.submit(pass, door.path());
        door.arrived();
        for micros in 1..200 {
            assert!(!late.wait_timeout(Duration::from_micros(micros)));
        }
        let next = processes.submit(square, 3);
        door.open();
        // Nobody receives in its place here.
        wait([&late as &dyn Waitable, &next], None, ReturnWhen::AllCompleted);
        assert_eq!(next.result().unwrap(), 9);
    });
}

#[test]
fn a_waiter_wakes_when_its_task_is_aborted_or_its_worker_is_killed() {
    within(LONG, || {
        for round in 0..40 {
            let door = Door::new();
            let processes = ProcessPoolExecutor::new(1 + round % 2);
            let future = processes.submit(pass, door.path()).share();
            let worker = door.arrived();
            thread::scope(|scope| {
                let waiters = [(); 2].map(|()| scope.spawn(|| future.result()));
                match round % 4 {
                    0 => assert!(future.abort()),
                    1 => signal(worker, Signal::KILL),
                    2 => processes.kill_workers(),
                    _ => processes.terminate_workers(),
                }
                for waiter in waiters {
                    assert!(matches!(waiter.join().unwrap(), Err(Error::Cancelled | Error::WorkerDied(_))));
                }
            });
            assert_eq!(processes.submit(square, 4).result().unwrap(), 16);
        }
    });
}

#[test]
fn a_time_limit_ends_a_task_of_a_stopped_worker_during_a_wait() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::new(1);
        let limited = processes.with(TaskOptions::new().time_limit(Duration::from_millis(30)));
        for _ in 0..3 {
            let worker = processes.submit(pid, ()).result().unwrap();
            stop(worker);
            assert!(matches!(limited.submit(square, 2).result(), Err(Error::TimeLimit(_))));
        }
    });
}

#[test]
fn long_replies_and_replies_in_shared_memory_arrive_whole() {
    within(LONG, || {
        let processes = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(3).build().unwrap();
        for length in [0, 1, 60 << 10, 64 << 10, 1 << 20, 5 << 20] {
            let plain = processes.submit(|length: usize| vec![7_u8; length], length).result().unwrap();
            assert!(plain == vec![7; length]);
            let bytes = processes.submit(|length: usize| Bytes::from(vec![8; length]), length).result().unwrap();
            assert!(bytes[..] == plain.iter().map(|byte| byte + 1).collect::<Vec<_>>()[..]);
            let mut future = processes.submit(|length: usize| vec![7_u8; length], length);
            // The time is up in the middle of the answer, now and then.
            let read = loop {
                match future.result_timeout(Duration::from_micros(100)) {
                    Ok(outcome) => break outcome.unwrap(),
                    Err(back) => future = back,
                }
            };
            assert!(read == plain);
        }
    });
}

#[test]
fn waiting_threads_and_other_threads_share_the_workers() {
    within(LONG, || {
        let processes = &ProcessPoolExecutor::builder().max_workers(2).max_pending(3).build().unwrap();
        thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for n in 0..150 {
                        let future = processes.submit(square, n);
                        match random.u8(0..6) {
                            0 => wait([&future], None, ReturnWhen::AllCompleted).done.clear(),
                            1 => _ = future.wait_timeout(Duration::from_micros(random.u64(1..60))),
                            2 => future.add_done_callback(move |outcome| assert_eq!(*outcome.as_ref().unwrap(), n * n)),
                            3 => {
                                future.cancel();
                                continue;
                            }
                            _ => {}
                        }
                        assert_eq!(future.result().unwrap(), n * n);
                    }
                });
            }
        });
    });
}
