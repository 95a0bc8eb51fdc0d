//! Done callbacks: when they run, where, and in which order.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, State, ThreadPoolExecutor, promise};

use crate::support::{Drops, LONG, Seen, gate, occupy, within};

#[test]
fn callbacks_run_in_the_thread_that_completes_the_task() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let (send, receive) = mpsc::channel();
        running.add_done_callback(move |_| send.send(thread::current().id()).unwrap());
        opener.open();
        let worker = threads.spawn(|| thread::current().id()).result().unwrap();
        assert_eq!(receive.recv_timeout(LONG), Ok(worker));
    });
}

#[test]
fn callbacks_of_a_dropped_promise_run_where_it_is_dropped() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |outcome| {
            assert!(matches!(outcome, Err(Error::Abandoned)));
            send.send(thread::current().id()).unwrap();
        });
        let dropper = thread::spawn(move || {
            drop(promise);
            thread::current().id()
        });
        assert_eq!(receive.recv_timeout(LONG).unwrap(), dropper.join().unwrap());
    });
}

#[test]
fn a_future_is_not_done_before_its_callbacks_have_run() {
    within(LONG, || {
        let (promise, future) = promise();
        promise.start();
        let future = future.share();
        let (opener, at_gate) = gate();
        let (inside, seen) = (future.clone(), Seen::new());
        let see = seen.clone();
        future.add_done_callback(move |_| {
            see.push((inside.state(), inside.is_done(), inside.try_result().is_some()));
            at_gate.pass();
        });
        let completer = thread::spawn(move || promise.complete(Ok(1)));
        opener.arrived(1);
        assert_eq!(seen.all(), [(State::Running, false, false)]);
        assert_eq!(future.state(), State::Running);
        assert!(!future.wait_timeout(Duration::from_millis(1)));
        assert!(!future.cancel(), "the task has an outcome");
        assert!(!future.abort());
        opener.open();
        assert_eq!(future.result().unwrap(), &1);
        assert!(completer.join().unwrap());
    });
}

#[test]
fn a_cancelled_future_is_pending_until_its_callbacks_have_run() {
    let (_promise, future) = promise::<u8>();
    let future = future.share();
    let (inside, seen) = (future.clone(), Seen::new());
    let see = seen.clone();
    future.add_done_callback(move |_| see.push((inside.state(), inside.cancel())));
    assert!(future.cancel());
    assert_eq!(seen.all(), [(State::Pending, true)]);
    assert_eq!(future.state(), State::Cancelled);
}

#[test]
fn a_callback_added_to_a_cancelled_future_runs_at_once() {
    let (_promise, future) = promise::<u8>();
    future.cancel();
    let seen = Seen::new();
    let see = seen.clone();
    future.add_done_callback(move |outcome| see.push(matches!(outcome, Err(Error::Cancelled))));
    assert_eq!(seen.all(), [true]);
    assert!(future.is_cancelled());
}

#[test]
fn a_callback_added_during_delivery_runs_next_on_the_delivering_thread() {
    within(LONG, || {
        let (promise, future) = promise();
        let future = Arc::new(future);
        let seen = Seen::new();
        let (opener, at_gate) = gate();
        let see = seen.clone();
        future.add_done_callback(move |_| {
            at_gate.pass();
            see.push(("first", thread::current().id()));
        });
        let completer = thread::spawn(move || {
            promise.complete(Ok(1));
            thread::current().id()
        });
        opener.arrived(1);
        let see = seen.clone();
        future.add_done_callback(move |_| see.push(("second", thread::current().id())));
        assert!(seen.all().is_empty(), "the second callback waits for the first");
        opener.open();
        let completer = completer.join().unwrap();
        assert_eq!(seen.all(), [("first", completer), ("second", completer)]);
    });
}

#[test]
fn a_late_callback_added_during_delivery_runs_next_on_the_delivering_thread() {
    within(LONG, || {
        for shared in [false, true] {
            let (promise, future) = promise();
            promise.complete(Ok(1));
            type Add = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;
            let add: Add = if shared {
                let future = future.share();
                Arc::new(move |callback| future.add_done_callback(move |_| callback()))
            } else {
                Arc::new(move |callback| future.add_done_callback(move |_| callback()))
            };
            let seen = Seen::new();
            let (opener, at_gate) = gate();
            let (see, adds) = (seen.clone(), Arc::clone(&add));
            let deliverer = thread::spawn(move || {
                adds(Box::new(move || {
                    at_gate.pass();
                    see.push(("first", thread::current().id()));
                }));
                thread::current().id()
            });
            opener.arrived(1);
            let see = seen.clone();
            add(Box::new(move || see.push(("second", thread::current().id()))));
            assert!(seen.all().is_empty(), "the second callback waits for the first (shared: {shared})");
            opener.open();
            let deliverer = deliverer.join().unwrap();
            assert_eq!(seen.all(), [("first", deliverer), ("second", deliverer)], "shared: {shared}");
        }
    });
}

#[test]
fn error_waits_for_a_late_callback_that_runs() {
    within(LONG, || {
        // Nobody can tell when the other thread sleeps: often enough, it does.
        for _ in 0..300 {
            let (promise, future) = promise::<u8>();
            promise.complete(Err(Error::ShutDown));
            let future = Arc::new(future);
            let (opener, at_gate) = gate();
            let late = Arc::clone(&future);
            let deliverer = thread::spawn(move || late.add_done_callback(move |_| at_gate.pass()));
            opener.arrived(1);
            let (about_to, asks) = mpsc::channel();
            let asker = thread::spawn(move || {
                about_to.send(()).unwrap();
                future.error()
            });
            asks.recv().unwrap();
            thread::yield_now();
            opener.open();
            assert!(matches!(asker.join().unwrap(), Some(Error::ShutDown)));
            deliverer.join().unwrap();
        }
    });
}

#[test]
fn a_callback_added_in_a_late_callback_runs_after_it() {
    for shared in [false, true] {
        let (promise, future) = promise::<u8>();
        promise.complete(Ok(1));
        let seen = Seen::new();
        let see = seen.clone();
        if shared {
            let future = future.share();
            let inside = future.clone();
            future.add_done_callback(move |_| {
                let last = see.clone();
                inside.add_done_callback(move |_| last.push("inner"));
                see.push("outer");
            });
        } else {
            let future = Arc::new(future);
            let inside = Arc::clone(&future);
            future.add_done_callback(move |_| {
                let last = see.clone();
                inside.add_done_callback(move |_| last.push("inner"));
                see.push("outer");
            });
        }
        assert_eq!(seen.all(), ["outer", "inner"], "shared: {shared}");
    }
}

#[test]
fn a_callback_that_panics_in_cancel_does_not_reach_the_caller() {
    let (_promise, future) = promise::<u8>();
    future.add_done_callback(|_| panic!("in the canceller's hands"));
    assert!(future.cancel());
    assert!(future.is_cancelled());
}

#[test]
fn captures_of_callbacks_are_dropped_after_the_callbacks_have_run() {
    let (promise, future) = promise();
    let drops = Drops::default();
    let token = drops.token();
    future.add_done_callback(move |_| {
        let _token = &token;
    });
    assert_eq!(drops.count(), 0);
    promise.complete(Ok(1));
    assert_eq!(drops.count(), 1);
    assert!(future.is_done());
}

#[test]
fn callbacks_of_an_abandoned_task_are_dropped() {
    let drops = Drops::default();
    let (promise, future) = promise::<u8>();
    let token = drops.token();
    future.add_done_callback(move |_| drop(token));
    drop(future);
    drop(promise);
    assert_eq!(drops.count(), 1, "an abandoned task ends as every other");
}

#[test]
fn callbacks_added_by_many_threads_during_completion_all_run() {
    within(LONG, || {
        for _ in 0..200 {
            let (promise, future) = promise::<u8>();
            let future = Arc::new(future);
            let (send, receive) = mpsc::channel();
            let adders: Vec<_> = (0..3)
                .map(|adder| {
                    let (future, send) = (Arc::clone(&future), send.clone());
                    thread::spawn(move || {
                        for number in 0..10 {
                            let send = send.clone();
                            future.add_done_callback(move |_| send.send((adder, number)).unwrap());
                        }
                    })
                })
                .collect();
            promise.complete(Ok(1));
            for adder in adders {
                adder.join().unwrap();
            }
            // Who was told that another thread runs it may be faster than that thread.
            let seen: Vec<_> = (0..30).map(|_| receive.recv().unwrap()).collect();
            for adder in 0..3 {
                let own: Vec<_> = seen.iter().filter(|(from, _)| *from == adder).map(|(_, number)| *number).collect();
                assert_eq!(own, (0..10).collect::<Vec<_>>());
            }
        }
    });
}

#[test]
fn a_long_chain_of_futures_that_complete_each_other_does_not_overflow_the_stack() {
    const LINKS: usize = 100_000;
    within(LONG, || {
        let (first, mut last) = promise::<usize>();
        for _ in 0..LINKS {
            let (next, future) = promise();
            last.add_done_callback(move |outcome| {
                let links = *outcome.as_ref().unwrap();
                next.complete(Ok(links + 1));
            });
            last.detach();
            last = future;
        }
        first.complete(Ok(0));
        assert_eq!(last.result().unwrap(), LINKS);
    });
}
