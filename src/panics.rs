//! What happens to panics of user code: caught, located, and kept from doing harm.
//!
//! One chained panic hook, installed before the first task runs and never from a panicking thread. It records
//! where a panic came from, and only on threads that are inside a task; then it calls the hook that was there
//! before. A panic that is resumed without the hook keeps its message and has no location.
#![forbid(unsafe_code)]

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Outcome, Panic, Panicked};
use crate::sync::{LOCATES_PANICS, Mutex, thread, thread_local};
use crate::task;

/// What the hook has recorded about a panic.
pub(crate) struct Record {
    /// `None`: the payload was no text.
    message: Option<String>,
    location: Box<str>,
    backtrace: Option<Box<str>>,
}

thread_local! {
    /// `Some` inside a task; the last panic that passed the hook there.
    static RECORD: RefCell<Option<Option<Record>>> = RefCell::new(None);
}

/// Runs a task's function: a panic becomes [`Error::Panicked`].
pub(crate) fn catch<T>(function: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_or(function, Err)
}

/// As [`catch`], for what is no outcome itself: `panicked` makes it one of a panic.
pub(crate) fn catch_or<R>(function: impl FnOnce() -> R, panicked: impl FnOnce(Error) -> R) -> R {
    let outer = RECORD.try_with(|record| record.replace(Some(None))).ok().flatten();
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    let record = RECORD.try_with(|record| record.replace(outer)).ok().flatten().flatten();
    match result {
        Ok(returned) => returned,
        Err(payload) => panicked(describe(payload, record)),
    }
}

/// Runs `code` in the place of another thread. Returns its result, and what the hook has recorded about its last panic.
pub(crate) fn recorded<R>(code: impl FnOnce() -> R) -> (R, Option<Record>) {
    let outer = RECORD.with(|record| record.replace(Some(None)));
    let result = code();
    (result, RECORD.with(|record| record.replace(outer)).flatten())
}

/// Takes over what was [recorded] on a thread that ran code in the place of this one.
pub(crate) fn hand_on(recorded: Option<Record>) {
    let _ = RECORD.try_with(|record| {
        if let (Some(record), Some(recorded)) = (record.borrow_mut().as_mut(), recorded) {
            *record = Some(recorded);
        }
    });
}

fn describe(payload: Box<dyn Any + Send>, record: Option<Record>) -> Error {
    let text = text_of(&*payload);
    // A record of another panic, one that the task itself caught, says nothing about this one.
    let record = record.filter(|record| text == record.message);
    let message = text.unwrap_or_else(|| "a payload that is no text".into());
    let (location, backtrace) = record.map_or((None, None), |record| (Some(record.location), record.backtrace));
    Error::Panicked(Panicked::new(Panic {
        message: message.into(),
        location,
        worker: thread::current().name().map(Into::into),
        task: task::current_name().map(Into::into),
        backtrace,
        payload: Mutex::new(Some(payload)),
    }))
}

/// The text of a panic's payload, if it is one.
pub(crate) fn text_of(payload: &dyn Any) -> Option<String> {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        Some((*text).to_owned())
    } else {
        payload.downcast_ref::<String>().cloned()
    }
}

/// Chains the hook, once, from a thread that is not panicking.
pub(crate) fn install_hook() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // `set_hook` panics on a panicking thread: a later task will install it. Nobody waits here for one who does: that one may wait for
    // a hook that runs.
    if LOCATES_PANICS
        && !INSTALLED.load(Ordering::Relaxed)
        && !std::thread::panicking()
        && !INSTALLED.swap(true, Ordering::Relaxed)
    {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            record(info);
            previous(info);
        }));
    }
}

fn record(info: &PanicHookInfo<'_>) {
    // A thread whose thread-locals are gone is in no task.
    let _ = RECORD.try_with(|slot| {
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return;
        };
        let Some(slot) = slot.as_mut() else { return };
        let backtrace = Backtrace::capture();
        *slot = Some(Record {
            message: text_of(info.payload()),
            location: info.location().map(ToString::to_string).unwrap_or_default().into(),
            backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string().into()),
        });
    });
}

/// Runs user code that has nowhere to put a panic: it is reported and forgotten.
pub(crate) fn catch_and_log(what: &str, code: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(code)) {
        let text = text_of(&*payload);
        drop_caught(payload);
        report(what, text);
    }
}

/// Drops a value of the user's; a panic of its `Drop` goes no further.
pub(crate) fn drop_caught<D>(value: D) {
    // Dropped where it lies: to be moved once more, it would have to be on the stack twice.
    let mut place = Some(value);
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| place = None)) {
        report("the drop of a task's value", text_of(&*payload));
        drop_payload(payload);
    }
}

/// Logs a panic. The logger is the program's, and may panic as well: then there is nobody left to tell.
fn report(what: &str, text: Option<String>) {
    let text = text.as_deref().unwrap_or("a payload that is no text");
    let log = || log::error!("{what} panicked: {text}");
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(log)) {
        drop_payload(payload);
    }
}

/// Drops the payload of a panic, if it is a text. Any other may panic when it is dropped as well, and so on: an end to it.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if !payload.is::<String>() && !payload.is::<&'static str>() {
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::{catch_and_log, drop_caught};

    /// Panics when it is dropped, and so does what it panics with.
    struct Grenade;

    impl Drop for Grenade {
        fn drop(&mut self) {
            panic::panic_any(Splinter);
        }
    }

    struct Splinter;

    impl Drop for Splinter {
        fn drop(&mut self) {
            panic!("boom in the drop of a payload");
        }
    }

    #[test]
    fn a_panic_whose_payload_panics_goes_no_further() {
        drop_caught(Grenade);
        catch_and_log("a test", || panic::panic_any(Splinter));
        catch_and_log("a test", || panic::panic_any(Grenade));
    }
}
