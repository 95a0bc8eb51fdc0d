//! `map_unordered`: outcomes as they are done, each with its input position.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{Error, Executor, MapOptions, ThreadPoolExecutor};

use crate::support::{Gate, Held, LONG, within};

#[test]
fn outcomes_come_in_completion_order_with_their_positions() {
    let held = Held::default();
    let mut map = held.map_unordered(|n: u32| 10 * n, 0..4);
    assert_eq!(held.count(), 4, "a map submits every item at once");
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
    let chunks = held.with(MapOptions::new().chunk_size(3));
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
    let buffered = held.with(MapOptions::new().buffer_size(3));
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
fn a_timeout_counts_and_cancels_the_items_left() {
    let held = Held::default();
    let timed = held.with(MapOptions::new().timeout(Duration::from_millis(2)));
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
fn a_map_knows_its_size() {
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

#[test]
fn a_later_outcome_comes_out_while_an_earlier_item_runs() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let gate = Gate::default();
        let inside = gate.clone();
        let work = move |n: usize| {
            if n == 10 {
                inside.pass();
            }
            n
        };
        let mut map = threads.map_unordered(work, 0..300);
        let mut seen: Vec<_> = map.by_ref().take(299).map(|(at, n)| (at, n.unwrap())).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..300).filter(|n| *n != 10).map(|n| (n, n))));
        assert_eq!(map.size_hint(), (1, Some(1)));
        gate.open();
        assert!(matches!(map.next(), Some((10, Ok(10)))));
        assert!(map.next().is_none());
    });
}

#[test]
fn a_timeout_names_the_first_item_without_an_outcome() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let gate = Gate::default();
        let inside = gate.clone();
        let (ran, others_ran) = std::sync::mpsc::channel();
        let work = move |n: usize| match n {
            10 => inside.pass(),
            _ => ran.send(()).unwrap(),
        };
        let limited = threads.with(MapOptions::new().timeout(Duration::from_millis(1)));
        let mut map = limited.map_unordered(work, 0..300);
        assert_eq!(others_ran.iter().take(299).count(), 299);
        // The worker that is free has nothing left to find.
        threads.spawn(|| ()).result().unwrap();
        assert!(map.by_ref().take(299).all(|(_, outcome)| outcome.is_ok()));
        let Some((10, Err(Error::Timeout(timeout)))) = map.next() else { panic!("the item waits at the gate") };
        assert_eq!(timeout.to_string(), "1 (of 300) futures unfinished after 1ms");
        assert!(map.next().is_none());
        gate.open();
    });
}
