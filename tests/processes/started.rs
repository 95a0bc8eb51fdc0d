//! Jobs that a backend has started before it passes them on to the pool: they run for their callers, and are queued
//! all the same. Whatever becomes of them, their futures end.

use concurrent_futures::{Backend, Error, Executor, Job, MapOptions, ProcessPoolExecutor, State, TaskOptions};

use super::support::*;
use crate::support::{broken, occupy_at_door, within};

/// Starts each job before it passes it on.
struct Started(ProcessPoolExecutor);

impl Backend for Started {
    fn execute(&self, job: Job) {
        assert!(job.start());
        self.0.execute(job);
    }
    concurrent_futures_conformance::pass_on!();
}

fn square(n: u64) -> u64 {
    n * n
}

fn one() -> Started {
    Started(ProcessPoolExecutor::new(1))
}

#[test]
fn a_started_job_that_a_closed_pool_refuses_ends() {
    within(LONG, || {
        let pool = one();
        pool.close();
        assert!(matches!(pool.submit(square, 3).result(), Err(Error::ShutDown)));
        let chunked = pool.with(MapOptions::new().chunk_size(2));
        let outcomes: Vec<_> = chunked.map(square, [1, 2, 3]).collect();
        assert!(outcomes.len() == 3 && outcomes.iter().all(|outcome| matches!(outcome, Err(Error::ShutDown))));
    });
}

#[test]
fn a_started_job_that_a_broken_pool_refuses_ends() {
    fn fail(_: ()) {
        std::process::exit(3);
    }
    within(LONG, || {
        let pool = ProcessPoolExecutor::builder().max_workers(1).initializer(fail, ()).build().unwrap();
        let pool = Started(pool);
        broken(pool.submit(square, 3).result());
        broken(pool.submit(square, 3).result());
    });
}

#[test]
fn a_started_job_that_a_full_pool_refuses_ends() {
    within(LONG, || {
        let door = Door::new();
        let pool = Started(ProcessPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap());
        let busy = occupy_at_door(&pool, &door);
        let queued = pool.submit(square, 3);
        let hasty = pool.with(TaskOptions::new().refuse_when_full());
        assert!(matches!(hasty.submit(square, 4).result(), Err(Error::Full(_))));
        door.open();
        busy.result().unwrap();
        assert_eq!(queued.result().unwrap(), 9);
    });
}

#[test]
fn a_started_job_that_comes_when_all_is_cancelled_ends() {
    within(LONG, || {
        let door = Door::new();
        let pool = one();
        let busy = occupy_at_door(&pool, &door);
        pool.close();
        pool.cancel_pending();
        // A callback on a thread of the pool may submit as long as a worker is there.
        let (sender, receiver) = std::sync::mpsc::channel();
        let (again, path) = (std::sync::Arc::new(pool), door.path());
        let late = std::sync::Arc::clone(&again);
        busy.add_done_callback(move |_| sender.send(late.submit(pass, path)).unwrap());
        door.open();
        assert!(matches!(receiver.recv().unwrap().result(), Err(Error::Cancelled)));
        busy.result().unwrap();
    });
}

#[test]
fn a_started_job_in_the_queue_is_running_for_its_caller() {
    within(LONG, || {
        let door = Door::new();
        let pool = one();
        let busy = occupy_at_door(&pool, &door);
        let (queued, aborted) = (pool.submit(square, 3), pool.submit(square, 4));
        assert_eq!(queued.state(), State::Running);
        assert!(!queued.cancel(), "it was started");
        assert!(aborted.abort());
        assert!(matches!(aborted.result(), Err(Error::Cancelled)));
        door.open();
        busy.result().unwrap();
        assert_eq!(queued.result().unwrap(), 9);
    });
}

#[test]
fn a_started_job_is_none_of_those_that_are_cancelled_while_they_are_pending() {
    within(LONG, || {
        let door = Door::new();
        let pool = one();
        let busy = occupy_at_door(&pool, &door);
        let first = pool.submit(square, 3);
        let chunked = pool.with(MapOptions::new().chunk_size(2));
        let chunks = chunked.map(square, [1, 2, 3]);
        let pending = pool.0.submit(square, 4);
        assert_eq!(pool.cancel_pending(), 1);
        assert!(matches!(pending.result(), Err(Error::Cancelled)));
        let second = pool.submit(square, 5);
        pool.close();
        assert_eq!(pool.cancel_pending(), 0);
        door.open();
        busy.result().unwrap();
        assert_eq!((first.result().unwrap(), second.result().unwrap()), (9, 25));
        assert_eq!(chunks.map(|outcome| outcome.unwrap()).collect::<Vec<_>>(), [1, 4, 9]);
        assert!(pool.join(None));
    });
}
