//! Small figures of this crate alone: `cargo bench -p benches`.

use std::hint::black_box;

use concurrent_futures::{ThreadPoolExecutor, as_completed, promise};
use divan::Bencher;

fn main() {
    divan::main();
}

/// Submits one task and waits for it.
#[divan::bench]
fn submit_and_result(bencher: Bencher<'_, '_>) {
    let threads = ThreadPoolExecutor::new(2);
    bencher.bench_local(|| threads.spawn(|| black_box(1)).result().unwrap());
}

#[divan::bench]
fn submit_1000_and_collect(bencher: Bencher<'_, '_>) {
    let threads = ThreadPoolExecutor::new(2);
    bencher.bench_local(|| {
        let futures: Vec<_> = (0..1000_u64).map(|n| threads.spawn(move || n)).collect();
        futures.into_iter().map(|future| future.result().unwrap()).sum::<u64>()
    });
}

#[divan::bench]
fn map_of_10_000(bencher: Bencher<'_, '_>) {
    let threads = ThreadPoolExecutor::new(2);
    bencher.bench_local(|| threads.map(|n| n + 1, 0..10_000_u64).map(Result::unwrap).sum::<u64>());
}

/// A promise's future: no pool is in the way, and it is pending for sure.
#[divan::bench]
fn cancel_pending(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(promise::<u64>).bench_local_values(|(promise, future)| {
        assert!(future.cancel());
        (promise, future)
    });
}

#[divan::bench]
fn complete_promise(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(promise::<u64>).bench_local_values(|(promise, future)| {
        assert!(promise.complete(Ok(1)));
        future
    });
}

#[divan::bench]
fn as_completed_1000(bencher: Bencher<'_, '_>) {
    let threads = ThreadPoolExecutor::new(2);
    bencher.bench_local(|| {
        let futures = (0..1000_u64).map(|n| threads.spawn(move || n));
        as_completed(futures).map(|future| future.result().unwrap()).sum::<u64>()
    });
}

#[cfg(target_os = "linux")]
#[divan::bench]
fn process_round_trip(bencher: Bencher<'_, '_>) {
    use concurrent_futures::{Executor, ProcessPoolExecutor};

    let processes = ProcessPoolExecutor::new(1);
    bencher.bench_local(|| processes.submit(|n: u64| n + 1, black_box(1)).result().unwrap());
}
