//! Executors through their trait: every kind of pointer, options, `bind`, refusal and shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, InlineExecutor, State, TaskOptions, ThreadPoolExecutor, With};

use crate::support::{Held, LONG, occupy, panic_text, within};

fn total(executor: &impl Executor) -> u64 {
    executor.map(|n: u64| n * n, 0..10).map(Result::unwrap).sum()
}

fn total_dyn(executor: &dyn Backend) -> u64 {
    executor.map(|n: u64| n * n, 0..10).map(Result::unwrap).sum()
}

#[test]
fn pointers_to_a_backend_are_backends() {
    within(LONG, || {
        let boxed: Box<dyn Backend> = Box::new(ThreadPoolExecutor::new(2));
        let counted: Arc<dyn Backend> = Arc::new(ThreadPoolExecutor::new(2));
        let lent: &dyn Backend = &InlineExecutor;
        assert_eq!([total(&boxed), total(&counted), total(&lent)], [285; 3]);
        assert_eq!([total_dyn(&*boxed), total_dyn(&*counted), total_dyn(lent)], [285; 3]);
        assert_eq!([total_dyn(&boxed), total_dyn(&counted), total_dyn(&lent)], [285; 3]);
    });
}

#[test]
fn pointers_to_an_executor_deref() {
    let counted = Arc::new(ThreadPoolExecutor::new(2));
    let boxed = Box::new(ThreadPoolExecutor::new(2));
    assert_eq!([total(&*counted), total(&*boxed)], [285; 2]);
    let captured = 3;
    assert_eq!(counted.submit(move |n: i32| n + captured, 1).result().unwrap(), 4, "the inherent method is in reach");
}

#[test]
fn a_pointer_passes_everything_on() {
    let boxed: Box<dyn Backend> = Box::new(ThreadPoolExecutor::new(3));
    assert_eq!(boxed.max_workers(), 3);
    assert!(!boxed.join(Some(Duration::ZERO)), "it is open");
    assert_eq!(boxed.stats().workers, 0);
    boxed.submit(|n: u8| n, 1).result().unwrap();
    assert_eq!(boxed.stats().workers, 1);
    assert_eq!(boxed.cancel_pending(), 0);
    boxed.close();
    assert!(boxed.join(None));
    assert!(matches!(boxed.submit(|n: u8| n, 1).result(), Err(Error::ShutDown)));
}

#[test]
fn executors_are_one_line_apart() {
    for chosen in [true, false] {
        let executor: Box<dyn Backend> =
            if chosen { Box::new(ThreadPoolExecutor::new(2)) } else { Box::new(InlineExecutor) };
        assert_eq!(total_dyn(&*executor), 285);
    }
}

#[test]
fn functions_methods_and_closures_without_captures_are_functions() {
    let executor = InlineExecutor;
    assert_eq!(executor.submit(i64::abs, -3).result().unwrap(), 3);
    assert_eq!(executor.submit(|text: String| text.len(), "four".into()).result().unwrap(), 4);
    assert_eq!(executor.submit(u64::leading_zeros, 1).result().unwrap(), 63);
    assert_eq!(executor.submit(Some, 1_u8).result().unwrap(), Some(1));
    assert_eq!(executor.submit(|(a, b): (i32, i32)| a * b, (6, 7)).result().unwrap(), 42);
}

#[test]
fn the_err_of_a_try_function_is_the_error_of_its_future() {
    let parsed = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "7".into());
    assert_eq!(parsed.result().unwrap(), 7);
    let failed = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "x".into());
    assert!(failed.result().unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
    let named = InlineExecutor.try_submit(
        |text: String| {
            let number: i32 = text.parse()?;
            Ok::<_, std::num::ParseIntError>(number + 1)
        },
        "1".into(),
    );
    assert_eq!(named.result().unwrap(), 2);
}

#[test]
fn a_bound_function_submits_on_each_call() {
    within(LONG, || {
        fn crosses<F: Send + Sync + Clone>(_: &F) {}
        let threads = ThreadPoolExecutor::new(2);
        let executor: &dyn Backend = &threads;
        let double = executor.bind(|n: i32| 2 * n);
        crosses(&double);
        let clone = double.clone();
        let futures: Vec<_> = (0..10).map(|n| if n % 2 == 0 { double(n) } else { clone(n) }).collect();
        let results: Vec<i32> = futures.into_iter().map(|future| future.result().unwrap()).collect();
        assert_eq!(results, (0..10).map(|n| 2 * n).collect::<Vec<_>>());

        let factor = 3;
        let times = threads.bind(move |n: i32| factor * n);
        crosses(&times);
        assert_eq!((times(2).result().unwrap(), times.clone()(3).result().unwrap()), (6, 9));
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(times(1).result().unwrap(), 3));
        });
    });
}

#[test]
fn submit_never_fails_a_refused_task_is_finished_with_the_reason() {
    let threads = ThreadPoolExecutor::new(1);
    threads.shutdown();
    let refused = threads.submit(|n: u8| n, 1);
    assert_eq!(refused.state(), State::Finished);
    assert!(matches!(refused.error(), Some(Error::ShutDown)));
    assert!(!refused.cancel());
    assert!(matches!(refused.result(), Err(Error::ShutDown)));
    assert!(matches!(threads.try_submit(|n: u8| Ok::<_, Error>(n), 1).result(), Err(Error::ShutDown)));
    assert!(matches!(threads.bind(|n: u8| n)(1).result(), Err(Error::ShutDown)));
    assert!(threads.map(|n: u8| n, [1, 2]).all(|outcome| matches!(outcome, Err(Error::ShutDown))));
    assert_eq!(threads.map_unordered(|n: u8| n, [1, 2]).filter(|(_, outcome)| outcome.is_err()).count(), 2);
    assert!(threads.map(|n: u8| n, []).next().is_none(), "nothing was submitted");
}

#[test]
fn options_reach_every_task() {
    let held = Held::default();
    let named = held.with(TaskOptions::new().name("all of them").retries(2));
    let mut futures =
        vec![named.submit(|n: u8| n, 1), named.try_submit(|n: u8| Ok::<_, Error>(n), 2), named.bind(|n: u8| n)(3)];
    let map = named.map(|n: u8| n, [4, 5]);
    let tried = named.try_map(|n: u8| Ok::<_, Error>(n), [6]);
    let unordered = named.map_unordered(|n: u8| n, [7]);
    assert_eq!(held.count(), 7);
    while held.count() > 0 {
        let job = held.take(0);
        assert_eq!((job.name(), job.options().get_retries()), (Some("all of them"), 2));
        job.run();
    }
    assert_eq!(futures.pop().unwrap().result().unwrap(), 3);
    assert_eq!((map.count(), tried.count(), unordered.count()), (2, 1, 1));
    let _plain = held.submit(|n: u8| n, 1);
    assert_eq!(held.take(0).name(), None, "the executor itself is as it was");
}

#[test]
fn inner_options_win_over_outer_ones() {
    let held = Held::default();
    let outer: With<'_, Held> = held.with(TaskOptions::new().name("outer").retries(1).time_limit(LONG));
    let inner = outer.with(TaskOptions::new().name("inner").refuse_when_full());
    let as_backend: &dyn Backend = &outer;
    let through = as_backend.with(TaskOptions::new().name("through"));
    let _futures = [inner.submit(|n: u8| n, 1), through.submit(|n: u8| n, 1), outer.clone().submit(|n: u8| n, 1)];
    for (name, refuses) in [("inner", true), ("through", false), ("outer", false)] {
        let job = held.take(0);
        assert_eq!(job.name(), Some(name));
        assert_eq!((job.options().get_retries(), job.options().get_time_limit()), (1, Some(LONG)));
        assert_eq!(job.options().get_refuse_when_full(), refuses);
    }
}

#[test]
fn a_backend_with_options_is_the_same_executor() {
    let threads = ThreadPoolExecutor::new(2);
    let named = threads.with(TaskOptions::new().name("named"));
    assert_eq!(named.max_workers(), 2);
    assert_eq!(total(&named), 285);
    assert_eq!(total_dyn(&named), 285);
    assert_eq!(named.stats().workers, threads.stats().workers);
    assert!(format!("{named:?}").contains("named"));
    let captured = 1;
    assert_eq!(named.submit(move |n: u8| n + captured, 1).result().unwrap(), 2);
    named.shutdown();
    assert!(matches!(threads.submit(|n: u8| n, 1).result(), Err(Error::ShutDown)));
}

#[test]
fn options_that_make_no_sense_panic_and_name_themselves() {
    let options = TaskOptions::new;
    assert_eq!(panic_text(|| options().chunk_size(0)), "chunk_size must be at least 1, not 0");
    assert_eq!(panic_text(|| options().buffer_size(0)), "buffer_size must be at least 1, not 0");
    assert_eq!(panic_text(|| options().time_limit(Duration::ZERO)), "time_limit must be longer than zero");
}

#[test]
fn options_without_a_word_change_nothing() {
    let none = TaskOptions::new();
    assert_eq!(
        (none.get_name(), none.get_time_limit(), none.get_retries(), none.get_refuse_when_full()),
        (None, None, 0, false)
    );
    assert_eq!(total(&InlineExecutor.with(none)), 285);
}

#[test]
fn shutdown_runs_what_is_queued_and_waits_for_it() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let done = Arc::clone(&done);
            threads.spawn(move || done.fetch_add(1, Ordering::SeqCst)).detach();
        }
        let executor: &dyn Backend = &threads;
        executor.shutdown();
        assert_eq!(done.load(Ordering::SeqCst), 10);
        assert!(executor.join(Some(Duration::ZERO)));
        executor.shutdown();
    });
}

#[test]
fn shutdown_now_cancels_what_is_pending() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(1);
        let (opener, running) = occupy(&threads);
        let pending: Vec<_> = (0..5).map(|n| threads.spawn(move || n)).collect();
        // It waits for what runs, so that must end: the last that is cancelled opens the gate.
        let opener = Arc::new(opener);
        for future in &pending {
            let opener = Arc::clone(&opener);
            future.add_done_callback(move |_| drop(opener));
        }
        drop(opener);
        threads.shutdown_now();
        assert!(pending.iter().all(|future| future.is_cancelled()));
        running.result().unwrap();
        assert!(matches!(threads.spawn(|| 1).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn join_is_false_before_close_and_while_a_task_runs() {
    let threads = ThreadPoolExecutor::new(1);
    let (opener, _running) = occupy(&threads);
    assert!(!threads.join(None), "open: it does not even wait");
    threads.close();
    assert!(!threads.join(Some(Duration::ZERO)));
    assert!(!threads.join(Some(Duration::from_millis(1))));
    opener.open();
    assert!(threads.join(None));
}

#[test]
fn the_prelude_brings_the_methods() {
    mod caller {
        use concurrent_futures::InlineExecutor;
        use concurrent_futures::prelude::*;

        pub(super) fn uses_all() -> usize {
            let future = InlineExecutor.submit(|n: u8| n, 1);
            let Waited { done, not_done } = wait([future], None, ReturnWhen::AllCompleted);
            as_completed(done).count() + not_done.len() + InlineExecutor.max_workers()
        }
    }
    assert_eq!(caller::uses_all(), 2);
}
