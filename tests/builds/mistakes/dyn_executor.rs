//~ the trait `Executor` is not dyn compatible
use concurrent_futures::{Executor, InlineExecutor};

fn total(executor: &dyn Executor) -> usize {
    executor.max_workers()
}

fn main() {
    total(&InlineExecutor);
}
