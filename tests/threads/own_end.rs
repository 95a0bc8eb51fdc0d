//! The end of an executor on one of its own threads: it returns, and leaves nothing behind.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, TaskOptions, ThreadPoolBuilder, ThreadPoolExecutor, promise};

use super::support::*;

/// What ends an executor on one of its own threads.
type End = fn(Arc<ThreadPoolExecutor>);

const ENDS: [End; 6] = [
    drop,
    |threads| threads.shutdown(),
    |threads| threads.shutdown_now(),
    |threads| threads.close(),
    |threads| {
        threads.close();
        assert!(!threads.join(None));
        assert!(!threads.join(Some(LONG)));
    },
    |threads| {
        if let Some(threads) = Arc::into_inner(threads) {
            threads.detach();
        }
    },
];

/// Ends executors on their own threads in every way: `end` has it done.
fn end_inside(body: impl Fn(ThreadPoolBuilder, End) + Send + 'static) {
    within(LONG, move || {
        for end in ENDS {
            for workers in [1, 3] {
                let (builder, prefix, ended) = observed(workers);
                body(builder, end);
                assert_nothing_left(&prefix, &ended);
            }
        }
    });
}

#[test]
fn the_last_handle_may_go_inside_a_task() {
    end_inside(|builder, end| {
        let (threads, (hand_over, handed_over)) = (Arc::new(builder.build().unwrap()), channel());
        let inside = threads.spawn(move || {
            let own: Arc<ThreadPoolExecutor> = handed_over.recv_timeout(LONG).unwrap();
            let limited = own.with(TaskOptions::new().time_limit(LONG)).spawn(|| ());
            let last = own.spawn(|| 5);
            end(own);
            drop(limited);
            last.result()
        });
        hand_over.send(threads).unwrap();
        match inside.result().unwrap() {
            Ok(5) | Err(Error::Cancelled) => {}
            other => panic!("neither run nor cancelled: {other:?}"),
        }
    });
}

#[test]
fn the_last_handle_may_go_inside_a_callback() {
    end_inside(|builder, end| {
        let (threads, gate, (report, reported)) = (Arc::new(builder.build().unwrap()), Gate::default(), channel());
        let busy = occupy_at(&threads, &gate);
        let own = threads;
        busy.add_done_callback(move |_| {
            end(own);
            report.send(()).unwrap();
        });
        gate.open();
        soon(&reported);
        busy.result().unwrap();
    });
}

#[test]
fn the_last_handle_may_go_inside_the_callback_of_a_task_that_ran_out_of_time() {
    end_inside(|builder, end| {
        let (threads, gate, (report, reported)) = (Arc::new(builder.build().unwrap()), Gate::default(), channel());
        let hold = gate.clone();
        let (own, (started, wait_for_start)) = (Arc::clone(&threads), channel());
        let limited = threads.with(TaskOptions::new().time_limit(Duration::from_millis(20)));
        let late = limited.spawn(move || {
            wait_for_start.recv_timeout(LONG).unwrap();
            hold.pass();
        });
        late.add_done_callback(move |outcome| {
            assert!(matches!(outcome, Err(Error::TimeLimit(_))));
            end(own);
            report.send(()).unwrap();
        });
        drop(threads_without_waiting(threads));
        started.send(()).unwrap();
        soon(&reported);
        assert!(late.is_done() || late.wait_timeout(LONG));
        gate.open();
    });
}

/// Gives up a handle that is not the last one.
fn threads_without_waiting(threads: Arc<ThreadPoolExecutor>) -> Option<ThreadPoolExecutor> {
    Arc::into_inner(threads)
}

#[test]
fn the_last_handle_may_go_inside_an_initializer() {
    within(LONG, || {
        for end in ENDS {
            let (prefix, (promise, ended)) = (unique_prefix(), thread_ends());
            let ((hand_over, handed_over), (report, reported)) = (channel::<Arc<ThreadPoolExecutor>>(), channel());
            let handed_over = Mutex::new(handed_over);
            let initializer = move || {
                promise();
                end(handed_over.lock().unwrap().recv_timeout(LONG).unwrap());
                report.send(()).unwrap();
            };
            let builder = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix(&prefix);
            let threads = Arc::new(builder.initializer(initializer).build().unwrap());
            let future = threads.spawn(|| 3);
            hand_over.send(threads).unwrap();
            soon(&reported);
            match future.result() {
                Ok(3) | Err(Error::Cancelled) => {}
                other => panic!("neither run nor cancelled: {other:?}"),
            }
            assert_nothing_left(&prefix, &ended);
        }
    });
}

#[test]
fn the_last_handle_may_go_with_a_queued_task() {
    within(LONG, || {
        let (builder, prefix, ended) = observed(1);
        let (threads, gate) = (Arc::new(builder.build().unwrap()), Gate::default());
        let busy = occupy_at(&threads, &gate);
        let own = Arc::clone(&threads);
        let queued = threads.spawn(move || own.stats().workers);
        drop(threads_without_waiting(threads));
        gate.open();
        assert_eq!(queued.result().unwrap(), 1);
        busy.result().unwrap();
        assert_nothing_left(&prefix, &ended);
    });
}

#[test]
fn a_callback_in_any_thread_may_drop_the_executor_whose_task_waits_for_its_future() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (promise, future) = promise::<u8>();
        let future = future.share();
        let (started, is_started) = channel();
        let awaited = future.clone();
        let waiter = threads.spawn(move || {
            started.send(()).unwrap();
            awaited.wait();
        });
        is_started.recv().unwrap();
        future.add_done_callback(move |_| drop(threads));
        // Runs the callback here, in a thread that is not the executor's.
        assert!(future.cancel());
        assert!(promise.is_cancelled());
        waiter.result().unwrap();
    });
}
