//! The front of a long queue, which workers take from without the lock. In a model, a queue of two tasks is long.

use std::sync::{Arc, Mutex};

use concurrent_futures::{Backend as _, Error, Executor as _, Future, ThreadPoolExecutor};

use crate::checker::{Channel, Event, Tally, check, holding, spawn, wait_asleep};

/// The order in which tasks begin. Its lock is not the checker's, so it adds no schedules.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<usize>>>);

impl Order {
    /// Returns a task that notes that it has begun.
    fn note(&self, n: usize) -> impl FnOnce() + Send + use<> {
        let order = self.clone();
        move || order.0.lock().unwrap().push(n)
    }

    fn noted(&self) -> Vec<usize> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn all_tasks_of_a_long_queue_run_once() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let futures = [1, 2, 3, 4].map(|n| pool.spawn(move || n));
        assert_eq!(futures.map(|future| future.result().unwrap()), [1, 2, 3, 4]);
        assert_eq!(pool.stats().pending, 0);
    });
}

/// Each task waits for its neighbour, so none may be kept behind another one that has not ended.
#[test]
fn neighbours_of_a_long_queue_meet() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(2);
        let events = [Event::new(), Event::new(), Event::new(), Event::new()];
        let futures: Vec<_> = (0..4)
            .map(|n: usize| {
                let (here, there) = (events[n].clone(), events[n ^ 1].clone());
                pool.spawn(move || {
                    here.set();
                    there.wait();
                })
            })
            .collect();
        futures.into_iter().for_each(|future| future.result().unwrap());
    });
}

#[test]
fn tasks_of_the_front_begin_in_their_order() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let order = Order::default();
        let futures: Vec<_> = (0..4).map(|n| pool.spawn(order.note(n))).collect();
        futures.into_iter().for_each(|future| future.result().unwrap());
        assert_eq!(order.noted(), [0, 1, 2, 3]);
    });
}

#[test]
fn all_that_is_pending_is_cancelled_and_counted() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let [first, begun, second, begun_again, third] = [(); 5].map(|()| Event::new());
        let outer = pool.spawn(holding(&Event::new(), &first));
        let inner = pool.spawn(holding(&begun, &second));
        let others = [(); 3].map(|()| pool.spawn(|| ()));
        first.set();
        begun.wait();
        // `outer` or `inner` was taken from a long queue, so tasks are in the front.
        // Not `stats` before, which empties the front.
        assert_eq!(pool.cancel_pending(), 3);
        others.into_iter().for_each(|other| assert!(matches!(other.result(), Err(Error::Cancelled))));
        second.set();
        outer.result().unwrap();
        inner.result().unwrap();
        let running = pool.spawn(holding(&begun_again, &third));
        begun_again.wait();
        let pending = pool.spawn(|| ());
        assert_eq!(pool.stats().pending, 1);
        third.set();
        running.result().unwrap();
        pending.result().unwrap();
    });
}

#[test]
fn each_task_counts_once_while_workers_take_from_the_front() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let futures = [1, 2, 3, 4].map(|n| pool.spawn(move || n));
        for _ in 0..4 {
            let stats = pool.stats();
            let ended = usize::try_from(stats.completed).unwrap();
            assert_eq!(stats.pending + stats.running + ended, 4, "{stats:?}");
        }
        futures.into_iter().for_each(|future| assert!(future.result().is_ok()));
    });
}

#[test]
fn cancel_against_a_worker_that_takes_from_the_front() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let ran = Tally::default();
        let futures: Vec<_> = (0..3).map(|_| pool.spawn(ran.adding())).collect();
        let cancelled = futures.iter().filter(|future| future.cancel()).count();
        for future in futures {
            assert!(matches!(future.result(), Ok(()) | Err(Error::Cancelled)));
        }
        assert_eq!(ran.count() + cancelled, 3);
        assert_eq!(pool.spawn(|| 4).result().unwrap(), 4, "the dead entries hide no task");
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn shutdown_now_against_a_worker_that_takes_from_the_front() {
    check(2, || {
        let pool = ThreadPoolExecutor::new(1);
        let ran = Tally::default();
        let futures = [(); 4].map(|()| pool.spawn(ran.adding()));
        pool.shutdown_now();
        let ended = futures.map(|future| future.result());
        assert!(ended.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Error::Cancelled))));
        assert_eq!(ended.iter().filter(|outcome| outcome.is_ok()).count(), ran.count());
        assert_eq!(pool.stats().pending, 0);
    });
}

/// A spare worker has to get to the task that the first one waits for. Once the first one goes on, the spare worker
/// begins no further task.
#[test]
fn a_worker_that_sleeps_leaves_no_front_to_its_spare() {
    check(2, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (order, awaited, door) = (Order::default(), Channel::new(), Event::new());
        let (note, receiver, opened, inside) = (order.clone(), awaited.clone(), door.clone(), Arc::clone(&pool));
        let outer = pool.spawn(move || opened.wait());
        let first = pool.spawn(move || {
            let inner: Future<()> = receiver.take();
            wait_asleep(inner).unwrap();
            note.note(100)();
            // Each call takes the lock, so that another worker may run in between.
            let _ = (inside.stats(), inside.stats());
            note.note(101)();
        });
        awaited.put(pool.spawn(order.note(0)));
        let others = [1, 2, 3, 4].map(|n| pool.spawn(order.note(n)));
        door.set();
        outer.result().unwrap();
        first.result().unwrap();
        others.into_iter().for_each(|future| future.result().unwrap());
        let mut order = order.noted();
        let position = |n| order.iter().position(|noted| *noted == n).unwrap();
        let beside = position(101) - position(100) - 1;
        assert!(beside <= 1, "one may have been taken before: {order:?}");
        order.retain(|n| *n < 100);
        assert_eq!(order, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_second_submitter_against_a_worker_that_fills_the_front() {
    check(1, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let client = Arc::clone(&pool);
        let client = spawn(move || client.spawn(|| 1).result().unwrap());
        let own = [2, 3].map(|n| pool.spawn(move || n)).map(|future| future.result().unwrap());
        assert_eq!((client.join().unwrap(), own), (1, [2, 3]));
    });
}
