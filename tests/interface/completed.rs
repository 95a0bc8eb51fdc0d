//! `as_completed`: futures in the order in which they are done.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{Future, Promise, SharedFuture, ThreadPoolExecutor, as_completed, promise};

use crate::support::{Drops, LONG, within};

type Tagged = (usize, Future<usize>);

fn tagged(count: usize) -> (Vec<Promise<usize>>, Vec<Tagged>) {
    (0..count)
        .map(|number| {
            let (promise, future) = promise();
            (promise, (number, future))
        })
        .unzip()
}

fn complete(promises: &mut [Option<Promise<usize>>], at: usize) {
    assert!(promises[at].take().unwrap().complete(Ok(at)));
}

#[test]
fn a_future_seen_done_comes_out_before_one_that_ends_later() {
    within(LONG, || {
        let (first, first_future) = promise::<u8>();
        let (second, second_future) = promise::<u8>();
        let both = [second_future.share(), first_future.share()];
        // Many, so that it takes a while to tell all of them: none may miss what others see meanwhile.
        let mut sets: Vec<_> = (0..5_000).map(|_| as_completed(&both)).collect();
        let completer = thread::spawn(move || assert!(first.complete(Ok(1))));
        both[1].wait();
        let last = sets.last_mut().unwrap();
        let polled = last.next_timeout(Duration::ZERO).map(|future| future.map(SharedFuture::id));
        assert_eq!(polled, Ok(Some(both[1].id())));
        assert!(second.complete(Ok(2)));
        completer.join().unwrap();
        for set in &mut sets[..4_999] {
            assert_eq!(set.next().unwrap().id(), both[1].id());
        }
    });
}

#[test]
fn several_done_futures_come_in_completion_order() {
    let (promises, futures) = tagged(4);
    let mut promises: Vec<_> = promises.into_iter().map(Some).collect();
    let completed = as_completed(futures);
    for at in [3, 1, 2, 0] {
        complete(&mut promises, at);
    }
    assert_eq!(completed.map(|(number, _)| number).collect::<Vec<_>>(), [3, 1, 2, 0]);
}

#[test]
fn every_end_of_a_task_yields_its_future() {
    type End = fn(Promise<usize>, &SharedFuture<usize>);
    let ends: [End; 4] = [
        |promise, _| assert!(promise.complete(Ok(1))),
        |_promise, future| assert!(future.cancel()),
        |promise, future| {
            promise.start();
            assert!(future.abort());
        },
        |promise, _| drop(promise),
    ];
    within(LONG, move || {
        for round in 0..200 {
            let (promise, future) = promise();
            let future = future.share();
            let (inside, end) = (future.clone(), ends[round % ends.len()]);
            let ender = thread::spawn(move || {
                for _ in 0..round % 15 {
                    thread::yield_now();
                }
                end(promise, &inside);
            });
            assert_eq!(as_completed([&future]).count(), 1);
            ender.join().unwrap();
        }
    });
}

#[test]
fn every_future_comes_out_exactly_once() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        for _ in 0..20 {
            let to_do = (0..100).map(|n| (n, threads.spawn(move || n)));
            let mut seen: Vec<_> = as_completed(to_do).map(|(n, future)| (n, future.result().unwrap())).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..100).map(|n| (n, n)).collect::<Vec<_>>());
        }
    });
}

#[test]
fn the_length_is_the_number_of_futures_left() {
    let (promises, futures) = tagged(3);
    let mut completed = as_completed(futures);
    assert_eq!((completed.len(), completed.size_hint()), (3, (3, Some(3))));
    let mut promises = promises.into_iter();
    promises.next().unwrap().complete(Ok(0));
    assert!(completed.next().is_some());
    assert_eq!(completed.len(), 2);
    let (promise, future) = promise();
    completed.push((3, future));
    assert_eq!(completed.len(), 3);
    promise.complete(Ok(3));
    assert_eq!(completed.next().map(|(number, _)| number), Some(3));
    assert_eq!(completed.len(), 2);
}

#[test]
fn a_future_may_be_pushed_at_any_time() {
    let (first_promise, first) = promise::<u8>();
    let mut completed = as_completed([first]);
    first_promise.complete(Ok(1));
    let (second_promise, second) = promise();
    second_promise.complete(Ok(2));
    completed.push(second);
    let (third_promise, third) = promise();
    completed.push(third);
    third_promise.complete(Ok(3));
    let mut results = vec![completed.next().unwrap().result().unwrap(), completed.next().unwrap().result().unwrap()];
    results.push(completed.next().unwrap().result().unwrap());
    assert_eq!(results, [1, 2, 3]);
    assert!(completed.next().is_none());
    // Also after the end.
    let (promise, future) = promise();
    completed.push(future);
    promise.complete(Ok(4));
    assert_eq!(completed.next().unwrap().result().unwrap(), 4);
}

#[test]
fn a_timeout_counts_pushed_futures() {
    let (_promises, mut futures) = tagged(3);
    let pushed = futures.pop().unwrap();
    let mut completed = as_completed(futures);
    completed.push(pushed);
    assert_eq!(completed.next_timeout(Duration::ZERO).unwrap_err().to_string(), "3 (of 3) futures unfinished");
}

#[test]
fn unfinished_futures_are_returned_in_input_order() {
    let (mut promises, futures) = tagged(4);
    let mut completed = as_completed(futures);
    promises.remove(2).complete(Ok(2));
    assert_eq!(completed.next().unwrap().0, 2);
    // Done, but not out: it comes back too.
    promises.remove(1).complete(Ok(1));
    let back: Vec<_> = completed.into_unfinished().into_iter().map(|(number, _)| number).collect();
    assert_eq!(back, [0, 1, 3]);
}

#[test]
fn dropping_the_iterator_detaches_its_tasks() {
    let drops = Drops::default();
    let (promise, future) = promise();
    let (other_promise, other) = promise_of_token();
    let mut completed = as_completed([future, other]);
    promise.complete(Ok(drops.token()));
    let out = completed.next().unwrap();
    drop(completed);
    assert!(!other_promise.is_cancelled());
    assert!(other_promise.complete(Ok(drops.token())));
    assert_eq!(drops.count(), 1);
    drop(out);
    assert_eq!(drops.count(), 2);
}

fn promise_of_token() -> (Promise<crate::support::Token>, Future<crate::support::Token>) {
    promise()
}

#[test]
fn the_iterator_releases_a_future_before_it_yields_it() {
    let (promise, future) = promise::<Arc<()>>();
    let value = Arc::new(());
    let mut completed = as_completed([future]);
    promise.complete(Ok(Arc::clone(&value)));
    let future = completed.next().unwrap();
    drop(future);
    assert_eq!(Arc::strong_count(&value), 1);
    assert_eq!(completed.len(), 0);
}

#[test]
fn it_may_move_to_another_thread() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let mut completed = as_completed([future]);
        let reader = thread::spawn(move || completed.next().unwrap().result().unwrap());
        promise.complete(Ok(1));
        assert_eq!(reader.join().unwrap(), 1);
    });
}

#[test]
fn a_task_iterates_over_tasks_of_its_own_executor() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&threads);
        let outer = threads.spawn(move || {
            let inner: Vec<_> = (0..10).map(|n| inside.spawn(move || n)).collect();
            as_completed(inner).map(|future| future.result().unwrap()).sum::<i32>()
        });
        assert_eq!(outer.result().unwrap(), 45);
    });
}

#[test]
fn callbacks_run_before_a_future_comes_out() {
    within(LONG, || {
        let (promise, future) = promise::<u8>();
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |_| send.send(()).unwrap());
        let mut completed = as_completed([future]);
        let completer = thread::spawn(move || promise.complete(Ok(1)));
        assert!(completed.next().is_some());
        assert_eq!(receive.try_recv(), Ok(()));
        assert!(completer.join().unwrap());
    });
}

#[test]
fn it_can_be_printed() {
    let (_promise, future) = promise::<u8>();
    assert!(format!("{:?}", as_completed([future])).contains("remaining: 1"));
}
