//! The details of what can go wrong between processes.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use super::details::Subject;

/// Names the half of a call that crosses to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// What the function is called with.
    Argument,
    /// What the function returned.
    Result,
    /// The function itself, which another process finds by its place in the program.
    Function,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Argument => "argument",
            Part::Result => "result",
            Part::Function => "function",
        })
    }
}

macro_rules! serialisation_error {
    ($(#[$doc:meta])* $name:ident, $verb:literal, $argument:literal, $result:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Arc<(Part, Box<str>)>);

        impl $name {
            /// Names what failed and what the serialiser said, for authors of executors.
            pub fn new(part: Part, message: impl Into<String>) -> Self {
                Self(Arc::new((part, message.into().into_boxed_str())))
            }

            /// Returns what did not survive: the argument or the result.
            pub fn part(&self) -> Part {
                self.0.0
            }

            /// Returns what the serialiser said.
            pub fn message(&self) -> &str {
                &self.0.1
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let side = match self.part() {
                    Part::Argument | Part::Function => $argument,
                    Part::Result => $result,
                };
                write!(f, concat!("the {} cannot be ", $verb, " by the {}: {}"), self.part(), side, self.message())
            }
        }
    };
}

serialisation_error! {
    /// Tells what could not be serialised, and why.
    Encode, "serialised", "caller", "worker"
}
serialisation_error! {
    /// Tells what could not be deserialised, and why.
    Decode, "deserialised", "worker", "caller"
}

/// Tells how a worker process ended while it ran a task.
#[derive(Clone, Debug)]
pub struct WorkerDied(Arc<Death>);

#[derive(Clone, Debug)]
struct Death {
    pid: u32,
    exit: Exit,
    function: Option<Box<str>>,
    hint: Option<Box<str>>,
    task: Option<Box<str>>,
}

/// Says how a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal of this name ended it, such as `SIGSEGV`.
    Signal(String),
    /// Somebody else reaped it, and the kernel cannot tell any more.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(name) => write!(f, "was ended by {name}"),
            Exit::Unknown => f.write_str("ended with a status that is unknown, because the program reaped it"),
        }
    }
}

impl WorkerDied {
    /// Says which process died, how, and on which function, for authors of executors.
    pub fn new(pid: u32, exit: Exit, function: Option<String>) -> Self {
        let function = function.map(String::into_boxed_str);
        Self(Arc::new(Death { pid, exit, function, hint: None, task: None }))
    }

    /// Adds what is probably behind it, as in "probably for want of memory".
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        let death = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Death { hint: Some(hint.into().into_boxed_str()), ..death }))
    }

    /// The same, of a task that has this name, if it has none yet.
    #[must_use]
    pub(crate) fn named(self, name: &str) -> Self {
        if self.task_name().is_some() {
            return self;
        }
        let death = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Death { task: Some(name.into()), ..death }))
    }

    /// Returns the id the process had.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Returns how it ended.
    pub fn exit(&self) -> &Exit {
        &self.0.exit
    }

    /// Returns the name of the function it ran, if that is known.
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// Returns the name that the task was given in [`TaskOptions::name`](crate::TaskOptions::name).
    pub fn task_name(&self) -> Option<&str> {
        self.0.task.as_deref()
    }

    /// Returns what is probably behind it, if there is a sign of that.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for WorkerDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the worker process {} ", self.pid())?;
        write!(f, "{} while it ran ", self.exit())?;
        match (self.task_name(), self.function()) {
            (None, Some(function)) => f.write_str(function)?,
            (name, None) => write!(f, "{}", Subject(name))?,
            (Some(name), Some(function)) => write!(f, "{name:?} ({function})")?,
        }
        self.hint().map_or(Ok(()), |hint| write!(f, ", {hint}"))
    }
}

/// Tells the size of a message that passed the frame limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    size: u64,
    limit: u64,
}

impl TooLarge {
    /// Names the size and the limit, in bytes, for authors of executors.
    pub fn new(size: u64, limit: u64) -> Self {
        Self { size, limit }
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
        write!(
            f,
            "a message of {} bytes passes the frame limit of {} bytes, which `max_message_size` sets",
            self.size, self.limit
        )
    }
}
