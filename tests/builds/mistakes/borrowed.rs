//~ implementation of `serde_core::de::Deserialize` is not general enough
use concurrent_futures::{Executor, InlineExecutor};

fn length(text: &str) -> usize {
    text.len()
}

fn main() {
    let _ = InlineExecutor.submit(length, "three");
}
