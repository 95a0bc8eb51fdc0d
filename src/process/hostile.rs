//! Workers that break the rules, at each stage: whatever they do, each task ends, and so does the pool.
//!
//! What they do follows from a seed, which is shown if a test fails.

mod pools;
mod villain;

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
use villain::{Deed, PART, Part, STAGES, Stage};

/// Far longer than anything here takes: only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

/// The time limit of tasks that a villain gets.
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
fn look_at<T>(outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty());
        assert!(!matches!(error, Error::Abandoned), "{error:?}");
    }
}

fn outlast(part: Part) {
    let pool = ProcessPoolExecutor::builder().max_workers(2).env(PART, part.text()).build().unwrap();
    let limited = pool.with(TaskOptions::new().time_limit(LIMIT));
    let tasks: Vec<_> = (0..3).map(|n: u8| limited.submit(|n: u8| n, n)).collect();
    let chunked = pool.with(TaskOptions::new().time_limit(LIMIT)).with(MapOptions::new().chunk_size(2));
    let chunks = chunked.map(|n: u8| n, 0..4);
    if part.ends() {
        // Tasks without a limit end as well.
        let portions: Vec<_> = pool.map(|n: u8| n, 0..6).collect();
        assert_eq!(portions.len(), 6, "{portions:?}");
        portions.into_iter().for_each(look_at);
        look_at(pool.with(TaskOptions::new().retries(1)).submit(|n: u8| n, 7).result());
    }
    tasks.into_iter().for_each(|task| look_at(task.result()));
    let outcomes: Vec<_> = chunks.collect();
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    outcomes.into_iter().for_each(look_at);
    match limited.submit(|n: u8| n, 1).result() {
        Err(Error::Broken(broken)) => assert!(!broken.cause().to_string().is_empty()),
        outcome => look_at(outcome),
    }
    pool.shutdown();
}

/// Returns a pool whose only worker is played by a villain.
fn pool_of(stage: Stage, deed: Deed) -> ProcessPoolExecutor {
    let part = Part { stage, deed, seed: 0 };
    ProcessPoolExecutor::builder().max_workers(1).env(PART, part.text()).build().unwrap()
}

fn outlast_all(stage: Stage, deeds: &[Deed]) {
    for seed in 0..u64::from(cases(2).cases) {
        for deed in deeds {
            let part = Part { stage, deed: *deed, seed };
            within(&format!("{part:?}"), move || outlast(part));
        }
    }
}

const ANY_TIME: [Deed; 3] = [Deed::Write, Deed::Frames, Deed::Promise];

/// The pool gives the worker a time to exit in. All stages run at once, because they only wait.
#[test]
fn one_that_shuts_its_connection() {
    let all = STAGES.map(|stage| {
        thread::spawn(move || {
            within(&format!("{stage:?}"), move || {
                let pool = pool_of(stage, Deed::Shut);
                let outcome = pool.submit(|n: u8| n, 1).result();
                assert!(matches!(outcome, Err(Error::WorkerDied(_) | Error::Broken(_))), "{stage:?}: {outcome:?}");
            });
        })
    });
    all.into_iter().for_each(|one| one.join().unwrap());
}

/// The worker may have been stopped from outside: the next one may do better, and is tried.
#[test]
fn one_that_keeps_silent_is_replaced() {
    let stages = [Stage::Spawned, Stage::SettingUp].map(|stage| {
        thread::spawn(move || {
            within(&format!("{stage:?}"), move || {
                let pool = pool_of(stage, Deed::Wait);
                let begin = Instant::now();
                let Err(Error::Broken(broken)) = pool.submit(|n: u8| n, 1).result() else {
                    panic!("it has no worker");
                };
                assert!(broken.cause().to_string().contains("not ready within"), "{broken}");
                assert!(begin.elapsed() >= 3 * HELLO, "three were tried");
            });
        })
    });
    stages.into_iter().for_each(|stage| stage.join().unwrap());
}

#[test]
fn one_that_goes_before_it_is_ready() {
    for (stage, when) in [(Stage::Spawned, "before it said hello"), (Stage::SettingUp, "while it was set up")] {
        within(when, move || {
            let pool = pool_of(stage, Deed::Leave);
            let Err(Error::Broken(broken)) = pool.submit(|n: u8| n, 1).result() else {
                panic!("it has no worker");
            };
            assert!(broken.cause().to_string().ends_with(when), "{broken}");
        });
    }
}

#[test]
fn one_that_says_no_hello() {
    outlast_all(Stage::Spawned, &ANY_TIME);
}

#[test]
fn one_that_is_never_ready() {
    outlast_all(Stage::SettingUp, &ANY_TIME);
}

#[test]
fn one_that_is_ready_for_no_task() {
    outlast_all(Stage::Serving, &ANY_TIME);
    outlast_all(Stage::Serving, &[Deed::Flood, Deed::Scribble]);
}

#[test]
fn one_that_takes_a_task() {
    outlast_all(Stage::Working, &ANY_TIME);
    outlast_all(Stage::Working, &[Deed::Flood, Deed::Scribble, Deed::Answer, Deed::Letters]);
}

#[test]
fn one_whose_clock_is_ahead_has_no_more_time_than_others() {
    within("it", || outlast(Part { stage: Stage::Working, deed: Deed::Postpone, seed: 0 }));
}

#[test]
fn one_that_answers_what_cannot_be_read_is_told_of_as_dead() {
    within("it", || {
        let pool = pool_of(Stage::Working, Deed::Mumble);
        for _ in 0..2 {
            match pool.submit(|n: u8| n, 1).result() {
                Err(Error::WorkerDied(died)) => assert!(died.to_string().contains("cannot be read"), "{died}"),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn one_that_ends_a_task_with_what_cannot_be_read_may_live() {
    within("it", || {
        let pool = pool_of(Stage::Working, Deed::Conclude);
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
fn one_that_sends_segments_without_end_is_stopped() {
    within("it", || {
        let pool = pool_of(Stage::Working, Deed::Segments);
        match pool.submit(|n: u8| n, 1).result() {
            Err(Error::WorkerDied(died)) => assert!(died.to_string().contains("segment"), "{died}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn one_that_sends_without_a_pause_has_no_more_time_than_others() {
    within("it", || {
        let pool = pool_of(Stage::Working, Deed::Torrent);
        let limited = pool.with(TaskOptions::new().time_limit(LIMIT));
        let outcome = limited.submit(|n: u8| n, 1).result();
        // The worker would go after a far longer time.
        assert!(matches!(outcome, Err(Error::TimeLimit(_))), "{outcome:?}");
    });
}
