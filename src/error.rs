//! [`Error`]: why a task has no value.
#![forbid(unsafe_code)]

/// Implements `Debug` by the name of the type and what `Display` shows.
macro_rules! debug_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.to_string()).finish()
            }
        }
    )*};
}

mod details;
mod remote;
mod variant;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use details::Panic;
pub use details::{BoxError, Broken, Failed, Full, Panicked, TimeLimit, Timeout};
pub use remote::{Decode, Encode, Exit, Part, TooLarge, WorkerDied};
pub(crate) use variant::Variant;

/// The outcome of a task: its value, or the reason why there is none.
pub type Outcome<T> = Result<T, Error>;

/// The reason why a task has no value.
///
/// Cloning is cheap, because the details are shared. Every text is one lower-case sentence without a full stop. `Debug`
/// shows the variant and the text, so an error that `main` returns can be read:
/// `Error: Failed { message: "invalid digit found in string", type_name: "core::num::error::ParseIntError" }`.
///
/// # Examples
///
/// ```
/// use concurrent_futures::{Error, ThreadPoolExecutor};
///
/// let threads = ThreadPoolExecutor::new(1);
/// let error = threads.spawn(|| -> u8 { panic!("no more flags") }).result().unwrap_err();
/// assert!(matches!(error, Error::Panicked(_)));
/// assert!(error.to_string().contains("no more flags"));
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The task was cancelled before it ran, or aborted while it ran.
    #[error("the task was cancelled")]
    Cancelled,
    /// The task panicked.
    #[error("{0}")]
    Panicked(Panicked),
    /// A `try_` task returned an error. Displays that error's own message.
    ///
    /// If the returned error is itself an `Error`, for example of a future that the task waited for, the task ends with
    /// that `Error` instead. A [`Timeout`](Error::Timeout) is the exception: it is wrapped in `Failed`, because a map
    /// would take it for its own timeout.
    #[error(transparent)]
    Failed(Failed),
    /// The task ran longer than its time limit.
    #[error("{0}")]
    TimeLimit(TimeLimit),
    /// The worker process ended while it ran the task.
    #[error("{0}")]
    WorkerDied(WorkerDied),
    /// The executor can no longer run tasks.
    #[error("{0}")]
    Broken(Broken),
    /// The task was submitted after the executor was shut down.
    #[error("the executor was shut down and accepts no new tasks")]
    ShutDown,
    /// The task was refused by a full queue, as [`TaskOptions::refuse_when_full`](crate::TaskOptions) asks.
    #[error("{0}")]
    Full(Full),
    /// An argument, a result or a context could not be serialised.
    #[error("{0}")]
    Encode(Encode),
    /// An argument, a result or a context could not be deserialised.
    #[error("{0}")]
    Decode(Decode),
    /// An encoded argument, result or context was longer than the `max_message_size` of the process pool.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// A `map` with a timeout ran out of time.
    #[error("{0}")]
    Timeout(Timeout),
    /// An executor could not be built. This variant lets `?` turn a [`BuildError`] into an `Error`; a task ends with it
    /// only if the task itself builds an executor and returns the error.
    #[error("{0}")]
    Build(BuildError),
    /// Nothing is left that could complete the task: for example, its job or promise was dropped.
    #[error("the task was abandoned: nobody is left to complete it")]
    Abandoned,
}

impl Error {
    /// Converts the error that a `try_` task returned. An `Error` is kept as it is, except a timeout, which is wrapped
    /// in `Failed`, because a map would take it for its own.
    pub(crate) fn of<E: Into<BoxError>>(error: E) -> Self {
        let name = std::any::type_name::<E>();
        match error.into().downcast::<Self>() {
            Ok(error) if !matches!(*error, Self::Timeout(_)) => *error,
            Ok(timeout) => Self::Failed(Failed::named(timeout, name.into())),
            Err(other) => Self::Failed(Failed::named(other, name.into())),
        }
    }

    pub(crate) fn variant(&self) -> Variant {
        match self {
            Self::Cancelled => Variant::Cancelled,
            Self::Panicked(_) => Variant::Panicked,
            Self::Failed(_) => Variant::Failed,
            Self::TimeLimit(_) => Variant::TimeLimit,
            Self::WorkerDied(_) => Variant::WorkerDied,
            Self::Broken(_) => Variant::Broken,
            Self::ShutDown => Variant::ShutDown,
            Self::Full(_) => Variant::Full,
            Self::Encode(_) => Variant::Encode,
            Self::Decode(_) => Variant::Decode,
            Self::TooLarge(_) => Variant::TooLarge,
            Self::Timeout(_) => Variant::Timeout,
            Self::Build(_) => Variant::Build,
            Self::Abandoned => Variant::Abandoned,
        }
    }

    /// Takes the payload of a panic, to inspect it or to resume the panic.
    ///
    /// Clones of an error share one payload, which only the first call gets.
    ///
    /// # Errors
    ///
    /// Gives the error back if it is not a panic, or if there is no payload: because it was taken already, or because
    /// the task ran in another process.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ThreadPoolExecutor;
    ///
    /// let threads = ThreadPoolExecutor::new(1);
    /// let error = threads.spawn(|| -> u8 { std::panic::panic_any(7_u8) }).result().unwrap_err();
    /// let payload = error.into_panic().unwrap();
    /// assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    /// ```
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, Error> {
        if let Error::Panicked(panicked) = &self {
            let payload = panicked.take_payload();
            if let Some(payload) = payload {
                return Ok(payload);
            }
        }
        Err(self)
    }

    /// Returns the error of a `try_` task, if it is an `E` and the task ran in this process.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::num::ParseIntError;
    ///
    /// use concurrent_futures::{Executor, InlineExecutor};
    ///
    /// let future = InlineExecutor.try_submit(|text: String| text.parse::<u8>(), "one".into());
    /// let error = future.result().unwrap_err();
    /// assert!(error.downcast_ref::<ParseIntError>().is_some());
    /// ```
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Error::Failed(failed) => failed.get_ref().downcast_ref::<E>(),
            _ => None,
        }
    }

    /// Adds the name of the task, if it has one, to the errors that show it.
    pub(crate) fn named(self, name: Option<&str>) -> Self {
        let Some(name) = name else { return self };
        match self {
            Error::Panicked(panicked) => Error::Panicked(panicked.named(name)),
            Error::TimeLimit(late) => Error::TimeLimit(late.named(name)),
            Error::WorkerDied(died) => Error::WorkerDied(died.named(name)),
            other => other,
        }
    }
}

/// Shows the variant and what `Display` shows.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Cancelled | Error::ShutDown | Error::Abandoned => f.write_str(self.variant().name()),
            Error::Failed(failed) => fmt::Debug::fmt(failed, f),
            other => f.debug_tuple(other.variant().name()).field(&other.to_string()).finish(),
        }
    }
}

/// Says which setting of a builder was refused, and what it must be.
///
/// The `?` operator converts it into an [`Error`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} must be {}, not {}", .0.parameter, .0.requirement, .0.value)]
pub struct BuildError(Arc<InvalidSetting>);

#[derive(PartialEq, Eq)]
struct InvalidSetting {
    parameter: Cow<'static, str>,
    requirement: Cow<'static, str>,
    value: String,
}

impl BuildError {
    /// Creates it from the name of the setting, what the setting must be, and what it is, for authors of executors.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::BuildError;
    ///
    /// let error = BuildError::new("queue", "a name", "");
    /// assert_eq!(error.to_string(), "queue must be a name, not \"\"");
    /// ```
    pub fn new(parameter: &'static str, requirement: &'static str, value: impl fmt::Debug) -> Self {
        Self::from_texts(parameter, requirement, format!("{value:?}"))
    }

    pub(crate) fn from_texts(
        parameter: impl Into<Cow<'static, str>>,
        requirement: impl Into<Cow<'static, str>>,
        value: String,
    ) -> Self {
        Self(Arc::new(InvalidSetting { parameter: parameter.into(), requirement: requirement.into(), value }))
    }

    /// Refuses a setting that is 0.
    pub(crate) fn if_zero<N: Default + PartialEq>(
        parameter: &'static str,
        value: Option<N>,
    ) -> Result<Option<N>, Self> {
        if value == Some(N::default()) { Err(Self::new(parameter, "at least 1", 0)) } else { Ok(value) }
    }

    /// Refuses a duration of zero.
    pub(crate) fn if_no_time(parameter: &'static str, value: Option<Duration>) -> Result<Option<Duration>, Self> {
        match value {
            Some(Duration::ZERO) => Err(Self::new(parameter, "longer than zero", Duration::ZERO)),
            value => Ok(value),
        }
    }

    /// Returns the parameter, the requirement and the value.
    pub(crate) fn texts(&self) -> (&str, &str, &str) {
        (&self.0.parameter, &self.0.requirement, &self.0.value)
    }

    /// Returns the name of the setting, which is that of its builder method.
    pub fn parameter(&self) -> &str {
        &self.0.parameter
    }
}

debug_as_text!(BuildError);

/// For a loop over [`as_completed(..).timeout(..)`](crate::AsCompleted::timeout) in a function that returns this error.
impl From<Timeout> for Error {
    fn from(timeout: Timeout) -> Self {
        Error::Timeout(timeout)
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}
