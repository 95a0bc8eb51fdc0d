//! The limits of workloads on threads: handwritten code that does the least that they need. `ball` has those for
//! processes.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::busy::Busy;
use crate::contest::time;

/// Boxes closures, keeps them, and calls them in a plain loop in one thread.
pub(crate) fn plain_loop(times: u64) -> f64 {
    time(|| {
        let closures: Vec<Box<dyn FnOnce() -> u64 + Send>> = (0..times).map(|n| Box::new(move || n) as _).collect();
        closures.into_iter().map(|closure| std::hint::black_box(closure)()).fold(0, u64::wrapping_add)
    })
}

/// Two threads that wake each other in turn.
pub(crate) fn condvar_ping_pong(times: u64) -> f64 {
    let table = Arc::new(Table { theirs: Mutex::new(false), hit: Condvar::new() });
    let other = Arc::clone(&table);
    let other = thread::spawn(move || (0..times).for_each(|_| other.hit(true)));
    // The first exchange waits for the start of the other thread, so it is not measured.
    table.hit(false);
    let took = time(|| (1..times).for_each(|_| table.hit(false)));
    other.join().expect("a thread that ends");
    took
}

struct Table {
    theirs: Mutex<bool>,
    hit: Condvar,
}

impl Table {
    /// Waits until the ball is on this side, and sends it to the other. In the beginning, it is on the side of the
    /// caller that passes `false`.
    fn hit(&self, theirs: bool) {
        let theirs_now = self.theirs.lock().expect("nobody panics");
        let mut ball = self.hit.wait_while(theirs_now, |ball| *ball != theirs).expect("nobody panics");
        *ball = !theirs;
        drop(ball);
        self.hit.notify_one();
    }
}

/// Runs half of the work on each of two threads.
pub(crate) fn halves(busy: Busy, times: u64) -> f64 {
    two_threads(busy, times / 2, times - times / 2)
}

/// Runs the given number of turns on each of two threads.
pub(crate) fn two_threads(busy: Busy, one: u64, other: u64) -> f64 {
    let work = move |times: u64| (0..times).map(|_| busy.run()).fold(0, u64::wrapping_add);
    time(|| {
        thread::scope(|scope| {
            let one = scope.spawn(move || work(one));
            let other = scope.spawn(move || work(other));
            one.join().expect("no panic").wrapping_add(other.join().expect("no panic"))
        })
    })
}
