//! What once hung, lost a future or ended the process, each made small.

use std::sync::Arc;
use std::sync::mpsc::channel;

use concurrent_futures::{
    Backend, Error, Executor, InlineExecutor, SharedFuture, State, ThreadPoolExecutor, as_completed, promise,
};

use super::support::*;
use crate::support::{Held, occupy};

/// Calls a closure when it is dropped.
struct AtDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_cancelled_task_makes_room_before_its_values_are_dropped() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::builder().max_workers(1).max_pending(1).build().unwrap());
        let (opener, running) = occupy(&threads);
        let (send, submitted) = channel();
        let again = Arc::clone(&threads);
        let guard = AtDrop(move || send.send(again.spawn(|| 7)).unwrap());
        let pending = threads.spawn(move || drop(guard));
        assert!(pending.cancel());
        opener.open();
        running.result().unwrap();
        assert_eq!(submitted.recv_timeout(LONG).unwrap().result().unwrap(), 7);
    });
}

#[test]
fn a_refused_task_makes_room_before_its_callback_may_need_it() {
    within(LONG, || {
        // No thread with such a stack can be started.
        let builder = ThreadPoolExecutor::builder().max_workers(1).max_pending(1).stack_size(NO_STACK);
        let threads = Arc::new(builder.build().unwrap());
        let again = Arc::clone(&threads);
        let guard = AtDrop(move || assert!(matches!(again.spawn(|| ()).result(), Err(Error::Broken(_)))));
        assert!(matches!(threads.spawn(move || drop(guard)).result(), Err(Error::Broken(_))));
    });
}

#[test]
fn the_largest_settings_are_settings() {
    fn nest(threads: &Arc<ThreadPoolExecutor>, depth: u32) -> u32 {
        let inner = Arc::clone(threads);
        let nested = (depth > 0).then(|| threads.spawn(move || nest(&inner, depth - 1)));
        nested.map_or(0, |nested| as_completed([nested]).next().unwrap().result().unwrap() + 1)
    }
    within(LONG, || {
        let builder = ThreadPoolExecutor::builder().max_workers(usize::MAX).max_pending(usize::MAX);
        let threads = Arc::new(builder.build().unwrap());
        let inner = Arc::clone(&threads);
        assert_eq!(threads.spawn(move || nest(&inner, 5)).result().unwrap(), 5);
    });
}

#[test]
fn a_job_cancelled_before_its_submit_takes_no_room() {
    within(LONG, || {
        let (held, threads) =
            (Held::default(), ThreadPoolExecutor::builder().max_workers(1).max_pending(2).build().unwrap());
        for _ in 0..10 {
            assert!(held.submit(|n: u8| n, 1).cancel());
        }
        for _ in 0..10 {
            threads.execute(held.take(0));
        }
        assert_eq!(threads.stats().pending, 0);
        assert_eq!(threads.spawn(|| 3).result().unwrap(), 3);
    });
}

#[test]
fn a_job_started_before_its_submit_is_run_or_refused() {
    within(LONG, || {
        let held = Held::default();
        let (run, told) = (held.submit(|n: u8| n, 1), held.submit(|n: u8| n, 2));
        let job = held.take(0);
        assert!(job.start());
        let threads = ThreadPoolExecutor::new(1);
        threads.execute(job);
        assert_eq!(run.result().unwrap(), 1);
        let job = held.take(0);
        assert!(job.start());
        let builder = ThreadPoolExecutor::builder().max_workers(1).stack_size(NO_STACK);
        builder.build().unwrap().execute(job);
        assert!(matches!(told.result(), Err(Error::Broken(_))));
    });
}

#[test]
fn shutdown_now_ends_tasks_that_submit_their_successors() {
    fn succeed(threads: &Arc<ThreadPoolExecutor>) {
        let next = Arc::clone(threads);
        threads.spawn(move || succeed(&next)).detach();
    }
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(2));
        succeed(&threads);
        threads.shutdown_now();
        assert_eq!(threads.stats().workers, 0);
    });
}

#[test]
fn a_scope_in_a_callback_runs_tasks_that_may_wait() {
    within(LONG, || {
        let threads = Arc::new(ThreadPoolExecutor::new(1));
        let (opener, future) = occupy(&threads);
        let (send, receive) = channel();
        let inner = Arc::clone(&threads);
        future.add_done_callback(move |_| {
            inner.scope(|scope| {
                let inner = &inner;
                let send = send.clone();
                scope.spawn(move || send.send(inner.spawn(|| 7).result().unwrap()).unwrap()).detach();
            });
        });
        opener.open();
        assert_eq!(receive.recv_timeout(LONG).unwrap(), 7);
        future.wait();
    });
}

#[test]
fn late_callbacks_of_many_shared_futures_do_not_overflow_the_stack() {
    const LINKS: usize = 50_000;
    within(LONG, || {
        let done: Vec<SharedFuture<()>> = (0..LINKS).map(|_| InlineExecutor.submit(|()| (), ()).share()).collect();
        let (send, receive) = channel();
        fn follow(mut rest: std::vec::IntoIter<SharedFuture<()>>, send: std::sync::mpsc::Sender<()>) {
            match rest.next() {
                Some(next) => next.clone().add_done_callback(move |_| follow(rest, send)),
                None => send.send(()).unwrap(),
            }
        }
        follow(done.into_iter(), send);
        receive.recv_timeout(LONG).unwrap();
    });
}

#[test]
fn tasks_that_cancel_each_other_in_their_drops_do_not_overflow_the_stack() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, _running) = occupy(&threads);
        let mut last = threads.spawn(|| ());
        for _ in 0..50_000 {
            let inner = last;
            let guard = AtDrop(move || assert!(inner.cancel()));
            last = threads.spawn(move || drop(guard));
        }
        assert!(last.cancel());
        opener.open();
    });
}

#[test]
fn a_thread_may_submit_at_its_very_end() {
    std::thread_local! {
        static LAST: std::cell::RefCell<Option<Box<dyn std::any::Any>>> = const { std::cell::RefCell::new(None) };
    }
    within(LONG, || {
        let (send, receive) = channel();
        let end = std::thread::spawn(move || {
            // Made first, so dropped last.
            let guard = AtDrop(move || send.send(InlineExecutor.submit(|n: u8| n, 7).result()).unwrap());
            LAST.with(|last| *last.borrow_mut() = Some(Box::new(guard)));
            assert_eq!(InlineExecutor.submit(|n: u8| n, 1).result().unwrap(), 1);
        });
        assert_eq!(receive.recv_timeout(LONG).unwrap().unwrap(), 7);
        end.join().unwrap();
    });
}

#[test]
fn an_initializer_whose_drop_panics_does_no_harm() {
    within(LONG, || {
        let (send, receive) = channel();
        let guard = AtDrop(move || {
            send.send(()).unwrap();
            panic!("what an initializer captured");
        });
        let builder = ThreadPoolExecutor::builder().max_workers(1).initializer(move || {
            let _guard = &guard;
        });
        let threads = builder.build().unwrap();
        let future = threads.spawn(|| 1);
        threads.detach();
        assert_eq!(future.result().unwrap(), 1);
        receive.recv_timeout(LONG).unwrap();
    });
}

#[test]
fn a_promise_in_a_pending_task_is_abandoned_with_it() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, _running) = occupy(&threads);
        let (promise, future) = promise::<u8>();
        let pending = threads.spawn(move || promise.complete(Ok(1)));
        assert!(pending.cancel());
        assert_eq!(future.state(), State::Finished);
        assert!(matches!(future.result(), Err(Error::Abandoned)));
        opener.open();
    });
}
