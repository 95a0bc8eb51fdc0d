//! `submit` and its variants: what may be sent, and what is refused.

use std::collections::BTreeMap;
use std::thread;

use concurrent_futures::{Error, Executor, State, TaskOptions};

use crate::functions::{area, double, panic_with, parse, same_numbers, same_shapes};
use crate::points::{Make, Points};
use crate::support::{Door, logged, mark, marks, occupy_at_door, panic_message};

pub(crate) const POINTS: Points = points![
    several_arguments_are_a_tuple,
    functions_methods_and_closures_without_captures_can_be_sent: AnyFunction,
    values_of_many_shapes_cross,
    a_bound_function_submits_on_each_call,
    constructing_starts_nothing: OnDemand + Queue,
    tasks_start_in_the_order_of_submission: Queue,
    a_task_submitted_after_shutdown_fails: Closing,
    a_dropped_future_still_runs: Queue,
    an_error_that_was_never_read_is_logged,
    an_executor_survives_a_task_that_panics,
    a_worker_survives_a_task_that_panics: Stats + OnDemand,
    stats_count_current_and_past_tasks: Queue + Stats + PromptStart,
];

fn several_arguments_are_a_tuple(make: &Make) {
    let executor = make(1);
    let area = executor.submit(area, (6, 7));
    assert_eq!(area.result().unwrap(), 42);
}

fn functions_methods_and_closures_without_captures_can_be_sent(make: &Make) {
    let executor = make(1);
    assert_eq!(executor.submit(i64::abs, -3).result().unwrap(), 3);
    assert_eq!(executor.submit(u64::leading_zeros, 1).result().unwrap(), 63);
    assert_eq!(executor.submit(Some, 1_u8).result().unwrap(), Some(1));
    assert_eq!(executor.submit(|text: String| text.to_uppercase(), "x".into()).result().unwrap(), "X");
    assert_eq!(executor.submit(|(a, b): (i32, i32)| a * b, (6, 7)).result().unwrap(), 42);
}

fn values_of_many_shapes_cross(make: &Make) {
    let executor = make(1);
    let map = BTreeMap::from([("one".to_owned(), vec![Some(1.5), None]), (String::new(), vec![])]);
    let shapes = ((), 'x', Ok(1), map);
    assert_eq!(executor.submit(same_shapes, shapes.clone()).result().unwrap(), shapes);
    let long = vec![7_u64; 100_000];
    assert_eq!(executor.submit(same_numbers, long.clone()).result().unwrap(), long);
}

fn a_bound_function_submits_on_each_call(make: &Make) {
    fn crosses<F: Send + Sync + Clone>(_: &F) {}
    let executor = make(2);
    let later = executor.bind(double);
    crosses(&later);
    let clone = later.clone();
    let tasks: Vec<_> = (0..10).map(|n| if n % 2 == 0 { later(n) } else { clone(n) }).collect();
    assert!(tasks.into_iter().map(|task| task.result().unwrap()).eq((0..10).map(double)));
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(later(21).result().unwrap(), 42));
    });
}

fn constructing_starts_nothing(make: &Make) {
    let executor = make(3);
    assert_eq!(executor.max_workers(), 3);
    assert_eq!(executor.stats().workers, 0);
    executor.submit(double, 1).wait();
    assert_eq!(executor.stats().workers, 1, "one task needs one worker");
}

fn tasks_start_in_the_order_of_submission(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let running = occupy_at_door(&*executor, &door);
    let tasks: Vec<_> = (0..500).map(|n| executor.submit(mark, (file.clone(), n))).collect();
    door.open();
    running.wait();
    tasks.iter().for_each(|task| task.wait());
    assert_eq!(marks(&file), (0..500).collect::<Vec<_>>());
}

fn a_task_submitted_after_shutdown_fails(make: &Make) {
    let executor = make(1);
    executor.submit(double, 1).wait();
    executor.shutdown();
    let refused = executor.submit(double, 1);
    assert_eq!(refused.state(), State::Finished);
    assert!(matches!(refused.error(), Some(Error::ShutDown)));
    assert!(!refused.cancel());
    assert!(matches!(refused.result(), Err(Error::ShutDown)));
    assert!(matches!(executor.try_submit(parse, "1".into()).result(), Err(Error::ShutDown)));
    assert!(matches!(executor.bind(double)(1).result(), Err(Error::ShutDown)));
    assert!(executor.map(double, [1, 2]).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
    let unordered = executor.map_unordered(double, [1, 2]);
    assert_eq!(unordered.filter(|(_, outcome)| matches!(outcome, Err(Error::ShutDown))).count(), 2);
}

fn a_dropped_future_still_runs(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let running = occupy_at_door(&*executor, &door);
    drop(executor.submit(mark, (file.clone(), 1)));
    executor.submit(mark, (file.clone(), 2)).detach();
    door.open();
    running.wait();
    executor.shutdown();
    assert_eq!(marks(&file), [1, 2]);
}

fn an_error_that_was_never_read_is_logged(make: &Make) {
    let executor = make(1);
    let [unseen, seen] = ["unseen", "seen"].map(|how| {
        // The id of another task, which no other value has.
        let name = format!("{how} task {}!", executor.submit(double, 1).id());
        let named = executor.with(TaskOptions::new().name(name.as_str()));
        (name, named.submit(panic_with, "for the log".into()))
    });
    unseen.1.wait();
    assert!(unseen.1.to_string().contains("raised Panicked"), "a look at the state is none");
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

fn an_executor_survives_a_task_that_panics(make: &Make) {
    let executor = make(1);
    for round in 0..5 {
        let failed = executor.submit(panic_with, format!("round {round}"));
        assert_eq!(panic_message(failed.result()), format!("round {round}"));
        assert_eq!(executor.submit(double, round).result().unwrap(), 2 * round);
    }
}

fn a_worker_survives_a_task_that_panics(make: &Make) {
    let executor = make(1);
    for _ in 0..5 {
        assert_eq!(panic_message(executor.submit(panic_with, "at no cost".into()).result()), "at no cost");
    }
    // A worker counts a task when it comes for the next one.
    assert_eq!(executor.submit(double, 1).result().unwrap(), 2);
    let stats = executor.stats();
    assert_eq!((stats.workers, stats.respawned, stats.failed), (1, 0, 5));
}

fn stats_count_current_and_past_tasks(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let running = [occupy_at_door(&*executor, &door), occupy_at_door(&*executor, &door)];
    let done = [1, 2, 3].map(|n| executor.submit(double, n));
    let failed = [executor.submit(panic_with, "counted".into()), executor.try_submit(parse, "counted".into())];
    let cancelled = executor.submit(double, 4);
    assert!(cancelled.cancel());
    let now = executor.stats();
    assert_eq!((now.workers, now.idle, now.running, now.pending), (2, 0, 2, 5));
    assert_eq!((now.completed, now.failed, now.respawned), (0, 0, 0));
    door.open();
    running.iter().for_each(|task| task.wait());
    assert!(done.into_iter().all(|task| task.result().is_ok()));
    assert!(failed.iter().all(|task| task.error().is_some()));
    executor.shutdown();
    let end = executor.stats();
    assert_eq!((end.workers, end.idle, end.running, end.pending), (0, 0, 0, 0));
    assert_eq!((end.completed, end.failed, end.respawned), (5, 2, 0));
}
