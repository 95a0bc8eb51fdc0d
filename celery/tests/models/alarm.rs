//! [`Alarm`]: the waker of a thread that polls.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use shuttle::sync::{Condvar, Mutex};

/// Wakes a thread that polls.
pub(crate) struct Alarm(Mutex<bool>, Condvar);

impl Alarm {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(false), Condvar::new()))
    }

    /// Polls a future once.
    pub(crate) fn poll<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> Option<T> {
        let waker = Waker::from(Arc::clone(self));
        match std::pin::pin!(future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Sleeps until it is woken, or does not sleep if it was woken since the last time.
    pub(crate) fn sleep(&self) {
        let mut rings = self.0.lock().unwrap();
        while !*rings {
            rings = self.1.wait(rings).unwrap();
        }
        *rings = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}
