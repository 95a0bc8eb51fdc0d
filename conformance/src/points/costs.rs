//! What a task may cost: time, if it has a limit, and memory, which must be released once it is not needed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use concurrent_futures::{Error, Executor, MapOptions, TaskOptions};

use crate::functions::{Value, count_values, double, drop_value, make_value, number_with_value};
use crate::points::{Make, Points};
use crate::support::{Door, LONG, occupy_at_door, pass};

pub(crate) const POINTS: Points = points![
    a_task_past_its_time_limit_ends_alone: Background + TimeLimits + PromptStart,
    a_task_within_its_time_limit_is_unaffected,
    an_argument_is_dropped_before_the_result_is_visible,
    an_argument_is_dropped_when_its_task_is_cancelled: Queue,
    arguments_are_dropped_with_their_map: Queue,
    a_map_drops_a_result_when_it_yields_it,
    a_result_is_dropped_with_its_future,
    a_context_is_dropped_with_its_last_handle,
    a_context_is_dropped_when_its_tasks_are_cancelled: Queue,
];

/// Only one test may count at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(Value::alive(), 0);
    guard
}

fn a_task_past_its_time_limit_ends_alone(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let other = occupy_at_door(&*executor, &door);
    let limited = executor.with(TaskOptions::new().time_limit(Duration::from_millis(20)));
    let inner = Door::new();
    match limited.submit(pass, inner.path()).result() {
        Err(Error::TimeLimit(past)) => assert_eq!(past.limit(), Duration::from_millis(20)),
        outcome => panic!("it was not stopped: {outcome:?}"),
    }
    assert!(other.is_running());
    inner.open();
    door.open();
    assert!(other.result().is_ok());
    assert_eq!(executor.submit(double, 1).result().unwrap(), 2);
    // A thread cannot be stopped: it may still be on its way to the door.
    drop(executor);
}

fn a_task_within_its_time_limit_is_unaffected(make: &Make) {
    let executor = make(1);
    let limited = executor.with(TaskOptions::new().time_limit(LONG));
    assert_eq!(limited.submit(double, 4).result().unwrap(), 8);
    assert_eq!(limited.map(double, 0..10).map(Result::unwrap).sum::<u64>(), 90);
}

fn an_argument_is_dropped_before_the_result_is_visible(make: &Make) {
    let _alone = alone();
    let executor = make(1);
    for _ in 0..20 {
        let task = executor.submit(count_values, (0..3).map(|_| Value::new()).collect());
        task.wait();
        assert_eq!(Value::alive(), 0);
        assert_eq!(task.result().unwrap(), 3);
    }
}

fn an_argument_is_dropped_when_its_task_is_cancelled(make: &Make) {
    let _alone = alone();
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let tasks: Vec<_> = (0..5).map(|_| executor.submit(drop_value, Value::new())).collect();
    assert!(tasks.iter().all(|task| task.cancel()));
    assert_eq!(Value::alive(), 0);
}

fn arguments_are_dropped_with_their_map(make: &Make) {
    let _alone = alone();
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    for options in [MapOptions::new(), MapOptions::new().chunk_size(4)] {
        let with = executor.with(options);
        let values = || (0..20).map(|_| Value::new()).collect::<Vec<_>>();
        drop(with.map(drop_value, values()));
        assert_eq!(Value::alive(), 0);
        drop(with.map_unordered(drop_value, values()));
        assert_eq!(Value::alive(), 0);
    }
}

fn a_map_drops_a_result_when_it_yields_it(make: &Make) {
    let _alone = alone();
    let executor = make(1);
    let map = executor.map(make_value, 0..20);
    executor.shutdown();
    for (left, outcome) in (0..20).rev().zip(map) {
        assert!(outcome.is_ok());
        drop(outcome);
        assert!(Value::alive() <= left, "{} with {left} to come", Value::alive());
    }
    assert_eq!(Value::alive(), 0);
}

fn a_result_is_dropped_with_its_future(make: &Make) {
    let _alone = alone();
    let executor = make(1);
    let task = executor.submit(make_value, 1);
    task.wait();
    drop(task);
    assert_eq!(Value::alive(), 0);
    let taken = executor.submit(make_value, 1).result().unwrap();
    assert_eq!(Value::alive(), 1, "the caller has the only value");
    drop(taken);
    let shared = executor.submit(make_value, 1).share();
    assert!(shared.clone().result().is_ok());
    assert_eq!(Value::alive(), 1, "all clones share one value");
    drop(shared);
    assert_eq!(Value::alive(), 0);
}

fn a_context_is_dropped_with_its_last_handle(make: &Make) {
    let _alone = alone();
    let executor = make(1);
    let first = executor.with_context(Value::new());
    let second = first.with(TaskOptions::new().name("second"));
    let tasks: Vec<_> = (0..20).map(|n| first.submit(number_with_value, n)).collect();
    drop(first);
    tasks.iter().for_each(|task| task.wait());
    assert_eq!(Value::alive(), 1, "the second handle has it");
    assert_eq!(second.submit(number_with_value, 7).result().unwrap(), 7);
    drop(second);
    assert_eq!(Value::alive(), 0);
    let third = executor.with_context(Value::new());
    let last = third.submit(number_with_value, 8);
    drop(third);
    last.wait();
    assert_eq!(Value::alive(), 0);
}

fn a_context_is_dropped_when_its_tasks_are_cancelled(make: &Make) {
    let _alone = alone();
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let context = executor.with_context(Value::new());
    let tasks: Vec<_> = (0..5).map(|n| context.submit(number_with_value, n)).collect();
    let map = context.map(number_with_value, 0..5);
    drop(context);
    assert!(tasks.iter().all(|task| task.cancel()));
    drop(map);
    assert_eq!(Value::alive(), 0);
}
