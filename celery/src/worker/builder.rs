//! [`WorkerBuilder`]: the settings of a [`Worker`].
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use concurrent_futures::{Backend, BuildError, ThreadPoolExecutor, named};

use super::{Settings, Worker};
use crate::broker::{Broker, ConnectError};
use crate::size::{LONGEST, MAX_SIZE};
use crate::topology::DEFAULT_QUEUE;

/// Sets up a [`Worker`]. Made by [`Worker::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use concurrent_futures::ThreadPoolExecutor;
/// use concurrent_futures_celery::Worker;
///
/// let worker = Worker::builder("amqp://127.0.0.1")
///     .queues(["rust", "gpu"])
///     .executor(ThreadPoolExecutor::new(8))
///     .name("sums@%h")
///     .grace(Duration::from_secs(30))
///     .redeliver(1)
///     .max_message_size(8 << 20)
///     .events(true)
///     .hide_arguments(true)
///     .build()?;
/// assert!(worker.name().starts_with("sums@"));
/// # Ok::<(), concurrent_futures_celery::ConnectError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerBuilder {
    broker: Result<Broker, ConnectError>,
    settings: Settings,
    executor: Option<Box<dyn Backend>>,
}

impl WorkerBuilder {
    pub(super) fn new(broker: Result<Broker, ConnectError>) -> Self {
        let settings = Settings {
            // It has the process id, because two workers of one name would get each other's control commands.
            name: format!("rust-{}@%h", std::process::id()),
            queues: vec![DEFAULT_QUEUE.into()],
            grace: None,
            redeliver: 0,
            max_message_size: MAX_SIZE,
            sends_events: false,
            hides_arguments: false,
        };
        Self { broker, settings, executor: None }
    }

    /// Returns a builder for the broker that `CELERY_BROKER_URL` names.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NoUrl`] if the variable is not set, [`ConnectError::Url`] if its value is not a URL of RabbitMQ.
    pub fn from_env() -> Result<Self, ConnectError> {
        Broker::from_env().map(|broker| Self::new(Ok(broker)))
    }

    /// Sets the queues that the worker takes tasks from. By default `celery`, as for Celery's own programs.
    ///
    /// A queue that does not exist is declared as a durable one. If one of them is a quorum queue, the worker may have
    /// as many tasks from each queue as it has slots, and a task that waits for its time (`eta`) occupies a slot.
    pub fn queues(mut self, queues: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the executor that runs the tasks. By default a `ThreadPoolExecutor`.
    ///
    /// Do not use one that runs tasks inside `submit`, such as `InlineExecutor`: while a task runs, the worker sends no
    /// heartbeats, and clients treat it as lost.
    pub fn executor(mut self, executor: impl Backend + 'static) -> Self {
        self.executor = Some(Box::new(executor));
        self
    }

    /// Sets the name by which Celery's tools know the worker, such as `sums@%h`, where `%h` is the name of the machine.
    ///
    /// Each worker needs a name of its own. The default has the id of the process in it.
    pub fn name(mut self, name: &str) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Sets how long a warm stop waits for the tasks that run. By default, for ever.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = Some(grace);
        self
    }

    /// Sets how often a task whose worker was lost is run again, for clients that do not say it themselves, such as
    /// those in Python. By default 0, because the task may have had effects.
    pub fn redeliver(mut self, times: u32) -> Self {
        self.settings.redeliver = times;
        self
    }

    /// Limits the size of a message in bytes, in both directions. A task whose message is longer fails with
    /// [`Error::TooLarge`](concurrent_futures::Error::TooLarge). By default, 64 MiB.
    ///
    /// Set it no higher than the broker's own `max_message_size`, which is 16 MiB since RabbitMQ 4.0 and 128 MiB before.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// Sets whether the worker publishes an event for each step of a task, as `celery worker -E` does. By default it
    /// does so only once a monitor asks for it (`celery control enable_events`; Flower does).
    pub fn events(mut self, sends: bool) -> Self {
        self.settings.sends_events = sends;
        self
    }

    /// Sets whether the arguments of tasks are hidden from monitors and `celery inspect`, and results from monitors:
    /// they see `(hidden)` instead.
    pub fn hide_arguments(mut self, hides: bool) -> Self {
        self.settings.hides_arguments = hides;
        self
    }

    /// Returns the worker. It connects when it is [run](Worker::run).
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if a setting is not valid, or if two functions of the program have one name.
    pub fn build(self) -> Result<Worker, ConnectError> {
        let Self { broker, mut settings, executor } = self;
        let broker = broker?;
        let refused = |parameter, requirement, value: &dyn fmt::Debug| {
            Err(ConnectError::Setting(BuildError::new(parameter, requirement, value)))
        };
        if settings.queues.is_empty() {
            return refused("queues", "one queue or more", &settings.queues);
        }
        if let Some(queue) = settings.queues.iter().find(|queue| queue.is_empty() || queue.len() > LONGEST) {
            return refused("queues", "names of 1 to 255 bytes", queue);
        }
        if settings.max_message_size == 0 {
            return refused("max_message_size", "at least 1", &0);
        }
        settings.name = settings.name.replace("%h", &gethostname::gethostname().to_string_lossy());
        if !settings.name.contains('@') || settings.name.len() > 200 {
            return refused("name", "of the form `name@host` and at most 200 bytes long", &settings.name);
        }
        named::all().map(drop).map_err(ConnectError::Clash)?;
        let executor = executor.unwrap_or_else(|| Box::new(ThreadPoolExecutor::default()));
        let (inputs, stops) = (async_channel::unbounded(), async_channel::unbounded());
        Ok(Worker { broker, settings, executor, inputs, stops })
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, settings, .. } = self;
        f.debug_struct("WorkerBuilder").field("broker", broker).field("settings", settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Worker;

    fn refused(build: impl FnOnce(super::WorkerBuilder) -> super::WorkerBuilder) -> String {
        build(Worker::builder("amqp://127.0.0.1")).build().unwrap_err().to_string()
    }

    #[test]
    fn a_setting_that_is_not_valid_is_named() {
        assert_eq!(refused(|worker| worker.queues([""; 0])), "queues must be one queue or more, not []");
        assert_eq!(refused(|worker| worker.queues([""])), "queues must be names of 1 to 255 bytes, not \"\"");
        assert_eq!(refused(|worker| worker.max_message_size(0)), "max_message_size must be at least 1, not 0");
        let name = refused(|worker| worker.name("sums"));
        assert_eq!(name, "name must be of the form `name@host` and at most 200 bytes long, not \"sums\"");
        let url = Worker::builder("redis://x").build().unwrap_err().to_string();
        assert!(url.contains("redis://"), "{url}");
    }

    #[test]
    fn a_worker_has_the_name_of_its_machine() {
        let worker = Worker::builder("amqp://127.0.0.1").name("sums@%h").build().unwrap();
        assert!(worker.name().starts_with("sums@") && !worker.name().contains('%'));
        let unnamed = Worker::builder("amqp://127.0.0.1").build().unwrap();
        assert!(unnamed.name().starts_with(&format!("rust-{}@", std::process::id())));
    }
}
