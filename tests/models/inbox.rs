//! The inbox of a queue, where submitters leave tasks while no thread is needed for them.

use std::sync::{Arc, Mutex};

use concurrent_futures::{Backend as _, Error, Executor as _, Future, ThreadPoolExecutor};

use crate::checker::{Channel, Event, Tally, check, holding, occupy, spawn, wait_asleep};

/// A pool whose only worker is busy until the door opens, so that its inbox is open.
struct Busy {
    pool: Arc<ThreadPoolExecutor>,
    door: Event,
    running: Future<()>,
}

impl Busy {
    fn new() -> Self {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (door, running) = occupy(&pool);
        Self { pool, door, running }
    }
}

#[test]
fn two_submitters_against_a_worker_that_empties_the_inbox() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let submit = |pool: &ThreadPoolExecutor, order: &Arc<Mutex<Vec<u32>>>, n| {
            let order = Arc::clone(order);
            pool.spawn(move || order.lock().unwrap().push(n))
        };
        let (client, noted) = (Arc::clone(&pool), Arc::clone(&order));
        let client = spawn(move || [1, 2].map(|n| submit(&client, &noted, n)));
        door.set();
        let own = [3, 4].map(|n| submit(&pool, &order, n));
        let all = client.join().unwrap().into_iter().chain(own).chain([running]);
        all.for_each(|future| future.result().unwrap());
        let order = order.lock().unwrap();
        let position = |n| order.iter().position(|noted| *noted == n).unwrap();
        assert!(position(1) < position(2) && position(3) < position(4) && order.len() == 4, "{order:?}");
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn push_into_the_inbox_against_a_worker_that_goes_to_sleep() {
    check(3, || {
        let Busy { pool, door, running } = Busy::new();
        door.set();
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        running.result().unwrap();
        let (door, running) = occupy(&pool);
        let pending = pool.spawn(|| 2);
        assert_eq!(pool.stats().pending, 1);
        door.set();
        running.result().unwrap();
        assert_eq!(pending.result().unwrap(), 2);
    });
}

#[test]
fn a_worker_waits_for_a_task_in_the_inbox() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (begun, awaited) = (Event::new(), Channel::new());
        let (begins, receiver) = (begun.clone(), awaited.clone());
        let outer = pool.spawn(move || {
            begins.set();
            let inner: Future<u32> = receiver.take();
            wait_asleep(inner)
        });
        begun.wait();
        awaited.put(pool.spawn(|| 1));
        let other = pool.spawn(|| 2);
        assert_eq!(outer.result().unwrap().unwrap(), 1);
        assert_eq!(other.result().unwrap(), 2);
    });
}

#[test]
fn cancel_of_a_task_in_the_inbox_against_its_worker() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let ran = Tally::default();
        let futures = [(); 2].map(|()| pool.spawn(ran.adding()));
        door.set();
        let cancelled = futures.iter().filter(|future| future.cancel()).count();
        for future in futures {
            assert!(matches!(future.result(), Ok(()) | Err(Error::Cancelled)));
        }
        running.result().unwrap();
        assert_eq!(ran.count() + cancelled, 2);
        assert_eq!(pool.spawn(|| 4).result().unwrap(), 4, "the dead entries hide no task");
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn close_against_push_into_the_inbox() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result());
        door.set();
        pool.shutdown();
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(1) | Err(Error::ShutDown)), "{outcome:?}");
        assert!(matches!(pool.spawn(|| 2).result(), Err(Error::ShutDown)));
        running.result().unwrap();
    });
}

#[test]
fn nothing_gets_into_the_inbox_of_a_closed_pool() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let (begun, second) = (Event::new(), Event::new());
        let queued = pool.spawn(holding(&begun, &second));
        pool.close();
        let is_refused = || matches!(pool.spawn(|| ()).result(), Err(Error::ShutDown));
        assert!(is_refused());
        door.set();
        begun.wait();
        assert!(is_refused(), "after the worker has looked for its next task");
        second.set();
        running.result().unwrap();
        queued.result().unwrap();
    });
}

#[test]
fn what_is_in_the_inbox_is_cancelled() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let pending = pool.spawn(|| ());
        let opener = spawn(move || door.set());
        let cancelled = pool.cancel_pending();
        assert_eq!(pending.result().is_err(), cancelled == 1);
        opener.join().unwrap();
        running.result().unwrap();
        let (door, running) = occupy(&pool);
        let pending = [(); 2].map(|()| pool.spawn(|| ()));
        assert_eq!(pool.cancel_pending(), 2);
        door.set();
        running.result().unwrap();
        assert!(pending.into_iter().all(|future| matches!(future.result(), Err(Error::Cancelled))));
    });
}

#[test]
fn shutdown_now_against_push_into_the_inbox() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let (client, ran) = (Arc::clone(&pool), Tally::default());
        let run = ran.adding();
        let client = spawn(move || client.spawn(run).result());
        let opener = spawn(move || door.set());
        pool.shutdown_now();
        let outcome = client.join().unwrap();
        assert!(matches!(outcome, Ok(()) | Err(Error::Cancelled | Error::ShutDown)), "{outcome:?}");
        assert_eq!(ran.count(), usize::from(outcome.is_ok()));
        opener.join().unwrap();
        running.result().unwrap();
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn each_task_counts_once_while_it_is_left_in_the_inbox() {
    check(2, || {
        let Busy { pool, door, running } = Busy::new();
        let client = Arc::clone(&pool);
        let client = spawn(move || [(); 2].map(|()| client.spawn(|| ())));
        let count = || {
            let stats = pool.stats();
            stats.pending + stats.running + usize::try_from(stats.completed).unwrap()
        };
        assert!((1..=3).contains(&count()));
        let futures = client.join().unwrap();
        door.set();
        assert_eq!((count(), count()), (3, 3));
        running.result().unwrap();
        futures.into_iter().for_each(|future| future.result().unwrap());
        assert_eq!((count(), pool.stats().pending), (3, 0));
    });
}
