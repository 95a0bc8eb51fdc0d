//! The call sites that callers may count on: they compile as they stand, and they work.

use std::sync::Arc;
use std::time::Duration;

use concurrent_futures::{
    Backend, Error, Executor, InlineExecutor, MapOptions, ReturnWhen, TaskOptions, ThreadPoolExecutor, Waitable,
    Waited, all_settled, any, as_completed, race, task, try_all, wait,
};

use crate::support::{LONG, block_on, within};

const WORK: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
fn sum_to(n: u64) -> u64 {
    (1..=n).sum()
}
fn fetch(path: String) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn totals(executor: &impl Executor) -> Result<Vec<u64>, Error> {
    executor.map(sum_to, WORK).collect()
}
fn totals_dyn(executor: &dyn Backend) -> Result<Vec<u64>, Error> {
    executor.map(sum_to, WORK).collect()
}

fn tour(executor: &impl Executor) -> Result<(), Box<dyn std::error::Error>> {
    let futures: Vec<_> = WORK.iter().map(|&n| executor.submit(sum_to, n)).collect();
    let Waited { done, not_done } = wait(futures, Duration::from_millis(500), ReturnWhen::AllCompleted);
    println!("{done:?} {not_done:?}");
    for future in done {
        println!("{}", future.result()?);
    }
    for (n, future) in as_completed(WORK.map(|n| (n, executor.submit(sum_to, n)))) {
        println!("{n} {}", future.result()?);
    }
    match executor.submit(sum_to, 3).result_timeout(Duration::from_secs(1)) {
        Ok(outcome) => println!("{}", outcome?),
        Err(future) => {
            future.cancel();
        }
    }
    let bytes: Vec<u8> = executor.try_submit(fetch, "Cargo.toml".into()).result()?;
    let products: Vec<i32> = executor.map(|(a, b)| a * b, [(1, 2), (3, 4)]).collect::<Result<_, _>>()?;
    let limited = executor.with(TaskOptions::new().time_limit(Duration::from_secs(1)));
    let first: Vec<u64> =
        limited.with(MapOptions::new().buffer_size(8)).map(sum_to, 0..).take(3).collect::<Result<_, _>>()?;
    for (position, outcome) in executor.map_unordered(sum_to, WORK) {
        println!("{} {}", WORK[position], outcome?);
    }
    let (number, text) = (executor.submit(sum_to, 1), executor.submit(|s: String| s, "x".into()));
    wait([&number as &dyn Waitable, &text], None, ReturnWhen::FirstCompleted);
    let sum_later = executor.bind(sum_to);
    let total = sum_later(10).result()?;
    assert!(bytes.starts_with(b"[package]"));
    assert_eq!((products, first, total), (vec![2, 12], vec![0, 1, 3], 55));
    Ok(())
}

/// What follows futures, without a wait in between.
fn tour_of_chains(executor: &impl Executor) -> Result<(), Error> {
    let length = executor.submit(sum_to, 10).map(|sum| sum.to_string()).map(|text| text.len());
    let number = executor.submit(|text: String| text, "12".into()).and_then(|text| text.parse::<u64>());
    let port = executor.try_submit(fetch, "no such file".into()).or_else(|_| Ok::<_, Error>(Vec::new()));
    let total = executor.submit_after((executor.submit(sum_to, 1), number), |(a, b): (u64, u64)| a + b);
    let named = executor.with(TaskOptions::new().name("total"));
    let totals = named.submit_after(vec![total, executor.submit(sum_to, 2)], |all: Vec<u64>| all.len());
    let all = try_all(WORK.map(|n| executor.submit(sum_to, n)));
    let settled = all_settled([executor.submit(sum_to, 1)]);
    let first = any([executor.submit(sum_to, 2)]);
    let winner = race([executor.submit(sum_to, 2)]);
    for done in as_completed(WORK.map(|n| (n, executor.submit(sum_to, n)))).timeout(Duration::from_secs(60)) {
        let (n, future) = done?;
        println!("{n} {}", future.result()?);
    }
    for (position, outcome) in executor.try_map_unordered(|n: u64| task::check().map(|()| n), WORK) {
        assert_eq!(WORK[position], outcome?);
    }
    assert_eq!((length.result()?, port.result()?.len(), totals.result()?), (2, 0, 2));
    assert_eq!((all.result()?, settled.result()?.len()), (TOTALS.to_vec(), 1));
    assert_eq!((first.result()?, winner.result()?), (3, 3));
    Ok(())
}

/// What fails, and is tried again.
fn tour_of_retries(executor: &impl Executor) -> Result<(), Error> {
    let persistent = executor.with(
        TaskOptions::new()
            .retries(3)
            .retry_if(|error| matches!(error, Error::Failed(_) | Error::WorkerDied(_)))
            .back_off(Duration::from_millis(1), Duration::from_secs(1)),
    );
    assert_eq!(persistent.submit(sum_to, 3).result()?, 6);
    assert!(persistent.try_submit(fetch, "Cargo.toml".into()).result()?.starts_with(b"[package]"));
    assert_eq!(persistent.bind(sum_to)(4).result()?, 10);
    assert_eq!(persistent.map(sum_to, WORK).collect::<Result<Vec<_>, _>>()?, TOTALS);
    let eight_at_a_time = persistent.with(MapOptions::new().buffer_size(8));
    assert_eq!(eight_at_a_time.map(sum_to, 0..).take(3).collect::<Result<Vec<_>, _>>()?, [0, 1, 3]);
    for (position, outcome) in persistent.try_map_unordered(fetch, ["Cargo.toml".into()]) {
        assert!(position == 0 && outcome.is_ok());
    }
    let quickly =
        TaskOptions::new().name("fetch").retries(1).back_off(Duration::from_nanos(1), Duration::from_nanos(1));
    let missing = executor.with(quickly.retry_if(|_| true)).try_map(fetch, ["no such file".into()]);
    assert!(missing.last().is_some_and(|outcome| outcome.is_err()));
    Ok(())
}

fn scale(factor: &u64, n: u64) -> u64 {
    factor * n
}

/// What tasks share, with the same call on every executor.
fn tour_of_contexts(executor: &impl Executor) -> Result<(), Error> {
    let scaled = executor.with_context(10);
    let product = scaled.submit(scale, 4).result()?;
    let products: Vec<u64> = scaled.map(scale, [1, 2]).collect::<Result<_, _>>()?;
    let named = scaled.with(TaskOptions::new().name("scale"));
    let first: Vec<u64> =
        named.with(MapOptions::new().buffer_size(8)).map(scale, 0..).take(3).collect::<Result<_, _>>()?;
    for (position, outcome) in scaled.try_map_unordered(|factor, n: u64| n.checked_div(*factor).ok_or("zero"), [7, 70])
    {
        assert_eq!(outcome?, [0, 7][position]);
    }
    let scale_later = scaled.bind(scale);
    let inputs = [scale_later(1), executor.submit(sum_to, 2)];
    let total = scaled.submit_after(inputs, |factor, [one, other]: [u64; 2]| factor * (one + other));
    let words = executor.with(TaskOptions::new().name("word")).with_context(vec![String::from("zero")]);
    let word = words.try_submit(|words, n: usize| words.get(n).cloned().ok_or("no such word"), 0);
    assert_eq!((product, products, first, total.result()?), (40, vec![10, 20], vec![0, 10, 20], 130));
    assert_eq!(word.result()?, "zero");
    Ok(())
}

async fn awaited(executor: &impl Executor) -> Result<u64, Error> {
    executor.submit(sum_to, 3).await
}

const TOTALS: [u64; 4] = [50_005_000, 5_000_050_000, 500_000_500_000, 50_000_005_000_000];

#[test]
fn the_tour_works_on_threads() {
    within(LONG, || tour(&ThreadPoolExecutor::new(2)).unwrap());
}

#[test]
fn the_tour_works_inline() {
    within(LONG, || tour(&InlineExecutor).unwrap());
}

#[test]
fn the_tour_of_chains_works_on_every_executor() {
    within(LONG, || {
        tour_of_chains(&ThreadPoolExecutor::new(2)).unwrap();
        tour_of_chains(&InlineExecutor).unwrap();
        #[cfg(automatic)]
        tour_of_chains(&concurrent_futures::ProcessPoolExecutor::new(2)).unwrap();
    });
}

#[test]
fn the_tour_of_retries_works_on_every_executor() {
    within(LONG, || {
        tour_of_retries(&ThreadPoolExecutor::new(2)).unwrap();
        tour_of_retries(&InlineExecutor).unwrap();
        #[cfg(automatic)]
        tour_of_retries(&concurrent_futures::ProcessPoolExecutor::new(2)).unwrap();
    });
}

#[test]
fn the_tour_of_contexts_works_on_every_executor() {
    within(LONG, || {
        tour_of_contexts(&ThreadPoolExecutor::new(2)).unwrap();
        tour_of_contexts(&InlineExecutor).unwrap();
        tour_of_contexts(&(&ThreadPoolExecutor::new(1) as &dyn Backend)).unwrap();
        #[cfg(automatic)]
        tour_of_contexts(&concurrent_futures::ProcessPoolExecutor::new(2)).unwrap();
    });
}

#[test]
fn an_executor_may_be_awaited() {
    within(LONG, || {
        assert_eq!(block_on(awaited(&ThreadPoolExecutor::new(1))).unwrap(), 6);
        assert_eq!(block_on(awaited(&InlineExecutor)).unwrap(), 6);
    });
}

#[test]
fn the_lines_on_threads_work() {
    #[expect(clippy::useless_vec, reason = "as it is documented")]
    fn lines(processes: bool) -> Result<(), Box<dyn std::error::Error>> {
        let threads = Arc::new(ThreadPoolExecutor::new(3));
        let prefix = String::from("x");
        let length = threads.submit(move |n: usize| prefix.len() + n, 3).result()?;
        totals(&*threads)?;
        let data = vec![1, 2, 3];
        let sum = threads.scope(|scope| {
            let a = scope.spawn(|| data.iter().sum::<i32>());
            a.result()
        })?;
        let chosen: Box<dyn Backend> =
            if processes { Box::new(ThreadPoolExecutor::new(4)) } else { Box::new(InlineExecutor) };
        assert_eq!(totals_dyn(&*chosen)?, TOTALS);
        assert_eq!((length, sum), (4, 6));
        assert_eq!(totals(&*threads)?, TOTALS);
        Ok(())
    }
    within(LONG, || {
        lines(true).unwrap();
        lines(false).unwrap();
    });
}

#[test]
fn every_method_has_a_twin_for_closures_that_capture() {
    within(LONG, || {
        let threads = ThreadPoolExecutor::new(2);
        // Neither the closures nor the types are known to serde.
        struct Opaque(u32);
        let offset = Arc::new(10);
        let with = threads.with(TaskOptions::new().name("twins"));
        macro_rules! twins {
            ($executor:expr) => {{
                let add = || {
                    let offset = Arc::clone(&offset);
                    move |Opaque(n): Opaque| Opaque(n + *offset)
                };
                let try_add = || {
                    let add = add();
                    move |opaque: Opaque| if opaque.0 == 0 { Err("zero") } else { Ok(add(opaque)) }
                };
                let once = String::from("moved in");
                assert_eq!($executor.submit(move |n: usize| once + &n.to_string(), 1).result().unwrap(), "moved in1");
                assert_eq!($executor.submit(add(), Opaque(1)).result().unwrap().0, 11);
                assert_eq!($executor.try_submit(try_add(), Opaque(2)).result().unwrap().0, 12);
                assert!($executor.try_submit(try_add(), Opaque(0)).result().is_err());
                assert_eq!($executor.map(add(), [Opaque(1), Opaque(2)]).map(|o| o.unwrap().0).sum::<u32>(), 23);
                assert_eq!($executor.try_map(try_add(), [Opaque(0), Opaque(2)]).filter(Result::is_ok).count(), 1);
                assert_eq!(
                    $executor.map_unordered(add(), [Opaque(1)]).map(|(at, o)| (at, o.unwrap().0)).next(),
                    Some((0, 11))
                );
                assert_eq!($executor.bind(add())(Opaque(5)).result().unwrap().0, 15);
                let spawned = add();
                assert_eq!($executor.spawn(move || spawned(Opaque(6))).result().unwrap().0, 16);
                let spawned = try_add();
                assert!($executor.try_spawn(move || spawned(Opaque(0))).result().is_err());
            }};
        }
        twins!(threads);
        twins!(with);
    });
}

#[test]
fn a_reference_to_an_executor_is_an_executor() {
    /// Keeps an executor, whichever it is.
    struct Kept<B>(B);
    impl<B: Backend> Kept<B> {
        fn run(self) -> u64 {
            self.0.submit(|n: u64| n + 1, 1).result().unwrap()
        }
    }
    let threads = ThreadPoolExecutor::new(1);
    let view = threads.with(TaskOptions::new());
    assert_eq!((Kept(&threads).run(), Kept(&&threads).run(), Kept(&view).run()), (2, 2, 2));
    let boxed: Box<dyn Backend> = Box::new(threads);
    assert_eq!((Kept(&*boxed).run(), Kept(&boxed).run()), (2, 2));
}
