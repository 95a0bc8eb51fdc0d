//! [`Invocation`]: what a message calls: a function of this program, once or for each item of a list.
//!
//! Celery has two tasks of its own that call another task for each item of a list, `celery.map` and `celery.starmap`.
//! Each item becomes a task of the executor, so items run at the same time if it has workers for them. The outcome is
//! the list of all results, or the failure of the first item in the list that has failed.
#![forbid(unsafe_code)]

use std::sync::Arc;

use concurrent_futures::named::{self, Handle, Named};
use concurrent_futures::{Backend, Decode, Error, Part, TaskOptions};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::outcome::Outcome;
use crate::args::Arguments;
use crate::failure::LINK;

/// Calls a task with each item of a list.
const MAP: &str = "celery.map";
/// Calls a task with each item of a list, each of which is a list of arguments.
const STARMAP: &str = "celery.starmap";

pub(super) enum Invocation<'a> {
    Once(&'static Named, Arguments<'a>),
    /// The positional arguments of each call, as a JSON array.
    Each(&'static Named, Vec<String>),
}

/// The keyword arguments of `celery.map` and `celery.starmap`.
#[derive(Deserialize)]
struct Each<'a> {
    /// A signature, or the name of a task.
    task: Value,
    #[serde(borrow)]
    it: Vec<&'a RawValue>,
}

/// Returns `true` if this worker can call a task of this name.
pub(super) fn is_known(task: &str) -> bool {
    named::get(task).is_some() || task == MAP || task == STARMAP
}

/// Returns the error of a task that this worker does not have.
pub(super) fn unknown(task: &str) -> Error {
    Error::Decode(Decode::new(Part::Function, format!("no task named {task:?} is registered with this worker: {LINK}")))
}

impl<'a> Invocation<'a> {
    pub(super) fn read(task: &str, arguments: Arguments<'a>) -> Result<Self, Error> {
        if task != MAP && task != STARMAP {
            return Ok(Self::Once(named::get(task).ok_or_else(|| unknown(task))?, arguments));
        }
        let unread = |text: String| Error::Decode(Decode::new(Part::Argument, text));
        let Each { task: inner, it } = serde_json::from_str(arguments.kwargs)
            .map_err(|error| unread(format!("{task} cannot be called: {error}")))?;
        let inner = inner.get("task").unwrap_or(&inner);
        let inner =
            inner.as_str().ok_or_else(|| unread(format!("{task} cannot be called: {inner} is no signature")))?;
        let items = it.iter().map(|item| if task == STARMAP { item.to_string() } else { format!("[{item}]") });
        Ok(Self::Each(named::get(inner).ok_or_else(|| unknown(inner))?, items.collect()))
    }

    /// Submits the call to an executor. Calls `done` with the outcome, in the thread that completes the task.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if the arguments cannot be read. `done` is not called then.
    pub(super) fn submit(
        self,
        executor: &dyn Backend,
        options: &TaskOptions,
        max_size: usize,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<Box<dyn Handle>, Error> {
        match self {
            Self::Once(function, arguments) => {
                let mut arguments = <dyn erased_serde::Deserializer<'_>>::erase(arguments);
                let on_done =
                    move |outcome: Result<&dyn erased_serde::Serialize, &Error>| done(Outcome::of(outcome, max_size));
                function.submit(executor, options.clone(), &mut arguments, on_done)
            }
            Self::Each(function, items) => submit_each(function, &items, executor, options, max_size, done),
        }
    }
}

/// The outcomes of the items so far.
struct Gathered<D> {
    outcomes: Vec<Option<Outcome>>,
    left: usize,
    /// Taken by the last outcome.
    done: Option<D>,
}

/// The handles of all items, as one handle.
struct Handles(Vec<Box<dyn Handle>>);

impl Handle for Handles {
    fn cancel(&self) -> bool {
        self.0.iter().filter(|handle| handle.cancel()).count() > 0
    }
    fn abort(&self) -> bool {
        self.0.iter().filter(|handle| handle.abort()).count() > 0
    }
}

fn submit_each<D: FnOnce(Outcome) + Send + 'static>(
    function: &Named,
    items: &[String],
    executor: &dyn Backend,
    options: &TaskOptions,
    max_size: usize,
    done: D,
) -> Result<Box<dyn Handle>, Error> {
    // The last outcome completes the call. `left` is one more than there are items, so that this cannot happen before
    // all items are submitted.
    let outcomes = items.iter().map(|_| None).collect();
    let gathered = Arc::new(Mutex::new(Gathered { outcomes, left: items.len() + 1, done: Some(done) }));
    let mut handles = Handles(Vec::with_capacity(items.len()));
    for (position, item) in items.iter().enumerate() {
        let gathering = Arc::clone(&gathered);
        let on_done = move |outcome: Result<&dyn erased_serde::Serialize, &Error>| {
            record(&gathering, Some((position, Outcome::of(outcome, max_size))));
        };
        let arguments = Arguments { args: item, kwargs: "{}" };
        let mut arguments = <dyn erased_serde::Deserializer<'_>>::erase(arguments);
        match function.submit(executor, options.clone(), &mut arguments, on_done) {
            Ok(handle) => handles.0.push(handle),
            Err(error) => record(&gathered, Some((position, Outcome::of_error(&error)))),
        }
    }
    record(&gathered, None);
    Ok(Box::new(handles))
}

/// Records the outcome of an item, or that all items are submitted. The last call calls `done`.
fn record<D: FnOnce(Outcome)>(gathered: &Mutex<Gathered<D>>, outcome: Option<(usize, Outcome)>) {
    let mut all = gathered.lock();
    if let Some((position, outcome)) = outcome {
        all.outcomes[position] = Some(outcome);
    }
    all.left -= 1;
    if all.left > 0 {
        return;
    }
    let (outcomes, done) = (std::mem::take(&mut all.outcomes), all.done.take());
    drop(all);
    if let Some(done) = done {
        done(combine(outcomes.into_iter().flatten()));
    }
}

/// Returns the list of all values, or the first outcome that is not a value.
fn combine(outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    let mut list = String::from("[");
    for outcome in outcomes {
        match outcome {
            Outcome::Value(text) => {
                if list.len() > 1 {
                    list.push(',');
                }
                list.push_str(&text);
            }
            other => return other,
        }
    }
    list.push(']');
    Outcome::Value(list)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use concurrent_futures::{Error, InlineExecutor, Part, TaskOptions, task};

    use super::{Invocation, is_known};
    use crate::args::Arguments;
    use crate::worker::outcome::Outcome;

    #[task(name = "tests.call.add")]
    fn add((a, b): (i64, i64)) -> i64 {
        a + b
    }

    #[task(name = "tests.call.half")]
    fn half(n: i64) -> Result<i64, String> {
        if n % 2 == 0 { Ok(n / 2) } else { Err(format!("{n} is odd")) }
    }

    /// Returns the result in JSON, or the text of the failure.
    fn called(task: &str, args: &str, kwargs: &str) -> Result<Result<String, String>, Error> {
        let (send, on_done) = channel();
        let done = move |outcome| send.send(outcome).unwrap();
        Invocation::read(task, Arguments { args, kwargs })?.submit(&InlineExecutor, &TaskOptions::new(), 1000, done)?;
        Ok(match on_done.recv().unwrap() {
            Outcome::Value(text) => Ok(text),
            Outcome::Failed { failure, .. } | Outcome::Revoked { failure, .. } => Err(failure.message()),
        })
    }

    #[test]
    fn a_function_is_called_once_or_for_each_item() {
        assert_eq!(called("tests.call.add", "[1, 2]", "{}").unwrap(), Ok("3".into()));
        let signature = r#"{"task": "tests.call.add", "args": [], "kwargs": {}}"#;
        let star = format!(r#"{{"task": {signature}, "it": [[1, 2], [3, 4]]}}"#);
        assert_eq!(called("celery.starmap", "[]", &star).unwrap(), Ok("[3,7]".into()));
        let halves =
            |items: &str| called("celery.map", "[]", &format!(r#"{{"task": "tests.call.half", "it": {items}}}"#));
        assert_eq!(halves("[2, 4]").unwrap(), Ok("[1,2]".into()));
        assert_eq!(halves("[]").unwrap(), Ok("[]".into()));
        assert_eq!(halves("[2, 3, 5]").unwrap(), Err("3 is odd".into()));
        let unread = halves("[2, \"x\"]").unwrap().unwrap_err();
        assert!(unread.contains("invalid type: string"), "{unread}");
    }

    #[test]
    fn what_cannot_be_called_says_why() {
        assert!(is_known("celery.starmap") && is_known("tests.call.add") && !is_known("tests.call.sub"));
        let part = |error| match error {
            Error::Decode(decode) => decode.part(),
            other => panic!("{other:?}"),
        };
        let unknown = r#"{"task": {"task": "tests.call.sub"}, "it": []}"#;
        assert_eq!(part(called("celery.map", "[]", unknown).unwrap_err()), Part::Function);
        assert_eq!(part(called("celery.map", "[]", r#"{"task": 7, "it": []}"#).unwrap_err()), Part::Argument);
        assert_eq!(part(called("celery.map", "[]", "{}").unwrap_err()), Part::Argument);
    }
}
