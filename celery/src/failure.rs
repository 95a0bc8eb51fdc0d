//! [`Failure`]: an error as answers have it, and the table by which it is the error of a future.
//!
//! Python knows exceptions by the name of their type. A worker of this crate tells the name that Python knows for the
//! same thing, and adds the whole error for clients that understand it.
#![forbid(unsafe_code)]

use std::time::Duration;

use concurrent_futures::{Decode, Error, Exit, Failed, Part, TimeLimit, WorkerDied};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a worker answers when a task has failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The name of the exception's type.
    pub(crate) exc_type: String,
    /// The arguments of the exception, or its text.
    #[serde(default)]
    exc_message: Value,
    /// Where Python finds the type. Always null in answers of this crate: Python would import it.
    #[serde(default)]
    exc_module: Value,
}

/// What a client knows of the task that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedTask<'a> {
    /// The name of the task on the cluster.
    pub(crate) name: &'a str,
    pub(crate) time_limit: Option<Duration>,
    /// The worker that said it had started the task.
    pub(crate) worker: Option<&'a str>,
}

impl Failure {
    pub(crate) fn new(exc_type: &str, message: &str) -> Self {
        Self { exc_type: exc_type.to_owned(), exc_message: vec![message].into(), exc_module: Value::Null }
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
    pub(crate) fn into_error(self, _traceback: Option<String>, task: &FailedTask<'_>) -> Error {
        let message = self.message();
        match &*self.exc_type {
            "NotRegistered" => Error::Decode(Decode::new(
                Part::Function,
                format!("no task of the name {:?} is registered there", task.name),
            )),
            "TimeLimitExceeded" | "SoftTimeLimitExceeded" => {
                Error::TimeLimit(TimeLimit::new(task.time_limit.unwrap_or_default()))
            }
            "WorkerLostError" => lost(task, &message),
            _ => Error::Failed(Failed::new(message)),
        }
    }
}

/// Returns the error of a task whose worker is gone.
pub(crate) fn lost(task: &FailedTask<'_>, hint: &str) -> Error {
    let worker = task.worker.unwrap_or("of the cluster");
    let died = WorkerDied::new(worker, Exit::Unknown, Some(task.name.to_owned()));
    Error::WorkerDied(if hint.is_empty() { died } else { died.with_hint(hint) })
}
