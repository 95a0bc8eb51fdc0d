//! Executors through their trait: every kind of pointer, options, `bind`, refusal and shutdown.

use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{Backend, Error, Executor, InlineExecutor, TaskOptions, ThreadPoolExecutor, With};

use crate::support::{Held, LONG, within};

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
    within(LONG, || {
        let counted = Arc::new(ThreadPoolExecutor::new(2));
        let boxed = Box::new(ThreadPoolExecutor::new(2));
        assert_eq!([total(&*counted), total(&*boxed)], [285; 2]);
        let captured = 3;
        assert_eq!(
            counted.submit(move |n: i32| n + captured, 1).result().unwrap(),
            4,
            "the inherent method is in reach"
        );
    });
}

#[test]
fn a_pointer_forwards_every_method() {
    within(LONG, || {
        let boxed: Box<dyn Backend> = Box::new(ThreadPoolExecutor::new(3));
        assert_eq!(boxed.max_workers(), 3);
        assert!(!boxed.join(Some(Duration::ZERO)), "an open executor cannot be joined");
        assert_eq!(boxed.stats().workers, 0);
        boxed.submit(|n: u8| n, 1).result().unwrap();
        assert_eq!(boxed.stats().workers, 1);
        assert_eq!(boxed.cancel_pending(), 0);
        boxed.close();
        assert!(boxed.join(None));
        assert!(matches!(boxed.submit(|n: u8| n, 1).result(), Err(Error::ShutDown)));
    });
}

#[test]
fn an_executor_is_replaced_in_one_line() {
    within(LONG, || {
        for chosen in [true, false] {
            let executor: Box<dyn Backend> =
                if chosen { Box::new(ThreadPoolExecutor::new(2)) } else { Box::new(InlineExecutor) };
            assert_eq!(total_dyn(&*executor), 285);
        }
    });
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
    within(LONG, || {
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
    });
}

#[test]
fn empty_options_change_nothing() {
    let none = TaskOptions::new();
    assert_eq!(
        (none.get_name(), none.get_time_limit(), none.get_retries(), none.get_refuse_when_full()),
        (None, None, 0, false)
    );
    assert_eq!(total(&InlineExecutor.with(none)), 285);
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
