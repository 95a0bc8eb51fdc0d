//~ incorrect number of function parameters
//~ function is expected to take 1 argument, but it takes 2 arguments
use concurrent_futures::{Executor, InlineExecutor, ThreadPoolExecutor};

fn add(a: u32, b: u32) -> u32 {
    a + b
}

fn main() {
    let _ = InlineExecutor.submit(add, (1, 2));
    let _ = ThreadPoolExecutor::new(1).submit(add, (1, 2));
}
