//! Nothing is kept: function, argument and outcome are dropped as soon as they can be, whatever their drop does.

use std::sync::{Arc, mpsc};

use concurrent_futures::{Error, Executor, MapOptions, SharedFuture, State, ThreadPoolExecutor, promise};

use crate::support::{Drops, LONG, PanicsOnDrop, gate, occupy, within};

#[test]
fn function_and_argument_are_dropped_before_the_result_is_visible() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        for _ in 0..100 {
            let drops = Drops::default();
            let (captured, argument) = (drops.token(), drops.token());
            let future = threads.submit(
                move |_argument| {
                    let _captured = &captured;
                },
                argument,
            );
            future.wait();
            assert_eq!(drops.count(), 2);
        }
    });
}

#[test]
fn function_and_argument_are_dropped_by_cancel() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, _running) = occupy(&threads);
        let drops = Drops::default();
        let (captured, argument) = (drops.token(), drops.token());
        let future = threads.submit(move |_argument| drop(captured), argument);
        let at_callback = drops.clone();
        let (send, receive) = mpsc::channel();
        future.add_done_callback(move |_| send.send(at_callback.count()).unwrap());
        assert_eq!(drops.count(), 0);
        future.cancel();
        assert_eq!(drops.count(), 2);
        assert_eq!(receive.try_recv(), Ok(2), "also before the callbacks");
    });
}

#[test]
fn a_panicking_task_drops_its_values() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let drops = Drops::default();
        let token = drops.token();
        let future = threads.spawn(move || {
            let _token = token;
            panic!("with a token in hand");
        });
        future.wait();
        assert_eq!(drops.count(), 1);
        assert!(future.error().is_some());
    });
}

#[test]
fn a_detached_result_is_dropped_at_once() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let drops = Drops::default();
        let token = drops.token();
        let (opener, _running) = occupy(&threads);
        threads.spawn(move || token).detach();
        assert_eq!(drops.count(), 0);
        opener.open();
        // Queued behind it, on the same worker.
        threads.spawn(|| ()).result().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_drop_that_panics_does_no_harm() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let cancelled = threads.submit(|value: PanicsOnDrop| drop(value), PanicsOnDrop);
        assert!(cancelled.cancel(), "an argument, by cancel");
        let value = PanicsOnDrop;
        let cancelled = threads.spawn(move || std::mem::forget(value));
        assert!(cancelled.cancel(), "a function, by cancel");
        opener.open();
        running.result().unwrap();

        let future = threads.submit(|value: PanicsOnDrop| drop(value), PanicsOnDrop);
        let Err(Error::Panicked(panicked)) = future.result() else { panic!("an argument, by the task") };
        assert_eq!(panicked.message(), "boom in a drop");

        let future = threads.spawn(|| PanicsOnDrop);
        future.wait();
        drop(future);
        threads.spawn(|| PanicsOnDrop).detach();
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1, "an unread result");

        let future = threads.spawn(|| -> u8 { std::panic::panic_any(PanicsOnDrop) });
        drop(future.error());
        drop(future);
        assert_eq!(threads.spawn(|| 2).result().unwrap(), 2, "the payload of a panic");

        let (opener, at_gate) = gate();
        let aborted = threads.spawn(move || {
            at_gate.pass();
            PanicsOnDrop
        });
        opener.arrived(1);
        assert!(aborted.abort());
        opener.open();
        assert_eq!(threads.spawn(|| 3).result().unwrap(), 3, "a late result");

        let (promise, future) = promise();
        future.cancel();
        assert!(!promise.complete(Ok(PanicsOnDrop)), "a result that came too late");
    });
}

/// What the drop of an argument may do: anything, also look at its own future.
#[test]
fn a_drop_may_look_at_its_own_future() {
    struct Looks(mpsc::Sender<State>, Arc<std::sync::OnceLock<SharedFuture<()>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            if let Some(future) = self.1.get() {
                future.cancel();
                self.0.send(future.state()).unwrap();
            }
        }
    }
    let state = within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (_opener, _running) = occupy(&threads);
        let (send, receive) = mpsc::channel();
        let slot = Arc::new(std::sync::OnceLock::new());
        let future = threads.submit(|_: Looks| (), Looks(send, Arc::clone(&slot))).share();
        slot.set(future.clone()).unwrap();
        assert!(future.cancel());
        receive.try_recv()
    });
    assert_eq!(state, Ok(State::Pending), "not done before the argument is gone");
}

/// Panics whenever it is dropped: two of them in one unguarded drop end the process.
struct AlwaysPanicsOnDrop;

impl Drop for AlwaysPanicsOnDrop {
    fn drop(&mut self) {
        panic!("a drop in a chunk");
    }
}

#[test]
fn several_panicking_drops_in_one_chunk_do_no_harm() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let chunks = threads.with(MapOptions::new().chunk_size(4));
        // Unread results of a chunk whose first result is taken.
        let mut map = chunks.map(|_: u8| AlwaysPanicsOnDrop, 0..4);
        std::mem::forget(map.next());
        drop(map);
        // Unread results of a whole chunk.
        let map = chunks.map(|_: u8| AlwaysPanicsOnDrop, 0..4);
        threads.spawn(|| ()).wait();
        drop(map);
        // Arguments of a chunk that never starts.
        let (opener, running) = occupy(&threads);
        drop(
            chunks.map(
                std::mem::forget,
                [AlwaysPanicsOnDrop, AlwaysPanicsOnDrop, AlwaysPanicsOnDrop, AlwaysPanicsOnDrop],
            ),
        );
        opener.open();
        running.wait();
        assert_eq!(threads.spawn(|| 1).result().unwrap(), 1);
    });
}
