//! [`Report`]: an error taken apart, to cross to another process or another program in any serde format.
//!
//! The error of a task may hold what cannot leave the process: the value that its function returned, the payload of a
//! panic. What crosses are its texts and numbers. They are put together again as the same variant; the chain of causes
//! becomes errors that have their messages. A report may come from a sender that is damaged or hostile, so whatever can be
//! read makes an error, and its chain is cut off at [`CAUSES`].
#![forbid(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{
    BoxError, Broken, BuildError, Decode, Encode, Error, Exit, Failed, Full, Panic, Panicked, Part, TimeLimit, Timeout,
    TooLarge, WorkerDied,
};
use crate::panics;
use crate::sync::Mutex;

/// How many causes of an error are sent and accepted: each is inside the one before, and the sender may be damaged.
pub(crate) const CAUSES: usize = 64;

/// An error of a task, taken apart to cross a wire. For authors of executors whose workers are other programs.
///
/// Every detail crosses but two: the value that a `try_` function returned as its `Err`, of which the messages of its chain
/// and the name of its type are left, and the payload of a panic.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, Executor, InlineExecutor, Report};
///
/// let future = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "seven".into());
/// let text = serde_json::to_string(&Report::of(&future.result().unwrap_err()))?;
///
/// let report: Report = serde_json::from_str(&text)?;
/// let Error::Failed(failed) = report.into_error() else { panic!("it was the task's own error") };
/// assert_eq!(failed.to_string(), "invalid digit found in string");
/// assert_eq!(failed.type_name(), "core::num::error::ParseIntError");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Report(Parts);

/// The parts of each variant of [`Error`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Parts {
    Panicked {
        message: String,
        location: Option<String>,
        worker: Option<String>,
        task: Option<String>,
        backtrace: Option<String>,
    },
    Failed {
        type_name: String,
        messages: Vec<String>,
        trace: Option<String>,
    },
    Encode(PartName, String),
    Decode(PartName, String),
    TooLarge {
        size: u64,
        limit: u64,
        part: Option<PartName>,
    },
    Cancelled,
    TimeLimit(Duration, Option<String>),
    WorkerDied {
        worker: String,
        pid: Option<u32>,
        exit: ExitName,
        function: Option<String>,
        hint: Option<String>,
        task: Option<String>,
    },
    Broken(Vec<String>),
    ShutDown,
    Full(u64),
    Timeout {
        unfinished: u64,
        total: u64,
        after: Duration,
    },
    Build {
        parameter: String,
        requirement: String,
        value: String,
    },
    Abandoned,
}

/// A [`Part`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum PartName {
    Argument,
    Result,
    Function,
    Context,
}

/// An [`Exit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ExitName {
    Code(i32),
    Signal(String),
    Unknown,
    Lost,
}

impl Report {
    /// Takes an error apart. Calls the `Display` and `source` of the task's own error; where one panics, a text says so in
    /// its place.
    pub fn of(error: &Error) -> Self {
        let text = |text: Option<&str>| text.map(String::from);
        Self(match error {
            Error::Panicked(panic) => Parts::Panicked {
                message: panic.message().into(),
                location: text(panic.location()),
                worker: text(panic.worker_name()),
                task: text(panic.task_name()),
                backtrace: text(panic.backtrace()),
            },
            Error::Failed(failed) => Parts::Failed {
                type_name: failed.type_name().into(),
                messages: chain_of(failed),
                trace: text(failed.trace()),
            },
            Error::Encode(encode) => Parts::Encode(encode.part().into(), encode.message().into()),
            Error::Decode(decode) => Parts::Decode(decode.part().into(), decode.message().into()),
            Error::TooLarge(large) => {
                Parts::TooLarge { size: large.size(), limit: large.limit(), part: large.part().map(PartName::from) }
            }
            // From other tasks, whose futures this one has waited for.
            Error::Cancelled => Parts::Cancelled,
            Error::TimeLimit(late) => Parts::TimeLimit(late.limit(), text(late.task_name())),
            Error::WorkerDied(died) => Parts::WorkerDied {
                worker: died.worker_name().into(),
                pid: died.pid(),
                exit: died.exit().into(),
                function: text(died.function()),
                hint: text(died.hint()),
                task: text(died.task_name()),
            },
            Error::Broken(broken) => Parts::Broken(chain_of(broken.cause())),
            Error::ShutDown => Parts::ShutDown,
            Error::Full(full) => Parts::Full(full.limit() as u64),
            Error::Timeout(timeout) => Parts::Timeout {
                unfinished: timeout.unfinished() as u64,
                total: timeout.total() as u64,
                after: timeout.timeout(),
            },
            Error::Build(refusal) => {
                let (parameter, requirement, value) = refusal.texts();
                Parts::Build { parameter: parameter.into(), requirement: requirement.into(), value: value.into() }
            }
            Error::Abandoned => Parts::Abandoned,
        })
    }

    /// Reports the error of a task of another language: its message and those of its causes, the name of its type, and where
    /// it was raised (such as Python's traceback).
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::{Error, Report};
    ///
    /// let trace = "File \"flags.py\", line 7, in fetch";
    /// let report = Report::failed(["no such flag".into()], "KeyError", Some(trace.into()));
    /// let Error::Failed(failed) = report.into_error() else { panic!("it is the task's own error") };
    /// assert_eq!((failed.to_string().as_str(), failed.type_name()), ("no such flag", "KeyError"));
    /// assert_eq!(failed.trace(), Some(trace));
    /// ```
    pub fn failed(
        messages: impl IntoIterator<Item = String>,
        type_name: impl Into<String>,
        trace: Option<String>,
    ) -> Self {
        let messages = messages.into_iter().take(CAUSES).collect();
        Self(Parts::Failed { type_name: type_name.into(), messages, trace })
    }

    /// Puts the error together: the same variant, with its details.
    pub fn into_error(self) -> Error {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        match self.0 {
            Parts::Panicked { message, location, worker, task, backtrace } => {
                let boxed = |text: Option<String>| text.map(String::into_boxed_str);
                Error::Panicked(Panicked::new(Panic {
                    message: message.into(),
                    location: boxed(location),
                    worker: boxed(worker),
                    task: boxed(task),
                    backtrace: boxed(backtrace),
                    payload: Mutex::new(None),
                }))
            }
            Parts::Failed { type_name, messages, trace } => {
                Error::Failed(Failed::of_another(error_from_chain(messages), type_name, trace))
            }
            Parts::Encode(part, message) => Error::Encode(Encode::new(part.into(), message)),
            Parts::Decode(part, message) => Error::Decode(Decode::new(part.into(), message)),
            Parts::TooLarge { size, limit, part } => {
                let large = TooLarge::new(size, limit);
                Error::TooLarge(part.into_iter().fold(large, |large, part| large.with_part(part.into())))
            }
            Parts::Cancelled => Error::Cancelled,
            Parts::TimeLimit(limit, task) => Error::TimeLimit(TimeLimit::new(limit)).named(task.as_deref()),
            Parts::WorkerDied { worker, pid, exit, function, hint, task } => {
                let mut died = WorkerDied::new(worker, exit.into(), function);
                if let Some(pid) = pid {
                    died = died.with_pid(pid);
                }
                if let Some(hint) = hint {
                    died = died.with_hint(hint);
                }
                Error::WorkerDied(died).named(task.as_deref())
            }
            Parts::Broken(messages) => Error::Broken(Broken::new(error_from_chain(messages))),
            Parts::ShutDown => Error::ShutDown,
            Parts::Full(limit) => Error::Full(Full::new(count(limit))),
            Parts::Timeout { unfinished, total, after } => {
                Error::Timeout(Timeout::new(count(unfinished), count(total), after))
            }
            Parts::Build { parameter, requirement, value } => {
                Error::Build(BuildError::from_texts(parameter, requirement, value))
            }
            Parts::Abandoned => Error::Abandoned,
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Parts::deserialize(deserializer).map(Self)
    }
}

/// Shows the error.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Report").field(&self.clone().into_error()).finish()
    }
}

impl From<Part> for PartName {
    fn from(part: Part) -> Self {
        match part {
            Part::Argument => Self::Argument,
            Part::Result => Self::Result,
            Part::Function => Self::Function,
            Part::Context => Self::Context,
        }
    }
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Argument => Self::Argument,
            PartName::Result => Self::Result,
            PartName::Function => Self::Function,
            PartName::Context => Self::Context,
        }
    }
}

impl From<&Exit> for ExitName {
    fn from(exit: &Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(*code),
            Exit::Signal(name) => Self::Signal(name.clone()),
            Exit::Unknown => Self::Unknown,
            Exit::Lost => Self::Lost,
        }
    }
}

impl From<ExitName> for Exit {
    fn from(name: ExitName) -> Self {
        match name {
            ExitName::Code(code) => Self::Code(code),
            ExitName::Signal(name) => Self::Signal(name),
            ExitName::Unknown => Self::Unknown,
            ExitName::Lost => Self::Lost,
        }
    }
}

/// Returns the messages of an error and its sources. Both are user code: where one panics, a text says so in its place.
fn chain_of(error: &dyn StdError) -> Vec<String> {
    let (mut chain, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next.take()
        && chain.len() < CAUSES
    {
        let message = panics::catch(|| Ok(error.to_string()));
        chain.push(message.unwrap_or_else(|panic| format!("(its message cannot be shown: {panic})")));
        match panics::catch(|| Ok(error.source())) {
            Ok(source) => next = source,
            Err(panic) => chain.push(format!("(its cause cannot be shown: {panic})")),
        }
    }
    chain
}

/// Makes an error with these messages: its own, that of its source, and so on.
fn error_from_chain(mut messages: Vec<String>) -> BoxError {
    messages.truncate(CAUSES);
    let mut inner_first = messages.into_iter().rev();
    let innermost = Crossed { message: inner_first.next().unwrap_or_default(), source: None };
    Box::new(inner_first.fold(innermost, |source, message| Crossed { message, source: Some(Box::new(source)) }))
}

/// An error that has crossed a wire: its message, and its source.
#[derive(Debug)]
struct Crossed {
    message: String,
    source: Option<Box<Crossed>>,
}

impl fmt::Display for Crossed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Crossed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as &dyn StdError)
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(all(test, processes))]
pub(crate) use fuzz::any_report;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_as_they_were_written() {
        let errors = [
            Error::Failed(Failed::new(std::io::Error::other("the disk is full"))),
            Report::failed(["one".into(), "two".into()], "KeyError", Some("line 7".into())).into_error(),
            Error::Encode(Encode::new(Part::Result, "no")),
            Error::Decode(Decode::new(Part::Argument, "no")),
            Error::Decode(Decode::new(Part::Context, "no")),
            Error::TooLarge(TooLarge::new(7, 5)),
            Error::TooLarge(TooLarge::new(7, 5).with_part(Part::Context)),
            Error::Cancelled,
            Error::TimeLimit(TimeLimit::new(Duration::from_millis(7))).named(Some("resize")),
            Error::WorkerDied(WorkerDied::new("w", Exit::Signal("SIGSEGV".into()), None)),
            Error::WorkerDied(WorkerDied::new("w", Exit::Code(3), Some("f".into())).with_pid(7).with_hint("why"))
                .named(Some("resize")),
            Error::WorkerDied(WorkerDied::new("w", Exit::Unknown, None).with_pid(7)),
            Error::WorkerDied(WorkerDied::lost("w", None)),
            Error::Broken(Broken::new("no more threads")),
            Error::ShutDown,
            Error::Full(Full::new(7)),
            Error::Timeout(Timeout::new(2, 4, Duration::from_secs(2))),
            Error::Build(BuildError::new("max_workers", "at least 1", 0)),
            Error::Abandoned,
        ];
        for error in errors {
            let json = serde_json::to_string(&Report::of(&error)).unwrap();
            let back = serde_json::from_str::<Report>(&json).unwrap().into_error();
            assert_eq!((back.variant(), back.to_string()), (error.variant(), error.to_string()), "{json}");
            assert_eq!(serde_json::to_string(&Report::of(&back)).unwrap(), json);
        }
    }

    #[test]
    fn an_error_without_messages_is_one_all_the_same() {
        let error = Report::failed([], "KeyError", None).into_error();
        assert_eq!((error.to_string().as_str(), error.variant().name()), ("", "Failed"));
    }
}
