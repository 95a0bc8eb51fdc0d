//! [`CeleryBuilder`]: the settings of a [`CeleryExecutor`].
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use concurrent_futures::{BuildError, named};

use super::CeleryExecutor;
use super::prepared::check_queue;
use super::shared::Settings;
use crate::broker::{Broker, ConnectError};
use crate::size::MAX_SIZE;
use crate::topology::DEFAULT_QUEUE;

/// Sets up a [`CeleryExecutor`]. Made by [`CeleryExecutor::builder`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use concurrent_futures_celery::CeleryExecutor;
///
/// let cluster = CeleryExecutor::builder("amqp://127.0.0.1")
///     .queue("rust")
///     .in_flight(64)
///     .max_pending(10_000)
///     .max_message_size(8 << 20)
///     .broker_timeout(Duration::from_secs(60))
///     .build()?;
/// # Ok::<(), concurrent_futures_celery::ConnectError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CeleryBuilder {
    broker: Result<Broker, ConnectError>,
    settings: Settings,
}

impl CeleryBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self::with_broker(Broker::parse(url))
    }

    /// Returns a builder for the broker that `CELERY_BROKER_URL` names.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NoUrl`] if the variable is not set, [`ConnectError::Url`] if its value is not a URL of RabbitMQ.
    pub fn from_env() -> Result<Self, ConnectError> {
        Broker::from_env().map(|broker| Self::with_broker(Ok(broker)))
    }

    fn with_broker(broker: Result<Broker, ConnectError>) -> Self {
        let settings = Settings {
            queue: DEFAULT_QUEUE.into(),
            in_flight: 64,
            max_pending: None,
            max_message_size: MAX_SIZE,
            broker_timeout: Duration::from_secs(60),
        };
        Self { broker, settings }
    }

    /// Sets the queue for tasks. By default it is `celery`, as for Celery's own programs.
    ///
    /// It is declared as a durable queue if it does not exist.
    pub fn queue(mut self, queue: &str) -> Self {
        self.settings.queue = queue.into();
        self
    }

    /// Sets how many messages are published and unanswered at most: one for each task, and one for each item of a map.
    /// By default, 64.
    ///
    /// Other tasks wait in the program, where they can be cancelled exactly. If this is less than the number of slots
    /// of all workers, some slots are never used.
    pub fn in_flight(mut self, tasks: usize) -> Self {
        self.settings.in_flight = tasks;
        self
    }

    /// Limits how many tasks may be unfinished. A `submit` beyond the limit blocks until there is room. By default,
    /// there is no limit.
    pub fn max_pending(mut self, tasks: usize) -> Self {
        self.settings.max_pending = Some(tasks);
        self
    }

    /// Limits the size of a message in bytes, in both directions. A task whose message is longer ends with
    /// [`Error::TooLarge`](concurrent_futures::Error::TooLarge). By default, 64 MiB.
    ///
    /// Set it no higher than the broker's own `max_message_size`, which is 16 MiB since RabbitMQ 4.0 and 128 MiB before.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// Sets how long the executor tries to connect again after it has lost its connection. When the time is up, every
    /// future ends with [`Error::Broken`](concurrent_futures::Error::Broken), also of what is submitted later: to go
    /// on, make another executor. By default, a minute.
    ///
    /// A connection that ends without notice, as when a cable is pulled, counts as lost after a minute without a
    /// heartbeat of the broker. The URL can set half of that time, in seconds: `?heartbeat=5` at its end.
    pub fn broker_timeout(mut self, timeout: Duration) -> Self {
        self.settings.broker_timeout = timeout;
        self
    }

    /// Connects, and returns the executor. Blocks as [`CeleryExecutor::connect`] does.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if a setting is not valid, if two functions of the program have one name, if the broker cannot
    /// be reached, or if it refuses something.
    pub fn build(self) -> Result<CeleryExecutor, ConnectError> {
        let Settings { queue, in_flight, max_pending, max_message_size, .. } = &self.settings;
        let refused = |parameter, requirement, value: &dyn fmt::Debug| {
            Err(ConnectError::Setting(BuildError::new(parameter, requirement, value)))
        };
        check_queue(queue).map_err(ConnectError::Setting)?;
        for (parameter, value) in [
            ("in_flight", Some(*in_flight)),
            ("max_pending", *max_pending),
            ("max_message_size", Some(*max_message_size)),
        ] {
            if value == Some(0) {
                return refused(parameter, "at least 1", &0);
            }
        }
        named::all().map(drop).map_err(ConnectError::Clash)?;
        CeleryExecutor::start(self.broker?, self.settings)
    }
}
