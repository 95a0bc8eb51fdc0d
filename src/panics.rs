//! What happens to panics of user code: caught, located, and kept from doing harm.
//!
//! One chained panic hook, installed before the first task runs and never from a panicking thread. It records
//! where a panic came from, and only on threads that are inside a task; then it calls the hook that was there
//! before. A panic that is resumed without the hook keeps its message and has no location.
#![forbid(unsafe_code)]

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Outcome, Panic, Panicked};
use crate::sync::{LOCATES_PANICS, Mutex, thread, thread_local};
use crate::task;

struct Record {
    /// `None`: the payload was no text.
    message: Option<String>,
    location: Box<str>,
    backtrace: Option<Box<str>>,
}

/// What the hook does with a panic of this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: the thread is in no task.
    Outside,
    /// Records it.
    Inside,
    /// Records it, in the place of the one that is recorded.
    Recorded,
}

thread_local! {
    static PHASE: Cell<Phase> = Cell::new(Phase::Outside);
    /// The last panic that passed the hook in the task, if the phase says that there is one.
    static RECORD: RefCell<Option<Record>> = RefCell::new(None);
}

#[inline]
fn enter(phase: Phase) -> Phase {
    PHASE.try_with(|current| current.replace(phase)).unwrap_or(Phase::Outside)
}

/// Swaps the record of this thread.
fn swap_record(record: Option<Record>) -> Option<Record> {
    // A thread whose thread-locals are gone keeps none.
    RECORD.try_with(|current| current.replace(record)).ok().flatten()
}

/// Runs a task's function: a panic becomes [`Error::Panicked`].
pub(crate) fn catch<T>(function: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_or(function, Err)
}

/// As [`catch`], for what is no outcome itself: `panicked` makes it one of a panic.
#[inline]
pub(crate) fn catch_or<R>(function: impl FnOnce() -> R, panicked: impl FnOnce(Error) -> R) -> R {
    // A task may run in a drop that a panic of another task runs: that one's record is put back. Mostly there is none to be moved.
    let before = enter(Phase::Inside);
    let outer = if before == Phase::Recorded { swap_record(None) } else { None };
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    let after = enter(before);
    let record = if after == Phase::Recorded || outer.is_some() { swap_record(outer) } else { None };
    match result {
        Ok(returned) => returned,
        Err(payload) => panicked(describe(payload, record)),
    }
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
    if !PHASE.try_with(Cell::get).is_ok_and(|phase| phase != Phase::Outside) {
        return;
    }
    let backtrace = Backtrace::capture();
    let record = Record {
        message: text_of(info.payload()),
        location: info.location().map(ToString::to_string).unwrap_or_default().into(),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string().into()),
    };
    drop(swap_record(Some(record)));
    enter(Phase::Recorded);
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

    use super::{catch, catch_and_log, drop_caught, install_hook};
    use crate::error::{Error, Outcome};

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

    fn location_of(outcome: Outcome<()>) -> Option<String> {
        let Err(Error::Panicked(panicked)) = outcome else { panic!("it panicked") };
        panicked.location().map(String::from)
    }

    #[test]
    fn a_panic_keeps_its_place_while_its_unwinding_runs_a_task_that_panics() {
        struct Nested;
        impl Drop for Nested {
            fn drop(&mut self) {
                let inner = location_of(catch(|| panic!("inner")));
                assert!(inner.is_some_and(|place| place.starts_with(file!())));
            }
        }
        install_hook();
        let line = line!() + 3;
        let outer = catch(|| {
            let _nested = Nested;
            panic!("outer")
        });
        assert!(location_of(outer).is_some_and(|place| place.contains(&format!("panics.rs:{line}:"))));
    }

    #[test]
    fn a_panic_that_a_task_caught_says_nothing_about_the_next_task() {
        install_hook();
        catch(|| {
            let _ = panic::catch_unwind(|| panic!("the same text"));
            Ok(())
        })
        .unwrap();
        // It does not pass the hook, so nobody knows where it came from.
        let resumed = catch(|| panic::resume_unwind(Box::new("the same text")));
        assert_eq!(location_of(resumed), None);
    }

    #[test]
    fn a_panic_whose_payload_panics_goes_no_further() {
        drop_caught(Grenade);
        catch_and_log("a test", || panic::panic_any(Splinter));
        catch_and_log("a test", || panic::panic_any(Grenade));
    }
}
