//! Fails a test that hangs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::leak_check::Resources;

/// Far longer than anything in a test takes: only a test that hangs reaches it.
pub const LONG: Duration = Duration::from_secs(120);

/// Runs `body` on a thread of its own.
///
/// # Panics
///
/// Panics if `body` does, or if it has not returned after `limit`: then its thread is left behind. On Linux, after
/// `leak_check::check_each`, also if `body` leaves a thread, descriptor or child behind.
#[track_caller]
pub fn within<R: Send + 'static>(limit: Duration, body: impl FnOnce() -> R + Send + 'static) -> R {
    #[cfg(target_os = "linux")]
    let before = Resources::if_checked();
    let (sender, receiver) = channel();
    let name = thread::current().name().unwrap_or("within").to_owned();
    let body = thread::Builder::new().name(name).spawn(move || {
        let result = body();
        let _ = sender.send(());
        result
    });
    let body = body.expect("a thread for the test");
    if receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        panic!("it hangs: it has not returned after {limit:?}");
    }
    let result = body.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
    #[cfg(target_os = "linux")]
    if let Some(before) = before {
        before.assert_nothing_is_left();
    }
    result
}

/// Receives a message that must come.
///
/// # Panics
///
/// Panics if it has not come after [`LONG`].
#[track_caller]
pub fn soon<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(LONG).expect("the event must come")
}
