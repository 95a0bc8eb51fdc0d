//! A thread that waits for a worker's only task receives the answer itself.

use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::{Executor, ProcessPoolExecutor};

use super::support::pid;
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
