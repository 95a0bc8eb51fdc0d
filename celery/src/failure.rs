//! [`Failure`]: an error in the form of an answer, and the table that converts it to the error of a future.
//!
//! Python identifies exceptions by the names of their types. A worker of this crate sends the name that Python has for
//! the same failure, and adds a [`Report`], which Python ignores, and from which a client of this crate restores the
//! whole error.
//!
//! | in Rust | `exc_type` of a Rust worker | from a Python worker, the future ends with |
//! |---|---|---|
//! | `Failed` | the last segment of its type's name | `Failed` for all types but those below, with the traceback |
//! | `Decode(Function)` | `NotRegistered` | the same |
//! | `Decode(Argument)` | `TypeError` | `Failed` |
//! | `TimeLimit` | `TimeLimitExceeded` | the same, also for `SoftTimeLimitExceeded` |
//! | `WorkerDied` | `WorkerLostError` | the same |
//! | `Panicked` | `Panicked` | |
//! | any other | `RuntimeError` | |
//! | `Cancelled` | `TaskRevokedError`, in an answer that is REVOKED | the same |
#![forbid(unsafe_code)]

use std::time::Duration;

use concurrent_futures::{Decode, Error, Part, Report, TimeLimit, WorkerDied};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of an answer about a task that has failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The name of the exception's type.
    pub(crate) exc_type: String,
    /// The arguments of the exception, or its text.
    #[serde(default)]
    exc_message: Value,
    /// The module in which Python's clients look for the type. It is null for types of Rust: Python then makes a type
    /// of that name.
    #[serde(default)]
    exc_module: Value,
    /// The [`Report`] of a worker of this crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cf: Option<Value>,
}

/// What a client knows about a task that has failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedTask<'a> {
    /// The name of the task on the cluster.
    pub(crate) name: &'a str,
    pub(crate) time_limit: Option<Duration>,
    /// The worker that said it had started the task.
    pub(crate) worker: Option<&'a str>,
}

impl Failure {
    /// Makes an exception of a type that Celery or Python has.
    pub(crate) fn new(exc_type: &str, message: &str) -> Self {
        let exc_module = match exc_type {
            "NotRegistered" | "TaskRevokedError" | "TimeLimitExceeded" | "WorkerLostError" => {
                "celery.exceptions".into()
            }
            "TypeError" | "RuntimeError" | "NotImplementedError" => "builtins".into(),
            _ => Value::Null,
        };
        Self { exc_type: exc_type.into(), exc_message: vec![message].into(), exc_module, cf: None }
    }

    /// Makes an exception of the error of a task.
    pub(crate) fn of(error: &Error) -> Self {
        let exc_type = match error {
            Error::Failed(failed) => failed.type_name().rsplit("::").next().unwrap_or("Failed"),
            Error::Decode(decode) if decode.part() == Part::Function => "NotRegistered",
            Error::Decode(decode) if decode.part() == Part::Argument => "TypeError",
            Error::TimeLimit(_) => "TimeLimitExceeded",
            Error::WorkerDied(_) => "WorkerLostError",
            Error::Cancelled => "TaskRevokedError",
            Error::Panicked(_) => "Panicked",
            _ => "RuntimeError",
        };
        let report = Report::of(error);
        let cf = serde_json::to_value(&report).ok();
        let message = match error {
            Error::Panicked(panicked) => panicked.message().to_owned(),
            // Not the error itself: it may be of the task's own type, which may panic when it is shown.
            _ => report.into_error().to_string(),
        };
        let mut failure = Self::new(exc_type, &message);
        if matches!(error, Error::Failed(_)) {
            // The error type of a task may have the name of an exception of Python, which is another type.
            failure.exc_module = Value::Null;
        }
        Self { cf, ..failure }
    }

    /// Returns the text of the exception, as Python shows it.
    pub(crate) fn message(&self) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match &self.exc_message {
            Value::Array(arguments) => arguments.iter().map(text).collect::<Vec<_>>().join(", "),
            Value::Null => String::new(),
            other => text(other),
        }
    }

    /// Returns the error that the future of the task ends with.
    pub(crate) fn into_error(self, traceback: Option<String>, task: &FailedTask<'_>) -> Error {
        if let Some(report) = self.cf.as_ref().and_then(|report| Report::deserialize(report).ok()) {
            return report.into_error();
        }
        let message = self.message();
        match &*self.exc_type {
            "NotRegistered" => {
                let why = format!("no task named {:?} is registered with the worker: {LINK}", task.name);
                Error::Decode(Decode::new(Part::Function, why))
            }
            "TimeLimitExceeded" | "SoftTimeLimitExceeded" => {
                Error::TimeLimit(TimeLimit::new(task.time_limit.unwrap_or_default()))
            }
            "WorkerLostError" => lost(task, &message),
            // Python's `ValueError()` has no text of its own.
            _ if message.is_empty() => Report::failed([self.exc_type.clone()], self.exc_type, traceback).into_error(),
            _ => Report::failed([message], self.exc_type, traceback).into_error(),
        }
    }
}

/// What to look at where a worker does not know a task.
pub(crate) const LINK: &str =
    "is the crate that has it part of the worker's program, and is this the queue of that worker?";

/// Returns the error of a task whose worker was lost.
pub(crate) fn lost(task: &FailedTask<'_>, hint: &str) -> Error {
    let died = WorkerDied::lost(task.worker.unwrap_or_default(), Some(task.name.to_owned()));
    Error::WorkerDied(if hint.is_empty() { died } else { died.with_hint(hint) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use concurrent_futures::{Decode, Error, Executor as _, InlineExecutor, Part, TimeLimit, WorkerDied};

    use super::{FailedTask, Failure};

    const TASK: FailedTask<'static> =
        FailedTask { name: "tasks.add", time_limit: Some(Duration::from_secs(3)), worker: Some("celery@x") };

    fn read(text: &str) -> Error {
        serde_json::from_str::<Failure>(text).unwrap().into_error(Some("line 7".into()), &TASK)
    }

    #[test]
    fn an_exception_of_python_has_its_type_and_its_traceback() {
        let error = read(r#"{"exc_type": "ValueError", "exc_message": ["no such flag", 7], "exc_module": "builtins"}"#);
        let Error::Failed(failed) = &error else { panic!("{error:?}") };
        assert_eq!((failed.to_string().as_str(), failed.type_name()), ("no such flag, 7", "ValueError"));
        assert_eq!(failed.trace(), Some("line 7"));
        assert_eq!(read(r#"{"exc_type": "E", "exc_message": "text"}"#).to_string(), "text");
        // `ValueError()`, whose text is empty.
        for empty in [r#"{"exc_type": "ValueError"}"#, r#"{"exc_type": "ValueError", "exc_message": []}"#] {
            assert_eq!(read(empty).to_string(), "ValueError");
        }
    }

    #[test]
    fn exceptions_of_celery_are_errors_of_the_executor() {
        let unknown = read(r#"{"exc_type": "NotRegistered", "exc_message": ["tasks.add"]}"#);
        assert!(matches!(&unknown, Error::Decode(decode) if decode.part() == Part::Function), "{unknown:?}");
        assert!(unknown.to_string().contains(r#""tasks.add""#));
        let late = read(r#"{"exc_type": "TimeLimitExceeded", "exc_message": [3]}"#);
        assert!(matches!(&late, Error::TimeLimit(late) if late.limit() == Duration::from_secs(3)), "{late:?}");
        let lost = read(r#"{"exc_type": "WorkerLostError", "exc_message": ["Worker exited prematurely"]}"#);
        assert!(matches!(&lost, Error::WorkerDied(died) if died.worker_name() == "celery@x"), "{lost:?}");
    }

    #[test]
    fn an_error_that_panics_when_it_is_shown_is_a_failure_all_the_same() {
        #[derive(Debug)]
        struct Shy;
        impl std::fmt::Display for Shy {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("not me")
            }
        }
        impl std::error::Error for Shy {}
        let error = InlineExecutor.try_submit(|_: u8| Err::<u8, _>(Shy), 1).result().unwrap_err();
        let failure = Failure::of(&error);
        assert_eq!(failure.exc_type, "Shy");
        assert!(failure.message().contains("not me"), "{failure:?}");
    }

    #[test]
    fn an_error_of_a_rust_worker_comes_back_whole() {
        let failed = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "x".into()).result().unwrap_err();
        let panicked = InlineExecutor.submit(|_: u8| -> u8 { panic!("no more flags") }, 1).result().unwrap_err();
        for (error, exc_type, message) in [
            (failed, "ParseIntError", "invalid digit found in string"),
            (panicked, "Panicked", "no more flags"),
            (Error::Decode(Decode::new(Part::Argument, "no")), "TypeError", ""),
            (Error::TimeLimit(TimeLimit::new(Duration::from_secs(1))), "TimeLimitExceeded", ""),
            (Error::WorkerDied(WorkerDied::lost("w", None)), "WorkerLostError", ""),
        ] {
            let failure = Failure::of(&error);
            assert_eq!(failure.exc_type, exc_type);
            assert!(message.is_empty() || failure.message() == message);
            let text = serde_json::to_string(&failure).unwrap();
            assert_eq!(format!("{:?}", read(&text)), format!("{error:?}"));
        }
    }
}
