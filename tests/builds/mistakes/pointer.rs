//~ `Arc<ThreadPoolExecutor>` is not an executor
//~ a pointer to a concrete executor is not one itself: pass what it points to, as in `totals(&*pool)`
use std::sync::Arc;

use concurrent_futures::{Executor, ThreadPoolExecutor};

fn total(executor: &impl Executor) -> usize {
    executor.max_workers()
}

fn main() {
    total(&Arc::new(ThreadPoolExecutor::new(1)));
}
