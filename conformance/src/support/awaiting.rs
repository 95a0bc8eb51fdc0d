//! A runtime that awaits one future.

use std::future::IntoFuture;
use std::pin::pin;
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
