//! The details that the variants of [`Error`](crate::Error) carry.
//!
//! Each is a small type of the same form, so they are in one file.
#![forbid(unsafe_code)]

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::Mutex;

/// Any error, boxed: what the error of a `try_` function is converted into.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Displays a task in the text of an error, with the name that it was given.
pub(super) struct Subject<'a>(pub(super) Option<&'a str>);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "the task {name:?}"),
            None => f.write_str("the task"),
        }
    }
}

/// Says how a task panicked.
#[derive(Clone)]
pub struct Panicked(Arc<Panic>);

pub(crate) struct Panic {
    pub(crate) message: Box<str>,
    pub(crate) location: Option<Box<str>>,
    pub(crate) worker: Option<Box<str>>,
    /// The name that the task was given, if any.
    pub(crate) task: Option<Box<str>>,
    pub(crate) backtrace: Option<Box<str>>,
    pub(crate) payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Drop for Panic {
    fn drop(&mut self) {
        // A payload is a user's value, and dropping it may panic again.
        crate::unwind::drop_caught(self.payload.lock().take());
    }
}

impl Panicked {
    pub(crate) fn new(panic: Panic) -> Self {
        Self(Arc::new(panic))
    }

    /// Adds the name of the task, if there is none yet. A payload cannot be cloned, so a shared panic that still has
    /// its payload gets no name.
    pub(super) fn named(mut self, name: &str) -> Self {
        if let Some(panic) = Arc::get_mut(&mut self.0) {
            panic.task.get_or_insert_with(|| name.into());
            return self;
        }
        let Panic { message, location, worker, task, backtrace, payload } = &*self.0;
        if task.is_some() || payload.lock().is_some() {
            return self;
        }
        Self::new(Panic {
            message: message.clone(),
            location: location.clone(),
            worker: worker.clone(),
            task: Some(name.into()),
            backtrace: backtrace.clone(),
            payload: Mutex::new(None),
        })
    }

    pub(super) fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        self.0.payload.lock().take()
    }

    /// Returns the text of the panic, or a description of the payload if it is not a text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns `file:line:column` of the panic.
    ///
    /// `None` if the program replaced the panic hook that this crate chains itself into, or if the panic was raised
    /// without one (`std::panic::resume_unwind`).
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// Returns the name of the worker that ran the task, if it has one.
    pub fn worker_name(&self) -> Option<&str> {
        self.0.worker.as_deref()
    }

    /// Returns the name that the task was given in [`TaskOptions::name`](crate::TaskOptions::name).
    pub fn task_name(&self) -> Option<&str> {
        self.0.task.as_deref()
    }

    /// Returns the backtrace, if `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` enabled it.
    pub fn backtrace(&self) -> Option<&str> {
        self.0.backtrace.as_deref()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked", Subject(self.task_name()))?;
        if let Some(location) = self.location() {
            write!(f, " at {location}")?;
        }
        if let Some(worker) = self.worker_name() {
            write!(f, " on {worker}")?;
        }
        write!(f, ": {}", self.message())
    }
}

/// The error that a `try_` task returned. Displays its message and has its source.
///
/// [`Error::downcast_ref`](crate::Error::downcast_ref), or `get_ref().downcast_ref::<E>()` here, gives access to the
/// error itself. If the task ran in another process, only the message, the sources and the type name of its error are
/// available.
#[derive(Clone)]
pub struct Failed(Arc<Failure>);

struct Failure {
    error: BoxError,
    type_name: Cow<'static, str>,
    trace: Option<Box<str>>,
}

impl Failed {
    /// Wraps the error of a task, for authors of executors.
    pub fn new<E: Into<BoxError>>(error: E) -> Self {
        Self::named(error.into(), Cow::Borrowed(std::any::type_name::<E>()))
    }

    pub(crate) fn named(error: BoxError, type_name: Cow<'static, str>) -> Self {
        Self(Arc::new(Failure { error, type_name, trace: None }))
    }

    /// Makes it of an error that has crossed a wire.
    pub(crate) fn of_another(error: BoxError, type_name: String, trace: Option<String>) -> Self {
        let trace = trace.map(String::into_boxed_str);
        Self(Arc::new(Failure { error, type_name: type_name.into(), trace }))
    }

    /// Returns the error itself or, if the task ran in another process, an error with its message and sources.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.error
    }

    /// Returns the name of the error's type, as [`std::any::type_name`] gives it.
    pub fn type_name(&self) -> &str {
        &self.0.type_name
    }

    /// Returns where the error was raised, in the words of another program that ran the task, such as Python's traceback.
    pub fn trace(&self) -> Option<&str> {
        self.0.trace.as_deref()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

/// Shows the message, the type name and, if there are any, the messages of the sources.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> =
            iter::successors(self.source(), |&error| error.source()).map(ToString::to_string).collect();
        let mut text = f.debug_struct("Failed");
        text.field("message", &self.to_string()).field("type_name", &self.type_name());
        if !sources.is_empty() {
            text.field("sources", &sources);
        }
        text.finish()
    }
}

impl StdError for Failed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.error.source()
    }
}

/// Says which time limit a task exceeded.
#[derive(Clone, PartialEq, Eq)]
pub struct TimeLimit(Arc<(Duration, Option<Box<str>>)>);

impl TimeLimit {
    /// Creates it from the limit, for authors of executors.
    pub fn new(limit: Duration) -> Self {
        Self(Arc::new((limit, None)))
    }

    /// Adds the name of the task, if there is none yet.
    pub(super) fn named(self, name: &str) -> Self {
        if self.task_name().is_some() {
            return self;
        }
        Self(Arc::new((self.limit(), Some(name.into()))))
    }

    /// Returns the limit.
    pub fn limit(&self) -> Duration {
        self.0.0
    }

    /// Returns the name that the task was given in [`TaskOptions::name`](crate::TaskOptions::name).
    pub fn task_name(&self) -> Option<&str> {
        self.0.1.as_deref()
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ran past its time limit of {:?}", Subject(self.task_name()), self.limit())
    }
}

/// Says why an executor can no longer run tasks.
#[derive(Clone)]
pub struct Broken(Arc<dyn StdError + Send + Sync>);

impl Broken {
    /// Creates it from the cause, for authors of executors.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(Arc::from(cause.into()))
    }

    /// Returns the cause.
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the executor is broken: {}", self.0)
    }
}

/// Says how many tasks the queue that refused a task can hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full(usize);

impl Full {
    /// Creates it from the limit, in tasks, for authors of executors.
    pub fn new(limit: usize) -> Self {
        Self(limit)
    }

    /// Returns how many tasks the queue can hold.
    pub fn limit(&self) -> usize {
        self.0
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the queue is full: `max_pending` is {}", self.0)
    }
}

/// Says how many futures were unfinished when the time was up.
///
/// Counts above `u32::MAX` are reported as `u32::MAX`. Two values are equal if their counts are equal, whatever their
/// timeouts.
#[derive(Clone, Copy)]
pub struct Timeout {
    unfinished: u32,
    total: u32,
    /// Nanoseconds.
    after: u64,
}

impl Timeout {
    pub(crate) fn new(unfinished: usize, total: usize, after: Duration) -> Self {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Self { unfinished: count(unfinished), total: count(total), after }
    }

    /// Returns how many futures were not done.
    pub fn unfinished(&self) -> usize {
        self.unfinished as usize
    }

    /// Returns how many futures there were.
    pub fn total(&self) -> usize {
        self.total as usize
    }

    /// Returns the timeout that expired; zero if the call did not wait.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.after)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (of {}) futures unfinished", self.unfinished, self.total)?;
        // A poll does not wait.
        if self.after > 0 { write!(f, " after {:?}", self.timeout()) } else { Ok(()) }
    }
}

impl PartialEq for Timeout {
    fn eq(&self, other: &Self) -> bool {
        (self.unfinished, self.total) == (other.unfinished, other.total)
    }
}

impl Eq for Timeout {}

impl StdError for Timeout {}

debug_as_text!(Panicked, TimeLimit, Broken, Full, Timeout);
