//! Maps whose items the workers share: which worker takes which item, comes for the rest, and waits.

use std::sync::Arc;

use concurrent_futures::{Backend as _, Choices, Error, Executor as _, MapOptions, ThreadPoolExecutor, promise};

use crate::checker::{Channel, Event, LATER, Tally, check, check_choices, spawn};
use crate::ending::broken_by_the_second_worker;

#[test]
fn items_against_their_collector() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let doubles: Vec<u32> = pool.map(|n: u32| 2 * n, [1, 2, 3]).collect::<Result<_, _>>().unwrap();
        assert_eq!(doubles, [2, 4, 6]);
    });
}

#[test]
fn two_workers_take_from_one_range() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let doubles: Vec<u32> = pool.map(|n: u32| 2 * n, [1, 2, 3]).collect::<Result<_, _>>().unwrap();
        assert_eq!(doubles, [2, 4, 6]);
    });
}

/// The second worker takes half of what the first has left, and outcomes of both come in input order.
#[test]
fn a_range_that_is_divided() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let doubles: Vec<u32> = pool.map(|n: u32| 2 * n, [1, 2, 3, 4]).collect::<Result<_, _>>().unwrap();
        assert_eq!(doubles, [2, 4, 6, 8]);
    });
}

#[test]
fn a_range_that_is_divided_against_cancel_pending() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let other = Arc::clone(&pool);
        let mut map = pool.map(|n: u32| n, [1, 2, 3, 4]);
        let canceller = spawn(move || other.cancel_pending());
        // A map that is dropped cancels its workers as well.
        let lost = map.by_ref().filter(|outcome| matches!(outcome, Err(Error::Cancelled))).count();
        assert_eq!(lost, canceller.join().unwrap());
    });
}

#[test]
fn outcomes_in_any_order_against_their_collector() {
    for workers in [1, 2] {
        check(2, move || {
            let pool = ThreadPoolExecutor::new(workers);
            let mut outcomes: Vec<_> = pool.map_unordered(|n: u32| 2 * n, [1, 2, 3]).collect();
            outcomes.sort_unstable_by_key(|(position, _)| *position);
            assert!(matches!(outcomes[..], [(0, Ok(2)), (1, Ok(4)), (2, Ok(6))]), "{outcomes:?}");
        });
    }
}

/// The outcomes of a part may be the last ones.
#[test]
fn parts_of_a_range_in_any_order() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let mut outcomes: Vec<_> = pool.map_unordered(|n: u32| 2 * n, [1, 2, 3, 4, 5]).collect();
        outcomes.sort_unstable_by_key(|(position, _)| *position);
        assert!(outcomes.into_iter().map(|(_, outcome)| outcome.unwrap()).eq([2, 4, 6, 8, 10]));
    });
}

#[test]
fn items_that_wait_for_each_other() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let (first, second) = (Event::new(), Event::new());
        let meet = move |(here, there): (Event, Event)| {
            here.set();
            there.wait();
        };
        let pairs = [(first.clone(), second.clone()), (second, first)];
        pool.map(meet, pairs).for_each(Result::unwrap);
    });
}

#[test]
fn input_that_waits_for_the_items_before_it() {
    for workers in [1, 2] {
        check(2, move || {
            let pool = ThreadPoolExecutor::new(workers);
            let done = [Event::new(), Event::new(), Event::new()];
            let seen = done.clone();
            let input = (0..3).inspect(move |n: &usize| {
                if let Some(before) = n.checked_sub(1) {
                    seen[before].wait();
                }
            });
            pool.map(move |n: usize| done[n].set(), input).for_each(Result::unwrap);
        });
    }
}

/// The workers are busy until the second item is held back. A worker that then runs the first one hands it over before
/// that.
#[test]
fn an_item_and_the_input_that_wait_for_an_item_held_back() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let (open, ran) = (Event::new(), Event::new());
        let busy = [open.clone(), open.clone()].map(|open| pool.spawn(move || open.wait()));
        let seen = ran.clone();
        let input = (0..3).inspect(move |n: &u32| {
            if *n == 2 {
                open.set();
                seen.wait();
            }
        });
        let run = move |n: u32| match n {
            0 => ran.wait(),
            1 => ran.set(),
            _ => {}
        };
        pool.map(run, input).for_each(Result::unwrap);
        busy.into_iter().for_each(|task| task.result().unwrap());
    });
}

/// The task is before what is pulled after it: the map worker goes, and another one comes when that has run.
#[test]
fn a_task_between_the_items_of_a_map() {
    for workers in [1, 2] {
        check(2, move || {
            let pool = ThreadPoolExecutor::new(workers);
            let mut between = None;
            let input = (0..3).inspect(|n: &u32| {
                if *n == 1 {
                    between = Some(pool.spawn(|| 7));
                }
            });
            let doubles: Vec<u32> = pool.map(|n: u32| 2 * n, input).collect::<Result<_, _>>().unwrap();
            assert_eq!(doubles, [0, 2, 4]);
            assert_eq!(between.unwrap().result().unwrap(), 7);
        });
    }
}

#[test]
fn a_task_of_the_pool_in_an_item() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&pool);
        let sum = move |n: u32| inside.spawn(move || n + 1).result().unwrap();
        let sums: Vec<u32> = pool.map(sum, [1, 2]).collect::<Result<_, _>>().unwrap();
        assert_eq!(sums, [2, 3]);
    });
}

/// A map worker that is coming finds what was held back while another one sleeps.
#[test]
fn an_item_that_waits_for_the_item_behind_it() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let (promise, future) = promise();
        let (promised, awaited) = (Channel::new(), Channel::new());
        promised.put(promise);
        awaited.put(future);
        let input = 0..2;
        let call = move |n| match n {
            0 => awaited.take().result().unwrap(),
            _ => usize::from(promised.take().complete(Ok(n))),
        };
        assert!(pool.map(call, input).map(Result::unwrap).eq([1, 1]));
    });
}

/// None is coming while the only one sleeps in an item: what is pulled then is handed over.
#[test]
fn an_item_that_waits_for_a_later_item() {
    check(1, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (promise, future) = promise();
        let (promised, awaited) = (Channel::new(), Channel::new());
        promised.put(promise);
        awaited.put(future);
        let (begun, done) = (Event::new(), Event::new());
        let (has_begun, is_done, other) = (begun.clone(), done.clone(), Arc::clone(&pool));
        let input = (0..3).inspect(move |n| match n {
            1 => {
                has_begun.wait();
                // The map worker that would come next, too.
                other.cancel_pending();
            }
            2 => is_done.wait(),
            _ => {}
        });
        let call = move |n| match n {
            0 => {
                begun.set();
                awaited.take().result().unwrap()
            }
            1 => {
                let kept = promised.take().complete(Ok(1));
                done.set();
                usize::from(kept)
            }
            _ => n,
        };
        assert!(pool.map(call, input).map(Result::unwrap).eq([1, 1, 2]));
    });
}

#[test]
fn two_maps_of_one_pool() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let other = Arc::clone(&pool);
        let other = spawn(move || other.map(|n: u32| n, [1]).map(Result::unwrap).sum::<u32>());
        assert!(pool.map(|n: u32| n, [2]).map(Result::unwrap).eq([2]));
        assert_eq!(other.join().unwrap(), 1);
    });
}

#[test]
fn drop_of_the_map_against_its_items() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let (ran, dropped) = (Tally::default(), Tally::default());
        let items = [dropped.counted(), dropped.counted(), dropped.counted()];
        let run = ran.clone();
        let mut map = pool.map(
            move |item| {
                run.add();
                drop(item);
            },
            items,
        );
        map.next().unwrap().unwrap();
        drop(map);
        let begun = ran.count();
        assert!((1..=3).contains(&begun));
        drop(pool);
        assert!(ran.count() <= begun + 1, "items that had not begun were cancelled, except one that was being taken");
        assert_eq!(dropped.count(), 3, "nothing is kept");
    });
}

#[test]
fn cancel_pending_against_items() {
    check(3, || {
        let pool = ThreadPoolExecutor::new(1);
        let map = pool.map(|n: u32| n, [1, 2, 3]);
        let cancelled = pool.cancel_pending();
        let outcomes: Vec<_> = map.collect();
        assert_eq!(outcomes.len(), 3);
        let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Cancelled))).count();
        assert_eq!(lost, cancelled);
        assert_eq!(pool.spawn(|| 4).result().unwrap(), 4);
    });
}

/// What is held back for a map worker that is called off before it was sent, another one comes for.
#[test]
fn cancel_pending_against_a_map_that_is_being_made() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let other = Arc::clone(&pool);
        let canceller = spawn(move || other.cancel_pending());
        let mut map = pool.map(|n: u32| n, [1, 2, 3]);
        // A map that is dropped cancels its workers as well.
        let outcomes: Vec<_> = map.by_ref().collect();
        assert_eq!(outcomes.len(), 3);
        let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Cancelled))).count();
        assert_eq!(lost, canceller.join().unwrap());
    });
}

/// An item of a map whose workers are called off. The map worker that has sent for another one, which does not come, runs
/// the first item, and that waits for the third, which was held back for the other one.
struct OfThree {
    number: u32,
    first_has_begun: Event,
    third_has_ended: Event,
}

impl OfThree {
    fn run(&self) {
        if self.number == 0 {
            self.first_has_begun.set();
            self.third_has_ended.wait();
        }
    }
}

impl Drop for OfThree {
    fn drop(&mut self) {
        match self.number {
            0 => self.first_has_begun.set(),
            // Whoever cancels this one has called off the worker, but not the first item.
            1 => self.first_has_begun.wait(),
            _ => self.third_has_ended.set(),
        }
    }
}

#[test]
fn cancel_pending_against_a_worker_that_sends_for_another() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let (first_has_begun, third_has_ended) = (Event::new(), Event::new());
        let (two_are_pulled, is_called_off) = (Event::new(), Event::new());
        let (other, go, begin) = (Arc::clone(&pool), two_are_pulled.clone(), is_called_off.clone());
        let canceller = pool.spawn(move || {
            go.wait();
            begin.set();
            other.cancel_pending();
        });
        let third = third_has_ended.clone();
        let mut pulled = 0;
        let items = std::iter::from_fn(move || {
            match pulled {
                2 => {
                    two_are_pulled.set();
                    is_called_off.wait();
                }
                3 => {
                    third.wait();
                    return None;
                }
                _ => {}
            }
            let (first_has_begun, third_has_ended) = (first_has_begun.clone(), third_has_ended.clone());
            pulled += 1;
            Some(OfThree { number: pulled - 1, first_has_begun, third_has_ended })
        });
        assert_eq!(pool.map(|item: OfThree| item.run(), items).count(), 3);
        canceller.result().unwrap();
    });
}

#[test]
fn shutdown_now_against_items() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let map = pool.map(|n: u32| n, [1, 2, 3]);
        pool.shutdown_now();
        assert_eq!(map.count(), 3);
        assert_eq!(pool.stats().workers, 0);
    });
}

/// What was pulled before runs, though the map worker that would look for it is about to go.
#[test]
fn close_by_the_input_against_a_worker_that_ends() {
    check(4, || {
        let pool = ThreadPoolExecutor::new(1);
        let input = (0..3).inspect(|n: &u32| {
            if *n == 2 {
                pool.close();
            }
        });
        let outcomes: Vec<_> = pool.map(|n: u32| n, input).collect();
        assert!(matches!(outcomes[..], [Ok(0), Ok(1), Err(Error::ShutDown)]), "{outcomes:?}");
    });
}

#[test]
fn close_against_a_map_that_is_being_made() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let other = Arc::clone(&pool);
        let closer = spawn(move || other.close());
        for outcome in pool.map(|n: u32| n, [1, 2]) {
            assert!(matches!(outcome, Ok(_) | Err(Error::ShutDown)), "{outcome:?}");
        }
        closer.join().unwrap();
    });
}

#[test]
fn broken_against_items() {
    check(2, || {
        let pool = broken_by_the_second_worker();
        let outcomes: Vec<_> = pool.map(|n: u32| n, [1, 2]).collect();
        assert_eq!(outcomes.len(), 2);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Error::Broken(_)))), "{outcomes:?}");
    });
}

#[test]
fn a_worker_that_does_not_start() {
    check_choices(2, 2, |failing| {
        Choices { failing, ..Choices::default() }.make();
        // Shuttle takes no model in which no thread starts at all.
        let another = spawn(|| ());
        let pool = ThreadPoolExecutor::new(2);
        let outcomes: Vec<_> = pool.map(|n: u32| n, [1, 2]).collect();
        assert_eq!(outcomes.len(), 2);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Error::Broken(_)))), "{outcomes:?}");
        another.join().unwrap();
        if failing == 0 {
            assert!(outcomes.iter().all(Result::is_ok));
        }
    });
}

#[test]
fn the_time_of_the_map_against_its_items() {
    check_choices(2, 2, |expiring| {
        Choices { expiring, ..Choices::default() }.make();
        let pool = ThreadPoolExecutor::new(1);
        let timed = pool.with(MapOptions::new().timeout(LATER));
        let outcomes: Vec<_> = timed.map(|n: u32| n, [1, 2]).collect();
        let in_time = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
        assert!(in_time == 2 || matches!(outcomes[in_time..], [Err(Error::Timeout(_))]), "{outcomes:?}");
    });
}
