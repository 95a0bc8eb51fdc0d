//! Catches panics of user code that has no caller to report them to: drops, callbacks, wakers and loggers.
#![forbid(unsafe_code)]

use std::any::Any;
use std::mem::needs_drop;
use std::ops::{Deref, DerefMut};
use std::panic::{self, AssertUnwindSafe};

/// Runs `code`, and returns the payload if it panicked.
pub(crate) fn payload_of(code: &mut dyn FnMut()) -> Option<Box<dyn Any + Send>> {
    panic::catch_unwind(AssertUnwindSafe(code)).err()
}

/// Runs user code. A panic is logged and goes no further.
pub(crate) fn catch_and_log(what: &str, code: impl FnOnce()) {
    let mut code = Some(code);
    catch_and_log_dyn(what, &mut || {
        if let Some(code) = code.take() {
            code();
        }
    });
}

/// As [`catch_and_log`], for code that is handed on: compiled once.
pub(crate) fn catch_and_log_dyn(what: &str, code: &mut dyn FnMut()) {
    if let Some(payload) = payload_of(code) {
        let text = text_of(&*payload);
        drop_caught(payload);
        report(what, text);
    }
}

/// Drops a user's value. A panic of its `Drop` is logged and goes no further.
#[inline]
pub(crate) fn drop_caught<D>(value: D) {
    if const { needs_drop::<D>() } {
        clear_caught(&mut Some(value));
    }
}

/// As [`drop_caught`]. The value is dropped in place: moving it once more would need room for it on the stack twice.
fn clear_caught<D>(place: &mut Option<D>) {
    if let Some(payload) = payload_of(&mut || *place = None) {
        report_drop(payload);
    }
}

/// Holds a user's value whose drop must not unwind, because other drops follow: see [`drop_caught`].
pub(crate) struct Caught<D>(Option<D>);

impl<D> Caught<D> {
    pub(crate) fn new(value: D) -> Self {
        Self(Some(value))
    }
}

impl<D> Deref for Caught<D> {
    type Target = D;

    fn deref(&self) -> &D {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<D> DerefMut for Caught<D> {
    fn deref_mut(&mut self) -> &mut D {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl<D> Drop for Caught<D> {
    fn drop(&mut self) {
        if const { needs_drop::<D>() } {
            clear_caught(&mut self.0);
        }
    }
}

fn report_drop(payload: Box<dyn Any + Send>) {
    report("the drop of a task's value", text_of(&*payload));
    drop_payload(payload);
}

/// Logs a panic. The logger is user code and may panic as well; that panic is ignored.
fn report(what: &str, text: Option<String>) {
    let text = text.as_deref().unwrap_or("a payload that is no text");
    if let Some(payload) = payload_of(&mut || log::error!("{what} panicked: {text}")) {
        drop_payload(payload);
    }
}

/// Drops the payload of a panic, if it is a text. Any other may panic when it is dropped as well, and so on: an end to
/// it.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if !payload.is::<String>() && !payload.is::<&'static str>() {
        std::mem::forget(payload);
    }
}

/// Returns the payload of a panic as text, if it is a text.
pub(crate) fn text_of(payload: &dyn Any) -> Option<String> {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        Some((*text).to_owned())
    } else {
        payload.downcast_ref::<String>().cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::{catch_and_log, drop_caught};

    /// Panics when it is dropped, and so does what it panics with.
    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic::panic_any(PanickingPayload);
        }
    }

    struct PanickingPayload;

    impl Drop for PanickingPayload {
        fn drop(&mut self) {
            panic!("boom in the drop of a payload");
        }
    }

    #[test]
    fn a_panic_in_the_drop_of_a_payload_is_caught() {
        drop_caught(PanicsOnDrop);
        catch_and_log("a test", || panic::panic_any(PanickingPayload));
        catch_and_log("a test", || panic::panic_any(PanicsOnDrop));
    }
}
