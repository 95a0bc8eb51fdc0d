//! `wait`: which futures it waits for, and how it sorts them.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use concurrent_futures::{Executor, InlineExecutor, ReturnWhen, ThreadPoolExecutor, Waitable, Waited, wait};

use crate::functions::{double, panic_with, parse};
use crate::points::{Make, Points};
use crate::support::{Door, LONG, occupy_at_door, pass, pass_with, pid};

pub(crate) const POINTS: Points = points![
    all_completed_returns_when_all_are_done,
    first_completed_returns_every_done_future_at_once: Background,
    first_completed_returns_when_the_first_task_is_done: Background,
    first_error_returns_when_the_first_task_fails: Background,
    first_error_returns_at_once_if_a_task_has_failed: Background,
    first_error_ignores_a_cancelled_future: Queue,
    first_error_ignores_a_future_cancelled_during_the_wait: Queue,
    first_error_waits_for_all_if_no_task_fails,
    a_timeout_separates_done_futures_from_the_others: Background,
    a_zero_timeout_does_not_wait: Background,
    a_wait_for_no_futures_returns_at_once,
    any_iterable_of_futures_is_accepted,
    futures_of_several_executors_and_types_wait_together,
    a_future_added_twice_comes_out_twice: Background,
    threads_that_wait_for_the_same_futures_in_different_orders_all_return: Background,
];

fn counts<W>(waited: &Waited<W>) -> (usize, usize) {
    (waited.done.len(), waited.not_done.len())
}

fn all_completed_returns_when_all_are_done(make: &Make) {
    let executor = make(2);
    let tasks: Vec<_> = (0..6).map(|n| executor.submit(double, n)).collect();
    let waited = wait(tasks, None, ReturnWhen::AllCompleted);
    assert_eq!(counts(&waited), (6, 0));
    assert!(waited.done.iter().all(|task| task.is_done()));
    let results: Vec<_> = waited.done.into_iter().map(|task| task.result().unwrap()).collect();
    assert_eq!(results, [0, 2, 4, 6, 8, 10], "in input order");
}

fn first_completed_returns_every_done_future_at_once(make: &Make) {
    let executor = make(2);
    let door = Door::new();
    let held = executor.submit(pass_with, (door.path(), 1));
    door.arrived();
    let (one, failed) = (executor.submit(double, 1), executor.submit(panic_with, "done too".into()));
    wait([&one, &failed], None, ReturnWhen::AllCompleted);
    let Waited { done, not_done } = wait([&one, &held, &failed], None, ReturnWhen::FirstCompleted);
    assert_eq!(done.iter().map(|task| task.id()).collect::<Vec<_>>(), [one.id(), failed.id()]);
    assert_eq!(not_done.iter().map(|task| task.id()).collect::<Vec<_>>(), [held.id()]);
    assert!(failed.error().is_some());
}

fn first_completed_returns_when_the_first_task_is_done(make: &Make) {
    let executor = make(2);
    let (left, right) = (Door::new(), Door::new());
    let tasks = [occupy_at_door(&*executor, &left), occupy_at_door(&*executor, &right)];
    let ids = [tasks[0].id(), tasks[1].id()];
    right.open();
    let Waited { done, not_done } = wait(tasks, None, ReturnWhen::FirstCompleted);
    assert_eq!((done.len(), done[0].id()), (1, ids[1]));
    assert_eq!(not_done[0].id(), ids[0]);
}

fn first_error_returns_when_the_first_task_fails(make: &Make) {
    let executor = make(2);
    let door = Door::new();
    let held = executor.submit(pass_with, (door.path(), 1));
    door.arrived();
    for failing in [executor.submit(panic_with, "first".into()), executor.try_submit(parse, "x".into())] {
        let good = executor.submit(double, 1);
        good.wait();
        let Waited { done, not_done } = wait([&held, &good, &failing], LONG, ReturnWhen::FirstError);
        assert_eq!(done.iter().map(|task| task.id()).collect::<Vec<_>>(), [good.id(), failing.id()]);
        assert_eq!(not_done.len(), 1);
        assert!(failing.error().is_some());
    }
}

fn first_error_returns_at_once_if_a_task_has_failed(make: &Make) {
    let executor = make(2);
    let door = Door::new();
    let held = executor.submit(pass_with, (door.path(), 1));
    let failed = executor.try_submit(parse, "x".into());
    assert!(failed.error().is_some());
    assert_eq!(counts(&wait([&held, &failed], None, ReturnWhen::FirstError)), (1, 1));
}

fn first_error_ignores_a_cancelled_future(make: &Make) {
    let (executor, door, first) = (make(1), Door::new(), Door::new());
    let aborted = occupy_at_door(&*executor, &first);
    let [cancelled, held] = [(); 2].map(|()| executor.submit(pass, door.path()));
    assert!(cancelled.cancel() && aborted.abort());
    let begin = Instant::now();
    let waited = wait([&cancelled, &aborted, &held], Duration::from_millis(5), ReturnWhen::FirstError);
    assert!(begin.elapsed() >= Duration::from_millis(5));
    assert_eq!(counts(&waited), (2, 1));
    assert_eq!((waited.done[0].id(), waited.not_done[0].id()), (cancelled.id(), held.id()));
    first.open();
    door.open();
    assert_eq!(counts(&wait([cancelled, held], None, ReturnWhen::FirstError)), (2, 0));
}

fn first_error_ignores_a_future_cancelled_during_the_wait(make: &Make) {
    let executor = make(1);
    // Nothing reports that a thread waits, so in some rounds it comes too late to see the cancellation happen.
    for round in 0..20 {
        let door = Door::new();
        let held = executor.submit(pass_with, (door.path(), round)).share();
        let cancelled = executor.submit(double, round).share();
        door.arrived();
        let (all, (started, has_started)) = ([cancelled.clone(), held], channel());
        let waiter = thread::spawn(move || {
            started.send(()).unwrap();
            counts(&wait(all, None, ReturnWhen::FirstError))
        });
        has_started.recv().unwrap();
        thread::yield_now();
        assert!(cancelled.cancel());
        thread::yield_now();
        door.open();
        assert_eq!(waiter.join().unwrap(), (2, 0));
    }
}

fn first_error_waits_for_all_if_no_task_fails(make: &Make) {
    let executor = make(2);
    let tasks: Vec<_> = (0..6).map(|n| executor.submit(double, n)).collect();
    assert_eq!(counts(&wait(tasks, None, ReturnWhen::FirstError)), (6, 0));
}

fn a_timeout_separates_done_futures_from_the_others(make: &Make) {
    let executor = make(2);
    let door = Door::new();
    let held = executor.submit(pass_with, (door.path(), 1));
    door.arrived();
    let done = executor.submit(double, 1);
    done.wait();
    let waited = wait([&held, &done], Duration::from_millis(5), ReturnWhen::AllCompleted);
    assert_eq!((waited.done[0].id(), waited.not_done[0].id()), (done.id(), held.id()));
    let waited = wait([&held], Duration::from_millis(5), ReturnWhen::FirstCompleted);
    assert_eq!(counts(&waited), (0, 1), "no task is done, and the timeout is no error");
}

fn a_zero_timeout_does_not_wait(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let held = occupy_at_door(&*executor, &door);
    for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstCompleted, ReturnWhen::FirstError] {
        assert_eq!(counts(&wait([&held], Duration::ZERO, return_when)), (0, 1));
    }
    let done = executor.submit(pid, ());
    done.wait();
    assert_eq!(counts(&wait([&held, &done], Duration::ZERO, ReturnWhen::AllCompleted)), (1, 1));
    door.open();
    held.wait();
    assert_eq!(counts(&wait([&held], Duration::ZERO, ReturnWhen::AllCompleted)), (1, 0));
}

fn a_wait_for_no_futures_returns_at_once(make: &Make) {
    let executor = make(1);
    for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstCompleted, ReturnWhen::FirstError] {
        let nothing = std::iter::empty::<concurrent_futures::Future<u8>>();
        assert_eq!(counts(&executor.wait(nothing, None, return_when)), (0, 0));
    }
}

fn any_iterable_of_futures_is_accepted(make: &Make) {
    let executor = make(2);
    let lazy = (1..=3).map(|n| (n, executor.submit(double, n)));
    let waited = wait(lazy, None, ReturnWhen::AllCompleted);
    for (n, task) in waited.done {
        assert_eq!(task.result().unwrap(), 2 * n, "a future travels with what it is for");
    }
    // A future may travel with any value, even one that is neither Send nor Clone.
    let to_do = HashMap::from([("BR", executor.submit(double, 1)), ("CN", executor.submit(double, 2))]);
    let tagged = to_do.into_iter().map(|(country, task)| ((Rc::new(country), [0; 100]), task));
    for ((country, _), task) in wait(tagged, None, ReturnWhen::AllCompleted).done {
        assert_eq!(task.result().unwrap(), if *country == "BR" { 2 } else { 4 });
    }
}

fn futures_of_several_executors_and_types_wait_together(make: &Make) {
    let (executor, other) = (make(1), ThreadPoolExecutor::new(1));
    let number = executor.submit(double, 1);
    let text = other.submit(|n: u8| n.to_string(), 2);
    let unit = InlineExecutor.submit(drop, 3);
    let shared = executor.submit(double, 4).share();
    let all = [&number as &dyn Waitable, &text, &unit, &shared];
    assert_eq!(counts(&wait(all, None, ReturnWhen::AllCompleted)), (4, 0));
    assert_eq!((number.result().unwrap(), text.result().unwrap()), (2, "2".to_owned()));
}

fn a_future_added_twice_comes_out_twice(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let held = occupy_at_door(&*executor, &door);
    assert_eq!(counts(&wait([&held, &held], Duration::ZERO, ReturnWhen::AllCompleted)), (0, 2));
    door.open();
    assert_eq!(counts(&wait([&held, &held], None, ReturnWhen::AllCompleted)), (2, 0));
}

fn threads_that_wait_for_the_same_futures_in_different_orders_all_return(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let tasks: Vec<_> = (0..8).map(|n| executor.submit(pass_with, (door.path(), n)).share()).collect();
    let (started, has_started) = channel();
    let waiters: Vec<_> = (0..8)
        .map(|turn| {
            let (mut tasks, started) = (tasks.clone(), started.clone());
            tasks.rotate_left(turn);
            if turn % 2 == 0 {
                tasks.reverse();
            }
            thread::spawn(move || {
                started.send(()).unwrap();
                wait(tasks, None, ReturnWhen::AllCompleted).done.len()
            })
        })
        .collect();
    assert_eq!(has_started.iter().take(8).count(), 8);
    door.open();
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == 8));
}
