//~ `concurrent_futures::Future<{integer}>` is not a future
use concurrent_futures::ThreadPoolExecutor;

/// As tokio's.
fn spawn<F: Future + Send + 'static>(_: F) {}

/// As futures' own.
fn join_all<I: IntoIterator<Item: Future>>(_: I) {}

fn main() {
    let threads = ThreadPoolExecutor::new(1);
    spawn(threads.spawn(|| 1));
    join_all([threads.spawn(|| 1), threads.spawn(|| 2)]);
}
