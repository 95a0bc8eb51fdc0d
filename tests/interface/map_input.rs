//! The input of a map: it may be slow, and wait for its own items; pulled items are not held back from a worker that could run them.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, InlineExecutor, MapOptions, TaskOptions, ThreadPoolExecutor, promise,
};

use crate::support::{LONG, gate, occupy, panic_text, within};

#[test]
fn input_may_wait_for_outcomes_of_pulled_items() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let (found, links) = std::sync::mpsc::channel();
        let mut seeds = vec![3_u32, 2, 1];
        // As a crawler: first what is known, then what that has led to.
        let input = std::iter::from_fn(move || seeds.pop().or_else(|| links.recv().ok()));
        let visit = move |n: u32| {
            if n < 100 {
                found.send(n + 100).unwrap();
            }
            n
        };
        let mut visited: Vec<u32> = threads.map(visit, input.take(6)).map(Result::unwrap).collect();
        visited.sort_unstable();
        assert_eq!(visited, [1, 2, 3, 101, 102, 103]);
    });
}

#[test]
fn input_may_wait_for_all_items_that_were_pulled() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for first_to_wait in 1..60 {
            let done = Arc::new((Mutex::new(0), Condvar::new()));
            let seen = Arc::clone(&done);
            // It comes quickly at first, and its length is known.
            let input = (0..first_to_wait + 3).inspect(move |n| {
                if *n >= first_to_wait {
                    let _done = seen.1.wait_while(seen.0.lock().unwrap(), |done| *done < *n).unwrap();
                }
            });
            let count = move |n: u32| {
                *done.0.lock().unwrap() += 1;
                done.1.notify_all();
                n
            };
            assert_eq!(threads.map(count, input).map(Result::unwrap).count() as u32, first_to_wait + 3);
        }
    });
}

/// Something that happens once.
#[derive(Clone, Default)]
struct Event(Arc<(Mutex<bool>, Condvar)>);

impl Event {
    fn set(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let _set = self.0.1.wait_while(self.0.0.lock().unwrap(), |set| !*set).unwrap();
    }
}

/// Maps many short items, of which one waits until one that is pulled later has run; the input waits for both.
fn meet(workers: usize, wait: impl Fn(&Event) + Send + Sync + 'static) {
    const FIRST: u32 = 2000;
    const SECOND: u32 = FIRST + 1;
    let threads = ThreadPoolExecutor::new(workers);
    let (began, ran) = (Event::default(), Event::default());
    let (seen_begun, seen_ran, late) = (began.clone(), ran.clone(), SECOND + 1);
    let input = (0..=late).inspect(move |n| match *n {
        SECOND => seen_begun.wait(),
        n if n == late => seen_ran.wait(),
        _ => {}
    });
    let meet = move |n: u32| match n {
        FIRST => {
            began.set();
            wait(&ran);
        }
        SECOND => ran.set(),
        _ => {}
    };
    assert_eq!(threads.map(meet, input).map(Result::unwrap).count() as u32, late + 1);
}

#[test]
fn an_item_is_not_held_back_from_a_free_worker() {
    within(LONG, || (0..20).for_each(|_| meet(2, Event::wait)));
}

#[test]
fn an_item_is_not_held_back_from_a_spare_worker() {
    within(LONG, || {
        for _ in 0..20 {
            let (promise, future) = promise();
            let promise = Mutex::new(Some(promise));
            let future = future.share();
            // It waits as a worker does: another one comes for it.
            meet(1, move |ran: &Event| {
                let (promise, ran) = (promise.lock().unwrap().take().unwrap(), ran.clone());
                thread::spawn(move || {
                    ran.wait();
                    assert!(promise.complete(Ok(())));
                });
                assert!(future.wait_timeout(LONG));
            });
        }
    });
}

#[test]
fn items_held_back_count_as_pending() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, busy) = occupy(&threads);
        let opener = Cell::new(Some(opener));
        let ran = Event::default();
        let seen = ran.clone();
        let input = (0..10).inspect(|n| {
            if *n == 6 {
                assert_eq!(threads.stats().pending, 6);
                assert_eq!(threads.cancel_pending(), 6);
                drop(opener.take());
            }
            if *n == 9 {
                seen.wait();
            }
        });
        let run = move |n: u32| {
            if n == 8 {
                ran.set();
            }
            n
        };
        let outcomes: Vec<_> = threads.map(run, input).collect();
        assert!(outcomes[..6].iter().all(|outcome| matches!(outcome, Err(Error::Cancelled))), "{outcomes:?}");
        assert!(outcomes[6..].iter().all(Result::is_ok), "{outcomes:?}");
        busy.result().unwrap();
    });
}

#[test]
fn an_item_may_wait_for_the_next_one() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for waiting in 0..40 {
            let ran = Event::default();
            let run = move |n: u32| match n {
                n if n == waiting => ran.wait(),
                n if n == waiting + 1 => ran.set(),
                _ => {}
            };
            assert_eq!(threads.map(run, 0..64).map(Result::unwrap).count(), 64);
        }
    });
}

#[test]
fn items_pulled_before_a_panic_of_the_input_do_not_run() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, busy) = occupy(&threads);
        let ran = Arc::new(Mutex::new(Vec::new()));
        let see = Arc::clone(&ran);
        let mut left = vec![9, 8, 7, 6, 5];
        let input = std::iter::from_fn(move || Some(left.pop().expect("the input ends in a panic")));
        let text = panic_text(|| threads.map(move |n: u32| see.lock().unwrap().push(n), input).count());
        assert!(text.contains("the input ends in a panic"), "{text}");
        opener.open();
        busy.result().unwrap();
        threads.spawn(|| ()).result().unwrap();
        assert!(ran.lock().unwrap().is_empty(), "{ran:?}");
        assert_eq!(threads.stats().pending, 0);
    });
}

#[test]
fn a_thread_that_waits_for_an_item_is_woken_by_its_cancellation() {
    within(LONG, || {
        // Nobody can tell when the other thread sleeps: often enough, it does.
        for _ in 0..50 {
            let threads = ThreadPoolExecutor::new(1);
            let (opener, busy) = occupy(&threads);
            let map = threads.map(|n: u32| n, 0..5);
            let (about_to, waits) = std::sync::mpsc::channel();
            thread::scope(|scope| {
                let waiter = scope.spawn(move || {
                    about_to.send(()).unwrap();
                    map.filter(|outcome| matches!(outcome, Err(Error::Cancelled))).count()
                });
                waits.recv().unwrap();
                (0..100).for_each(|_| thread::yield_now());
                assert_eq!(threads.cancel_pending(), 5);
                assert_eq!(waiter.join().unwrap(), 5);
            });
            opener.open();
            busy.result().unwrap();
        }
    });
}

#[test]
fn items_shared_by_threads_are_counted_like_tasks() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let ((opener, at_gate), (ran, others_ran)) = (gate(), std::sync::mpsc::channel());
        let work = move |n: u32| match n {
            100 => at_gate.pass(),
            _ => ran.send(()).unwrap(),
        };
        let limited = threads.with(MapOptions::new().timeout(Duration::from_millis(1)));
        let mut map = limited.map(work, 0..300);
        assert_eq!(others_ran.iter().take(299).count(), 299);
        // The worker that is free has nothing left to find.
        threads.spawn(|| ()).result().unwrap();
        for n in 1..=100 {
            map.next().unwrap().unwrap();
            // That the time runs out may be one more.
            assert_eq!(map.size_hint(), (0, Some(300 - n + 1)));
        }
        let Some(Err(Error::Timeout(timeout))) = map.next() else { panic!("the item waits at the gate") };
        assert_eq!(timeout.to_string(), "1 (of 300) futures unfinished after 1ms");
        opener.open();
        let map = threads.map(|n: u32| n, 0..300);
        assert_eq!(map.size_hint(), (300, Some(300)));
    });
}

#[test]
fn items_pulled_before_a_close_run_even_if_the_last_worker_has_just_looked() {
    within(LONG, || {
        for round in 0..500_usize {
            let threads = ThreadPoolExecutor::new(1);
            threads.spawn(|| ()).wait();
            // By then the worker has run the first, or is about to have enough of waiting for more.
            let input = (0..3).inspect(|n| match n {
                1 => (0..round % 64).for_each(|_| thread::yield_now()),
                2 => threads.close(),
                _ => {}
            });
            let outcomes: Vec<_> = threads.map(|n: u32| n, input).collect();
            assert!(matches!(outcomes[..], [Ok(0), Ok(1), Err(Error::ShutDown)]), "{outcomes:?}");
        }
    });
}

#[test]
fn a_panic_of_the_input_loses_no_outcome_and_the_map_continues() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for buffer in 1..4 {
            let mut next = 0;
            let input = std::iter::from_fn(move || {
                next += 1;
                assert_ne!(next, 6, "the input panics once");
                (next <= 10).then_some(next)
            });
            let bounded = threads.with(MapOptions::new().buffer_size(buffer));
            let (mut map, mut seen, mut panics) = (bounded.map(|n: u32| n, input), Vec::new(), 0);
            loop {
                match panic::catch_unwind(AssertUnwindSafe(|| map.next())) {
                    Ok(Some(outcome)) => seen.push(outcome.unwrap()),
                    Ok(None) => break,
                    Err(_) => panics += 1,
                }
            }
            assert_eq!((seen, panics), (vec![1, 2, 3, 4, 5, 7, 8, 9, 10], 1), "buffer_size {buffer}");
        }
    });
}

#[test]
fn values_held_by_a_map_may_panic_in_their_drop() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("dropped with the map");
        }
    }
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        for options in [MapOptions::new(), MapOptions::new().buffer_size(1), MapOptions::new().chunk_size(2)] {
            let (opener, busy) = occupy(&threads);
            let (in_closure, in_input) = (Panics, Panics);
            let closure = move |n: u32| {
                let _ = &in_closure;
                n
            };
            let input = (0..9).inspect(move |_| {
                let _ = &in_input;
            });
            drop(threads.with(options).map(closure, input));
            assert_eq!(threads.stats().pending, 0, "its items are cancelled");
            opener.open();
            busy.result().unwrap();
        }
    });
}

#[test]
fn a_timeout_behind_all_pulled_items_names_the_next_one() {
    // Each item is done as soon as it is pulled.
    let timed = InlineExecutor.with(MapOptions::new().timeout(Duration::from_millis(20)));
    let mut outcomes: Vec<_> = timed.map_unordered(|n: usize| n, 0..).collect();
    let last = outcomes.pop();
    assert!(matches!(last, Some((next, Err(Error::Timeout(_)))) if next == outcomes.len()), "{last:?}");
    assert!(outcomes.iter().all(|(position, outcome)| matches!(outcome, Ok(n) if n == position)));
}

#[test]
fn endless_input_is_pulled_until_the_timeout() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let timed = threads.with(MapOptions::new().timeout(Duration::from_millis(20)));
        let outcomes: Vec<_> = timed.map(|n: u32| n, 0..).collect();
        let Some((Err(Error::Timeout(_)), before)) = outcomes.split_last() else { panic!("no timeout at the end") };
        assert!(before.iter().enumerate().all(|(at, outcome)| matches!(outcome, Ok(n) if *n as usize == at)));
        let unordered = timed.map_unordered(|n: u32| n, 0..);
        assert_eq!(unordered.filter(|(_, outcome)| matches!(outcome, Err(Error::Timeout(_)))).count(), 1);
    });
}

/// Asserts that maps over endless input return, and go on to yield errors that are `expected`.
fn assert_all_refused(executor: &impl Executor, expected: fn(&Error) -> bool) {
    const LARGE: [[u64; 32]; 32] = [[7; 32]; 32];
    let assert_expected = |outcome: Result<u64, Error>| assert!(outcome.as_ref().is_err_and(expected), "{outcome:?}");
    executor.map(|n| n, endless(7)).take(10).for_each(assert_expected);
    executor.map(|[[n, ..], ..]: [[u64; 32]; 32]| n, endless(LARGE)).take(10).for_each(assert_expected);
    for size in [1, 3] {
        let chunks = executor.with(MapOptions::new().chunk_size(size));
        chunks.map(|n| n, endless(7)).take(10).for_each(assert_expected);
        chunks.map(|[[n, ..], ..]: [[u64; 32]; 32]| n, endless(LARGE)).take(10).for_each(assert_expected);
    }
    let retried = executor.with(TaskOptions::new().retries(2));
    retried.map(|n| n, endless(7)).take(10).for_each(assert_expected);
    for (nth, (position, outcome)) in executor.map_unordered(|n| n, endless(7)).take(10).enumerate() {
        assert_eq!(position, nth);
        assert_expected(outcome);
    }
}

/// Returns input that has no end, and panics when more of it is pulled than the ten items that are taken, in chunks of three
/// at most.
fn endless<T: Clone>(item: T) -> impl Iterator<Item = T> {
    let mut pulled = 0;
    std::iter::repeat(item).inspect(move |_| {
        pulled += 1;
        assert!(pulled <= 12, "input is pulled although each item is refused");
    })
}

#[test]
fn a_map_over_endless_input_returns_if_its_items_are_refused() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        threads.shutdown();
        assert_all_refused(&threads, |error| matches!(error, Error::ShutDown));
        let broken = ThreadPoolExecutor::builder().max_workers(1).initializer(|| panic!("no worker")).build().unwrap();
        broken.spawn(|| ()).wait();
        assert_all_refused(&broken, |error| matches!(error, Error::Broken(_)));
        #[cfg(processes)]
        {
            let processes = concurrent_futures::ProcessPoolExecutor::new(1);
            processes.shutdown();
            assert_all_refused(&processes, |error| matches!(error, Error::ShutDown));
        }
    });
}

#[test]
fn a_map_whose_item_is_refused_yields_that_before_it_waits_for_input() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        threads.shutdown();
        let (send, items) = std::sync::mpsc::channel();
        send.send(1).unwrap();
        let mut map = threads.map(|n: u32| n, &items);
        assert!(matches!(map.next(), Some(Err(Error::ShutDown))));
        drop(map);
        send.send(2).unwrap();
        let mut map = threads.map_unordered(|n: u32| n, &items);
        assert!(matches!(map.next(), Some((0, Err(Error::ShutDown)))));
        drop(map);
        (3..5).for_each(|n| send.send(n).unwrap());
        // The chunk is not full.
        let chunks = threads.with(MapOptions::new().chunk_size(3).buffer_size(2));
        let mut map = chunks.map(|n: u32| n, &items);
        assert!(matches!((map.next(), map.next()), (Some(Err(Error::ShutDown)), Some(Err(Error::ShutDown)))));
    });
}

#[test]
fn a_map_over_endless_input_in_a_task_ends_with_its_pool() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let own = Arc::clone(&threads);
        let (began, begun) = std::sync::mpsc::channel();
        let (go, goes) = std::sync::mpsc::channel::<()>();
        let outer = threads.spawn(move || {
            began.send(()).unwrap();
            goes.recv().unwrap();
            let mut map = own.map(|n: u64| n, endless(7));
            matches!(map.next(), Some(Err(Error::Cancelled)))
        });
        begun.recv().unwrap();
        threads.close();
        assert_eq!(threads.cancel_pending(), 0);
        go.send(()).unwrap();
        assert!(outer.result().unwrap());
    });
}
