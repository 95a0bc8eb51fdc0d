//! What a callback must not do: block on a future.

use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use concurrent_futures::{
    Future, ReturnWhen, SharedFuture, State, ThreadPoolExecutor, Waitable, as_completed, promise, wait,
};

use crate::support::{LONG, Seen, occupy, panic_text, within};

/// What each way of blocking says when a callback tries it.
fn texts_of_blocking(future: fn() -> (Box<dyn std::any::Any + Send>, Future<u8>)) -> Vec<(&'static str, String)> {
    let mut texts = Vec::new();
    type Way = (&'static str, fn(Future<u8>));
    let ways: [Way; 10] = [
        ("wait", |future| future.wait()),
        ("wait_timeout", |future| assert!(!future.wait_timeout(LONG))),
        ("result", |future| drop(future.result())),
        ("result_timeout", |future| drop(future.result_timeout(LONG))),
        ("error", |future| drop(future.error())),
        ("wait()", |future| drop(wait([future], None, ReturnWhen::AllCompleted))),
        ("wait() with a limit", |future| drop(wait([future], LONG, ReturnWhen::FirstCompleted))),
        ("as_completed", |future| drop(as_completed([future]).next())),
        ("next_timeout", |future| drop(as_completed([future]).next_timeout(LONG))),
        ("SharedFuture::result", |future| drop(future.share().result().copied())),
    ];
    for (name, way) in ways {
        let (_keep, awaited) = future();
        let (outer_promise, outer) = promise::<u8>();
        let slot = Arc::new(OnceLock::new());
        let inside = Arc::clone(&slot);
        outer.add_done_callback(move |_| {
            let text = panic_text(|| way(awaited));
            inside.set(text).unwrap();
        });
        outer_promise.complete(Ok(1));
        texts.push((name, slot.get().cloned().unwrap_or_default()));
    }
    texts
}

#[test]
fn blocking_in_a_callback_panics_and_says_why() {
    let texts = within(LONG, || {
        texts_of_blocking(|| {
            let (promise, future) = promise();
            (Box::new(promise), future)
        })
    });
    for (name, text) in texts {
        assert!(text.starts_with("a callback must not block on a future"), "{name}: {text}");
    }
}

#[test]
fn blocking_in_a_callback_on_a_worker_panics_and_spares_the_worker() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let (opener, running) = occupy(&threads);
        let (send, receive) = mpsc::channel();
        let inside = Arc::clone(&threads);
        running.add_done_callback(move |_| {
            let pending = inside.spawn(|| 1);
            send.send(panic_text(|| pending.result())).unwrap();
        });
        opener.open();
        assert!(receive.recv().unwrap().starts_with("a callback must not block on a future"));
        assert_eq!(threads.spawn(|| 2).result().unwrap(), 2);
    });
}

#[test]
fn a_map_that_blocks_in_a_callback_panics() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let (_opener, _running) = occupy(&threads);
        let (promise, future) = promise::<u8>();
        let slot = Arc::new(OnceLock::new());
        let (inside, text) = (Arc::clone(&threads), Arc::clone(&slot));
        future.add_done_callback(move |_| {
            let ordered = panic_text(|| inside.map(|n: u8| n, [1]).next());
            let unordered = panic_text(|| inside.map_unordered(|n: u8| n, [1]).next());
            text.set([ordered, unordered]).unwrap();
        });
        promise.complete(Ok(1));
        for text in slot.get().unwrap() {
            assert!(text.starts_with("a callback must not block on a future"), "{text}");
        }
    });
}

#[test]
fn waiting_for_a_done_future_never_panics() {
    let done = || {
        let (promise, future) = promise::<u8>();
        promise.complete(Ok(4));
        future
    };
    let (outer_promise, outer) = promise::<u8>();
    let seen = Seen::new();
    let see = seen.clone();
    outer.add_done_callback(move |_| {
        done().wait();
        assert!(done().wait_timeout(LONG));
        assert_eq!(done().result().unwrap(), 4);
        assert_eq!(done().result_timeout(LONG).unwrap().unwrap(), 4);
        assert!(done().error().is_none());
        assert_eq!(wait([done()], None, ReturnWhen::AllCompleted).done.len(), 1);
        assert_eq!(as_completed([done()]).count(), 1);
        let (_promise, pending) = promise::<u8>();
        let finished = done();
        let both = [&pending as &dyn Waitable, &finished];
        assert_eq!(wait(both, None, ReturnWhen::FirstCompleted).done.len(), 1);
        assert_eq!(as_completed(both).next().map(|_| ()), Some(()));
        see.push("all");
    });
    outer_promise.complete(Ok(1));
    assert_eq!(seen.all(), ["all"]);
}

#[test]
fn polls_are_allowed() {
    let (outer_promise, outer) = promise::<u8>();
    let seen = Seen::new();
    let see = seen.clone();
    outer.add_done_callback(move |_| {
        let (_promise, pending) = promise::<u8>();
        assert!(!pending.wait_timeout(Duration::ZERO));
        let pending = pending.try_result().unwrap_err();
        let pending = pending.result_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(wait([&pending], Duration::ZERO, ReturnWhen::AllCompleted).not_done.len(), 1);
        assert!(as_completed([&pending]).next_timeout(Duration::ZERO).is_err());
        assert_eq!(pending.state(), State::Pending);
        assert!(pending.cancel());
        see.push("all");
    });
    outer_promise.complete(Ok(1));
    assert_eq!(seen.all(), ["all"]);
}

#[test]
fn a_refused_wait_leaves_nothing_behind() {
    within(LONG, || {
        let (outer_promise, outer) = promise::<u8>();
        let (awaited_promise, awaited) = promise::<u8>();
        let awaited: SharedFuture<u8> = awaited.share();
        let inside = awaited.clone();
        outer.add_done_callback(move |_| {
            panic_text(|| wait([&inside, &inside], None, ReturnWhen::AllCompleted));
            panic_text(|| as_completed([&inside]).next());
        });
        outer_promise.complete(Ok(1));
        awaited_promise.complete(Ok(2));
        assert_eq!(awaited.result().unwrap(), &2);
        // Outside of callbacks one may block again.
        let (later_promise, later) = promise::<u8>();
        let completer = thread::spawn(move || later_promise.complete(Ok(3)));
        assert_eq!(later.result().unwrap(), 3);
        assert!(completer.join().unwrap());
    });
}
