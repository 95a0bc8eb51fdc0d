//! [`Outcome`]: the outcome of a task, in the form in which it is sent.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use concurrent_futures::Error;

use crate::answer::Status;
use crate::failure::Failure;
use crate::json;
use crate::size::check_size;

pub(super) enum Outcome {
    /// The value, in JSON.
    Value(String),
    /// The task has failed. Python's clients show `trace` as the traceback.
    Failed { failure: Failure, trace: Option<String> },
    Revoked {
        failure: Failure,
        /// The task had expired before it could start.
        is_expired: bool,
    },
}

impl Outcome {
    /// Writes what a task has returned. Runs user code, in the thread that completes the task.
    pub(super) fn of(outcome: Result<&dyn erased_serde::Serialize, &Error>, max_size: usize) -> Self {
        let written = outcome.map_err(Clone::clone).and_then(|value| {
            let text = json::write_result(value)?;
            check_size(text.len(), max_size)?;
            Ok(text)
        });
        match written {
            Ok(text) => Self::Value(text),
            Err(error) => Self::of_error(&error),
        }
    }

    /// Returns the outcome of a task that was revoked or has expired, and is not run.
    pub(super) fn revoked(is_expired: bool) -> Self {
        let why = if is_expired { "expired" } else { "revoked" };
        Self::Revoked { failure: Failure::new("TaskRevokedError", why), is_expired }
    }

    pub(super) fn of_error(error: &Error) -> Self {
        let failure = Failure::of(error);
        let trace = match error {
            Error::Cancelled => return Self::Revoked { failure, is_expired: false },
            Error::Panicked(panicked) => Some(panicked.backtrace().map_or_else(|| panicked.to_string(), str::to_owned)),
            _ => None,
        };
        Self::Failed { failure, trace }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Value(_) => Status::Success,
            Self::Failed { .. } => Status::Failure,
            Self::Revoked { .. } => Status::Revoked,
        }
    }

    /// Returns the field `result` of the answer, in JSON.
    pub(super) fn result(&self) -> Cow<'_, str> {
        match self {
            Self::Value(text) => text.into(),
            Self::Failed { failure, .. } | Self::Revoked { failure, .. } => {
                serde_json::to_string(failure).unwrap_or_else(|_| "null".into()).into()
            }
        }
    }

    pub(super) fn trace(&self) -> Option<&str> {
        match self {
            Self::Failed { trace, .. } => trace.as_deref(),
            _ => None,
        }
    }
}
