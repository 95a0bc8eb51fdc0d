//! `as_completed`: futures in completion order.

use std::time::{Duration, Instant};

use concurrent_futures::{Executor, Future, InlineExecutor, Waitable, as_completed};

use crate::functions::{double, panic_with, same_number};
use crate::points::{Make, Points};
use crate::support::{Door, LONG, mark, marks, occupy_at_door, pass_with};

pub(crate) const POINTS: Points = points![
    futures_come_in_completion_order: Background,
    done_futures_come_first: Background,
    failed_and_cancelled_tasks_come_out_as_futures: Queue,
    each_future_comes_out_once,
    a_future_added_twice_comes_out_twice,
    an_empty_set_of_futures_ends_at_once,
    a_timeout_counts_the_unfinished_futures: Background,
    the_timeout_counts_from_the_call,
    unfinished_futures_can_be_taken_back: Background,
    tasks_of_dropped_futures_still_run,
    futures_may_be_added_while_iterating,
    futures_of_several_executors_and_types_go_together,
    a_future_can_be_paired_with_a_value: Background,
];

fn futures_come_in_completion_order(make: &Make) {
    let executor = make(3);
    let doors = [(); 3].map(|()| Door::new());
    let tasks = [0, 1, 2].map(|n| executor.submit(pass_with, (doors[usize::try_from(n).unwrap()].path(), n)));
    let (mut completed, later) = (as_completed(&tasks), as_completed(&tasks));
    for last in [2, 0, 1] {
        doors[last].open();
        assert_eq!(completed.next().unwrap().id(), tasks[last].id());
        // A task that is seen as done is in all sets that wait for it.
        tasks[last].wait();
    }
    assert!(completed.next().is_none() && completed.next().is_none());
    let order: Vec<_> = later.map(|task| task.id()).collect();
    assert_eq!(order, [tasks[2].id(), tasks[0].id(), tasks[1].id()], "however late it is asked");
}

fn done_futures_come_first(make: &Make) {
    let executor = make(2);
    let door = Door::new();
    let held = executor.submit(pass_with, (door.path(), 0));
    door.arrived();
    let done = [1, 2].map(|n| executor.submit(double, n));
    done.iter().for_each(|task| task.wait());
    let mut completed = as_completed([&held, &done[0], &done[1]]);
    let mut first = [completed.next().unwrap().id(), completed.next().unwrap().id()];
    first.sort_by_key(|id| *id != done[0].id());
    assert_eq!(first, [done[0].id(), done[1].id()], "without the one at the door");
    door.open();
    assert_eq!(completed.next().unwrap().id(), held.id());
}

fn failed_and_cancelled_tasks_come_out_as_futures(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let held = executor.submit(pass_with, (door.path(), 0));
    door.arrived();
    let (failing, cancelled) = (executor.submit(panic_with, "oh".into()), executor.submit(double, 1));
    let mut completed = as_completed([&held, &failing, &cancelled]);
    assert!(cancelled.cancel());
    assert_eq!(completed.next().unwrap().id(), cancelled.id());
    door.open();
    assert_eq!(completed.map(|task| task.id()).collect::<Vec<_>>(), [held.id(), failing.id()]);
    assert!(failing.error().is_some());
}

fn each_future_comes_out_once(make: &Make) {
    let executor = make(2);
    let tasks: Vec<_> = (0..50).map(|n| executor.submit(double, n)).collect();
    let mut results: Vec<_> = as_completed(tasks).map(|task| task.result().unwrap()).collect();
    results.sort_unstable();
    assert_eq!(results, (0..50).map(double).collect::<Vec<_>>());
}

fn a_future_added_twice_comes_out_twice(make: &Make) {
    let executor = make(1);
    let [one, two] = [1, 2].map(|n| executor.submit(double, n));
    let ids: Vec<_> = as_completed([&one, &two, &one]).map(|task| task.id()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids.iter().filter(|id| **id == one.id()).count(), 2);
}

fn an_empty_set_of_futures_ends_at_once(make: &Make) {
    let executor = make(1);
    let mut completed = executor.as_completed(std::iter::empty::<Future<u8>>());
    assert_eq!(completed.len(), 0);
    assert!(completed.next().is_none() && completed.next().is_none());
    assert!(completed.next_timeout(Duration::ZERO).unwrap().is_none());
    assert!(completed.next_timeout(LONG).unwrap().is_none());
    assert!(completed.into_unfinished().is_empty());
}

fn a_timeout_counts_the_unfinished_futures(make: &Make) {
    let executor = make(2);
    let door = Door::new();
    let held = [1, 2].map(|n| executor.submit(pass_with, (door.path(), n)));
    held.iter().for_each(|_| assert!(door.arrived() > 0));
    let refused = InlineExecutor.submit(double, 3);
    let mut completed = as_completed(held.iter().chain([&refused]));
    assert_eq!(completed.next_timeout(Duration::ZERO).unwrap().unwrap().id(), refused.id());
    for (timeout, after) in [(Duration::from_millis(5), " after 5ms"), (Duration::ZERO, "")] {
        let begin = Instant::now();
        let unfinished = completed.next_timeout(timeout).unwrap_err();
        assert!(begin.elapsed() >= timeout);
        assert_eq!((unfinished.unfinished(), unfinished.total()), (2, 3));
        assert_eq!(unfinished.to_string(), format!("2 (of 3) futures unfinished{after}"));
    }
    door.open();
    assert!(completed.next_timeout(LONG).unwrap().is_some(), "the unfinished futures are still in the iterator");
    assert!(completed.next_timeout(Duration::MAX).unwrap().is_some());
    assert!(completed.next_timeout(LONG).unwrap().is_none());
}

fn the_timeout_counts_from_the_call(make: &Make) {
    let executor = make(1);
    let tasks = [1, 2].map(|n| executor.submit(double, n));
    let mut completed = as_completed(&tasks);
    tasks.iter().for_each(|task| task.wait());
    // Futures that are done come out however late the first call is; and each call has a time limit of its own.
    for _ in &tasks {
        assert!(completed.next_timeout(Duration::from_nanos(1)).unwrap().is_some());
    }
}

fn unfinished_futures_can_be_taken_back(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let done = executor.submit(double, 1);
    done.wait();
    let held: Vec<_> = (0..3).map(|n| executor.submit(pass_with, (door.path(), n))).collect();
    let ids: Vec<_> = held.iter().map(|task| task.id()).collect();
    let mut completed = as_completed(held.into_iter().chain([done]));
    assert_eq!(completed.next().unwrap().result().unwrap(), 2);
    let unfinished = completed.into_unfinished();
    assert_eq!(unfinished.iter().map(|task| task.id()).collect::<Vec<_>>(), ids);
    door.open();
    assert_eq!(as_completed(unfinished).map(|task| task.result().unwrap()).sum::<u64>(), 3);
}

fn tasks_of_dropped_futures_still_run(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let file = door.path().join("marks");
    let mut completed = as_completed((0..3).map(|n| executor.submit(mark, (file.clone(), n))));
    assert!(completed.next().is_some());
    drop(completed);
    executor.shutdown();
    let mut ran = marks(&file);
    ran.sort_unstable();
    assert_eq!(ran, [0, 1, 2]);
}

fn futures_may_be_added_while_iterating(make: &Make) {
    let executor = make(2);
    let mut crawl = as_completed([executor.submit(same_number, 4)]);
    let mut visited = 0;
    while let Some(page) = crawl.next() {
        visited += 1;
        let depth = page.result().unwrap();
        for _ in 0..depth.min(2) {
            crawl.push(executor.submit(same_number, depth - 1));
        }
    }
    // Twice as many at each level, except the last: each page of the level above leads to one.
    assert_eq!(visited, 1 + 2 + 4 + 8 + 8);
}

fn futures_of_several_executors_and_types_go_together(make: &Make) {
    let executor = make(1);
    let number = executor.submit(double, 1);
    let text = InlineExecutor.submit(|n: u8| n.to_string(), 2);
    let shared = executor.submit(double, 3).share();
    let all = [("number", &number as &dyn Waitable), ("text", &text), ("shared", &shared)];
    let mut names: Vec<_> = as_completed(all).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["number", "shared", "text"]);
    assert_eq!(executor.as_completed(all).count(), 3);
    assert!(number.is_done());
}

fn a_future_can_be_paired_with_a_value(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _held = occupy_at_door(&*executor, &door);
    let to_do: Vec<_> = (0..5).map(|n| (n, executor.submit(double, n))).collect();
    door.open();
    for (n, task) in as_completed(to_do) {
        assert_eq!(task.result().unwrap(), 2 * n);
    }
}
