//! [`ProcessPoolExecutor`]: tasks on other processes of this program.
//!
//! Most lines are the documentation of the type.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::builder::ProcessPoolBuilder;
use super::monitor;
use super::pool::Pool;
use crate::backend::{Backend, shut_down_dropped};
use crate::condition::{Room, Waiting};
use crate::error::BuildError;
use crate::items::ItemExecutor;
use crate::job::Job;
use crate::options::Stats;
use crate::submitter::Submitter;

/// Runs tasks on worker processes, which start on demand and are reused.
///
/// Each worker is another process of this program that becomes a worker before `main` runs. Nothing has to be
/// registered or called in `main`. (Except on Linux with the feature `auto-entry`, the first line of `main` has to be
/// [`init`](crate::init).)
///
/// A task is a function of the program, or a closure that captures nothing, and an argument that serde can serialise.
/// Several arguments are passed as a tuple. A task shares no memory with the program: a crash ends the worker and the
/// one task that it ran, with [`Error::WorkerDied`](crate::Error::WorkerDied), and a new worker takes its place. A
/// running task can be killed with [`abort`](crate::Future::abort), or by a
/// [`TaskOptions::time_limit`](crate::TaskOptions::time_limit).
///
/// Dropping the executor has the effect of [`shutdown`](crate::Executor::shutdown): queued tasks run, then the workers
/// end. If the thread is unwinding, it has the effect of [`shutdown_now`](crate::Executor::shutdown_now). In async code,
/// the drop blocks a thread of the runtime: await [`shutdown_async`](crate::Executor::shutdown_async) before, or
/// [`detach`](ProcessPoolExecutor::detach) the executor. When the program ends, for whatever reason, its workers end too,
/// and so do the programs that they have started.
///
#[doc = include_str!("../executor/methods.md")]
///
/// Only processes have [`terminate_workers`](ProcessPoolExecutor::terminate_workers) and
/// [`kill_workers`](ProcessPoolExecutor::kill_workers).
///
/// # In a worker
///
/// A worker shares standard output and error with the program; its standard input is empty. `main` does not run (beyond
/// a call of [`init`](crate::init)), so loggers and the like have to be set up by an
/// [`initializer`](ProcessPoolBuilder::initializer). Statics have the values they have before `main`; what a task
/// writes to them is seen by later tasks of the same worker. Of the program's arguments, a worker sees only the
/// program's name (with musl not even that; a worker that [`init`](crate::init) makes also sees the pool's own
/// argument). A task has at least the stack of a spawned thread, 2 MiB or the value of `RUST_MIN_STACK`, which
/// `builder().env(..)` can set; another 10 MiB (18 MiB in a debug build) are reserved for deserialising arguments. A
/// task that overflows its stack ends its worker with SIGSEGV, without the message that Rust programs usually print.
/// `cargo test` does not capture what tasks print.
///
/// A worker inherits the program's environment, current directory, resource limits and privileges. It does not inherit
/// signal settings: no signal is blocked, and only SIGPIPE, SIGTTIN and SIGTTOU are ignored (programs that a task
/// starts inherit the last two as ignored). On Linux, SIGHUP and SIGSTKFLT have handlers, which detect the end of the
/// program. A worker inherits no descriptors except the standard streams; a stream that is closed in the program is
/// `/dev/null` in the worker. A task has to open the files that it needs. On Linux, it can open a file of the program
/// as `/proc/<id of the program>/fd/<number>`.
///
/// A file size limit (`ulimit -f`) applies to shared memory too. `Bytes` that do not fit go through the socket. If the
/// limit is below 96 KiB, no worker can start, and tasks end with [`Error::Broken`](crate::Error::Broken), whose text
/// gives the reason.
///
/// A worker flushes standard output before it sends a result, so the output of a task is visible before its result. The
/// flush may take at most a quarter of a second. If it takes longer, because another thread of the worker holds the
/// lock of standard output or nobody reads the output, the result is sent first, later tasks run on another thread of
/// the worker, and the output follows when it can. If a task forks and its function returns in the child, the child
/// exits.
///
/// # Processes that a task starts
///
/// Each worker leads a process group, to which the programs that its tasks start belong. When a worker ends for any
/// reason, including the end of the program, the rest of the group is killed. A process that leaves the group
/// (`setsid`, `setpgid`) keeps running. So do the processes of a worker that is killed from outside at the same moment
/// as the program.
///
/// # At the terminal
///
/// Ctrl-C is sent to the program only; its workers end when it ends. Ctrl-Z stops the program only: running tasks
/// continue, and their results wait until the program continues. Time limits keep counting, and a task that exceeded
/// its limit meanwhile ends when the program continues. Tasks may print. Reading from the terminal (`/dev/tty`) fails
/// in tasks and in the programs that they start. The pool does not notice that a worker is stopped (SIGSTOP); only a
/// time limit ends its task.
///
/// # A program that replaces itself
///
/// After `exec`, the workers and the processes that they started are killed, as at the end of the program. The workers
/// remain as zombies until the new program, which is their parent now, reaps them (`waitpid`) or ends. To avoid that,
/// drop all executors before `exec`.
///
/// # When a worker cannot be killed
///
/// A program that dropped its privileges (`setuid`) may not signal workers that it started before, and a system call
/// filter (seccomp) may forbid all signals. To end a worker, the pool then shuts its connection, and the worker exits
/// by itself; processes that it started may keep running. If the worker has not exited after two seconds, because it is
/// stopped, the pool logs its process id with `log::error!` and leaves it behind: neither a future nor the shutdown of
/// the pool waits for it.
///
/// # What a program must not do
///
/// A worker is the program itself, started again with one argument that turns it into a worker. It obeys only the
/// process that started it. If a worker cannot be set up, its process exits before `main` (two exceptions are below),
/// and tasks end with [`Error::Broken`](crate::Error::Broken), whose text says what is missing and what to do. A
/// program that uses a pool should not:
///
/// - **Run with raised privileges.** A program that is set-user-ID or set-group-ID, or has file capabilities, cannot
///   start workers. A program whose effective ids differ from its real ones (`seteuid`, `setegid`, `setreuid`) cannot
///   start workers until they match again; existing workers continue. To drop privileges for good, change both ids,
///   with `setresuid` and `setresgid`.
/// - **Be started by its loader.** For the system, the running program of `ld.so PROGRAM` is `ld.so`, so the pool
///   cannot start `PROGRAM`.
/// - **Hide its file.** On Linux a worker runs the same file as the program, even if that was deleted or replaced.
///   Without `/proc` (after `chroot`), and on other systems, it runs the file that is at the program's path when the
///   worker starts. If that is another program, that program runs once, with the pool's argument. A program for musl
///   cannot start workers without `/proc`.
/// - **Come between the pool and its workers**: with a wrapper that starts a worker without its arguments, standard
///   input or parent, or with an initialiser or preloaded library that removes them.
/// - **Do anything before [`init`](crate::init)**, where `init` is needed: each worker would do it too. If the call of
///   `init` is missing, `main` runs once more, to its end, in the process that was meant to be the first worker; pools
///   in that process refuse all tasks.
/// - **Leave code running that reads the worker's descriptors.** A thread that a task leaves behind, and that reads
///   from descriptors which are not its own, may take the message of a later task, which then hangs: only a
///   [time limit](crate::TaskOptions::time_limit) ends it.
/// - **Use a pool after `fork`.** The child has neither the pool's threads nor its workers. It may create its own pool.
///
/// Linux must be version 5.4 or later and permit `pidfd_open`, which some containers and emulators do not. The
/// program's first worker starts alone; others start once it is ready.
///
/// # Nesting
///
/// A task may use a process pool of its own, eight levels deep. It cannot wait for a task of the pool that it runs on:
/// an executor does not cross to another process, and one in a `static` is another one in each. Instead, return the next steps from the task, and submit them from
/// the program:
///
/// ```standalone_crate
/// use concurrent_futures::{Error, Executor, ProcessPoolExecutor, as_completed};
/// # concurrent_futures::init();
///
/// /// Either the sum of the numbers, or the two halves that it takes.
/// fn sum_or_split(numbers: Vec<u64>) -> Result<u64, [Vec<u64>; 2]> {
///     if numbers.len() <= 2 {
///         return Ok(numbers.iter().sum());
///     }
///     let (left, right) = numbers.split_at(numbers.len() / 2);
///     Err([left.to_vec(), right.to_vec()])
/// }
///
/// let processes = ProcessPoolExecutor::new(2);
/// let mut running = as_completed([processes.submit(sum_or_split, (1..=8).collect())]);
/// let mut total = 0;
/// while let Some(future) = running.next() {
///     match future.result()? {
///         Ok(sum) => total += sum,
///         Err(halves) => {
///             for half in halves {
///                 running.push(processes.submit(sum_or_split, half));
///             }
///         }
///     }
/// }
/// assert_eq!(total, 36);
/// # Ok::<(), Error>(())
/// ```
///
/// # Examples
///
/// ```standalone_crate
/// use concurrent_futures::{Error, Executor, ProcessPoolExecutor};
/// # concurrent_futures::init();
///
/// fn sum_to(n: u64) -> u64 {
///     (1..=n).sum()
/// }
///
/// let processes = ProcessPoolExecutor::new(2);
/// assert_eq!(processes.submit(sum_to, 10_000).result()?, 50_005_000);
///
/// let crash = processes.submit(|code: i32| std::process::exit(code), 3);
/// let error = crash.result().map(|()| "unreachable").unwrap_err();
/// assert!(error.to_string().contains("exited with code 3"), "{error}");
/// assert_eq!(processes.submit(sum_to, 3).result()?, 6);
/// # Ok::<(), Error>(())
/// ```
pub struct ProcessPoolExecutor {
    pub(super) pool: Arc<Pool>,
    detached: bool,
}

impl ProcessPoolExecutor {
    /// Creates an executor that runs up to `max_workers` tasks at a time. Starts no process yet.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0; [`builder`](ProcessPoolExecutor::builder) returns an error instead.
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        match Self::builder().max_workers(max_workers).build() {
            Ok(executor) => executor,
            Err(error) => panic!("{error}"),
        }
    }

    /// Configures an executor.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    /// use concurrent_futures::{Executor, ProcessPoolExecutor};
    /// # concurrent_futures::init();
    ///
    /// let processes = ProcessPoolExecutor::builder()
    ///     .max_workers(2)
    ///     .time_limit(Duration::from_secs(60))
    ///     .max_tasks_per_worker(1000)
    ///     .env("TZ", "UTC")
    ///     .build()?;
    /// let zone = processes.submit(|name: String| std::env::var(name).ok(), "TZ".into()).result()?;
    /// assert_eq!(zone.as_deref(), Some("UTC"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::new()
    }

    /// Closes the executor without waiting: queued tasks run, and the workers end when the queue is empty.
    ///
    /// Does not block. If the program ends first, the workers end with it. It takes the executor itself: the last owner of
    /// an `Arc` of it gets it by `Arc::into_inner`.
    pub fn detach(mut self) {
        self.detached = true;
        self.pool.close();
    }

    /// Sends SIGTERM to every worker and to the processes that it started. Running tasks end with
    /// [`Error::WorkerDied`](crate::Error::WorkerDied); the others run on new workers.
    ///
    /// Does not block. A task that handles the signal may continue.
    pub fn terminate_workers(&self) {
        self.pool.signal_all(Signal::TERM);
    }

    /// Kills every worker and the processes that it started. Running tasks end with
    /// [`Error::WorkerDied`](crate::Error::WorkerDied); the others run on new workers.
    ///
    /// Does not block.
    pub fn kill_workers(&self) {
        self.pool.signal_all(Signal::KILL);
    }
}

impl ProcessPoolBuilder {
    /// Creates the executor. Starts no process yet.
    ///
    /// # Errors
    ///
    /// Returns a [`BuildError`] that names the invalid setting and says what is required of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use concurrent_futures::ProcessPoolExecutor;
    ///
    /// let error = ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert_eq!(error.to_string(), "max_workers must be at least 1, not 0");
    /// ```
    pub fn build(self) -> Result<ProcessPoolExecutor, BuildError> {
        Ok(ProcessPoolExecutor { pool: Pool::new(self.settings()?, monitor::run), detached: false })
    }
}

impl Default for ProcessPoolExecutor {
    /// Creates an executor with one worker for each usable CPU.
    fn default() -> Self {
        Self::new(num_cpus::get())
    }
}

impl Backend for ProcessPoolExecutor {
    fn execute(&self, job: Job) {
        self.pool.execute(job.into_task(), Room::NotReserved);
    }

    fn submitter(&self) -> Option<Submitter> {
        let pool = Arc::clone(&self.pool);
        let submitter = Submitter::new(move |job| pool.execute(job.into_task(), Room::Exempt));
        Some(submitter.with_upcoming(&self.pool.upcoming))
    }

    fn try_execute(&self, job: Job, waiting: &mut Waiting) -> Result<(), Job> {
        let Some(room) = self.pool.reserve(job.options(), waiting) else { return Err(job) };
        self.pool.execute(job.into_task(), room);
        Ok(())
    }

    fn poll_join(&self, waiting: &mut Waiting) -> bool {
        self.pool.poll_join(waiting)
    }

    fn item_executor(&self) -> ItemExecutor {
        ItemExecutor::new(Arc::clone(&self.pool) as _)
    }

    fn max_workers(&self) -> usize {
        self.pool.settings.max_workers
    }

    fn close(&self) {
        self.pool.close();
    }

    fn join(&self, timeout: Option<Duration>) -> bool {
        self.pool.join(timeout)
    }

    fn cancel_pending(&self) -> usize {
        self.pool.cancel_pending()
    }

    fn stats(&self) -> Stats {
        self.pool.stats()
    }
}

impl Drop for ProcessPoolExecutor {
    fn drop(&mut self) {
        if !self.detached {
            shut_down_dropped(self, "ProcessPoolExecutor");
        }
    }
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolExecutor")
            .field("max_workers", &self.max_workers())
            .field("stats", &self.stats())
            .finish()
    }
}
