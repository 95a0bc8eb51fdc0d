//! What is too large to exhaust: several workers, several clients, everything at once. Sampled by shuttle.

use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{
    Backend as _, Choices, Error, Executor as _, MapOptions, Outcome, ReturnWhen, TaskOptions, ThreadPoolExecutor,
    as_completed, wait,
};

use crate::checker::{Event, LATER, Tally, block_on, draw, sample, spawn};

/// Timed waits expire at random, threads start.
fn expire_at_random() {
    Choices { expiring: draw(), failing: 0, cramped: draw() }.make();
}

fn pool(workers: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::new(workers))
}

/// Each level waits for two of the next, in a way of its own.
fn tree(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> u32 {
    if depth == 0 {
        return 1;
    }
    let halves = [(), ()].map(|()| {
        let inside = Arc::clone(pool);
        pool.spawn(move || tree(&inside, depth - 1))
    });
    match draw() % 6 {
        0 => halves.map(|half| half.result().unwrap()).iter().sum(),
        1 => as_completed(halves).map(|half| half.result().unwrap()).sum(),
        2 => {
            let done = wait(halves, None, ReturnWhen::AllCompleted).done;
            done.into_iter().map(|half| half.result().unwrap()).sum()
        }
        3 => halves.map(|half| block_on(half).unwrap()).iter().sum(),
        4 => {
            let sum = |half: concurrent_futures::Future<u32>| match half.result_timeout(LATER) {
                Ok(outcome) => outcome.unwrap(),
                Err(half) => half.result().unwrap(),
            };
            halves.map(sum).iter().sum()
        }
        _ => {
            let _ = wait(&halves, None, ReturnWhen::FirstCompleted);
            halves.map(|half| half.result().unwrap()).iter().sum()
        }
    }
}

#[test]
fn nesting_in_every_way() {
    sample(5000, || {
        expire_at_random();
        let pool = pool(1 + draw() as usize % 3);
        assert_eq!(tree(&pool, 2), 4);
        let inside = Arc::clone(&pool);
        assert_eq!(pool.spawn(move || tree(&inside, 2)).result().unwrap(), 4);
        assert_eq!(pool.spawn(|| 5).result().unwrap(), 5, "the spare workers have left, the pool goes on");
    });
}

#[test]
fn deep_nesting() {
    fn down(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> u32 {
        if depth == 0 {
            return 0;
        }
        let inside = Arc::clone(pool);
        pool.spawn(move || down(&inside, depth - 1)).result().unwrap() + 1
    }
    sample(3000, || assert_eq!(down(&pool(2), 12), 12));
}

#[test]
fn clients_and_a_shutdown() {
    sample(5000, || {
        let pool = pool(2);
        let ran = Tally::default();
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let (pool, ran) = (Arc::clone(&pool), ran.clone());
                spawn(move || {
                    let futures = [(), ()].map(|()| {
                        let ran = ran.clone();
                        pool.spawn(move || ran.add())
                    });
                    futures.into_iter().filter(|future| future.error().is_none()).count()
                })
            })
            .collect();
        if draw() % 2 == 0 {
            pool.shutdown();
        } else {
            pool.shutdown_now();
        }
        let after_shutdown = ran.count();
        let finished: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert_eq!(ran.count(), finished);
        assert_eq!(after_shutdown, finished, "nothing runs after the shutdown");
        assert_eq!(pool.stats().workers, 0);
    });
}

#[test]
fn tasks_that_submit_while_closing() {
    sample(5000, || {
        let pool = pool(2);
        let ran = Tally::default();
        for _ in 0..2 {
            let (inside, ran) = (Arc::clone(&pool), ran.clone());
            pool.spawn(move || {
                let innermost = ran.clone();
                let nested = Arc::clone(&inside);
                inside.spawn(move || nested.spawn(move || innermost.add()).detach()).detach();
                ran.add();
            })
            .detach();
        }
        pool.shutdown();
        assert_eq!(ran.count(), 4);
    });
}

#[test]
fn four_tasks_that_meet() {
    sample(5000, || {
        expire_at_random();
        let pool = ThreadPoolExecutor::builder().max_workers(4).keep_alive(LATER).build().unwrap();
        for _ in 0..2 {
            let here: Vec<_> = (0..4).map(|_| Event::new()).collect();
            let futures: Vec<_> = (0..4)
                .map(|at| {
                    let all = here.clone();
                    pool.spawn(move || {
                        all[at].set();
                        all.iter().for_each(Event::wait);
                    })
                })
                .collect();
            assert_eq!(wait(&futures, None, ReturnWhen::AllCompleted).done.len(), 4);
        }
    });
}

#[test]
fn cancels_claims_and_pops() {
    sample(5000, || {
        let pool = pool(2);
        let ran = Tally::default();
        let futures: Arc<Vec<_>> = Arc::new(
            (0..5)
                .map(|_| {
                    let ran = ran.clone();
                    pool.spawn(move || ran.add())
                })
                .collect(),
        );
        let awaited = Arc::clone(&futures);
        let waiter = pool.spawn(move || awaited.iter().rev().for_each(concurrent_futures::Future::wait));
        let cancelled = futures.iter().filter(|future| future.cancel()).count();
        waiter.result().unwrap();
        assert_eq!(ran.count() + cancelled, 5);
        assert_eq!(pool.spawn(|| 1).result().unwrap(), 1);
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn a_full_queue_and_everything_that_makes_room() {
    sample(5000, || {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(2).max_pending(1).build().unwrap());
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                spawn(move || {
                    let inside = Arc::clone(&pool);
                    let nested = pool.spawn(move || inside.spawn(|| 1).result().unwrap());
                    let cancelled = pool.spawn(|| 2);
                    cancelled.cancel();
                    assert_eq!(nested.result().unwrap(), 1);
                    assert!(cancelled.is_done() || cancelled.result().is_ok());
                })
            })
            .collect();
        let refusing = pool.with(TaskOptions::new().refuse_when_full());
        let outcome = refusing.spawn(|| 3).result();
        assert!(matches!(outcome, Ok(3) | Err(Error::Full(_))), "{outcome:?}");
        for client in clients {
            client.join().unwrap();
        }
        pool.shutdown();
        assert_eq!(pool.stats().pending, 0);
    });
}

#[test]
fn maps() {
    sample(3000, || {
        expire_at_random();
        let pool = pool(2);
        let options = MapOptions::new().buffer_size(2).chunk_size(1 + draw() as usize % 2);
        let bounded: Vec<u32> = pool.with(options).map(|n| n * n, 0..5_u32).collect::<Outcome<_>>().unwrap();
        assert_eq!(bounded, [0, 1, 4, 9, 16]);
        let mut unordered: Vec<_> = pool.map_unordered(|n| n + 1, 0..3_usize).collect();
        unordered.sort_by_key(|(position, _)| *position);
        for (position, outcome) in unordered {
            assert_eq!(outcome.unwrap(), position + 1);
        }
        let mut dropped = pool.map(|n| n, 0..4_u32);
        assert_eq!(dropped.next().unwrap().unwrap(), 0);
        drop(dropped);
        let timed: Vec<_> = pool.with(MapOptions::new().timeout(LATER)).map(|n| n, 0..3_u32).collect();
        assert!(timed.iter().all(Result::is_ok) || matches!(timed.last(), Some(Err(Error::Timeout(_)))), "{timed:?}");
    });
}

#[test]
fn map_inside_a_task() {
    sample(3000, || {
        let pool = pool(1);
        let inside = Arc::clone(&pool);
        let sum = pool.spawn(move || {
            let inner = inside.map(|n| n, 0..4_u32).map(Result::unwrap).sum::<u32>();
            inner + inside.map_unordered(|n| n, 0..3_u32).map(|(_, outcome)| outcome.unwrap()).sum::<u32>()
        });
        assert_eq!(sum.result().unwrap(), 9);
    });
}

#[test]
fn scopes_with_aborts_and_nested_scopes() {
    sample(5000, || {
        let pool = pool(2);
        let dropped = Tally::default();
        let data = [1_u32, 2, 3];
        pool.scope(|scope| {
            let futures = [(); 3].map(|()| {
                let (counted, pool, dropped, data) = (dropped.counted(), &pool, &dropped, &data);
                scope.spawn(move || {
                    pool.scope(|inner| {
                        let counted = dropped.counted();
                        inner.spawn(move || drop(counted)).detach();
                    });
                    drop(counted);
                    data.iter().sum::<u32>()
                })
            });
            futures[0].abort();
            futures[1].cancel();
            let [first, second, third] = futures;
            drop(first);
            assert!(matches!(second.result(), Ok(6) | Err(Error::Cancelled)));
            assert_eq!(third.result().unwrap(), 6);
        });
        assert!((4..=6).contains(&dropped.count()), "{}", dropped.count());
    });
}

#[test]
fn time_limits_among_other_tasks() {
    sample(3000, || {
        let pool = pool(2);
        let limited = pool.with(TaskOptions::new().time_limit(Duration::from_nanos(1)));
        let futures: Vec<_> =
            (0..3).map(|n| if n == 1 { pool.spawn(move || n) } else { limited.spawn(move || n) }).collect();
        for (n, future) in futures.into_iter().enumerate() {
            let outcome = future.result();
            assert!(
                matches!(&outcome, Ok(value) if *value == n) || (n != 1 && matches!(outcome, Err(Error::TimeLimit(_))))
            );
        }
    });
}

#[test]
fn failed_starts_among_clients() {
    sample(5000, || {
        Choices { expiring: draw(), failing: draw() & 0b111, cramped: draw() }.make();
        let builder = ThreadPoolExecutor::builder().max_workers(2).keep_alive(LATER);
        let pool = Arc::new(builder.build().unwrap());
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                spawn(move || {
                    let inside = Arc::clone(&pool);
                    let first = pool
                        .spawn(move || as_completed([inside.spawn(|| 1)]).map(|one| one.result()).collect::<Vec<_>>());
                    let second = pool.spawn(|| 2);
                    for outcome in [first.result().map(|_| ()), second.result().map(|_| ())] {
                        assert!(matches!(outcome, Ok(()) | Err(Error::Broken(_))), "{outcome:?}");
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        Choices::default().make();
        assert_eq!(pool.spawn(|| 3).result().unwrap(), 3, "a later submit tries again");
    });
}

#[test]
fn last_handles_dropped_anywhere() {
    sample(5000, || {
        let pool = pool(2);
        let futures = [(), ()].map(|()| {
            let inside = Arc::clone(&pool);
            let future = pool.spawn(move || drop(inside));
            let inside = Arc::clone(&pool);
            future.add_done_callback(move |_| drop(inside));
            future
        });
        drop(pool);
        for future in futures {
            future.result().unwrap();
        }
    });
}
