//! What a worker waits for and does not run itself: the next free worker runs it before all that is queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use concurrent_futures::{Backend, Executor, Future, MapOptions, ReturnWhen, TaskOptions, as_completed, wait};

use super::nesting::{Threads, in_time, one_worker};
use super::support::*;

/// In a pool of one worker, a task waits for others in `wait_for`, which send 0, 1 and so on. Before them in the queue is a
/// task that receives `count` numbers, which the pool does not know of, so it must not be what the spare worker begins.
fn behind_a_receiver(count: u32, wait_for: impl FnOnce(&Threads, Sender<u32>) + Send + 'static) {
    in_time(move || {
        let threads = one_worker();
        let own = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let (send, sent) = channel();
            let before = own.spawn(move || sent.iter().take(count as usize).collect::<Vec<_>>());
            wait_for(&own, send);
            before
        });
        let sent = outer.result().unwrap().result().unwrap();
        assert!(sent.iter().copied().eq(0..count), "not in their own order: {sent:?}");
        assert_eq!(threads.stats().pending, 0);
    });
}

/// Waits in this way for tasks that are neither the first nor the last in the queue.
fn wait_for_what_is_behind(count: u32, way: fn(&Threads, Vec<Future<u32>>)) {
    behind_a_receiver(count, move |threads, send| {
        let awaited = (0..count).map(|n| {
            let send = send.clone();
            threads.spawn(move || {
                send.send(n).unwrap();
                n
            })
        });
        let awaited: Vec<_> = awaited.collect();
        let behind: Vec<_> = (0..2000).map(|n| threads.spawn(move || n)).collect();
        way(threads, awaited);
        assert!(behind.into_iter().map(|future| future.result().unwrap()).eq(0..2000));
    });
}

#[test]
fn what_a_worker_waits_for_with_a_time_limit_runs_first() {
    wait_for_what_is_behind(1, |_, mut awaited| {
        awaited.remove(0).result_timeout(LONG).unwrap().unwrap();
    });
}

#[test]
fn what_a_worker_polls_runs_first() {
    wait_for_what_is_behind(1, |_, awaited| while !awaited[0].wait_timeout(Duration::from_micros(100)) {});
}

#[test]
fn all_that_a_worker_waits_for_with_a_time_limit_runs_first() {
    wait_for_what_is_behind(2, |_, awaited| {
        assert_eq!(wait(awaited, LONG, ReturnWhen::AllCompleted).done.len(), 2);
    });
}

#[test]
fn the_first_that_a_worker_waits_for_runs_first() {
    wait_for_what_is_behind(2, |_, mut awaited| {
        while !awaited.is_empty() {
            awaited = wait(awaited, None, ReturnWhen::FirstCompleted).not_done;
        }
    });
}

#[test]
fn what_a_worker_takes_as_completed_runs_first() {
    wait_for_what_is_behind(2, |_, awaited| {
        let mut all = as_completed([]);
        awaited.into_iter().for_each(|future| all.push(future));
        assert_eq!(all.count(), 2);
    });
}

#[test]
fn inputs_of_what_a_worker_waits_for_run_first() {
    wait_for_what_is_behind(2, |threads, awaited| {
        let sum = threads.submit_after(awaited, |all| all.iter().sum::<u32>());
        assert_eq!(sum.result_timeout(LONG).unwrap().unwrap(), 1);
    });
}

#[test]
fn items_of_a_map_in_a_worker_run_first() {
    behind_a_receiver(2, |threads, send| {
        let limited = threads.with(MapOptions::new().timeout(LONG));
        assert_eq!(limited.map(move |n| send.send(n).unwrap(), [0, 1]).map(Result::unwrap).count(), 2);
    });
    behind_a_receiver(2, |threads, send| {
        assert_eq!(threads.map_unordered(move |n| send.send(n).unwrap(), [0, 1]).count(), 2);
    });
}

#[test]
fn what_a_worker_waits_for_runs_first_if_it_has_a_time_limit() {
    behind_a_receiver(2, |threads, send| {
        let limited = threads.with(TaskOptions::new().time_limit(LONG));
        let awaited = [0, 1].map(|n| {
            let send = send.clone();
            limited.spawn(move || send.send(n).unwrap())
        });
        wait(awaited, None, ReturnWhen::AllCompleted);
    });
}

#[test]
fn tasks_of_a_scope_in_a_worker_run_first_if_they_have_time_limits() {
    behind_a_receiver(2, |threads, send| {
        threads.with(TaskOptions::new().time_limit(LONG)).scope(|scope| {
            for n in [0, 1] {
                let send = send.clone();
                scope.spawn(move || send.send(n).unwrap()).detach();
            }
        });
    });
}

#[test]
fn no_count_is_left_of_tasks_that_were_awaited_in_many_ways() {
    in_time(|| {
        let threads = one_worker();
        let own = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let awaited: Vec<_> = (0..300).map(|n| own.spawn(move || n)).collect();
            let short = Duration::from_nanos(1);
            // All of them get a second entry. Then some are cancelled, and some are run here.
            let awaited = wait(awaited, short, ReturnWhen::AllCompleted).not_done;
            awaited.iter().step_by(3).for_each(|future| _ = future.cancel());
            awaited.into_iter().rev().step_by(2).filter(|future| future.error().is_none()).count()
        });
        outer.result().unwrap();
        // If too many entries counted as dead, no spare worker would come.
        for _ in 0..3 {
            let own = Arc::clone(&threads);
            let outer = threads.spawn(move || own.spawn(|| ()).result_timeout(LONG).unwrap());
            outer.result().unwrap().unwrap();
            assert_eq!(threads.stats().pending, 0);
        }
        threads.shutdown();
    });
}

/// Each of many queued tasks waits in this way for a task of its own, and few threads do it all.
fn wait_in_many_tasks(way: fn(Future<u32>) -> u32) {
    const MANY: u32 = 1000;
    in_time(move || {
        let (threads, gate, most) = (one_worker(), Gate::default(), Arc::new(AtomicUsize::new(0)));
        let busy = occupy_at(&threads, &gate);
        let all = (0..MANY).map(|n| {
            let (own, most) = (Arc::clone(&threads), Arc::clone(&most));
            threads.spawn(move || {
                most.fetch_max(own.stats().workers, Ordering::Relaxed);
                way(own.spawn(move || n))
            })
        });
        let all: Vec<_> = all.collect();
        gate.open();
        busy.result().unwrap();
        assert!(all.into_iter().map(|future| future.result().unwrap()).eq(0..MANY));
        // A handful, but nobody can tell how late those that wait are woken.
        let most = most.load(Ordering::Relaxed);
        assert!(most <= MANY as usize / 4, "{most} threads");
    });
}

#[test]
fn many_tasks_that_wait_with_a_time_limit_take_few_threads() {
    wait_in_many_tasks(|future| future.result_timeout(LONG).unwrap().unwrap());
}

#[test]
fn many_tasks_that_wait_for_the_first_take_few_threads() {
    wait_in_many_tasks(|future| {
        let mut waited = wait([future], None, ReturnWhen::FirstCompleted);
        waited.done.remove(0).result().unwrap()
    });
}

#[test]
fn many_tasks_that_take_as_completed_take_few_threads() {
    wait_in_many_tasks(|future| as_completed([future]).next().unwrap().result().unwrap());
}

#[test]
fn an_item_of_an_endless_map_in_a_worker_is_not_passed_by_for_ever() {
    in_time(|| {
        let threads = one_worker();
        let own = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let few_at_a_time = own.with(MapOptions::new().buffer_size(8));
            let other = own.spawn(|| ());
            let mut numbers = few_at_a_time.map_unordered(|n: u64| n, 0..);
            let firsts = numbers.by_ref().take(1000).filter(|(position, _)| *position < 8).count();
            // Nor is a task for the sake of its items.
            while !other.is_done() {
                numbers.next().unwrap().1.unwrap();
            }
            firsts
        });
        assert_eq!(outer.result().unwrap(), 8);
    });
}
