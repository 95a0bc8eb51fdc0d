//! Tasks that are tried again.

use std::time::Duration;

use concurrent_futures::{Error, Executor, RetryOptions, State, TaskOptions};

use crate::functions::{double, fail_until, panic_with, parse};
use crate::points::{Make, Points};
use crate::support::{Door, marks, occupy_at_door};

pub(crate) const POINTS: Points = points![
    a_task_that_failed_is_tried_again_until_it_has_a_value,
    the_error_of_the_last_attempt_is_that_of_the_task,
    an_error_that_was_not_chosen_is_final,
    a_task_can_be_cancelled_before_its_first_attempt: Queue + Submitter,
    each_item_of_a_map_is_tried_again_for_itself,
    a_pause_keeps_no_worker_busy: Background + Submitter,
    no_attempt_follows_a_shutdown: Background + Closing + Submitter,
];

/// A pause that no point waits for. Its length is random, and seconds are as good as impossible.
const ENDLESS: Duration = Duration::from_secs(1 << 50);
const TINY: Duration = Duration::from_nanos(1);

fn after_errors(retries: u32) -> RetryOptions {
    TaskOptions::new().retries(retries).retry_if(|error| matches!(error, Error::Failed(_)))
}

fn a_task_that_failed_is_tried_again_until_it_has_a_value(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    for (name, options) in [("at once", after_errors(3)), ("later", after_errors(3).back_off(TINY, TINY))] {
        let file = door.path().join(name);
        let persistent = executor.with(options);
        assert_eq!(persistent.try_submit(fail_until, (file.clone(), 3)).result().unwrap(), 3);
        assert_eq!(marks(&file).len(), 3);
        assert_eq!(persistent.submit(double, 3).result().unwrap(), 6);
        assert_eq!(persistent.bind(double)(4).result().unwrap(), 8);
    }
}

fn the_error_of_the_last_attempt_is_that_of_the_task(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let error = executor.with(after_errors(2)).try_submit(fail_until, (file.clone(), 9)).result().unwrap_err();
    assert_eq!((error.to_string().as_str(), marks(&file).len()), ("mark 3 of 9", 3));
}

fn an_error_that_was_not_chosen_is_final(make: &Make) {
    let executor = make(1);
    match executor.with(after_errors(2)).submit(panic_with, "a bug".into()).result() {
        Err(Error::Panicked(panicked)) => assert_eq!(panicked.message(), "a bug"),
        other => panic!("{other:?}"),
    }
    let patient = executor.with(TaskOptions::new().retries(2).back_off(TINY, TINY));
    assert!(matches!(patient.try_submit(parse, "x".into()).result(), Err(Error::Failed(_))));
}

fn a_task_can_be_cancelled_before_its_first_attempt(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let file = door.path().join("marks");
    let task = executor.with(after_errors(2)).try_submit(fail_until, (file.clone(), 1));
    assert_eq!(task.state(), State::Pending);
    assert!(task.cancel() && task.cancel() && task.is_cancelled());
    let last = executor.submit(double, 1);
    door.open();
    running.wait();
    last.wait();
    assert!(marks(&file).is_empty());
}

fn each_item_of_a_map_is_tried_again_for_itself(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let items = || (1..=3).map(|n| (door.path().join(n.to_string()), n));
    let persistent = executor.with(after_errors(1));
    let good: Vec<_> = persistent.try_map(fail_until, items()).map(|outcome| outcome.ok()).collect();
    assert_eq!(good, [Some(1), Some(2), None]);
    let mut again: Vec<_> = persistent.try_map_unordered(fail_until, items()).collect();
    again.sort_by_key(|(position, _)| *position);
    assert!(again.iter().all(|(_, outcome)| outcome.is_ok()));
    assert_eq!(items().map(|(file, _)| marks(&file).len()).collect::<Vec<_>>(), [2, 3, 3]);
}

fn a_pause_keeps_no_worker_busy(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let patient = executor.with(after_errors(1).back_off(ENDLESS, ENDLESS));
    let task = patient.try_submit(fail_until, (file.clone(), 2));
    let all: Vec<u64> = executor.map(double, 0..10).collect::<Result<_, _>>().unwrap();
    assert_eq!(all.len(), 10);
    assert!(!task.is_done() && task.abort());
    assert!(matches!(task.result(), Err(Error::Cancelled)));
    assert!(marks(&file).len() <= 1);
}

fn no_attempt_follows_a_shutdown(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let stubborn = executor.with(after_errors(u32::MAX).back_off(TINY, TINY));
    let task = stubborn.try_submit(fail_until, (file.clone(), usize::MAX));
    executor.shutdown();
    let error = task.result().unwrap_err();
    let attempts = marks(&file).len();
    assert!(matches!(error, Error::Failed(_)), "{error}");
    assert_eq!(error.to_string(), format!("mark {attempts} of {}", usize::MAX));
}
