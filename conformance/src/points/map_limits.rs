//! The limits of a `map`: buffers and timeouts.

use std::cell::Cell;
use std::time::Duration;

use concurrent_futures::{Error, Executor, MapOptions, TaskOptions};

use crate::functions::{double, second_waits, time_out_at_one};
use crate::points::{Make, Points};
use crate::support::{Door, LONG, marks, occupy_at_door, panic_text};

pub(crate) const POINTS: Points = points![
    a_buffer_has_exactly_its_size_in_flight,
    an_unordered_buffer_has_exactly_its_size_in_flight,
    a_buffer_counts_the_items_of_chunks,
    a_shutdown_loses_no_result_of_a_buffer: Closing,
    sizes_of_zero_are_refused,
    a_timeout_is_one_err_and_ends_the_map: Queue,
    after_a_timeout_the_rest_is_cancelled: Queue,
    outcomes_that_are_ready_are_yielded_after_a_timeout,
    a_timeout_ends_an_endless_input: Queue,
    the_timeout_of_a_task_does_not_end_its_map,
    an_unordered_map_has_a_timeout: Queue,
];

/// Counts the items pulled from an endless input.
fn counted(pulled: &Cell<u64>) -> impl Iterator<Item = u64> + '_ {
    (0..).inspect(|_| pulled.set(pulled.get() + 1))
}

fn a_buffer_has_exactly_its_size_in_flight(make: &Make) {
    let executor = make(2);
    for size in 1..4 {
        let pulled = Cell::new(0);
        let buffered = executor.with(MapOptions::new().buffer_size(size));
        let size = u64::try_from(size).unwrap();
        let mut map = buffered.map(double, counted(&pulled));
        for n in 0..20 {
            assert_eq!(pulled.get(), size + n, "no more items were submitted");
            assert_eq!(map.next().unwrap().unwrap(), 2 * n);
        }
    }
}

fn an_unordered_buffer_has_exactly_its_size_in_flight(make: &Make) {
    let (executor, pulled) = (make(2), Cell::new(0));
    let buffered = executor.with(MapOptions::new().buffer_size(3));
    let mut map = buffered.map_unordered(double, counted(&pulled));
    for n in 0..20 {
        assert_eq!(pulled.get(), 3 + n);
        assert!(map.next().is_some());
    }
}

fn a_buffer_counts_the_items_of_chunks(make: &Make) {
    let (executor, pulled) = (make(2), Cell::new(0));
    let buffered = executor.with(MapOptions::new().buffer_size(6).chunk_size(4));
    let mut map = buffered.map(double, counted(&pulled));
    assert_eq!(pulled.get(), 6, "not six chunks");
    for n in 0..50 {
        // A chunk that is done frees room with its first outcome, so up to three more items may be in flight unseen.
        assert!(pulled.get() <= 6 + n + 3, "{} pulled, {n} seen", pulled.get());
        assert_eq!(map.next().unwrap().unwrap(), 2 * n);
    }
}

fn a_shutdown_loses_no_result_of_a_buffer(make: &Make) {
    let executor = make(1);
    let buffered = executor.with(MapOptions::new().buffer_size(3));
    let mut map = buffered.map(double, 0..6);
    let unordered = buffered.map_unordered(double, 0..5);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    executor.shutdown();
    let outcomes: Vec<_> = map.collect();
    assert!(matches!(outcomes[..], [Ok(2), Ok(4), Ok(6), Err(Error::ShutDown), Err(Error::ShutDown)]), "{outcomes:?}");
    let mut outcomes: Vec<_> = unordered.map(|(at, outcome)| (at, outcome.is_ok())).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [(0, true), (1, true), (2, true), (3, false), (4, false)]);
}

fn sizes_of_zero_are_refused(make: &Make) {
    assert_eq!(panic_text(|| MapOptions::new().chunk_size(0)), "chunk_size must be at least 1, not 0");
    assert_eq!(panic_text(|| MapOptions::new().buffer_size(0)), "buffer_size must be at least 1, not 0");
    assert_eq!(panic_text(|| TaskOptions::new().time_limit(Duration::ZERO)), "time_limit must be longer than zero");
    let executor = make(1);
    let least = executor.with(MapOptions::new().chunk_size(1).buffer_size(1));
    assert_eq!(least.map(double, [1, 2]).map(Result::unwrap).sum::<u64>(), 6);
}

fn a_timeout_is_one_err_and_ends_the_map(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let timed = executor.with(MapOptions::new().timeout(Duration::from_millis(5)));
    let mut map = timed.map(double, 0..4);
    let Some(Err(Error::Timeout(timeout))) = map.next() else { panic!("no timeout") };
    assert_eq!((timeout.unfinished(), timeout.total()), (4, 4));
    assert_eq!(timeout.to_string(), "4 (of 4) futures unfinished after 5ms");
    assert!(map.next().is_none() && map.next().is_none());
}

fn after_a_timeout_the_rest_is_cancelled(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let timed = executor.with(MapOptions::new().timeout(Duration::from_millis(5)));
    let mut map = timed.map(second_waits, (0..5).map(|n| (door.path(), n)));
    door.arrived();
    let mut first = map.next();
    if let Some(Ok(number)) = first {
        assert_eq!(number, 0);
        first = map.next();
    }
    assert!(matches!(first, Some(Err(Error::Timeout(_)))));
    door.open();
    executor.shutdown();
    assert_eq!(marks(&door.path().join("marks")), [0, 1]);
    assert!(map.next().is_none());
}

fn outcomes_that_are_ready_are_yielded_after_a_timeout(make: &Make) {
    let executor = make(1);
    let timed = executor.with(MapOptions::new().timeout(Duration::from_nanos(1)));
    let (map, unordered) = (timed.map(double, 0..3), timed.map_unordered(double, 0..3));
    // The timeout counts from the call, so it is over by now; and all items have run.
    executor.shutdown();
    assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(unordered.filter(|(_, outcome)| outcome.is_ok()).count(), 3);
}

fn a_timeout_ends_an_endless_input(make: &Make) {
    let (executor, door, pulled) = (make(1), Door::new(), Cell::new(0));
    let _running = occupy_at_door(&*executor, &door);
    let timed = |timeout| executor.with(MapOptions::new().timeout(timeout).buffer_size(2));
    let mut map = timed(Duration::from_millis(5)).map(double, counted(&pulled));
    assert!(matches!(map.next(), Some(Err(Error::Timeout(_)))));
    assert!(map.next().is_none());
    // Fewer if the time was up before.
    assert!(pulled.get() <= 2, "{}", pulled.get());
    pulled.set(0);
    drop(timed(LONG).map(double, counted(&pulled)));
    assert_eq!(pulled.get(), 2);
}

fn the_timeout_of_a_task_does_not_end_its_map(make: &Make) {
    let executor = make(1);
    let timed = executor.with(MapOptions::new().timeout(LONG));
    let outcomes: Vec<_> = timed.try_map(time_out_at_one, 0..3).collect();
    assert!(matches!(outcomes[..], [Ok(0), Err(Error::Failed(_)), Ok(2)]), "{outcomes:?}");
}

fn an_unordered_map_has_a_timeout(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let timed = executor.with(MapOptions::new().timeout(Duration::from_millis(5)));
    let mut map = timed.map_unordered(double, 0..4);
    assert!(matches!(map.next(), Some((0, Err(Error::Timeout(_))))));
    assert!(map.next().is_none());
}
