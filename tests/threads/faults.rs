//! Faults: panics and errors cost the task that has them, and no other.

use std::io;
use std::panic::{self, AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use concurrent_futures::{Backend, Error, Executor, Future, Panicked, ReturnWhen, ThreadPoolExecutor, wait};

use super::support::*;
use crate::support::PanicsOnDrop;

#[track_caller]
fn panicked<T: std::fmt::Debug>(future: Future<T>) -> Panicked {
    match future.result() {
        Err(Error::Panicked(panicked)) => panicked,
        other => panic!("not a panic: {other:?}"),
    }
}

#[test]
fn a_panic_is_reported_with_message_location_and_worker() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("boom").build().unwrap();
        let line = line!() + 1;
        let future = threads.spawn(|| panic!("flag {} is torn", "BR"));
        future.wait();
        assert!(format!("{future}").ends_with("state=finished raised Panicked>"), "{future}");
        let error = future.error().unwrap();
        let panic = panicked(future);
        assert_eq!(panic.message(), "flag BR is torn");
        let location = panic.location().unwrap();
        let (place, column) = location.rsplit_once(':').unwrap();
        assert!(place.ends_with(&format!("faults.rs:{line}")), "{location}");
        column.parse::<u32>().unwrap();
        assert_eq!(panic.worker_name(), Some("boom-0"));
        assert!(error.to_string().contains("flag BR is torn") && error.to_string().contains(location));
    });
}

#[test]
fn the_payload_of_a_panic_is_kept_for_the_first_read() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let error = threads.spawn(|| panic::panic_any(vec![1, 2, 3])).error().unwrap();
        let clone = error.clone();
        assert_eq!(*error.into_panic().unwrap().downcast::<Vec<i32>>().unwrap(), [1, 2, 3]);
        assert!(matches!(clone.into_panic(), Err(Error::Panicked(_))));
        assert!(matches!(Error::Cancelled.into_panic(), Err(Error::Cancelled)));
    });
}

#[test]
fn a_worker_survives_its_tasks() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let name = || thread::current().id();
        let before = threads.spawn(name).result().unwrap();
        for n in 0..20 {
            assert_eq!(panic_message(threads.spawn(move || -> () { panic!("{n}") }).result()), n.to_string());
        }
        assert_eq!(threads.spawn(name).result().unwrap(), before);
        threads.shutdown();
        assert_eq!((threads.stats().completed, threads.stats().failed), (2, 20));
    });
}

#[test]
fn the_location_belongs_to_the_panic_that_ended_the_task() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let ends_at = |panic: &Panicked, line: u32| panic.location().unwrap().contains(&format!("faults.rs:{line}:"));
        // Another one was caught before.
        let line = line!() + 3;
        let second = panicked(threads.spawn(|| {
            let _ = panic::catch_unwind(|| panic!("caught"));
            panic!("not caught");
        }));
        assert_eq!(second.message(), "not caught");
        assert!(ends_at(&second, line), "{second}");
        // One that was caught goes on.
        let line = line!() + 2;
        let resumed = panicked(threads.spawn(|| {
            let payload = panic::catch_unwind(|| panic!("goes on")).unwrap_err();
            resume_unwind(payload);
        }));
        assert_eq!(resumed.message(), "goes on");
        assert!(ends_at(&resumed, line), "{resumed}");
        // A panic without a location, after one that was caught: no location is better than a wrong one.
        let other_text = panicked(threads.spawn(|| {
            let _ = panic::catch_unwind(|| panic!("caught"));
            resume_unwind(Box::new("from elsewhere"));
        }));
        assert_eq!((other_text.message(), other_text.location()), ("from elsewhere", None));
        let no_text = panicked(threads.spawn(|| {
            let _ = panic::catch_unwind(|| panic!("caught"));
            resume_unwind(Box::new(7_u8));
        }));
        assert_eq!(no_text.location(), None);
        // One in a claimed task leaves no trace in its waiter.
        let threads = Arc::new(threads);
        let own = Arc::clone(&threads);
        let line = line!() + 3;
        let outer = panicked(threads.spawn(move || {
            assert!(own.spawn(|| panic!("inside")).result().is_err());
            panic!("outside");
        }));
        assert!(ends_at(&outer, line), "{outer}");
    });
}

#[test]
fn drops_that_panic_do_no_harm() {
    within(LONG, || {
        let (threads, gate) = (ThreadPoolExecutor::new(1), Gate::default());
        // What a task takes along, when it ran.
        assert_eq!(panic_message(threads.submit(drop, PanicsOnDrop).result()), "boom in a drop");
        let captured = PanicsOnDrop;
        assert_eq!(panic_message(threads.spawn(move || drop(captured)).result()), "boom in a drop");
        // What a task takes along, when it is cancelled or refused.
        let busy = occupy_at(&threads, &gate);
        let captured = PanicsOnDrop;
        let cancelled = threads.spawn(move || drop(captured));
        assert!(cancelled.cancel());
        assert!(matches!(cancelled.result(), Err(Error::Cancelled)));
        // An unread result of a task.
        threads.spawn(|| PanicsOnDrop).detach();
        let aborted = threads.spawn(|| PanicsOnDrop);
        assert!(aborted.abort());
        // What a task panics with.
        let payload = threads.spawn(|| panic::panic_any(PanicsOnDrop));
        // What a callback takes along.
        let captured = PanicsOnDrop;
        payload.add_done_callback(move |_| drop(captured));
        gate.open();
        assert!(matches!(payload.error(), Some(Error::Panicked(_))));
        drop(payload);
        let last = PanicsOnDrop;
        busy.result().unwrap();
        threads.shutdown();
        assert_eq!(threads.stats().workers, 0);
        let refused = threads.spawn(move || drop(last));
        assert!(matches!(refused.result(), Err(Error::ShutDown)));
    });
}

#[test]
fn a_failed_task_has_the_error_it_returned() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let open = |path: &str| std::fs::read(path);
        let error = threads.try_submit(open, "/no/such/file").result().unwrap_err();
        let cause = error.downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::NotFound);
        assert_eq!(error.to_string(), cause.to_string());
        let text = threads.try_spawn(|| Err::<(), _>("plain text")).result().unwrap_err();
        assert_eq!(text.to_string(), "plain text");
        let number = threads.try_spawn(|| Ok::<_, io::Error>("12".parse::<u8>().unwrap()));
        assert_eq!(number.result().unwrap(), 12);
    });
}

#[test]
fn a_wait_in_a_callback_panics_if_it_would_block() {
    within(LONG, || {
        let (threads, gate, (report, reported)) = (Arc::new(ThreadPoolExecutor::new(1)), Gate::default(), channel());
        let busy = occupy_at(&threads, &gate);
        let own = Arc::clone(&threads);
        busy.add_done_callback(move |_| {
            // To submit is fine, to wait is not.
            let (later, done) = (own.spawn(|| 9), concurrent_futures::promise::<u8>());
            done.0.complete(Ok(1));
            let waited = panic::catch_unwind(AssertUnwindSafe(|| later.wait()));
            let first = panic::catch_unwind(AssertUnwindSafe(|| wait([&later], None, ReturnWhen::FirstCompleted)));
            report.send((waited.is_err(), first.is_err(), later.is_done(), done.1.result(), later)).unwrap();
        });
        gate.open();
        let (waited, first, was_done, done, later) = soon(&reported);
        assert!(waited && first && !was_done);
        assert_eq!(done.unwrap(), 1);
        assert_eq!(later.result().unwrap(), 9);
    });
}

#[test]
fn a_callback_that_panics_does_not_stop_the_others() {
    within(LONG, || {
        let (threads, gate, (report, reported)) = (ThreadPoolExecutor::new(1), Gate::default(), channel());
        let busy = occupy_at(&threads, &gate);
        busy.add_done_callback(|_| panic!("in a callback"));
        busy.add_done_callback(move |_| report.send(()).unwrap());
        gate.open();
        busy.result().unwrap();
        reported.try_recv().unwrap();
        assert_eq!(threads.spawn(|| 2).result().unwrap(), 2);
    });
}
