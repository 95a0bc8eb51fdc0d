//! [`Handoff`]: passes the loop of a worker to another thread if a flush of standard output does not come back.
//!
//! Another thread of the process may keep standard output locked for ever, and nobody can look whether that is so without waiting for it.
//! So a runner leaves its loop in the [`Handoff`] while it flushes, with the answer that is due:
//!
//! | place | means | left for | by |
//! |---|---|---|---|
//! | `Empty` | no flush | `Flushing` | the runner, before it flushes |
//! | `Flushing` | whoever takes the loop out is the runner | `Empty`, `Stuck` | the runner, after the flush; the clock, after [`LIMIT`] |
//! | `Stuck` | a thread that has no loop is in a flush | `Empty` | that thread, which is the clock from then on |
//!
//! While the place is `Stuck` the runner does not flush, and does not wait: what is printed goes out with the flush that is under way. So
//! there are never more than these two threads, and one of them has the loop. Who is stuck keeps no time; nothing needs it then.
//!
//! The clock wakes for the first flush after a quiet time, and then every `LIMIT` until one passes without a flush. A flush that is
//! not waited for costs two turns of a lock that nobody else wants.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// How long an answer waits for what was printed to be written.
const LIMIT: Duration = Duration::from_millis(250);

/// Where a runner leaves what it runs while it flushes.
pub(super) struct Handoff<T> {
    state: Mutex<State<T>>,
    /// The clock is to keep the time.
    begun: Condvar,
}

struct State<T> {
    place: Place<T>,
    /// How many flushes have begun.
    flushes: u64,
    /// The clock is awake, or is about to be.
    is_timed: bool,
}

enum Place<T> {
    Empty,
    Flushing(Box<T>),
    Stuck,
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { place: Place::Empty, flushes: 0, is_timed: false }), begun: Condvar::new() }
    }
}

impl<T> Handoff<T> {
    /// Writes what was printed, unless that takes too long. `None`: then it was taken by the other thread.
    pub(super) fn flush(&self, task_loop: Box<T>) -> Option<Box<T>> {
        let mut state = self.state.lock();
        if matches!(state.place, Place::Stuck) {
            return Some(task_loop);
        }
        state.place = Place::Flushing(task_loop);
        state.flushes += 1;
        let is_first = !std::mem::replace(&mut state.is_timed, true);
        drop(state);
        if is_first {
            self.begun.notify_one();
        }
        // A stream that is closed is the task's own doing.
        let _ = io::stdout().flush();
        match std::mem::replace(&mut self.state.lock().place, Place::Empty) {
            Place::Flushing(task_loop) => Some(task_loop),
            Place::Empty | Place::Stuck => None,
        }
    }

    /// Keeps the time of flushes, until one takes too long: then its `T` is this thread's.
    pub(super) fn keep_time(&self) -> Box<T> {
        let mut state = self.state.lock();
        loop {
            while !state.is_timed {
                self.begun.wait(&mut state);
            }
            let (flushes, until) = (state.flushes, Instant::now() + LIMIT);
            while !self.begun.wait_until(&mut state, until).timed_out() {}
            if state.flushes != flushes {
                continue;
            }
            match std::mem::replace(&mut state.place, Place::Stuck) {
                Place::Flushing(task_loop) => {
                    // Whoever is stuck is the next clock, which looks at this.
                    state.is_timed = false;
                    return task_loop;
                }
                other => state.place = other,
            }
            state.is_timed = false;
        }
    }
}
