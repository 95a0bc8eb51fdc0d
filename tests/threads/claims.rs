//! Awaited tasks that run in their waiter: which, and what they leave behind.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use concurrent_futures::{
    Error, Executor, Future, ReturnWhen, TaskOptions, ThreadPoolExecutor, as_completed, task, wait,
};

use super::support::*;

fn one_worker() -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::new(1))
}

#[test]
fn a_task_may_wait_for_a_task_submitted_outside() {
    within(LONG, || {
        let threads = one_worker();
        let (hand_over, handed_over) = channel::<Future<u32>>();
        let waiting = threads.spawn(move || handed_over.recv_timeout(LONG).unwrap().result().unwrap() + 1);
        // Queued behind its waiter, which has the only worker.
        let awaited = threads.spawn(|| 41);
        hand_over.send(awaited).unwrap();
        assert_eq!(waiting.result().unwrap(), 42);
    });
}

#[test]
fn a_cancelled_task_wakes_the_worker_that_waits_for_it() {
    within(LONG, || {
        let (threads, gate) = (one_worker(), Gate::default());
        let ((hand_over, handed_over), busy) = (channel(), occupy_at(&threads, &gate));
        let awaited = threads.spawn(|| 1).share();
        let twin = awaited.clone();
        threads.spawn(move || hand_over.send(twin.result().copied()).unwrap()).detach();
        assert!(awaited.cancel());
        gate.open();
        assert!(matches!(soon(&handed_over), Err(Error::Cancelled)));
        busy.result().unwrap();
    });
}

/// Has a task wait for itself in one way, and returns the text of its panic.
fn wait_for_itself(way: impl FnOnce(Future<()>) + Send + 'static) -> String {
    within(LONG, || {
        let (threads, (hand_over, handed_over), (report, reported)) = (one_worker(), channel(), channel());
        let future = threads.spawn(move || way(handed_over.recv_timeout(LONG).unwrap()));
        future.add_done_callback(move |outcome| report.send(outcome.clone()).unwrap());
        hand_over.send(future).unwrap();
        panic_message(soon(&reported))
    })
}

#[test]
fn a_task_that_waits_for_itself_panics() {
    let says = "a task waits for itself";
    let ways: [fn(Future<()>); 8] = [
        |own| drop(own.result()),
        |own| own.wait(),
        |own| drop(own.error()),
        |own| drop(wait([own], None, ReturnWhen::AllCompleted)),
        |own| drop(wait([own], None, ReturnWhen::FirstCompleted)),
        |own| drop(wait([own], None, ReturnWhen::FirstError)),
        |own| drop(as_completed([own]).next()),
        |own| drop(block_on(own.into_future())),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        assert!(wait_for_itself(way).contains(says), "way {number}");
    }
}

#[test]
fn a_cycle_of_waiting_tasks_panics() {
    within(LONG, || {
        let (threads, (hand_over, handed_over)) = (one_worker(), channel::<concurrent_futures::SharedFuture<String>>());
        let own = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let outer = handed_over.recv_timeout(LONG).unwrap();
            let inner = own.spawn(move || outer.result().map(|_| ()));
            panic_message(inner.result())
        });
        let outer = outer.share();
        hand_over.send(outer.clone()).unwrap();
        assert!(outer.result().unwrap().contains("waits for itself"));
    });
}

#[test]
fn a_task_may_poll_its_own_future() {
    within(LONG, || {
        let (threads, (hand_over, handed_over), (report, reported)) = (one_worker(), channel(), channel());
        let future: Future<()> = threads.spawn(move || {
            let own: Future<()> = handed_over.recv_timeout(LONG).unwrap();
            let waited = own.wait_timeout(Duration::from_millis(1));
            let came_out = as_completed([&own]).next_timeout(Duration::from_millis(1)).is_ok();
            report.send((waited, came_out, own.is_running(), own.wait_timeout(Duration::ZERO))).unwrap();
        });
        hand_over.send(future).unwrap();
        assert_eq!(soon(&reported), (false, false, true, false));
    });
}

#[test]
fn a_million_nested_submits_in_a_loop_leak_no_thread() {
    within(LONG, || {
        let threads = one_worker();
        let own = Arc::clone(&threads);
        let most = threads.spawn(move || {
            // Every task that is kept somewhere keeps its name.
            let name: Arc<str> = "counted".into();
            let mut most = 0;
            for n in 0..1_000_000_u32 {
                let named = own.with(TaskOptions::new().name(Arc::clone(&name)));
                assert_eq!(named.submit(|n| n, n).result().unwrap(), n);
                most = most.max(Arc::strong_count(&name));
            }
            most
        });
        assert!(most.result().unwrap() < 1000);
    });
}

#[test]
fn pairs_of_nested_submits_in_a_loop_leak_no_thread() {
    within(LONG, || {
        let threads = one_worker();
        let own = Arc::clone(&threads);
        let most = threads.spawn(move || {
            let name: Arc<str> = "counted".into();
            let mut most = 0;
            let behind = own.spawn(|| ());
            for n in 0..100_000_u32 {
                let named = own.with(TaskOptions::new().name(Arc::clone(&name)));
                let [first, second] = [named.submit(|n| n, n), named.submit(|n| n + 1, n)];
                // Not the newest: its entry stays behind for a while.
                assert_eq!(first.result().unwrap(), n);
                assert_eq!(second.result().unwrap(), n + 1);
                most = most.max(Arc::strong_count(&name));
            }
            behind.result().unwrap();
            most
        });
        assert!(most.result().unwrap() < 1000);
    });
}

#[test]
fn the_current_task_is_correct_inside_and_after_a_claim() {
    within(LONG, || {
        let current = || task::current().expect("inside a task").id();
        assert!(task::current().is_none());
        let threads = one_worker();
        let own = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let before = current();
            let inner = own.spawn(current);
            let id = inner.id();
            assert_eq!(inner.result().unwrap(), id);
            assert_ne!(id, before);
            let panicking = own.spawn(|| panic!("the claimed task panics"));
            assert!(panicking.result().is_err());
            assert_eq!(current(), before);
            let context = task::current().unwrap();
            let elsewhere = std::thread::spawn(move || (context.id(), task::current().is_none())).join().unwrap();
            assert_eq!(elsewhere, (before, true));
            before
        });
        let id = outer.id();
        assert_eq!(outer.result().unwrap(), id);
        assert!(task::current().is_none());
    });
}
