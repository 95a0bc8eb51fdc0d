//! The functions that the tests submit, and what they share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use concurrent_futures::{Backend, Error, Executor, Future, Outcome};

use crate::doors::{Door, enter, let_in, mark, pass};

pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

pub(crate) fn panic_with(text: String) -> u64 {
    panic!("{text}")
}

pub(crate) fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

/// Waits at the door, and returns the number.
pub(crate) fn pass_with((door, number): (PathBuf, u64)) -> u64 {
    pass(door);
    number
}

/// Leaves a mark; the item after the first waits at a door before.
pub(crate) fn second_waits((door, number): (PathBuf, u32)) -> u32 {
    if number == 1 {
        enter(&door);
    }
    mark((door.join("marks"), number))
}

/// Has a worker wait at the door; returns when it is there.
pub(crate) fn occupy(executor: &dyn Backend, door: &Door) -> Future<u32> {
    let future = executor.submit(pass, door.path());
    door.arrived();
    future
}

/// Opens a door from where the door itself is out of reach.
pub(crate) fn open(door: &Path) {
    let_in(door, 64);
}

/// Opens the door when this future is done: for a shutdown that waits for what runs.
pub(crate) fn opens_when_done<T>(future: &Future<T>, door: &Door) {
    let door = door.path();
    future.add_done_callback(move |_| open(&door));
}

#[track_caller]
pub(crate) fn panic_message<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
    match outcome {
        Err(Error::Panicked(panicked)) => panicked.message().to_owned(),
        other => panic!("not a panic: {other:?}"),
    }
}

/// What happened, in order.
#[derive(Debug)]
pub(crate) struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Seen<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    pub(crate) fn push(&self, what: T) {
        self.0.lock().unwrap().push(what);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}
