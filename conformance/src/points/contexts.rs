//! Contexts: values that many calls read, and that are not sent with each of them.

use concurrent_futures::{Error, Executor, MapOptions, TaskOptions};

use crate::functions::{
    Table, Topic, add, add_up_to, double, fail_until_context, look_up, panic_about, scale, scale_pair,
};
use crate::points::{Make, Points};
use crate::support::{Door, block_on, marks, occupy_at_door, panic_message};

pub(crate) const POINTS: Points = points![
    each_task_gets_the_context,
    closures_without_captures_get_the_context: AnyFunction,
    maps_get_the_context,
    tasks_after_others_get_the_context,
    a_submission_without_blocking_gets_the_context,
    options_and_contexts_are_added_in_any_order,
    each_attempt_gets_the_context,
    two_contexts_do_not_mix,
    a_long_context_crosses,
    a_context_outlives_its_handles: Queue,
    a_task_that_fails_leaves_the_context_to_the_others,
];

fn each_task_gets_the_context(make: &Make) {
    let executor = make(2);
    let scaled = executor.with_context(10);
    let tasks: Vec<_> = (0..20).map(|n| scaled.submit(scale, n)).collect();
    assert!(tasks.into_iter().map(|task| task.result().unwrap()).eq((0..20).map(|n| 10 * n)));
    let later = scaled.bind(scale);
    assert_eq!((later(7).result().unwrap(), later.clone()(8).result().unwrap()), (70, 80));
    let small = executor.with_context(3);
    assert_eq!(small.try_submit(add_up_to, (1, 2)).result().unwrap(), 3);
    let error = small.try_submit(add_up_to, (2, 2)).result().unwrap_err();
    assert!(matches!(&error, Error::Failed(_)) && error.to_string() == "4 is above 3", "{error}");
}

fn closures_without_captures_get_the_context(make: &Make) {
    let executor = make(1);
    let words = executor.with_context(vec!["zero".to_owned(), "one".into()]);
    assert_eq!(words.submit(|words, n: usize| words[n].len(), 1).result().unwrap(), 3);
    let lengths: Vec<_> =
        words.map(|words, n: usize| words.get(n).map(String::len), [0, 2]).map(Result::unwrap).collect();
    assert_eq!(lengths, [Some(4), None]);
}

fn maps_get_the_context(make: &Make) {
    let executor = make(2);
    let scaled = executor.with_context(10);
    let limited = executor.with_context(100);
    let options = [
        MapOptions::new(),
        MapOptions::new().chunk_size(7),
        MapOptions::new().buffer_size(3),
        MapOptions::new().chunk_size(4).buffer_size(9),
    ];
    let expected: Vec<_> = (0..200).map(|n| 10 * n).collect();
    assert!(scaled.map(scale, 0..200).map(Result::unwrap).eq(expected.iter().copied()));
    for options in options {
        let scaled = scaled.with(options.clone());
        assert!(scaled.map(scale, 0..200).map(Result::unwrap).eq(expected.iter().copied()), "{options:?}");
        let unordered: Vec<_> = scaled.map_unordered(scale, 0..200).collect();
        assert_eq!(unordered.len(), 200);
        for (position, outcome) in unordered {
            assert_eq!(outcome.unwrap(), expected[position], "{options:?}");
        }
        let limited = limited.with(options.clone());
        let pairs = || (0..20).map(|n| (n, 90));
        assert_eq!(limited.try_map(add_up_to, pairs()).filter(Result::is_ok).count(), 11, "{options:?}");
        let unordered = limited.try_map_unordered(add_up_to, pairs());
        assert!(unordered.into_iter().all(|(position, outcome)| outcome.is_ok() == (position <= 10)), "{options:?}");
    }
}

fn tasks_after_others_get_the_context(make: &Make) {
    let executor = make(1);
    let scaled = executor.with_context(10);
    let inputs = (executor.submit(double, 1), executor.submit(add, (3, 4)));
    assert_eq!(scaled.submit_after(inputs, scale_pair).result().unwrap(), (20, 70));
    let limited = executor.with_context(10);
    let inputs = (scaled.submit(scale, 1), executor.submit(double, 1));
    assert!(limited.try_submit_after(inputs, add_up_to).result().is_err());
}

fn a_submission_without_blocking_gets_the_context(make: &Make) {
    let executor = make(1);
    let context = executor.with_context(10);
    let sum = async {
        let one = context.submit_async(scale, 3).await;
        let other = context.try_submit_async(add_up_to, (3, 4)).await;
        Ok::<_, Error>(one.await? + other.await?)
    };
    assert_eq!(block_on(sum).unwrap(), 37);
}

fn options_and_contexts_are_added_in_any_order(make: &Make) {
    let executor = make(1);
    let (named, chunked) = (TaskOptions::new().name("about"), MapOptions::new().chunk_size(2));
    let topic: Topic = (1, "the context".into());
    let singles = [
        executor.with(named.clone()).with_context(topic.clone()),
        executor.with_context(topic.clone()).with(named.clone()),
        executor.with(TaskOptions::new().name("first")).with_context(topic.clone()).with(named.clone()),
    ];
    for context in singles {
        let error = context.submit(panic_about, 1).result().unwrap_err();
        assert!(error.to_string().starts_with("the task \"about\" panicked"), "{error}");
    }
    let maps = [
        executor.with(named.clone()).with(chunked.clone()).with_context(topic.clone()),
        executor.with(named.clone()).with_context(topic.clone()).with(chunked.clone()),
        executor.with_context(topic).with(named).with(chunked.clone()).with(MapOptions::new().buffer_size(4)),
    ];
    for context in maps {
        let outcomes: Vec<_> = context.map(panic_about, [0, 1]).collect();
        let [Ok(0), Err(error)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert!(error.to_string().starts_with("the task \"about\" panicked"), "{error}");
    }
}

fn each_attempt_gets_the_context(make: &Make) {
    let (executor, door) = (make(2), Door::new());
    let retry = TaskOptions::new().retries(2).retry_if(|error| matches!(error, Error::Failed(_)));
    let good = 3;
    let both = [
        ("context first", executor.with_context(good).with(retry.clone())),
        ("retries first", executor.with(retry.clone()).with_context(good)),
        ("maps, too", executor.with_context(good).with(retry).with(MapOptions::new().buffer_size(1))),
    ];
    for (order, persistent) in both {
        let file = |name: &str| door.path().join(format!("{order}, {name}"));
        assert_eq!(persistent.try_submit(fail_until_context, file("one")).result().unwrap(), 3, "{order}");
        assert_eq!(marks(&file("one")).len(), 3, "{order}");
        let outcomes: Vec<_> = persistent.try_map(fail_until_context, [file("a"), file("b")]).collect();
        assert!(matches!(outcomes[..], [Ok(3), Ok(3)]), "{order}: {outcomes:?}");
        let unordered = persistent.try_map_unordered(fail_until_context, [file("c"), file("d")]);
        assert!(unordered.into_iter().all(|(_, outcome)| outcome.is_ok()), "{order}");
        let scaled = [persistent.submit(scale, 2), persistent.bind(scale)(4)];
        assert_eq!(scaled.map(|task| task.result().unwrap()), [6, 12], "{order}");
        let products: Vec<_> = persistent.map(scale, 0..4).map(Result::unwrap).collect();
        assert_eq!(products, [0, 3, 6, 9], "{order}");
        let unordered = persistent.map_unordered(scale, 0..4);
        assert!(unordered.into_iter().all(|(n, outcome)| outcome.unwrap() == products[n]), "{order}");
    }
}

fn two_contexts_do_not_mix(make: &Make) {
    let executor = make(2);
    let (one, ten) = (executor.with_context(1), executor.with_context(10));
    let tasks: Vec<_> = (0..50).flat_map(|n| [one.submit(scale, n), ten.submit(scale, n)]).collect();
    let sum = tasks.into_iter().map(|task| task.result().unwrap()).sum::<u64>();
    assert_eq!(sum, 11 * (0..50).sum::<u64>());
}

fn a_long_context_crosses(make: &Make) {
    let executor = make(2);
    let table = executor.with_context(Table::from_iter((0..100_000).zip((0..).map(|n| n * n))));
    let positions = [0, 7, 99_999, 100_000];
    let found: Vec<_> = table.map(look_up, positions).map(Result::unwrap).collect();
    assert_eq!(found, [Some(0), Some(49), Some(9_999_800_001), None]);
    assert_eq!(table.submit(look_up, 3).result().unwrap(), Some(9));
}

fn a_context_outlives_its_handles(make: &Make) {
    let (executor, door) = (make(1), Door::new());
    let _running = occupy_at_door(&*executor, &door);
    let scaled = executor.with_context(10);
    let tasks: Vec<_> = (0..5).map(|n| scaled.submit(scale, n)).collect();
    let map = scaled.map(scale, 5..10);
    let later = scaled.bind(scale);
    drop(scaled);
    let last = later(10);
    drop(later);
    door.open();
    let outcomes = tasks.into_iter().map(|task| task.result()).chain(map).chain([last.result()]);
    assert!(outcomes.map(Result::unwrap).eq((0..=10).map(|n| 10 * n)));
}

fn a_task_that_fails_leaves_the_context_to_the_others(make: &Make) {
    let executor = make(1);
    let context = executor.with_context((1, "all of it".into()));
    for _ in 0..3 {
        assert_eq!(panic_message(context.submit(panic_about, 1).result()), "all of it");
        assert_eq!(context.submit(panic_about, 0).result().unwrap(), 0);
    }
}
