//! A runtime that awaits one future.

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::watchdog::LONG;

/// Wakes the thread that awaits the future.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

/// A waker that counts how often it was woken.
#[derive(Default)]
pub struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl WakeCounter {
    /// Creates one that was never woken.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns how often it was woken.
    pub fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Calls a poll function with this waker.
    pub fn poll_with<R>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
        poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }

    /// Polls a future with this waker.
    pub fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        self.poll_with(|context| Pin::new(future).poll(context))
    }
}

/// Awaits a future in this thread, which sleeps meanwhile.
///
/// # Panics
///
/// Panics if nothing wakes it for [`LONG`].
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future.into_future());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let rang = bell.0.lock().unwrap();
        let (mut rang, _) = bell.1.wait_timeout_while(rang, LONG, |rang| !*rang).unwrap();
        assert!(std::mem::take(&mut *rang), "the awaiting thread is never woken");
    }
}
