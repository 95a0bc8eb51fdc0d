//! The details of errors that occur only with other processes.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use super::details::Subject;

/// The part of a call that is sent to another process or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The argument of the function.
    Argument,
    /// The value that the function returned.
    Result,
    /// The function itself, which another process finds by its place in the program.
    Function,
    /// The value that functions share by [`with_context`](crate::Executor::with_context).
    Context,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Argument => "argument",
            Part::Result => "result",
            Part::Function => "function",
            Part::Context => "context",
        })
    }
}

macro_rules! serialisation_error {
    ($(#[$doc:meta])* $name:ident, $verb:literal, $argument:literal, $result:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Arc<(Part, Box<str>)>);

        impl $name {
            /// Creates it from the part that failed and the message of the serialiser, for authors of executors.
            pub fn new(part: Part, message: impl Into<String>) -> Self {
                Self(Arc::new((part, message.into().into_boxed_str())))
            }

            /// Returns the part that failed.
            pub fn part(&self) -> Part {
                self.0.0
            }

            /// Returns the message of the serialiser.
            pub fn message(&self) -> &str {
                &self.0.1
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let side = match self.part() {
                    Part::Argument | Part::Function | Part::Context => $argument,
                    Part::Result => $result,
                };
                write!(f, concat!("the {} cannot be ", $verb, " by the {}: {}"), self.part(), side, self.message())
            }
        }
    };
}

serialisation_error! {
    /// Says what could not be serialised, and why.
    Encode, "serialised", "caller", "worker"
}
serialisation_error! {
    /// Says what could not be deserialised, and why.
    Decode, "deserialised", "worker", "caller"
}

/// Says how a worker ended while it ran a task.
#[derive(Clone)]
pub struct WorkerDied(Arc<Death>);

#[derive(Clone)]
struct Death {
    worker: Box<str>,
    pid: Option<u32>,
    exit: Exit,
    function: Option<Box<str>>,
    hint: Option<Box<str>>,
    task: Option<Box<str>>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal of this name ended it, such as `SIGSEGV`.
    Signal(String),
    /// Unknown, because other code of the program reaped it.
    Unknown,
    /// Unknown, because nothing is heard of it any more: its machine may have gone, or the way to it.
    Lost,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(name) => write!(f, "was ended by {name}"),
            Exit::Unknown => f.write_str("ended with a status that is unknown, because the program reaped it"),
            Exit::Lost => f.write_str("was lost"),
        }
    }
}

impl WorkerDied {
    /// Creates it from the name of the worker, how it ended, and the function that it ran, for authors of executors.
    pub fn new(worker_name: impl Into<String>, exit: Exit, function: Option<String>) -> Self {
        let (worker, function) = (worker_name.into().into_boxed_str(), function.map(String::into_boxed_str));
        Self(Arc::new(Death { worker, pid: None, exit, function, hint: None, task: None }))
    }

    /// Creates it for a worker of which nothing is heard any more, for authors of executors. The name may be empty if nobody
    /// knows which worker it was.
    pub fn lost(worker_name: impl Into<String>, function: Option<String>) -> Self {
        Self::new(worker_name, Exit::Lost, function)
    }

    /// Adds the id of the process, if it was on this machine.
    #[must_use]
    pub fn with_pid(self, pid: u32) -> Self {
        let death = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Death { pid: Some(pid), ..death }))
    }

    /// Adds the probable cause, such as "probably out of memory".
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        let death = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Death { hint: Some(hint.into().into_boxed_str()), ..death }))
    }

    /// Adds the name of the task, if there is none yet.
    #[must_use]
    pub(crate) fn named(self, name: &str) -> Self {
        if self.task_name().is_some() {
            return self;
        }
        let death = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Death { task: Some(name.into()), ..death }))
    }

    /// Returns the name of the worker; empty if it is not known which one it was.
    pub fn worker_name(&self) -> &str {
        &self.0.worker
    }

    /// Returns the id that the process had, if it was on this machine.
    pub fn pid(&self) -> Option<u32> {
        self.0.pid
    }

    /// Returns how the worker ended.
    pub fn exit(&self) -> &Exit {
        &self.0.exit
    }

    /// Returns the name of the function that the worker ran, if it is known.
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// Returns the name that the task was given in [`TaskOptions::name`](crate::TaskOptions::name).
    pub fn task_name(&self) -> Option<&str> {
        self.0.task.as_deref()
    }

    /// Returns the probable cause, if there is a sign of one.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for WorkerDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid() {
            Some(pid) => write!(f, "the worker process {pid} ")?,
            None if self.worker_name().is_empty() => f.write_str("a worker ")?,
            None => write!(f, "the worker {} ", self.worker_name())?,
        }
        write!(f, "{} while it ran ", self.exit())?;
        match (self.task_name(), self.function()) {
            (None, Some(function)) => f.write_str(function)?,
            (name, None) => write!(f, "{}", Subject(name))?,
            (Some(name), Some(function)) => write!(f, "{name:?} ({function})")?,
        }
        self.hint().map_or(Ok(()), |hint| write!(f, ", {hint}"))
    }
}

/// Says how long an encoded argument, result or context was that exceeded `max_message_size`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    size: u64,
    limit: u64,
    part: Option<Part>,
}

impl TooLarge {
    /// Creates it from the size and the limit, in bytes, for authors of executors.
    pub fn new(size: u64, limit: u64) -> Self {
        Self { size, limit, part: None }
    }

    /// Adds which part of the call was too long.
    #[must_use]
    pub fn with_part(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }

    /// Returns which part of the call was too long. `None` if that is not known, as for an argument and a result of a
    /// process pool.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Returns the size of the message, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Some(part) => {
                write!(f, "{} {part} of {} bytes", if part == Part::Argument { "an" } else { "a" }, self.size)?
            }
            None => write!(f, "a message of {} bytes", self.size)?,
        }
        write!(f, " exceeds `max_message_size`, which is {} bytes", self.limit)
    }
}

debug_as_text!(Encode, Decode, WorkerDied, TooLarge);
