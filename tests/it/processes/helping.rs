//! A thread that waits for a worker's only task receives the answer itself.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::{Backend, Executor, ProcessPoolExecutor};
use serde::{Deserialize, Deserializer, Serialize};

use super::support::{Door, pass, pid};
use crate::support::{LONG, within};

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
fn a_pool_has_not_ended_while_a_result_is_read() {
    // Who waits receives it where he came in time, and where that can be had.
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
