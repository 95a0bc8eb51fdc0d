//~ a task has one name and so one type, and `largest` is generic: put `#[task]` on a function that calls it with the types you need
//~ a task has one name and so one type, and `total` is generic
use concurrent_futures::task;

#[task]
fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
    items.into_iter().max()
}

#[task]
fn total(items: impl IntoIterator<Item = u8>) -> u8 {
    items.into_iter().sum()
}

fn main() {
    let _ = (largest(vec![1]), total([1]));
}
