//! What follows a future without a thread that waits for it: `map`, `and_then`, `or_else`, `submit_after`, and the
//! futures of many.

use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, Executor, Future, State, TaskOptions, all_settled, any, promise, race, try_all};

use crate::functions::{add, double, panic_with, parse, sum};
use crate::points::{Make, Points};
use crate::support::{Door, Seen, mark, marks, occupy_at_door, pass_with};

pub(crate) const POINTS: Points = points![
    a_chain_makes_of_a_value_what_its_functions_do,
    an_error_passes_through_a_chain_unchanged,
    or_else_makes_a_value_of_an_error,
    a_chain_runs_in_the_thread_that_completes_its_task: Background,
    cancel_of_a_chained_future_cancels_its_task: Queue,
    abort_of_a_chained_future_aborts_its_task: Background,
    a_task_that_is_cancelled_cancels_what_follows: Queue,
    a_task_after_others_gets_their_values,
    a_graph_of_tasks_runs_on_one_worker,
    a_shared_input_serves_several_tasks,
    no_worker_waits_for_inputs: Submitter,
    the_first_error_of_an_input_ends_what_waits_for_it: Background + Submitter,
    cancel_of_a_task_cancels_the_inputs_that_it_needs: Queue + Submitter,
    a_held_back_task_is_refused_after_shutdown: Closing + Submitter,
    a_held_back_task_is_limited_like_others: TimeLimits + Submitter,
    try_all_gives_the_values_or_the_first_error: Queue,
    all_settled_gives_all_outcomes,
    any_gives_the_first_value,
    race_gives_the_first_outcome,
];

fn a_chain_makes_of_a_value_what_its_functions_do(make: &Make) {
    let executor = make(1);
    let unit = String::from("km");
    let text = executor.submit(double, 4).map(move |n| format!("{n} {unit}"));
    assert_eq!(text.result().unwrap(), "8 km");
    let number = executor.submit(double, 4).and_then(u8::try_from).map(u64::from);
    assert_eq!(number.result().unwrap(), 8);
}

fn an_error_passes_through_a_chain_unchanged(make: &Make) {
    let executor = make(1);
    let chained = executor.submit(panic_with, "oh".into()).map(|n| n + 1).and_then(u8::try_from);
    match chained.result() {
        Err(Error::Panicked(panicked)) => assert_eq!(panicked.message(), "oh"),
        other => panic!("{other:?}"),
    }
    let failed = executor.try_submit(parse, "x".into()).map(|n| n + 1).result().unwrap_err();
    assert!(matches!(&failed, Error::Failed(_)) && failed.to_string().contains("invalid digit"), "{failed}");
    let failed = executor.submit(double, 200).and_then(u8::try_from).result().unwrap_err();
    assert!(failed.downcast_ref::<std::num::TryFromIntError>().is_some(), "{failed}");
}

fn or_else_makes_a_value_of_an_error(make: &Make) {
    let executor = make(1);
    let recovered = executor.try_submit(parse, "x".into()).or_else(|_| Ok::<_, Error>(7));
    assert_eq!(recovered.result().unwrap(), 7);
    let untouched = executor.try_submit(parse, "3".into()).or_else(|_| Ok::<_, Error>(7));
    assert_eq!(untouched.result().unwrap(), 3);
    let passed_on = executor.submit(panic_with, "oh".into()).or_else(Err::<u64, _>);
    assert!(matches!(passed_on.result(), Err(Error::Panicked(_))));
}

fn a_chain_runs_in_the_thread_that_completes_its_task(make: &Make) {
    let (executor, door, seen) = (make(1), Door::new(), Seen::new());
    let task = executor.submit(pass_with, (door.path(), 3));
    let see = seen.clone();
    task.add_done_callback(move |_| see.push(thread::current().id()));
    let completed_by = task.map(|_| thread::current().id());
    door.open();
    assert_eq!([completed_by.result().unwrap()], seen.all()[..]);
    let done = executor.submit(double, 1);
    done.wait();
    assert_eq!(done.map(|_| thread::current().id()).result().unwrap(), thread::current().id());
}

fn cancel_of_a_chained_future_cancels_its_task(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let file = door.path().join("marks");
    let chained = executor.submit(mark, (file.clone(), 1)).map(|n| n + 1).or_else(|_| Ok::<_, Error>(7));
    assert_eq!(chained.state(), State::Pending);
    assert!(chained.cancel() && chained.cancel());
    assert!(matches!(chained.result(), Err(Error::Cancelled)));
    let last = executor.submit(mark, (file.clone(), 2));
    door.open();
    running.wait();
    last.wait();
    assert_eq!(marks(&file), [2]);
}

fn abort_of_a_chained_future_aborts_its_task(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let task = occupy_at_door(&*executor, &door);
    let stop = task.abort_handle();
    let chained = task.map(|pid| pid + 1);
    assert!(chained.abort());
    assert!(matches!(chained.result(), Err(Error::Cancelled)));
    assert!(stop.is_done());
    door.open();
}

fn a_task_that_is_cancelled_cancels_what_follows(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let task = executor.submit(double, 1);
    let stop = task.abort_handle();
    let follows = task.map(|n| n + 1).map(|n| n + 1);
    assert!(stop.cancel());
    assert!(follows.is_cancelled());
    door.open();
}

fn a_task_after_others_gets_their_values(make: &Make) {
    let executor = make(2);
    let one = |n| executor.submit(double, n);
    assert_eq!(executor.submit_after(one(1), double).result().unwrap(), 4);
    assert_eq!(executor.submit_after((one(1), one(2)), add).result().unwrap(), 6);
    assert_eq!(executor.submit_after(vec![one(1), one(2), one(3)], sum).result().unwrap(), 12);
    assert_eq!(executor.submit_after(Vec::<Future<u64>>::new(), sum).result().unwrap(), 0);
    let text = executor.submit_after(one(1), double).map(|n| n.to_string());
    assert_eq!(executor.try_submit_after(text, parse).result().unwrap(), 4);
}

fn a_graph_of_tasks_runs_on_one_worker(make: &Make) {
    let executor = make(1);
    // A tree of 64 leaves.
    let mut layer: Vec<_> = (0..64).map(|n| executor.submit(double, n)).collect();
    while layer.len() > 1 {
        let mut pairs = Vec::new();
        let mut futures = layer.into_iter();
        while let (Some(left), Some(right)) = (futures.next(), futures.next()) {
            pairs.push(executor.submit_after((left, right), add));
        }
        layer = pairs;
    }
    assert_eq!(layer.remove(0).result().unwrap(), 63 * 64);
}

fn a_shared_input_serves_several_tasks(make: &Make) {
    let executor = make(1);
    let shared = executor.submit(double, 1).share();
    let tasks: Vec<_> = (0..3).map(|_| executor.submit_after(shared.clone(), double)).collect();
    let pair = executor.submit_after((shared.clone(), executor.submit(double, 5)), add);
    for task in tasks {
        assert_eq!(task.result().unwrap(), 4);
    }
    assert_eq!(pair.result().unwrap(), 12);
    assert_eq!(*shared.result().unwrap(), 2);
}

fn no_worker_waits_for_inputs(make: &Make) {
    let executor = make(1);
    let (promise, input) = promise::<u64>();
    let held_back = executor.submit_after(input, double);
    assert_eq!(held_back.state(), State::Pending);
    assert_eq!(executor.submit(double, 1).result().unwrap(), 2);
    assert_eq!(held_back.state(), State::Pending);
    promise.complete(Ok(4));
    assert_eq!(held_back.result().unwrap(), 8);
}

fn the_first_error_of_an_input_ends_what_waits_for_it(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let running = executor.submit(pass_with, (door.path(), 1));
    door.arrived();
    let wrong = executor.submit(panic_with, "oh".into());
    let held_back = executor.submit_after((running, wrong), add);
    match held_back.result() {
        Err(Error::Panicked(panicked)) => assert_eq!(panicked.message(), "oh"),
        other => panic!("{other:?}"),
    }
    door.open();
}

fn cancel_of_a_task_cancels_the_inputs_that_it_needs(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = executor.submit(pass_with, (door.path(), 1));
    door.arrived();
    let (pending, shared) = (executor.submit(double, 1), executor.submit(double, 2).share());
    let stops = [running.abort_handle(), pending.abort_handle()];
    let below = executor.submit_after((running, pending), add);
    let top = executor.submit_after((below, shared.clone()), add);
    assert!(top.cancel());
    assert!(matches!(top.result(), Err(Error::Cancelled)));
    assert!(!stops[0].is_done(), "it was running");
    assert!(stops[1].is_done());
    assert!(!shared.is_done(), "others have it, too");
    door.open();
    assert_eq!(*shared.result().unwrap(), 4);
}

fn a_held_back_task_is_refused_after_shutdown(make: &Make) {
    let executor = make(1);
    let (promise, input) = promise::<u64>();
    let held_back = executor.submit_after(input, double);
    executor.shutdown();
    promise.complete(Ok(4));
    assert!(matches!(held_back.result(), Err(Error::ShutDown)));
}

fn a_held_back_task_is_limited_like_others(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let (promise, input) = promise();
    let limited = executor.with(TaskOptions::new().name("held back").time_limit(Duration::from_millis(20)));
    let held_back = limited.submit_after(input, pass_with);
    promise.complete(Ok((door.path(), 1)));
    match held_back.result() {
        Err(Error::TimeLimit(limit)) => assert_eq!(limit.task_name(), Some("held back")),
        other => panic!("{other:?}"),
    }
    door.open();
}

fn try_all_gives_the_values_or_the_first_error(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let all = try_all((0..5).map(|n| executor.submit(double, n)));
    assert_eq!(all.result().unwrap(), [0, 2, 4, 6, 8]);
    let running = occupy_at_door(&*executor, &door);
    let wrong = executor.submit(panic_with, "oh".into());
    let (promise, pending) = promise();
    let all = try_all([pending, wrong]);
    assert!(!all.is_done());
    door.open();
    running.wait();
    assert!(matches!(all.result(), Err(Error::Panicked(_))));
    assert!(promise.is_cancelled());
}

fn all_settled_gives_all_outcomes(make: &Make) {
    let executor = make(1);
    let outcomes =
        all_settled([executor.submit(double, 1), executor.submit(panic_with, "oh".into())]).result().unwrap();
    assert!(matches!(&outcomes[..], [Ok(2), Err(Error::Panicked(_))]), "{outcomes:?}");
}

fn any_gives_the_first_value(make: &Make) {
    let executor = make(1);
    let (promise, never) = promise();
    let first = any([executor.submit(panic_with, "oh".into()), never, executor.submit(double, 1)]);
    assert_eq!(first.result().unwrap(), 2);
    assert!(promise.is_cancelled());
    let none = any(["first", "second"].map(|text| executor.submit(panic_with, text.into())));
    match none.result() {
        Err(Error::Panicked(panicked)) => assert_eq!(panicked.message(), "first"),
        other => panic!("{other:?}"),
    }
}

fn race_gives_the_first_outcome(make: &Make) {
    let executor = make(1);
    let (promise, never) = promise();
    assert_eq!(race([never, executor.submit(double, 1)]).result().unwrap(), 2);
    assert!(promise.is_cancelled());
    let (promise, never) = concurrent_futures::promise();
    assert!(matches!(race([never, executor.submit(panic_with, "oh".into())]).result(), Err(Error::Panicked(_))));
    assert!(promise.is_cancelled());
}
