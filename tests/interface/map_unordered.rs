//! `map_unordered`: outcomes as they are done, each with its input position.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{Error, Executor, TaskOptions, ThreadPoolExecutor};

use crate::support::{Held, LONG, within};

#[test]
fn outcomes_come_as_they_are_done_with_their_position() {
    let held = Held::default();
    let mut map = held.map_unordered(|n: u32| 10 * n, 0..4);
    assert_eq!(held.count(), 4, "it is eager");
    held.run(2);
    assert_eq!(map.next().map(|(at, n)| (at, n.unwrap())), Some((2, 20)));
    held.run(2);
    held.run(0);
    held.run(0);
    let rest: Vec<_> = map.map(|(at, n)| (at, n.unwrap())).collect();
    assert_eq!(rest, [(3, 30), (0, 0), (1, 10)]);
}

#[test]
fn a_chunk_keeps_the_positions_of_its_items() {
    let held = Held::default();
    let chunks = held.with(TaskOptions::new().chunk_size(3));
    let map = chunks.map_unordered(|n: u32| n, 0..7);
    held.run(2);
    held.run(1);
    held.run(0);
    let positions: Vec<_> = map.map(|(at, n)| (at, n.unwrap())).collect();
    assert_eq!(positions, [(6, 6), (3, 3), (4, 4), (5, 5), (0, 0), (1, 1), (2, 2)]);
}

#[test]
fn any_outcome_makes_room_in_a_buffer() {
    let (held, pulled) = (Held::default(), Cell::new(0));
    let buffered = held.with(TaskOptions::new().buffer_size(3));
    let mut map = buffered.map_unordered(|n: u32| n, (0..).inspect(|_| pulled.set(pulled.get() + 1)));
    for round in 0..10 {
        assert_eq!((pulled.get(), held.count()), (3 + round, 3));
        // Any of them makes room, not only the oldest.
        held.run(2);
        assert_eq!(pulled.get(), 3 + round, "nothing is pulled before it is asked for");
        assert_eq!(map.next().unwrap().0, usize::try_from(2 + round).unwrap());
    }
}

#[test]
fn a_timeout_counts_what_is_left_and_cancels_it() {
    let held = Held::default();
    let timed = held.with(TaskOptions::new().timeout(Duration::from_millis(2)));
    let mut map = timed.map_unordered(|n: u32| n, 0..4);
    held.run(1);
    held.run(2);
    assert_eq!(map.by_ref().take(2).map(|(at, _)| at).collect::<Vec<_>>(), [1, 3]);
    let Some((_, Err(Error::Timeout(timeout)))) = map.next() else { panic!("no timeout") };
    assert_eq!(timeout.to_string(), "2 (of 4) futures unfinished after 2ms");
    assert!(map.next().is_none());
    assert!(!held.take(0).start() && !held.take(0).start());
}

#[test]
fn it_knows_its_size() {
    let held = Held::default();
    let mut map = held.map_unordered(|n: u32| n, 0..4);
    assert_eq!(map.size_hint(), (4, Some(4)));
    held.run_all();
    map.next();
    assert_eq!(map.size_hint(), (3, Some(3)));
    assert!(format!("{map:?}").contains("submitted: 4"));
}

#[test]
fn a_task_maps_over_its_own_executor() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer =
            threads.spawn(move || inside.map_unordered(|n: u32| n, 0..10).map(|(_, n)| n.unwrap()).sum::<u32>());
        assert_eq!(outer.result().unwrap(), 45);
    });
}
