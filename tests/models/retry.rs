//! Tasks that are tried again: the end of an attempt, and the pause after it, against cancel, abort and close.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concurrent_futures::{
    Backend, Choices, Error, Executor as _, Future, Job, RetryOptions, Submitter, TaskOptions, ThreadPoolExecutor,
};

use crate::checker::{Channel, LATER, Tally, check, check_choices, spawn};

fn once_more() -> RetryOptions {
    TaskOptions::new().retries(1).retry_if(|_| true)
}

/// An executor that gives the first attempt to the test, and runs the second where it is submitted.
struct SecondRuns(Channel<Job>);

impl Backend for SecondRuns {
    fn execute(&self, job: Job) {
        self.0.put(job);
    }
    fn submitter(&self) -> Option<Submitter> {
        Some(Submitter::new(Job::run))
    }
    fn max_workers(&self) -> usize {
        1
    }
    fn close(&self) {}
    fn join(&self, _: Option<Duration>) -> bool {
        true
    }
}

/// The caller cancels the attempt that fails, the one that follows, or the task in between.
#[test]
fn cancel_against_the_end_of_an_attempt() {
    // A plain function captures nothing. An execution has no other thread of the system.
    static RAN: AtomicUsize = AtomicUsize::new(0);
    fn run(n: u8) -> u8 {
        RAN.fetch_add(1, Ordering::Relaxed);
        n + 1
    }
    check(4, || {
        RAN.store(0, Ordering::Relaxed);
        let executor = SecondRuns(Channel::new());
        let task = executor.with(once_more()).submit(run, 7);
        let first = executor.0.take();
        let failer = spawn(move || first.fail(Error::Abandoned));
        let cancelled = task.cancel();
        failer.join().unwrap();
        let ran = RAN.load(Ordering::Relaxed);
        match task.result() {
            Ok(value) => assert!(!cancelled && (value, ran) == (8, 1)),
            Err(Error::Cancelled) => assert!(cancelled && ran == 0),
            // The cancel came too late for the first attempt, which is the last then.
            Err(error) => assert!(!cancelled && ran == 0 && matches!(error, Error::Abandoned), "{error}"),
        }
    });
}

/// Aborts the task while its first attempt fails. The second attempt returns 8.
fn abort_against_the_first_attempt(executor: &SecondRuns, task: Future<u8>) {
    let first = executor.0.take();
    let failer = spawn(move || first.fail(Error::Abandoned));
    let aborted = task.abort();
    failer.join().unwrap();
    match task.result() {
        Ok(value) => assert!(!aborted && value == 8),
        Err(error) => assert!(aborted && matches!(error, Error::Cancelled), "{error}"),
    }
}

#[test]
fn abort_against_the_end_of_an_attempt() {
    check(4, || {
        let executor = SecondRuns(Channel::new());
        let task = executor.with(once_more()).submit(|n: u8| n + 1, 7);
        abort_against_the_first_attempt(&executor, task);
    });
}

/// The pause ends by itself or not. Either way nothing is left that waits for it.
#[test]
fn abort_against_a_pause() {
    check_choices(3, 1, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let executor = SecondRuns(Channel::new());
        let task = executor.with(once_more().back_off(LATER, LATER)).submit(|n: u8| n + 1, 7);
        abort_against_the_first_attempt(&executor, task);
    });
}

/// A pause that does not end by itself ends by the close, even if it begins at that moment.
#[test]
fn close_against_a_pause() {
    check_choices(3, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::new(1);
        let called = Tally::default();
        let call = called.clone();
        let task = pool.with(once_more().back_off(LATER, LATER)).try_spawn(move || {
            call.add();
            Err::<(), _>("no")
        });
        pool.close();
        assert!(matches!(task.result(), Err(Error::Failed(_))));
        assert!((1..=2).contains(&called.count()));
    });
}

/// A worker waits for a task of its own pool that is tried again.
#[test]
fn an_attempt_against_a_worker_that_waits_for_it() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inner = Arc::clone(&pool);
        let outer = pool.spawn(move || {
            let called = Tally::default();
            let task = inner.with(once_more()).try_spawn(move || {
                called.add();
                if called.count() == 1 { Err("no") } else { Ok(7) }
            });
            task.result()
        });
        assert_eq!(outer.result().unwrap().unwrap(), 7);
    });
}
