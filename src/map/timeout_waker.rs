//! [`TimeoutWaker`]: wakes the async task that polls a map when the timeout of the map expires.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::deadlines::Key;
use crate::pauses::{Paused, Pauses};
use crate::sync::Mutex;
use crate::unwind::drop_caught;

/// Wakes the waker of the last poll at a deadline. Its drop cancels that.
pub(super) struct TimeoutWaker {
    pauses: Arc<Pauses>,
    key: Key,
    last_waker: Arc<LastWaker>,
}

/// The waker of the last poll.
struct LastWaker(Mutex<Option<Waker>>);

impl TimeoutWaker {
    /// Makes one without a waker, for this deadline.
    pub(super) fn new(deadline: Instant) -> Self {
        let (pauses, key) = (Pauses::new(), Key::new(deadline));
        let last_waker = Arc::new(LastWaker(Mutex::new(None)));
        // If no thread can be started, the map notices the end of its timeout at the next poll.
        pauses.add(key, Arc::clone(&last_waker) as _);
        Self { pauses, key, last_waker }
    }

    /// Replaces the waker. If the deadline has not passed after this call, the waker will be woken.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self.last_waker.0.lock().replace(waker);
        drop_caught(replaced);
    }
}

impl Drop for TimeoutWaker {
    fn drop(&mut self) {
        self.pauses.remove(self.key);
        let waker = self.last_waker.0.lock().take();
        drop_caught(waker);
    }
}

impl Paused for LastWaker {
    fn resume(&self) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn give_up(&self) {}

    fn cancel(&self) -> bool {
        false
    }
}
