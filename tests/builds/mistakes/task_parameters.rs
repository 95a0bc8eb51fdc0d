//~ a task has one parameter, and `add` has 2: make them a tuple, as in `fn add((a, b): (A, B))`, or let the first of two be a context, as in `fn add(context: &C, a: A)`
//~ a task has one parameter, and `now` has none: add one, as in `fn now(_: ())`
//~ a method cannot be a task: put `#[task]` on a function that calls `shout`
//~ a task owns its argument, because other programs send it: take a `String` in place of a `&str`, and a `Vec` in place of a slice
use std::collections::HashMap;

use concurrent_futures::task;

#[task]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[task]
fn now() -> u64 {
    7
}

#[task]
fn length(text: &str) -> usize {
    text.len()
}

struct Text(String);

impl Text {
    #[task]
    fn shout(&self) -> String {
        self.0.to_uppercase()
    }
}

/// One parameter: a comma between angle brackets is none between parameters.
#[task]
fn count(words: HashMap<String, u32>) -> u32 {
    words.into_values().sum()
}

fn main() {
    let _ = (add(1, 2), now(), length("three"), Text(String::new()).shout(), count(HashMap::new()));
}
