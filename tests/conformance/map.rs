//! `map` and `map_unordered`: an outcome for each item.

use std::path::PathBuf;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, TaskOptions};

use crate::doors::{Door, enter, mark, marks};
use crate::support::{LONG, panic_text};
use crate::tools::{double, occupy, parse, pass_with, second_waits};
use crate::{Make, Points};

pub(crate) const POINTS: Points = list![
    outcomes_come_in_input_order,
    several_inputs_end_with_the_shortest,
    everything_is_submitted_before_it_returns,
    an_empty_input_is_the_end,
    an_empty_input_after_shutdown_is_the_end,
    input_that_comes_after_a_shutdown_is_refused,
    a_panicking_input_comes_out_of_the_call,
    a_failed_item_is_one_err_and_the_rest_go_on,
    a_chunk_loses_only_the_item_that_fails,
    the_err_of_a_try_map_is_its_items,
    outcomes_are_there_while_a_later_item_runs,
    dropping_it_cancels_what_has_not_started,
    dropping_it_half_way_cancels_the_rest,
    unordered_yields_what_is_done_with_its_position,
    unordered_has_an_outcome_for_every_item,
    dropping_an_unordered_one_cancels_the_rest,
    cancelled_items_are_errs_in_their_places,
    a_map_comes_before_what_is_submitted_after_it,
    a_map_without_an_end_lets_others_run,
];

/// Waits at a door and leaves a mark there.
fn pass_and_mark((door, number): (PathBuf, u32)) -> u32 {
    enter(&door);
    mark((door.join("marks"), number))
}

fn items(door: &Door, count: u32) -> impl Iterator<Item = (PathBuf, u32)> + use<> {
    let path = door.path();
    (0..count).map(move |number| (path.clone(), number))
}

/// Lets in who waits, ends the executor, and says which items have run.
fn ran(executor: Box<dyn Backend>, door: &Door) -> Vec<u32> {
    door.open();
    drop(executor);
    marks(&door.path().join("marks"))
}

fn outcomes_come_in_input_order(make: Make) {
    let executor = make(2);
    let results: Vec<_> = executor.map(double, 0..1000).map(Result::unwrap).collect();
    assert_eq!(results, (0..1000).map(double).collect::<Vec<_>>());
    let doors = [Door::new(), Door::new()];
    let map = executor.map(pass_with, [(doors[0].path(), 1), (doors[1].path(), 2)]);
    doors[1].arrived();
    doors[1].open();
    doors[0].arrived();
    doors[0].open();
    assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
}

fn several_inputs_end_with_the_shortest(make: Make) {
    let executor = make(2);
    let powers = executor.map(|(base, exponent): (u64, u32)| base.pow(exponent), (2..).zip([5, 4, 3]));
    assert_eq!(powers.map(Result::unwrap).collect::<Vec<_>>(), [32, 81, 64]);
}

fn everything_is_submitted_before_it_returns(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy(&*executor, &door);
    let file = door.path().join("marks");
    let mut pulled = 0;
    let map = executor.map(mark, (0..20).map(|n| (file.clone(), n)).inspect(|_| pulled += 1));
    // All of it runs before somebody asks for the first.
    door.open();
    running.wait();
    executor.shutdown();
    assert_eq!(marks(&file), (0..20).collect::<Vec<_>>());
    assert!(map.map(Result::unwrap).eq(0..20));
    assert_eq!(pulled, 20);
}

fn an_empty_input_is_the_end(make: Make) {
    let executor = make(1);
    let mut map = executor.map(double, []);
    assert!(map.next().is_none() && map.next().is_none());
    assert!(executor.map_unordered(double, []).next().is_none());
}

fn an_empty_input_after_shutdown_is_the_end(make: Make) {
    let executor = make(1);
    executor.shutdown();
    assert!(executor.map(double, []).next().is_none(), "nothing was submitted");
    assert!(matches!(executor.map(double, [1]).next(), Some(Err(Error::ShutDown))));
}

fn input_that_comes_after_a_shutdown_is_refused(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let input = (0..5).map(|n| {
        if n == 2 {
            // The worker is in the first, and would look for more of this map before it ends.
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

fn a_panicking_input_comes_out_of_the_call(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let running = occupy(&*executor, &door);
    let input = items(&door, 5).inspect(|(_, number)| assert_ne!(*number, 3, "no more input"));
    let text = panic_text(|| executor.map(pass_and_mark, input));
    assert!(text.contains("no more input"), "{text}");
    door.open();
    running.wait();
    assert_eq!(ran(executor, &door), [0; 0], "what was submitted is cancelled");
}

fn a_failed_item_is_one_err_and_the_rest_go_on(make: Make) {
    let executor = make(2);
    let mut map = executor.map(|n: u64| if n == 2 { panic!("two") } else { n }, 0..6);
    assert_eq!(map.by_ref().take(2).map(Result::unwrap).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(crate::tools::panic_message(map.next().unwrap()), "two");
    assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [3, 4, 5]);
}

fn a_chunk_loses_only_the_item_that_fails(make: Make) {
    let executor = make(2);
    for options in [TaskOptions::new().chunk_size(4), TaskOptions::new().chunk_size(3).buffer_size(6)] {
        let chunked = executor.with(options);
        let outcomes: Vec<_> = chunked.map(|n: u64| if n % 5 == 1 { panic!("one") } else { n }, 0..10).collect();
        assert_eq!(outcomes.len(), 10);
        for (n, outcome) in (0..).zip(outcomes) {
            match n {
                1 | 6 => assert_eq!(crate::tools::panic_message(outcome), "one"),
                _ => assert_eq!(outcome.unwrap(), n),
            }
        }
    }
}

fn the_err_of_a_try_map_is_its_items(make: Make) {
    let executor = make(2);
    let texts = ["1", "two", "3"].map(String::from);
    let parsed: Vec<_> =
        executor.try_map(parse, texts).map(|outcome| outcome.map_err(|error| error.to_string())).collect();
    assert_eq!(parsed, [Ok(1), Err("invalid digit found in string".into()), Ok(3)]);
    // As Python has it: the first error is the end, if that is wished.
    let texts = ["1", "two", "3"].map(String::from);
    let all: Result<Vec<u64>, Error> = executor.try_map(parse, texts).collect();
    assert!(matches!(all, Err(Error::Failed(_))));
}

fn outcomes_are_there_while_a_later_item_runs(make: Make) {
    fn wait_at_the_last((door, number): (PathBuf, u64)) -> u64 {
        if number == 2000 { pass_with((door, number)) } else { number }
    }
    let executor = make(1);
    let door = Door::new();
    let mut map = executor.map(wait_at_the_last, (0..=2000).map(|n| (door.path(), n)));
    for number in 0..2000 {
        assert_eq!(map.next().unwrap().unwrap(), number);
    }
    // It is let in only now: nothing that is done may wait for it.
    door.open();
    assert_eq!(map.next().unwrap().unwrap(), 2000);
}

fn dropping_it_cancels_what_has_not_started(make: Make) {
    let options = TaskOptions::new;
    // Shared by the workers, in chunks, and each a task of its own.
    for options in [options(), options().chunk_size(2), options().buffer_size(5), options().time_limit(LONG)] {
        let (executor, door) = (make(1), Door::new());
        let limited = executor.with(options);
        let map = limited.map(pass_and_mark, items(&door, 10));
        door.arrived();
        drop(map);
        drop(limited);
        assert_eq!(ran(executor, &door), [0], "the one that ran");
    }
}

fn dropping_it_half_way_cancels_the_rest(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let mut map = executor.map(second_waits, items(&door, 10));
    assert_eq!(map.next().unwrap().unwrap(), 0);
    door.arrived();
    drop(map);
    assert_eq!(ran(executor, &door), [0, 1]);
}

fn unordered_yields_what_is_done_with_its_position(make: Make) {
    let executor = make(2);
    let doors = [Door::new(), Door::new()];
    let mut map = executor.map_unordered(pass_with, [(doors[0].path(), 10), (doors[1].path(), 11)]);
    doors[1].open();
    assert!(matches!(map.next(), Some((1, Ok(11)))));
    doors[0].open();
    assert!(matches!(map.next(), Some((0, Ok(10)))));
    assert!(map.next().is_none());
}

fn unordered_has_an_outcome_for_every_item(make: Make) {
    let executor = make(2);
    let outcomes = executor.map_unordered(|n: u64| if n == 7 { panic!("seven") } else { 2 * n }, 0..100);
    let mut outcomes: Vec<_> = outcomes.map(|(position, outcome)| (position, outcome.ok())).collect();
    outcomes.sort_unstable();
    let expected = (0..100).map(|n| (usize::try_from(n).unwrap(), (n != 7).then_some(2 * n)));
    assert!(outcomes.into_iter().eq(expected));
}

fn dropping_an_unordered_one_cancels_the_rest(make: Make) {
    for options in [TaskOptions::new(), TaskOptions::new().time_limit(LONG)] {
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

fn cancelled_items_are_errs_in_their_places(make: Make) {
    let (executor, door) = (make(1), Door::new());
    let map = executor.map(second_waits, items(&door, 5));
    door.arrived();
    assert_eq!(executor.cancel_pending(), 3);
    door.open();
    let outcomes: Vec<_> = map.collect();
    assert!(matches!(
        outcomes[..],
        [Ok(0), Ok(1), Err(Error::Cancelled), Err(Error::Cancelled), Err(Error::Cancelled)]
    ));
}

/// In each way that there is, on a worker that is busy and on one that is not there yet.
fn a_map_comes_before_what_is_submitted_after_it(make: Make) {
    const ITEMS: u32 = 60;
    let hour = Duration::from_secs(3600);
    let ways = [TaskOptions::new(), TaskOptions::new().chunk_size(7), TaskOptions::new().time_limit(hour)];
    for (options, is_busy) in ways.into_iter().flat_map(|way| [(way.clone(), false), (way, true)]) {
        let (executor, door) = (make(1), Door::new());
        let running = is_busy.then(|| occupy(&*executor, &door));
        let file = door.path().join("marks");
        let marked = |numbers: std::ops::Range<u32>| numbers.map(|n| (file.clone(), n)).collect::<Vec<_>>();
        let with = executor.with(options);
        let ordered = with.map(mark, marked(0..ITEMS));
        let unordered = with.map_unordered(mark, marked(ITEMS..2 * ITEMS));
        let later: Vec<_> = marked(2 * ITEMS..2 * ITEMS + 20).into_iter().map(|at| executor.submit(mark, at)).collect();
        door.open();
        assert_eq!(ordered.count() + unordered.count(), 2 * ITEMS as usize);
        later.iter().chain(&running).for_each(|future| future.wait());
        assert_eq!(marks(&file), (0..2 * ITEMS + 20).collect::<Vec<_>>());
    }
}

/// One worker, an endless map in small steps, and tasks: each of them has its turn.
fn a_map_without_an_end_lets_others_run(make: Make) {
    let executor = make(1);
    let small = executor.with(TaskOptions::new().buffer_size(4));
    let mut map = small.map(double, 0..);
    for n in 0..50 {
        let future = executor.submit(double, n);
        let items = map.by_ref().take_while(|item| item.is_ok() && !future.is_done()).count();
        assert!(items <= 8, "the task waited for {items} items");
        assert_eq!(future.result().unwrap(), 2 * n);
    }
}
