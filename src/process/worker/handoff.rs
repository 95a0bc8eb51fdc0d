//! [`Handoff`]: passes the loop of a worker to another thread if a flush of standard output does not return.
//!
//! Another thread of the process may keep standard output locked for ever, and this cannot be detected without waiting.
//! So a runner leaves its loop in the [`Handoff`] while it flushes, together with the pending answer:
//!
//! | place | meaning | next | by |
//! |---|---|---|---|
//! | `Empty` | no flush | `Flushing` | the runner, before it flushes |
//! | `Flushing` | the thread that takes the loop out is the runner | `Empty`, `Stuck` | the runner, after the flush; the clock, after [`LIMIT`] |
//! | `Stuck` | a thread without the loop is in a flush | `Empty` | that thread, which is the clock from then on |
//!
//! While the place is `Stuck`, the runner neither flushes nor waits: what is printed goes out with the flush that is
//! under way. So there are never more than these two threads, and one of them has the loop. The stuck thread keeps no
//! time, which is not needed then.
//!
//! The clock wakes for the first flush after a quiet time, and then every `LIMIT` until one passes without a flush. A
//! flush that is not waited for costs two acquisitions of an uncontended lock.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// How long an answer waits until printed output is written.
const LIMIT: Duration = Duration::from_millis(250);

/// Where a runner leaves its loop while it flushes.
pub(super) struct Handoff<T> {
    state: Mutex<State<T>>,
    /// Wakes the clock to keep the time.
    begun: Condvar,
}

struct State<T> {
    place: Place<T>,
    /// How many flushes have begun. Counted by the runner.
    flushes: u64,
    /// Set if the clock is awake, or about to wake.
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
    /// Flushes standard output. Returns `None` if that took too long and the other thread has taken the loop.
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
        // If the stream is closed, a task closed it.
        let _ = io::stdout().flush();
        match std::mem::replace(&mut self.state.lock().place, Place::Empty) {
            Place::Flushing(task_loop) => Some(task_loop),
            Place::Empty | Place::Stuck => None,
        }
    }

    /// Keeps the time of flushes until one takes too long. Returns the loop of the thread that is stuck in it.
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
                    // The stuck thread is the next clock, which waits for this.
                    state.is_timed = false;
                    return task_loop;
                }
                other => state.place = other,
            }
            state.is_timed = false;
        }
    }
}
