//! Workers that break the rules, at each stage: whatever they do, each task ends, and so does the pool.
//!
//! What they do follows from a seed, which is shown if a test fails.

mod pools;
mod worker;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::error::Error;
use crate::executor::Executor;
use crate::fuzz::cases;
use crate::options::{MapOptions, TaskOptions};
use crate::process::ProcessPoolExecutor;
use crate::process::monitor::HELLO;
use worker::{Fault, SCENARIO, STAGES, Scenario, Stage};

/// Far longer than anything here takes: only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

/// The time limit of tasks that a hostile worker gets.
const LIMIT: Duration = Duration::from_millis(150);

fn within<R: Send + 'static>(what: &str, body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        let result = body();
        let _ = sender.send(());
        result
    });
    assert!(receiver.recv_timeout(LONG) != Err(RecvTimeoutError::Timeout), "{what} hangs");
    thread.join().unwrap_or_else(|payload| {
        eprintln!("{what}");
        std::panic::resume_unwind(payload)
    })
}

/// Asserts that an error has a text, and is not `Abandoned`.
fn check<T>(outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty());
        assert!(!matches!(error, Error::Abandoned), "{error:?}");
    }
}

fn outlast(scenario: Scenario) {
    let pool = ProcessPoolExecutor::builder().max_workers(2).env(SCENARIO, scenario.text()).build().unwrap();
    let limited = pool.with(TaskOptions::new().time_limit(LIMIT));
    let tasks: Vec<_> = (0..3).map(|n: u8| limited.submit(|n: u8| n, n)).collect();
    let chunked = pool.with(TaskOptions::new().time_limit(LIMIT)).with(MapOptions::new().chunk_size(2));
    let chunks = chunked.map(|n: u8| n, 0..4);
    if scenario.ends() {
        // Tasks without a limit end as well.
        let outcomes: Vec<_> = pool.map(|n: u8| n, 0..6).collect();
        assert_eq!(outcomes.len(), 6, "{outcomes:?}");
        outcomes.into_iter().for_each(check);
        check(pool.with(TaskOptions::new().retries(1)).submit(|n: u8| n, 7).result());
    }
    tasks.into_iter().for_each(|task| check(task.result()));
    let outcomes: Vec<_> = chunks.collect();
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    outcomes.into_iter().for_each(check);
    match limited.submit(|n: u8| n, 1).result() {
        Err(Error::Broken(broken)) => assert!(!broken.cause().to_string().is_empty()),
        outcome => check(outcome),
    }
    pool.shutdown();
}

/// Returns a pool whose only worker is a hostile worker.
fn pool_of(stage: Stage, fault: Fault) -> ProcessPoolExecutor {
    let scenario = Scenario { stage, fault, seed: 0 };
    ProcessPoolExecutor::builder().max_workers(1).env(SCENARIO, scenario.text()).build().unwrap()
}

fn outlast_each(stage: Stage, faults: &[Fault]) {
    for seed in 0..u64::from(cases(2).cases) {
        for fault in faults {
            let scenario = Scenario { stage, fault: *fault, seed };
            within(&format!("{scenario:?}"), move || outlast(scenario));
        }
    }
}

const ANY_TIME: [Fault; 3] = [Fault::RandomBytes, Fault::RandomFrames, Fault::MissingBody];

/// The pool gives the worker a time to exit in. All stages run at once, because they only wait.
#[test]
fn a_worker_that_shuts_its_connection() {
    let all = STAGES.map(|stage| {
        thread::spawn(move || {
            within(&format!("{stage:?}"), move || {
                let pool = pool_of(stage, Fault::ShutSocket);
                let outcome = pool.submit(|n: u8| n, 1).result();
                assert!(matches!(outcome, Err(Error::WorkerDied(_) | Error::Broken(_))), "{stage:?}: {outcome:?}");
            });
        })
    });
    all.into_iter().for_each(|one| one.join().unwrap());
}

/// The worker may have been stopped from outside: the next one may do better, and is tried.
#[test]
fn a_silent_worker_is_replaced() {
    let stages = [Stage::Spawned, Stage::SettingUp].map(|stage| {
        thread::spawn(move || {
            within(&format!("{stage:?}"), move || {
                let pool = pool_of(stage, Fault::Silence);
                let begin = Instant::now();
                let Err(Error::Broken(broken)) = pool.submit(|n: u8| n, 1).result() else {
                    panic!("the pool has no worker");
                };
                assert!(broken.cause().to_string().contains("not ready within"), "{broken}");
                assert!(begin.elapsed() >= 3 * HELLO, "three were tried");
            });
        })
    });
    stages.into_iter().for_each(|stage| stage.join().unwrap());
}

#[test]
fn a_worker_that_exits_before_it_is_ready() {
    for (stage, when) in [(Stage::Spawned, "before it said hello"), (Stage::SettingUp, "while it was set up")] {
        within(when, move || {
            let pool = pool_of(stage, Fault::Exit);
            let Err(Error::Broken(broken)) = pool.submit(|n: u8| n, 1).result() else {
                panic!("the pool has no worker");
            };
            assert!(broken.cause().to_string().ends_with(when), "{broken}");
        });
    }
}

#[test]
fn a_worker_that_sends_no_hello() {
    outlast_each(Stage::Spawned, &ANY_TIME);
}

#[test]
fn a_worker_that_is_never_ready() {
    outlast_each(Stage::SettingUp, &ANY_TIME);
}

#[test]
fn a_worker_that_starts_no_task() {
    outlast_each(Stage::Serving, &ANY_TIME);
    outlast_each(Stage::Serving, &[Fault::Flood, Fault::CorruptTable]);
}

#[test]
fn a_worker_that_starts_a_task() {
    outlast_each(Stage::Working, &ANY_TIME);
    outlast_each(Stage::Working, &[Fault::Flood, Fault::CorruptTable, Fault::RandomReplies, Fault::RandomShortReplies]);
}

#[test]
fn a_worker_that_claims_a_later_start_gets_no_more_time() {
    within("it", || outlast(Scenario { stage: Stage::Working, fault: Fault::FutureStart, seed: 0 }));
}

#[test]
fn a_worker_that_sends_an_invalid_reply_is_reported_dead() {
    within("it", || {
        let pool = pool_of(Stage::Working, Fault::WrongItems);
        for _ in 0..2 {
            match pool.submit(|n: u8| n, 1).result() {
                Err(Error::WorkerDied(died)) => assert!(died.to_string().contains("cannot be read"), "{died}"),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_worker_whose_last_reply_is_invalid_may_live() {
    within("it", || {
        let pool = pool_of(Stage::Working, Fault::WrongLastItems);
        match pool.submit(|n: u8| n, 1).result() {
            Err(Error::Broken(broken)) => assert!(broken.to_string().contains("cannot be read"), "{broken}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((pool.stats().workers, pool.stats().respawned), (1, 0));
        // The worker would not hear that it may leave.
        pool.kill_workers();
    });
}

#[test]
fn a_worker_that_sends_endless_segments_is_killed() {
    within("it", || {
        let pool = pool_of(Stage::Working, Fault::ManySegments);
        match pool.submit(|n: u8| n, 1).result() {
            Err(Error::WorkerDied(died)) => assert!(died.to_string().contains("segment"), "{died}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_worker_that_sends_without_a_pause_has_no_more_time_than_others() {
    within("it", || {
        let pool = pool_of(Stage::Working, Fault::Torrent);
        let limited = pool.with(TaskOptions::new().time_limit(LIMIT));
        let outcome = limited.submit(|n: u8| n, 1).result();
        // The worker would go after a far longer time.
        assert!(matches!(outcome, Err(Error::TimeLimit(_))), "{outcome:?}");
    });
}
