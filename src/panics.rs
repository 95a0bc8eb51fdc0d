//! Turns a panic of a task into an error that says where it came from.
//!
//! One chained panic hook, installed before the first task runs and never from a panicking thread. It records where a
//! panic came from, and only on threads that are inside a task; then it calls the hook that was there before. A panic
//! that is resumed without the hook keeps its message and has no location.
#![forbid(unsafe_code)]

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Outcome, Panic, Panicked};
use crate::sync::{LOCATES_PANICS, Mutex, thread, thread_local};
use crate::unwind::text_of;

/// What the hook has recorded about a panic.
pub(crate) struct Record {
    /// `None` if the payload was not a text.
    message: Option<String>,
    location: Box<str>,
    backtrace: Option<Box<str>>,
}

/// What the hook does with a panic of this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: the thread is in no task.
    Outside,
    /// Records the panic.
    Inside,
    /// Records the panic in place of the recorded one.
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
    // A thread whose thread-locals are destroyed keeps no record.
    RECORD.try_with(|current| current.replace(record)).ok().flatten()
}

/// Runs a task's function: a panic becomes [`Error::Panicked`].
pub(crate) fn catch<T>(function: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_or(function, Err)
}

/// Same as [`catch`], for a function that does not return an outcome: `panicked` converts the error of a panic.
///
/// Generic code is compiled again for each function that a program submits, so this function is short.
#[inline]
pub(crate) fn catch_or<R>(function: impl FnOnce() -> R, panicked: impl FnOnce(Error) -> R) -> R {
    let outer = begin();
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    let record = end(outer);
    match result {
        Ok(returned) => returned,
        Err(payload) => panicked(describe(payload, record)),
    }
}

/// Calls `step` for one item after another, until it returns `false`. Passes a panic to `panicked`, and goes on with the
/// next item. One of the two must have taken the item that panicked out of `state`, or `step` gets it again.
///
/// All items up to one that panics have one guard together, because a guard costs as much as a short item.
pub(crate) fn catch_each<S>(state: &mut S, step: impl Fn(&mut S) -> bool, panicked: impl Fn(&mut S, Error)) {
    let items = |state: &mut S| {
        while step(state) {}
        Ok(())
    };
    while let Err(error) = catch(|| items(state)) {
        panicked(state, error);
    }
}

/// The state of a thread when it begins a task, which may be inside another task, or inside its unwinding.
struct Outer {
    phase: Phase,
    record: Option<Record>,
}

/// Begins a task. A task may run in a drop during the unwinding of another task, whose record is restored afterwards.
/// Usually there is none to move.
#[inline]
fn begin() -> Outer {
    let phase = enter(Phase::Inside);
    Outer { phase, record: if phase == Phase::Recorded { swap_record(None) } else { None } }
}

/// Returns the panic that was recorded since [`begin`].
#[inline]
fn end(outer: Outer) -> Option<Record> {
    let after = enter(outer.phase);
    if after == Phase::Recorded || outer.record.is_some() { swap_record(outer.record) } else { None }
}

/// Runs `code` on behalf of another thread. Returns its result, and what the hook recorded about its last panic.
pub(crate) fn recorded<R>(code: impl FnOnce() -> R) -> (R, Option<Record>) {
    let outer = begin();
    let result = code();
    (result, end(outer))
}

/// Takes over what was [recorded] on a thread that ran code on behalf of this one.
pub(crate) fn hand_on(recorded: Option<Record>) {
    let is_in_task = PHASE.try_with(Cell::get).is_ok_and(|phase| phase != Phase::Outside);
    if is_in_task && recorded.is_some() {
        drop(swap_record(recorded));
        enter(Phase::Recorded);
    }
}

fn describe(payload: Box<dyn Any + Send>, record: Option<Record>) -> Error {
    let text = text_of(&*payload);
    // The record may belong to an earlier panic, which the task itself has caught. Then it is not used.
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
    // `set_hook` panics on a panicking thread, so a later task installs the hook. No thread waits here for one that is
    // installing it, which may itself wait for a hook that runs.
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

#[cfg(test)]
mod tests {
    use std::panic;

    use super::{catch, catch_each, install_hook};
    use crate::error::{Error, Outcome};

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
    fn an_item_that_panics_costs_no_other() {
        let mut all = ((0..5).collect::<Vec<u32>>().into_iter(), Vec::new());
        let step = |(items, seen): &mut (std::vec::IntoIter<u32>, Vec<Result<u32, String>>)| {
            let Some(item) = items.next() else { return false };
            assert!(![0, 2, 3].contains(&item), "item {item}");
            seen.push(Ok(item));
            true
        };
        catch_each(&mut all, step, |(_, seen), error| seen.push(Err(error.to_string())));
        let numbers: Vec<_> = all.1.iter().map(|seen| seen.as_ref().ok().copied()).collect();
        assert_eq!(numbers, [None, Some(1), None, None, Some(4)]);
        assert!(
            (0..5)
                .zip(&all.1)
                .all(|(n, seen)| seen.as_ref().err().is_none_or(|text| text.contains(&format!("item {n}"))))
        );
    }

    #[test]
    fn a_panic_that_a_task_caught_says_nothing_about_the_next_task() {
        install_hook();
        catch(|| {
            let _ = panic::catch_unwind(|| panic!("the same text"));
            Ok(())
        })
        .unwrap();
        // A resumed panic does not call the hook, so its location is unknown.
        let resumed = catch(|| panic::resume_unwind(Box::new("the same text")));
        assert_eq!(location_of(resumed), None);
    }
}
