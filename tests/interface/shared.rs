//! Shared futures: several handles on one outcome.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Error, SharedFuture, State, ThreadPoolExecutor, promise};

use crate::support::{Drops, LONG, PanicsOnDrop, gate, logged, occupy, within};

#[test]
fn every_clone_returns_the_same_value() {
    let (promise, future) = promise();
    let shared = future.share();
    let clone = shared.clone();
    promise.complete(Ok(String::from("one for all")));
    let (first, second): (&String, &String) = (shared.result().unwrap(), clone.result().unwrap());
    assert_eq!(first, "one for all");
    assert!(std::ptr::eq(first, second));
    assert!(std::ptr::eq(first, shared.try_result().unwrap().unwrap()));
    assert!(std::ptr::eq(first, shared.result_timeout(Duration::ZERO).unwrap().unwrap()));
}

#[test]
fn sharing_a_done_future_keeps_its_outcome() {
    let (promise, future) = promise();
    promise.complete(Ok(1));
    assert_eq!(future.share().result().unwrap(), &1);
}

#[test]
fn every_clone_gets_the_error() {
    let (promise, future) = promise::<u8>();
    let shared = future.share();
    let clone = shared.clone();
    promise.complete(Err(Error::Abandoned));
    assert!(matches!(shared.result(), Err(Error::Abandoned)));
    assert!(matches!(clone.result(), Err(Error::Abandoned)));
    assert!(matches!(clone.error(), Some(Error::Abandoned)));
    assert!(matches!(clone.try_result(), Some(Err(Error::Abandoned))));
}

#[test]
fn queries_agree_between_clones() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let running = running.share();
        let pending = threads.spawn(|| 5).share();
        let clone = pending.clone();
        assert_eq!(clone.id(), pending.id());
        assert_eq!(clone.state(), State::Pending);
        assert!(running.is_running() && !running.is_done());
        assert!(!clone.is_running() && !clone.is_cancelled());
        assert!(!running.cancel(), "it runs");
        assert!(clone.try_result().is_none());
        assert!(clone.result_timeout(Duration::ZERO).is_none());
        assert!(clone.result_timeout(Duration::from_millis(1)).is_none());
        assert!(!clone.wait_timeout(Duration::ZERO));
        opener.open();
        pending.wait();
        assert!(clone.is_done() && !clone.is_cancelled() && !clone.is_running());
        assert!(clone.wait_timeout(Duration::ZERO));
        assert!(clone.error().is_none());
        assert_eq!(clone.result().unwrap(), &5);
    });
}

#[test]
fn one_handle_cancels_for_all() {
    let (promise, future) = promise::<u8>();
    let shared = future.share();
    let clone = shared.clone();
    assert!(shared.cancel());
    assert!(clone.is_cancelled() && clone.is_done());
    assert!(clone.cancel());
    assert!(matches!(clone.result(), Err(Error::Cancelled)));
    assert!(!promise.start());
}

#[test]
fn one_handle_aborts_for_all() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, running) = occupy(&threads);
        let shared = running.share();
        let clone = shared.clone();
        assert!(shared.abort());
        assert!(matches!(clone.result(), Err(Error::Cancelled)));
    });
}

#[test]
fn many_threads_wait_for_one_task() {
    within(LONG, || {
        let (promise, future) = promise();
        let shared = future.share();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || shared.result().map(String::len))
            })
            .collect();
        promise.complete(Ok(String::from("flags")));
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap(), 5);
        }
    });
}

#[test]
fn tasks_share_the_result_of_another_task() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        let config = threads.spawn(|| 7).share();
        let readers: Vec<_> = (0..20)
            .map(|_| {
                let config = config.clone();
                threads.spawn(move || *config.result().unwrap())
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.result().unwrap(), 7);
        }
    });
}

#[test]
fn callbacks_of_all_handles_run_in_the_order_added() {
    let (promise, future) = promise();
    let (send, receive) = mpsc::channel();
    let before = send.clone();
    future.add_done_callback(move |outcome| before.send((0, *outcome.as_ref().unwrap())).unwrap());
    let shared = future.share();
    for (number, handle) in [(1, shared.clone()), (2, shared.clone()), (3, shared)] {
        let send = send.clone();
        handle.add_done_callback(move |outcome| send.send((number, *outcome.as_ref().unwrap())).unwrap());
    }
    promise.complete(Ok('x'));
    drop(send);
    assert_eq!(receive.iter().collect::<Vec<_>>(), [(0, 'x'), (1, 'x'), (2, 'x'), (3, 'x')]);
}

#[test]
fn a_late_callback_runs_at_once_before_and_after_a_read() {
    let (promise, future) = promise();
    let shared = future.share();
    promise.complete(Ok(9));
    let (send, receive) = mpsc::channel();
    for _ in 0..2 {
        let send = send.clone();
        shared.add_done_callback(move |outcome| {
            send.send((*outcome.as_ref().unwrap(), thread::current().id())).unwrap();
        });
        assert_eq!(receive.try_recv(), Ok((9, thread::current().id())));
        assert_eq!(shared.result().unwrap(), &9);
    }
}

#[test]
fn a_late_callback_of_a_cancelled_future_sees_cancelled() {
    let (_promise, future) = promise::<u8>();
    let shared = future.share();
    shared.cancel();
    let (send, receive) = mpsc::channel();
    shared.add_done_callback(move |outcome| send.send(matches!(outcome, Err(Error::Cancelled))).unwrap());
    assert_eq!(receive.try_recv(), Ok(true));
}

#[test]
fn a_late_callback_may_read_its_own_future() {
    let (promise, future) = promise();
    let shared = future.share();
    promise.complete(Ok(3));
    let (send, receive) = mpsc::channel();
    let inside = shared.clone();
    shared.add_done_callback(move |_| send.send(*inside.result().unwrap()).unwrap());
    assert_eq!(receive.try_recv(), Ok(3));
}

#[test]
fn the_value_is_dropped_with_the_last_handle() {
    let (promise, future) = promise();
    let drops = Drops::default();
    let shared = future.share();
    let clone = shared.clone();
    promise.complete(Ok(drops.token()));
    assert!(shared.result().is_ok());
    drop(shared);
    assert_eq!(drops.count(), 0);
    drop(clone);
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_unread_value_is_dropped_with_the_last_handle() {
    let (promise, future) = promise();
    let drops = Drops::default();
    let shared = future.share();
    promise.complete(Ok(drops.token()));
    drop(shared);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_value_that_comes_after_the_last_handle_is_dropped_at_once() {
    let (promise, future) = promise();
    let drops = Drops::default();
    drop(future.share());
    assert!(promise.complete(Ok(drops.token())));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_value_whose_drop_panics_does_no_harm() {
    for read in [false, true] {
        let (promise, future) = promise();
        let shared = future.share();
        promise.complete(Ok(PanicsOnDrop));
        if read {
            assert!(shared.result().is_ok());
        }
        drop(shared);
    }
}

#[test]
fn an_unread_error_is_logged_when_the_last_handle_is_dropped() {
    within(LONG, || {
        assert!(logged("shared and unseen").is_empty());
        let threads = ThreadPoolExecutor::new(1);
        let shared = threads.spawn(|| -> u8 { panic!("shared and unseen") }).share();
        shared.wait();
        let clone = shared.clone();
        drop(shared);
        assert!(logged("shared and unseen").is_empty());
        drop(clone);
        assert_eq!(logged("shared and unseen").len(), 1);

        let shared = threads.spawn(|| -> u8 { panic!("shared and seen") }).share();
        let clone = shared.clone();
        drop(shared);
        assert!(clone.result().is_err());
        drop(clone);
        assert!(logged("shared and seen").is_empty());
    });
}

#[test]
fn taking_and_finishing_race_without_loss() {
    within(LONG, || {
        for _ in 0..200 {
            let (promise, future) = promise();
            let shared: SharedFuture<Arc<()>> = future.share();
            let value = Arc::new(());
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || shared.result().map(Arc::clone).unwrap())
                })
                .collect();
            promise.complete(Ok(Arc::clone(&value)));
            for reader in readers {
                assert!(Arc::ptr_eq(&reader.join().unwrap(), &value));
            }
            drop(shared);
            assert_eq!(Arc::strong_count(&value), 1);
        }
    });
}

#[test]
fn a_shared_future_of_a_running_task_may_be_dropped_anywhere() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, at_gate) = gate();
        let shared = threads.spawn(move || at_gate.pass()).share();
        opener.arrived(1);
        let clone = shared.clone();
        thread::spawn(move || drop(clone)).join().unwrap();
        opener.open();
        assert_eq!(shared.result().unwrap(), &());
    });
}
