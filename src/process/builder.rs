//! [`ProcessPoolBuilder`]: collects and checks the settings of a process pool.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::pool::Settings;
use super::shm::segments::PeerSegments;
use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec::Payload;
use crate::error::{BoxError, BuildError, Error};
use crate::panics;
use crate::process::program::call::LocatedCall;
use crate::task::call::{Call, EncodableCall};
use crate::task::function::{Function, Initializer, TryInitializer};
use crate::unwind;

/// The default limit on the length of an argument or result, in bytes.
const MAX_MESSAGE_SIZE: u64 = 1 << 30;

/// Configures a [`ProcessPoolExecutor`](crate::ProcessPoolExecutor). Returned by
/// [`ProcessPoolExecutor::builder`](crate::ProcessPoolExecutor::builder).
#[must_use = "a builder does nothing until `build` is called"]
pub struct ProcessPoolBuilder {
    max_workers: Option<usize>,
    initializer: Option<Result<LocatedCall, Error>>,
    max_tasks_per_worker: Option<usize>,
    memory_limit: Option<u64>,
    time_limit: Option<Duration>,
    keep_alive: Option<Duration>,
    max_pending: Option<usize>,
    max_message_size: Option<u64>,
    environment: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
}

impl ProcessPoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_workers: None,
            initializer: None,
            max_tasks_per_worker: None,
            memory_limit: None,
            time_limit: None,
            keep_alive: None,
            max_pending: None,
            max_message_size: None,
            environment: Vec::new(),
            current_dir: None,
        }
    }

    /// Sets the number of worker processes. Defaults to one for each usable CPU.
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = Some(workers);
        self
    }

    /// Calls `initializer` in each worker process before its first task. The tasks that the worker runs get what it
    /// returns by [`task::worker_state`](fn@crate::task::worker_state); it need not be serialisable.
    ///
    /// `main` does not run in a worker, so this is the place for what it would set up, such as a logger. The argument
    /// is encoded once, in this call. An initializer that panics, or ends its process, breaks the executor: pending and
    /// later tasks end with [`Error::Broken`], which contains the message. If the process is killed (SIGKILL) and a
    /// worker was ready before, another one is tried.
    pub fn initializer<A: Payload, S: 'static>(mut self, initializer: fn(A) -> S, argument: A) -> Self {
        self.initializer = Some(encode_call(Initializer(initializer), argument));
        self
    }

    /// Does the same as [`initializer`](ProcessPoolBuilder::initializer) for a function that returns `Result`. An `Err`
    /// breaks the executor.
    pub fn try_initializer<A: Payload, S: 'static, E: Into<BoxError> + 'static>(
        mut self,
        initializer: fn(A) -> Result<S, E>,
        argument: A,
    ) -> Self {
        self.initializer = Some(encode_call(TryInitializer(initializer), argument));
        self
    }

    /// Replaces each worker after this many tasks, to get rid of what tasks leave behind. A chunk of a map counts as
    /// one task.
    ///
    /// The replacement is started when the old worker has exited, if tasks are pending then.
    pub fn max_tasks_per_worker(mut self, tasks: usize) -> Self {
        self.max_tasks_per_worker = Some(tasks);
        self
    }

    /// Limits the address space of each worker to its size at the start plus this many bytes.
    ///
    /// Memory that the allocator has reserved by then, up to 64 MiB with glibc, comes on top. An allocation beyond the
    /// limit fails, which ends the worker and the task that made it, with [`Error::WorkerDied`], and no other; its
    /// [`hint`](crate::WorkerDied::hint) says so. Only Linux supports this; on other systems tasks end with
    /// [`Error::Broken`].
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Limits how long each task may run, counted from its start. If the task has its own
    /// [limit](crate::TaskOptions::time_limit), the shorter one applies.
    ///
    /// A task that runs longer ends with [`Error::TimeLimit`], and its worker process is killed. Items of a map are
    /// tasks of their own, and a map's `chunk_size` does not apply.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Ends a worker that has been idle for this long. By default, workers stay until the executor is dropped.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.keep_alive = Some(idle);
        self
    }

    /// Limits the queue to this many pending tasks: `submit` blocks until there is room.
    ///
    /// On a thread that belongs to the executor, such as in a callback, `submit` does not block. Until a worker that is
    /// ready has taken it, a task counts as pending: while the first workers start, a burst has room for `tasks` tasks, and
    /// not for one more on each worker.
    pub fn max_pending(mut self, tasks: usize) -> Self {
        self.max_pending = Some(tasks);
        self
    }

    /// Limits the length of an encoded argument, result or context, in bytes. Defaults to 1 GiB. A longer one ends its
    /// task with [`Error::TooLarge`]. Bytes that go through shared memory count as if they were in the encoding.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.max_message_size = Some(bytes);
        self
    }

    /// Sets an environment variable in the workers, which otherwise have the program's environment.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Sets the directory that the workers start in, which otherwise is the program's current directory. A relative path
    /// is resolved when the pool is built.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// Checks the settings. Settings that were not given get their defaults.
    pub(super) fn settings(self) -> Result<Settings, BuildError> {
        let initializer = self.initializer.transpose().map_err(|error| {
            let requirement = "a function of this program, with an argument that can be serialised";
            BuildError::new("initializer", requirement, format_args!("{error}"))
        })?;
        let current_dir = self.current_dir.map(absolute_directory).transpose()?;
        if let Some((key, value)) = self.environment.iter().find(|(key, value)| !can_be_set(key, value)) {
            let requirement = "a name without `=` that is not empty, and no zero byte in it or its value";
            return Err(BuildError::new("env", requirement, (key, value)));
        }
        Ok(Settings {
            max_workers: BuildError::if_zero("max_workers", self.max_workers)?.unwrap_or_else(num_cpus::get),
            initializer,
            max_tasks_per_worker: BuildError::if_zero("max_tasks_per_worker", self.max_tasks_per_worker)?
                .map(|tasks| tasks as u64),
            memory_limit: BuildError::if_zero("memory_limit", self.memory_limit)?,
            time_limit: BuildError::if_no_time("time_limit", self.time_limit)?,
            keep_alive: BuildError::if_no_time("keep_alive", self.keep_alive)?,
            max_pending: BuildError::if_zero("max_pending", self.max_pending)?,
            max_message_size: BuildError::if_zero("max_message_size", self.max_message_size)?
                .unwrap_or(MAX_MESSAGE_SIZE),
            environment: self.environment,
            current_dir,
        })
    }
}

/// Returns the absolute path of a directory that exists. Workers start in it later, when the program may have changed
/// its own directory.
fn absolute_directory(directory: PathBuf) -> Result<PathBuf, BuildError> {
    let absolute = std::path::absolute(&directory).ok().filter(|absolute| absolute.is_dir());
    absolute.ok_or_else(|| BuildError::new("current_dir", "a directory that is there", directory))
}

fn encode_call<F: Function<A, ()>, A: Payload>(function: F, argument: A) -> Result<LocatedCall, Error> {
    let call = EncodableCall { function, argument };
    // The argument is encoded once for all workers, so nothing may be sent out of band.
    let nothing: Arc<dyn OutOfBand> = Arc::<PeerSegments>::default();
    let (encoded, _) = with_out_of_band(&nothing, || panics::catch(|| Call::<()>::encode_call(&call)));
    unwind::drop_caught(call);
    LocatedCall::of(encoded?)
}

fn can_be_set(key: &OsString, value: &OsString) -> bool {
    let key = key.as_encoded_bytes();
    !key.is_empty() && !key.contains(&b'=') && !key.contains(&0) && !value.as_encoded_bytes().contains(&0)
}

impl fmt::Debug for ProcessPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("max_tasks_per_worker", &self.max_tasks_per_worker)
            .field("memory_limit", &self.memory_limit)
            .field("time_limit", &self.time_limit)
            .field("keep_alive", &self.keep_alive)
            .field("max_pending", &self.max_pending)
            .field("max_message_size", &self.max_message_size)
            .field("current_dir", &self.current_dir)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_directory_is_that_of_the_moment_of_the_build() {
        let settings = ProcessPoolBuilder::new().current_dir("src").settings().unwrap();
        assert_eq!(settings.current_dir, Some(std::env::current_dir().unwrap().join("src")));
    }
}
