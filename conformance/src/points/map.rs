//! `map` and `map_unordered`: an outcome for each item.

use std::path::PathBuf;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, MapOptions, TaskOptions};

use crate::functions::{
    double, mark_and_pass, panic_at_some, parse, pass_and_mark, power, second_waits, wait_at_the_last,
};
use crate::points::{Make, Points};
use crate::support::{Door, LONG, mark, marks, occupy_at_door, panic_message, panic_text, pass_with};

pub(crate) const POINTS: Points = points![
    outcomes_come_in_input_order,
    outcomes_come_in_input_order_even_if_later_items_end_first: Background,
    several_inputs_end_with_the_shortest,
    a_map_submits_all_items_before_it_returns: Queue,
    a_map_of_an_empty_input_ends_at_once,
    a_map_of_an_empty_input_after_shutdown_ends_at_once: Closing,
    input_pulled_after_a_shutdown_is_refused: Background + Closing,
    a_panic_of_the_input_continues_in_the_caller: Queue,
    a_failed_item_is_one_err_and_the_others_still_run,
    a_failed_item_costs_no_other_item_of_its_chunk,
    an_err_in_a_try_map_belongs_to_its_item,
    outcomes_are_yielded_while_a_later_item_runs: Background,
    dropping_a_map_cancels_items_that_have_not_started: Queue,
    dropping_a_map_half_way_cancels_the_rest: Queue,
    dropping_a_map_stops_a_chunk_between_two_items: Background,
    an_unordered_map_yields_outcomes_with_their_positions: Background,
    an_unordered_map_has_an_outcome_for_every_item,
    dropping_an_unordered_map_cancels_the_rest: Queue,
    cancelled_items_are_errs_at_their_positions: Queue + CancelPending,
    items_of_a_map_start_before_tasks_submitted_later: Queue,
    an_endless_map_lets_other_tasks_run: Queue,
];

fn items(door: &Door, count: u32) -> impl Iterator<Item = (PathBuf, u32)> + use<> {
    let path = door.path();
    (0..count).map(move |number| (path.clone(), number))
}

fn options() -> MapOptions {
    MapOptions::new()
}

/// Makes each item a task.
fn limited() -> TaskOptions {
    TaskOptions::new().time_limit(LONG)
}

/// Lets the waiting tasks pass, ends the executor, and returns which items have run.
fn ran(executor: Box<dyn Backend>, door: &Door) -> Vec<u32> {
    door.open();
    executor.shutdown();
    marks(&door.path().join("marks"))
}

fn outcomes_come_in_input_order(make: &Make) {
    let executor = make(2);
    let results: Vec<_> = executor.map(double, 0..1000).map(Result::unwrap).collect();
    assert_eq!(results, (0..1000).map(double).collect::<Vec<_>>());
}

fn outcomes_come_in_input_order_even_if_later_items_end_first(make: &Make) {
    let executor = make(2);
    let doors = [Door::new(), Door::new()];
    let map = executor.map(pass_with, [(doors[0].path(), 1), (doors[1].path(), 2)]);
    doors[1].arrived();
    doors[1].open();
    doors[0].arrived();
    doors[0].open();
    assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
}

fn several_inputs_end_with_the_shortest(make: &Make) {
    let executor = make(2);
    let powers = executor.map(power, (2..).zip([5, 4, 3]));
    assert_eq!(powers.map(Result::unwrap).collect::<Vec<_>>(), [32, 81, 64]);
}

fn a_map_submits_all_items_before_it_returns(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let file = door.path().join("marks");
    let mut pulled = 0;
    let map = executor.map(mark, (0..20).map(|n| (file.clone(), n)).inspect(|_| pulled += 1));
    // All items run before the first outcome is asked for.
    door.open();
    running.wait();
    executor.shutdown();
    assert_eq!(marks(&file), (0..20).collect::<Vec<_>>());
    assert!(map.map(Result::unwrap).eq(0..20));
    assert_eq!(pulled, 20);
}

fn a_map_of_an_empty_input_ends_at_once(make: &Make) {
    let executor = make(1);
    let mut map = executor.map(double, []);
    assert!(map.next().is_none() && map.next().is_none());
    assert!(executor.map_unordered(double, []).next().is_none());
}

fn a_map_of_an_empty_input_after_shutdown_ends_at_once(make: &Make) {
    let executor = make(1);
    executor.shutdown();
    assert!(executor.map(double, []).next().is_none(), "nothing was submitted");
    assert!(matches!(executor.map(double, [1]).next(), Some(Err(Error::ShutDown))));
}

fn input_pulled_after_a_shutdown_is_refused(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let input = (0..5).map(|n| {
        if n == 2 {
            // The worker is in the first item, and would look for more of this map before it ends.
            door.arrived();
            executor.close();
            door.open();
        }
        (door.path(), n)
    });
    let outcomes: Vec<_> = executor.map(pass_with, input).collect();
    let [accepted @ .., Err(Error::ShutDown), Err(Error::ShutDown), Err(Error::ShutDown)] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(matches!(accepted, [Ok(0), Ok(1)]), "{accepted:?}");
}

fn a_panic_of_the_input_continues_in_the_caller(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy_at_door(&*executor, &door);
    let input = items(&door, 5).inspect(|(_, number)| assert_ne!(*number, 3, "no more input"));
    let text = panic_text(|| executor.map(pass_and_mark, input));
    assert!(text.contains("no more input"), "{text}");
    door.open();
    running.wait();
    assert_eq!(ran(executor, &door), [0; 0], "submitted items are cancelled");
}

fn a_failed_item_is_one_err_and_the_others_still_run(make: &Make) {
    let executor = make(2);
    let mut map = executor.map(panic_at_some, 0..6);
    assert_eq!(map.by_ref().take(2).map(Result::unwrap).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(panic_message(map.next().unwrap()), "two");
    assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [3, 4, 5]);
}

fn a_failed_item_costs_no_other_item_of_its_chunk(make: &Make) {
    let executor = make(2);
    for options in [options().chunk_size(4), options().buffer_size(2), options().chunk_size(3).buffer_size(6)] {
        let chunked = executor.with(options);
        let outcomes: Vec<_> = chunked.map(panic_at_some, 0..10).collect();
        assert_eq!(outcomes.len(), 10);
        for (n, outcome) in (0..).zip(outcomes) {
            match n {
                2 => assert_eq!(panic_message(outcome), "two"),
                7 => assert_eq!(panic_message(outcome), "seven"),
                _ => assert_eq!(outcome.unwrap(), n),
            }
        }
    }
}

/// Only the first item of a chunk begins.
fn dropping_a_map_stops_a_chunk_between_two_items(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let chunk = executor.with(options().chunk_size(10));
    let map = chunk.map(mark_and_pass, items(&door, 10));
    door.arrived();
    drop(map);
    drop(chunk);
    assert_eq!(ran(executor, &door), [0]);
}

fn an_err_in_a_try_map_belongs_to_its_item(make: &Make) {
    let executor = make(2);
    for options in [options(), options().chunk_size(3), options().buffer_size(2)] {
        let with = executor.with(options);
        let texts = ["1", "two", "3"].map(String::from);
        let parsed: Vec<_> =
            with.try_map(parse, texts).map(|outcome| outcome.map_err(|error| error.to_string())).collect();
        assert_eq!(parsed, [Ok(1), Err("invalid digit found in string".into()), Ok(3)]);
    }
    // As in Python: the first error may end the loop.
    let texts = ["1", "two", "3"].map(String::from);
    let all: Result<Vec<u64>, Error> = executor.try_map(parse, texts).collect();
    assert!(matches!(all, Err(Error::Failed(_))));
}

fn outcomes_are_yielded_while_a_later_item_runs(make: &Make) {
    let executor = make(1);
    let door = Door::new();
    let mut map = executor.map(wait_at_the_last, (0..=2000).map(|n| (door.path(), n)));
    for number in 0..2000 {
        assert_eq!(map.next().unwrap().unwrap(), number);
    }
    // Let in only now: no outcome that is done may wait for it.
    door.open();
    assert_eq!(map.next().unwrap().unwrap(), 2000);
}

fn dropping_a_map_cancels_items_that_have_not_started(make: &Make) {
    // Shared by the workers, in chunks, and each item as a task.
    let none = TaskOptions::new;
    for (tasks, maps) in [
        (none(), options()),
        (none(), options().chunk_size(2)),
        (none(), options().buffer_size(5)),
        (limited(), options()),
    ] {
        let (executor, door) = (make(1), Door::new());
        let limited = executor.with(tasks).with(maps);
        let map = limited.map(pass_and_mark, items(&door, 10));
        door.arrived();
        drop(map);
        drop(limited);
        assert_eq!(ran(executor, &door), [0], "only the first item has run");
    }
}

fn dropping_a_map_half_way_cancels_the_rest(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let mut map = executor.map(second_waits, items(&door, 10));
    assert_eq!(map.next().unwrap().unwrap(), 0);
    door.arrived();
    drop(map);
    assert_eq!(ran(executor, &door), [0, 1]);
}

fn an_unordered_map_yields_outcomes_with_their_positions(make: &Make) {
    let executor = make(2);
    let doors = [Door::new(), Door::new()];
    let mut map = executor.map_unordered(pass_with, [(doors[0].path(), 10), (doors[1].path(), 11)]);
    doors[1].open();
    assert!(matches!(map.next(), Some((1, Ok(11)))));
    doors[0].open();
    assert!(matches!(map.next(), Some((0, Ok(10)))));
    assert!(map.next().is_none());
}

fn an_unordered_map_has_an_outcome_for_every_item(make: &Make) {
    let executor = make(2);
    let ways = [options(), options().chunk_size(7), options().buffer_size(3), options().chunk_size(4).buffer_size(6)];
    for options in ways {
        let with = executor.with(options);
        let outcomes = with.map_unordered(panic_at_some, 5..105);
        let (failed, good): (Vec<_>, Vec<_>) = outcomes.partition(|(_, outcome)| outcome.is_err());
        let mut failed: Vec<_> = failed.into_iter().map(|(at, outcome)| (at, panic_message(outcome))).collect();
        failed.sort_unstable();
        assert_eq!(failed, [(2, "seven".to_owned()), (6, "eleven".to_owned())]);
        let mut good: Vec<_> = good.into_iter().map(|(at, outcome)| (at, outcome.unwrap())).collect();
        good.sort_unstable();
        let expected = (0..100).filter(|at| ![2, 6].contains(at)).map(|at| (at, 5 + u64::try_from(at).unwrap()));
        assert!(good.into_iter().eq(expected));
    }
}

fn dropping_an_unordered_map_cancels_the_rest(make: &Make) {
    for options in [TaskOptions::new(), limited()] {
        let (executor, door) = (make(1), Door::new());
        let limited = executor.with(options);
        let mut map = limited.map_unordered(second_waits, items(&door, 10));
        assert!(matches!(map.next(), Some((0, Ok(0)))));
        door.arrived();
        drop(map);
        drop(limited);
        assert_eq!(ran(executor, &door), [0, 1]);
    }
}

fn cancelled_items_are_errs_at_their_positions(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let map = executor.map(second_waits, items(&door, 5));
    door.arrived();
    let unordered = executor.map_unordered(second_waits, items(&door, 5));
    assert_eq!(executor.cancel_pending(), 3 + 5);
    door.open();
    let outcomes: Vec<_> = map.collect();
    assert!(matches!(
        outcomes[..],
        [Ok(0), Ok(1), Err(Error::Cancelled), Err(Error::Cancelled), Err(Error::Cancelled)]
    ));
    assert_eq!(unordered.filter(|(_, outcome)| matches!(outcome, Err(Error::Cancelled))).count(), 5);
}

/// In each possible way, on a busy worker and on one that has not started.
fn items_of_a_map_start_before_tasks_submitted_later(make: &Make) {
    const ITEMS: u32 = 60;
    let hour = TaskOptions::new().time_limit(Duration::from_secs(3600));
    let none = TaskOptions::new();
    let ways = [(&none, options()), (&none, options().chunk_size(7)), (&hour, options())];
    for ((tasks, maps), is_busy) in ways.into_iter().flat_map(|way| [(way.clone(), false), (way, true)]) {
        let (executor, door) = (make(1), Door::new());
        let running = is_busy.then(|| occupy_at_door(&*executor, &door));
        let file = door.path().join("marks");
        let marked = |numbers: std::ops::Range<u32>| numbers.map(|n| (file.clone(), n)).collect::<Vec<_>>();
        let with = executor.with(tasks.clone()).with(maps);
        let ordered = with.map(mark, marked(0..ITEMS));
        let unordered = with.map_unordered(mark, marked(ITEMS..2 * ITEMS));
        let later: Vec<_> = marked(2 * ITEMS..2 * ITEMS + 20).into_iter().map(|at| executor.submit(mark, at)).collect();
        door.open();
        assert_eq!(ordered.count() + unordered.count(), 2 * ITEMS as usize);
        later.iter().chain(&running).for_each(|future| future.wait());
        assert_eq!(marks(&file), (0..2 * ITEMS + 20).collect::<Vec<_>>());
    }
}

/// One worker, an endless map in small steps, and tasks: each of them gets its turn.
fn an_endless_map_lets_other_tasks_run(make: &Make) {
    let executor = make(1);
    let small = executor.with(options().buffer_size(4));
    let mut map = small.map(double, 0..);
    for n in 0..50 {
        let future = executor.submit(double, n);
        let items = map.by_ref().take_while(|item| item.is_ok() && !future.is_done()).count();
        assert!(items <= 8, "the task waited for {items} items");
        assert_eq!(future.result().unwrap(), 2 * n);
    }
}
