//! Makes a panic of a task an error that says where it came from.
//!
//! One chained panic hook, installed before the first task runs and never from a panicking thread. It records
//! where a panic came from, and only on threads that are inside a task; then it calls the hook that was there
//! before. A panic that is resumed without the hook keeps its message and has no location.
#![forbid(unsafe_code)]

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Outcome, Panic, Panicked};
use crate::sync::{LOCATES_PANICS, Mutex, thread, thread_local};
use crate::unwind::{payload_of, text_of};

/// What the hook has seen of a panic.
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
    let (mut function, mut returned) = (Some(function), None);
    let panic = catch_located(&mut || returned = function.take().map(|function| function()));
    match (returned, panic) {
        (Some(returned), _) => returned,
        (None, panic) => panicked(panic.unwrap_or(Error::Abandoned)),
    }
}

/// Runs `code` for another thread, and returns with its result what the hook has seen of its last panic.
pub(crate) fn recorded<R>(code: impl FnOnce() -> R) -> (R, Option<Record>) {
    let outer = RECORD.with(|record| record.replace(Some(None)));
    let result = code();
    (result, RECORD.with(|record| record.replace(outer)).flatten())
}

/// Takes over what another thread has [recorded] in the place of this one.
pub(crate) fn hand_on(seen: Option<Record>) {
    let _ = RECORD.try_with(|record| {
        if let (Some(record), Some(seen)) = (record.borrow_mut().as_mut(), seen) {
            *record = Some(seen);
        }
    });
}

/// The part of [`catch_or`] that is the same for all tasks. What is generic is compiled again for each function that a program
/// submits, so there is little of it.
fn catch_located(function: &mut dyn FnMut()) -> Option<Error> {
    let outer = swap_record(Some(None));
    let payload = payload_of(function);
    let record = swap_record(outer).flatten();
    payload.map(|payload| describe(payload, record))
}

/// Puts this in the place of the thread's record, and returns what was there.
fn swap_record(record: Option<Option<Record>>) -> Option<Option<Record>> {
    RECORD.try_with(|slot| slot.replace(record)).ok().flatten()
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
        task: None,
        backtrace,
        payload: Mutex::new(Some(payload)),
    }))
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
