//! `map`: eager, in input order, an outcome for each item; chunks, buffers and timeouts.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, MapOptions, TaskOptions, ThreadPoolExecutor};

use crate::support::{Held, LONG, gate, logged, occupy, within};

/// Counts what is pulled from an endless input.
fn counted(pulled: &Cell<u32>) -> impl Iterator<Item = u32> + '_ {
    (0..).inspect(|_| pulled.set(pulled.get() + 1))
}

#[test]
fn results_out_of_order_do_not_make_room() {
    let (held, pulled) = (Held::default(), Cell::new(0));
    let buffered = held.with(MapOptions::new().buffer_size(3));
    let mut map = buffered.map(|n: u32| n, counted(&pulled));
    held.run(2);
    held.run(1);
    assert_eq!(pulled.get(), 3, "the awaited one is not there");
    held.run(0);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert_eq!((pulled.get(), held.count()), (4, 1));
}

#[test]
fn threads_never_have_more_than_the_buffer_in_flight() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(4);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (inside_now, inside_most) = (Arc::clone(&now), Arc::clone(&most));
        let buffered = threads.with(MapOptions::new().buffer_size(3));
        let function = move |n: u32| {
            let running = inside_now.fetch_add(1, Ordering::SeqCst) + 1;
            inside_most.fetch_max(running, Ordering::SeqCst);
            inside_now.fetch_sub(1, Ordering::SeqCst);
            n
        };
        let results: Vec<u32> = buffered.map(function, 0..).take(300).map(Result::unwrap).collect();
        assert_eq!(results, (0..300).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 3);
    });
}

#[test]
fn chunks_never_exceed_the_buffer() {
    let (held, pulled) = (Held::default(), Cell::new(0));
    let both = held.with(MapOptions::new().chunk_size(10).buffer_size(4));
    let mut map = both.map(|n: u32| n, counted(&pulled));
    assert_eq!((pulled.get(), held.count()), (4, 1));
    held.run(0);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert_eq!((pulled.get(), held.count()), (8, 1));
    let rest: Vec<u32> = map.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(rest, [1, 2, 3]);
    assert_eq!(pulled.get(), 8);

    let (held, pulled) = (Held::default(), Cell::new(0));
    let uneven = held.with(MapOptions::new().chunk_size(3).buffer_size(4));
    let mut map = uneven.map(|n: u32| n, counted(&pulled));
    assert_eq!((pulled.get(), held.count()), (4, 2), "three and one");
    held.run(0);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert_eq!((pulled.get(), held.count()), (7, 2));
}

#[test]
fn chunks_divide_the_input() {
    for (chunk_size, tasks) in [(1, 10), (2, 5), (3, 4), (10, 1), (100, 1)] {
        let held = Held::default();
        let chunks = held.with(MapOptions::new().chunk_size(chunk_size));
        let map = chunks.map(|n: u32| n, 0..10);
        assert_eq!(held.count(), tasks);
        held.run_all();
        assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn items_with_a_time_limit_are_tasks_of_their_own() {
    let held = Held::default();
    let limited = held.with(TaskOptions::new().time_limit(LONG)).with(MapOptions::new().chunk_size(5));
    let map = limited.map(|n: u32| n, 0..10);
    assert_eq!(held.count(), 10);
    drop(map);
}

#[test]
fn a_timeout_counts_and_cancels_the_items_left() {
    let held = Held::default();
    let timed = held.with(MapOptions::new().timeout(Duration::from_millis(2)));
    let mut map = timed.map(|n: u32| n, 0..4);
    held.run(0);
    held.run(0);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert_eq!(map.next().unwrap().unwrap(), 1);
    let Some(Err(Error::Timeout(timeout))) = map.next() else { panic!("no timeout") };
    assert_eq!(timeout.to_string(), "2 (of 4) futures unfinished after 2ms");
    assert!(map.next().is_none() && map.next().is_none());
    assert!(!held.take(0).start() && !held.take(0).start(), "the rest is cancelled");
}

#[test]
fn a_timeout_counts_the_items_of_chunks() {
    let held = Held::default();
    let timed = held.with(MapOptions::new().timeout(Duration::ZERO).chunk_size(3));
    let mut map = timed.map(|n: u32| n, 0..7);
    held.run(0);
    let outcomes: Vec<_> = map.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(outcomes, [0, 1, 2]);
    assert_eq!(map.next().unwrap().unwrap_err().to_string(), "4 (of 7) futures unfinished");
    assert!(map.next().is_none());
}

#[test]
fn a_task_that_fails_with_a_timeout_of_its_own_ends_nothing() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, _running) = occupy(&threads);
        let other = ThreadPoolExecutor::new(1);
        let inner = threads.with(MapOptions::new().timeout(Duration::ZERO)).map(|n: u8| n, [1]).next().unwrap();
        let error = inner.unwrap_err();
        let outcomes: Vec<_> =
            other.try_map(move |n: u8| if n == 1 { Err(error.clone()) } else { Ok(n) }, 0..3).collect();
        assert!(matches!(outcomes[..], [Ok(0), Err(Error::Failed(_)), Ok(2)]), "{outcomes:?}");
    });
}

#[test]
fn a_map_knows_its_size() {
    let held = Held::default();
    let mut map = held.map(|n: u32| n, 0..4);
    assert_eq!(map.size_hint(), (4, Some(4)));
    held.run_all();
    map.next();
    assert_eq!(map.size_hint(), (3, Some(3)));
    let buffered = held.with(MapOptions::new().buffer_size(2).chunk_size(2));
    let mut map = buffered.map(|n: u32| n, 0..5);
    assert_eq!(map.size_hint(), (5, Some(5)));
    held.run_all();
    map.next();
    assert_eq!(map.size_hint(), (4, Some(4)));
    let timed = held.with(MapOptions::new().timeout(LONG));
    let map = timed.map(|n: u32| n, 0..3);
    let (low, high) = map.size_hint();
    assert!(low <= 1 && high >= Some(3), "a map with a timeout may end early");
    assert!(format!("{map:?}").contains("in_flight: 3"));
}

#[test]
fn an_input_that_has_ended_is_not_polled_again() {
    let held = Held::default();
    for (chunk, buffer) in [(1, 1), (2, 2), (2, 4)] {
        let options = MapOptions::new().chunk_size(chunk).buffer_size(buffer);
        let mut has_ended = false;
        let mut left = 3;
        let input = std::iter::from_fn(|| {
            assert!(!has_ended, "the input is polled after its end");
            has_ended = left == 0;
            (!has_ended).then(|| left -= 1)
        });
        let executor = held.with(options);
        let mut map = executor.map(|()| 1, input);
        for _ in 0..3 {
            held.run_all();
            assert_eq!(map.next().unwrap().unwrap(), 1);
        }
        assert!(map.next().is_none() && map.next().is_none());
    }
}

#[test]
fn a_task_maps_over_its_own_executor() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        for options in
            [MapOptions::new(), MapOptions::new().timeout(LONG), MapOptions::new().buffer_size(2).chunk_size(2)]
        {
            let inside = Arc::clone(&threads);
            let outer =
                threads.spawn(move || inside.with(options).map(|n: u32| n, 0..10).map(Result::unwrap).sum::<u32>());
            assert_eq!(outer.result().unwrap(), 45);
        }
    });
}

#[test]
fn unread_errors_of_a_chunk_are_logged_one_by_one() {
    within(LONG, || {
        let _ = logged("");
        let threads = ThreadPoolExecutor::new(1);
        let chunks = threads.with(MapOptions::new().chunk_size(3));
        let mut map = chunks.try_map(|n: u32| Err::<u32, _>(format!("unseen item {n}")), 0..3);
        assert_eq!(map.next().unwrap().unwrap_err().to_string(), "unseen item 0");
        drop(map);
        let texts: Vec<_> = logged("unseen item").into_iter().map(|(_, text)| text).collect();
        let expected =
            [1, 2].map(|n| format!("an item of a map ended with an error that nobody looked at: unseen item {n}"));
        assert_eq!(texts, expected);
    });
}

#[test]
fn items_are_counted_while_others_of_their_range_run() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for _ in 0..300 {
            let before = threads.stats().completed;
            let (opener, gate) = gate();
            let work = move |n: u32| {
                if n == 2 {
                    gate.pass();
                }
            };
            let mut map = threads.map(work, [0, 1, 2]);
            opener.arrived(1);
            map.next().unwrap().unwrap();
            map.next().unwrap().unwrap();
            // Nothing is left for this one to find.
            threads.spawn(|| ()).result().unwrap();
            assert!(threads.stats().completed >= before + 2);
            opener.open();
            map.next().unwrap().unwrap();
        }
    });
}
