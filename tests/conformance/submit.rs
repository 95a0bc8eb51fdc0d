//! `submit` and its kin: what may be sent, and what is refused.

use std::collections::BTreeMap;

use concurrent_futures::{Error, Executor, State, TaskOptions};

use crate::doors::Door;
use crate::support::logged;
use crate::tools::{double, occupy, panic_message, panic_with, parse};
use crate::{Make, Points};

pub(crate) const POINTS: Points = list![
    several_arguments_are_a_tuple,
    functions_methods_and_closures_without_captures_can_be_sent,
    values_of_many_shapes_cross,
    a_bound_function_submits_on_each_call,
    constructing_starts_nothing,
    tasks_start_in_the_order_of_submission,
    after_shutdown_a_future_says_so,
    a_dropped_future_still_runs,
    an_error_that_nobody_looked_at_is_logged,
    a_task_that_panics_costs_the_executor_nothing,
    stats_tell_what_happens_and_what_happened,
];

fn several_arguments_are_a_tuple(make: Make) {
    let executor = make(1);
    let area = executor.submit(|(width, height): (u32, u32)| width * height, (6, 7));
    assert_eq!(area.result().unwrap(), 42);
}

fn functions_methods_and_closures_without_captures_can_be_sent(make: Make) {
    let executor = make(1);
    assert_eq!(executor.submit(i64::abs, -3).result().unwrap(), 3);
    assert_eq!(executor.submit(Some, 1_u8).result().unwrap(), Some(1));
    assert_eq!(executor.submit(|text: String| text.to_uppercase(), "x".into()).result().unwrap(), "X");
}

fn values_of_many_shapes_cross(make: Make) {
    fn same<T>(value: T) -> T {
        value
    }
    let executor = make(1);
    let map = BTreeMap::from([("one".to_owned(), vec![Some(1.5), None]), (String::new(), vec![])]);
    assert_eq!(executor.submit(same, map.clone()).result().unwrap(), map);
    assert_eq!(executor.submit(same, ((), 'x', Ok::<u8, String>(1))).result().unwrap(), ((), 'x', Ok(1)));
    let long = vec![7_u64; 100_000];
    assert_eq!(executor.submit(same, long.clone()).result().unwrap(), long);
}

fn a_bound_function_submits_on_each_call(make: Make) {
    let executor = make(2);
    let later = executor.bind(double);
    let tasks = [1, 2, 3].map(|n| later.clone()(n));
    assert_eq!(tasks.map(|task| task.result().unwrap()), [2, 4, 6]);
}

fn constructing_starts_nothing(make: Make) {
    let executor = make(3);
    assert_eq!(executor.max_workers(), 3);
    assert_eq!(executor.stats().workers, 0);
    executor.submit(double, 1).wait();
    assert_eq!(executor.stats().workers, 1, "one task needs one worker");
}

fn tasks_start_in_the_order_of_submission(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let running = occupy(&*executor, &door);
    let tasks: Vec<_> = (0..20).map(|n| executor.submit(crate::doors::mark, (file.clone(), n))).collect();
    door.open();
    running.wait();
    tasks.iter().for_each(|task| task.wait());
    assert_eq!(crate::doors::marks(&file), (0..20).collect::<Vec<_>>());
}

fn after_shutdown_a_future_says_so(make: Make) {
    let executor = make(1);
    executor.submit(double, 1).wait();
    executor.shutdown();
    let refused = executor.submit(double, 1);
    assert_eq!(refused.state(), State::Finished);
    assert!(!refused.cancel());
    assert!(matches!(refused.result(), Err(Error::ShutDown)));
    assert!(matches!(executor.try_submit(parse, "1".into()).result(), Err(Error::ShutDown)));
    assert!(matches!(executor.bind(double)(1).result(), Err(Error::ShutDown)));
    assert!(executor.map(double, [1, 2]).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
}

fn a_dropped_future_still_runs(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let running = occupy(&*executor, &door);
    drop(executor.submit(crate::doors::mark, (file.clone(), 1)));
    executor.submit(crate::doors::mark, (file.clone(), 2)).detach();
    door.open();
    running.wait();
    executor.shutdown();
    assert_eq!(crate::doors::marks(&file), [1, 2]);
}

fn an_error_that_nobody_looked_at_is_logged(make: Make) {
    let executor = make(1);
    let [unseen, seen] = ["unseen", "seen"].map(|how| {
        // The id of another task, which nobody else has.
        let name = format!("{how} task {}!", executor.submit(double, 1).id());
        let named = executor.with(TaskOptions::new().name(name.as_str()));
        (name, named.submit(panic_with, "for the log".into()))
    });
    unseen.1.wait();
    assert!(logged(&unseen.0).is_empty(), "there is time to look");
    drop(unseen.1);
    assert_eq!(panic_message(seen.1.result()), "for the log");
    executor.shutdown();
    let records = logged(&unseen.0);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].0, log::Level::Warn);
    assert!(records[0].1.contains("for the log"), "{records:?}");
    assert!(logged(&seen.0).is_empty());
}

fn a_task_that_panics_costs_the_executor_nothing(make: Make) {
    let executor = make(1);
    for round in 0..5 {
        let failed = executor.submit(panic_with, format!("round {round}"));
        assert_eq!(panic_message(failed.result()), format!("round {round}"));
        assert_eq!(executor.submit(double, round).result().unwrap(), 2 * round);
    }
    let stats = executor.stats();
    assert_eq!((stats.workers, stats.respawned, stats.failed), (1, 0, 5));
}

fn stats_tell_what_happens_and_what_happened(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy(&*executor, &door);
    let tasks = [executor.submit(double, 1), executor.submit(panic_with, "counted".into()), executor.submit(double, 2)];
    assert!(tasks[2].cancel());
    let now = executor.stats();
    assert_eq!((now.running, now.pending, now.completed, now.failed), (1, 2, 0, 0));
    door.open();
    running.wait();
    executor.shutdown();
    let end = executor.stats();
    assert_eq!((end.running, end.pending, end.completed, end.failed), (0, 0, 2, 1));
    assert!(tasks[1].error().is_some());
}
