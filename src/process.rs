//! [`ProcessPoolExecutor`]: tasks on other processes of this program.
//!
//! `supervisor` decides who gets which task, `pool` does what was decided, `link` looks after one worker; `wire` and
//! `frame` are how they talk, `slots` what they share; `entry` and `worker` are the other side. `obstacle` says where there can be none. `image`, `call` and
//! `symbol` find functions, `child` is a process, `fork` tells a copy of this one; `sys` is what
//! systems do in different ways.

mod builder;
mod call;
mod child;
mod entry;
mod flight;
mod fork;
mod frame;
mod freight;
#[cfg(all(test, target_os = "linux", feature = "auto-entry", not(portable)))]
mod hostile;
mod image;
mod items;
mod link;
mod obstacle;
mod pace;
mod pool;
mod portion;
mod receiver;
mod relief;
mod reply;
#[cfg(test)]
mod seeds;
mod segments;
mod shortage;
mod slots;
mod supervisor;
#[cfg_attr(target_vendor = "apple", path = "process/symbol/none.rs")]
mod symbol;
mod sys;
mod wire;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

pub use builder::ProcessPoolBuilder;
pub(crate) use call::{Addressed, Call, Cut, Parcel};
pub use entry::init;
pub(crate) use segments::Mapping;

use crate::executor::{Backend, Sharers, Workers};
use crate::job::Job;
use crate::options::Stats;
pub(crate) use freight::Freight;
pub(crate) use pool::Pool;

/// Runs tasks on worker processes, which start on demand and are reused.
///
/// Each worker is another process of this very program, which turns into a worker before its `main`: nothing has to be
/// registered, and nothing has to be called in `main`. (On other systems than Linux, and without the feature
/// `auto-entry`, [`init`] has to be its first line.)
///
/// A task is a plain function of the program, or a closure that captures nothing, and an argument that serde can carry;
/// several arguments are a tuple. It shares no memory with the program: a crash ends the worker and the one task that
/// it ran, with [`Error::WorkerDied`](crate::Error::WorkerDied), and a new worker takes its place. A running task can
/// be killed: [`abort`](crate::Future::abort), and [`TaskOptions::time_limit`](crate::TaskOptions::time_limit).
///
/// Dropping the executor is [`shutdown`](crate::Executor::shutdown): queued tasks run, then the workers end. While the
/// thread unwinds it is [`shutdown_now`](crate::Executor::shutdown_now). A program that ends, however it ends, takes its
/// workers with it, and the programs that they have started.
///
/// # In a worker
///
/// Standard output and error are the program's own, standard input is empty. `main` never runs: loggers and the like
/// are set up by an [`initializer`](ProcessPoolBuilder::initializer). Statics have the value they have before `main`, and
/// keep what tasks write to them for later tasks of that worker. Of the
/// program's arguments there is only its name (not even that with musl; where [`init`] makes the worker, the pool's own argument follows).
/// A task has the stack of a spawned thread, 2 MiB, or what `RUST_MIN_STACK` says
/// (`builder().env(..)` may set it). Under `cargo test`, what tasks print is not captured.
///
/// A worker inherits the program's environment, current directory, limits and rights. Not its signals: none is blocked, and none is ignored
/// but SIGPIPE, SIGTTIN and SIGTTOU (the programs that a task starts ignore the last two as well, unless they say otherwise). SIGHUP and
/// SIGSTKFLT are handled on Linux: with them the kernel tells of the end of the program. Not its descriptors either: those that are open across
/// `exec` are closed, but for the standard streams, and a stream that is closed in the program is `/dev/null`. A file that a task needs it opens
/// itself; on Linux, `/proc/<id of the program>/fd/<number>` is a way to one that the program has open.
///
/// Where files may not be long (`ulimit -f`), shared memory may not either: long bytes take the socket then, and below 96 KiB there is no worker
/// ([`Error::Broken`](crate::Error::Broken) says why).
///
/// Standard output is flushed before a result is sent, so whoever sees the result also sees what was printed. That waits for a quarter of
/// a second at most: where another thread of the worker keeps standard output locked, or nobody reads what is printed, the result comes
/// first, later tasks run on another thread of the worker, and the output follows when it can. A copy of the worker that a task forks, and
/// that comes back from the task's function, ends there.
///
/// # Processes that a task starts
///
/// Each worker is the first of a process group of its own, and the programs that a task starts belong to it. When a worker ends, for
/// whatever reason, all that is left of the group is killed; also if it ends because the program does. What leaves the group (`setsid`,
/// `setpgid`) lives on. So does, after a worker and the program were killed by somebody else at the very same time, what the worker has started.
///
/// # At the terminal
///
/// Ctrl-C reaches the program and not its workers, which then end with it, or as the program wants. Ctrl-Z stops the program alone: tasks
/// that run go on, and their results wait until the program does; time limits do not stop, so one that was exceeded meanwhile ends its task then.
/// Tasks may print. To read from the terminal (`/dev/tty`) is an error for them, and for what they start. What stops a worker (SIGSTOP) is not
/// noticed; a time limit ends that.
///
/// # A program that replaces itself
///
/// After `exec`, the workers and what they have started are killed, as at the end of the program. The new program is their parent and does not
/// know of them: until it reaps them (`waitpid`) or ends, they are left as zombies. A program that does not want that drops its executors before.
///
/// # When a worker cannot be killed
///
/// A program that gave up its rights (`setuid`) may not signal the workers it had before, and a filter of system calls (seccomp) may allow no
/// signals at all. Then a worker that is to be killed has its connection shut, and ends by itself; what it has started may go on. A worker that
/// does not end in two seconds, because it is stopped, is reported by `log::error!` with its process id and left behind: no future waits for
/// it, and neither does the end of the pool.
///
/// # What a program must not do
///
/// A worker is started as the program itself was, with one argument that makes a worker of it. It takes orders only from the process that
/// started it. Where that cannot be, `main` does not run in its place: the process exits at once, and tasks end with
/// [`Error::Broken`](crate::Error::Broken), which says what is missing and what to do. So a program that uses a pool should not:
///
/// - **Run with borrowed rights.** A program that is set-user-ID, set-group-ID or has file capabilities has no workers. One whose effective ids
///   differ from its real ones (`seteuid`, `setegid`, `setreuid`) starts none until they are the same again; those that are there go
///   on. To give up rights for good, change both, with `setresuid` and `setresgid`.
/// - **Be started by its loader.** The system takes `ld.so PROGRAM` for a run of `ld.so`, and would start that.
/// - **Hide its file.** On Linux a worker is the very file that runs, also if it was deleted or replaced. Where there is no `/proc` (after `chroot`),
///   and on other systems, it is what lies at the program's path by then. If that is another program, it runs once, with the argument.
///   A program for musl has no workers without `/proc`.
/// - **Come between the pool and its workers**, by a wrapper that starts processes in their place and does not hand on arguments, standard input
///   and parent, or by an initialiser or preloaded library that takes them away.
/// - **Do something before [`init`]**, where that is needed: it is done in each worker as well. If `init` is missing, `main` runs once in place of
///   the first worker, up to its own end; pools in it refuse all tasks.
/// - **Use a pool after `fork`.** The copy has neither its threads nor its workers. It may make one of its own.
///
/// It takes Linux 5.4 or later, with `pidfd_open` permitted; containers and emulators may lack it. The first worker of a program is
/// started alone, and others when it has come up.
///
/// # Nesting
///
/// A task may use a process pool of its own, a few levels deep. It cannot wait for a task of the pool that it runs on: an executor
/// does not cross to another process. Instead, return what is to be done next, and submit it from the program:
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
///         Err(halves) => halves.map(|half| running.push(processes.submit(sum_or_split, half))).into_iter().collect(),
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
    pool: Arc<Pool>,
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

    fn from_pool(pool: Arc<Pool>) -> Self {
        Self { pool, detached: false }
    }

    /// Closes the executor and leaves it: queued tasks run, and the workers end when the queue is empty.
    ///
    /// Does not block. A program that ends does not wait for them, and takes them with it.
    pub fn detach(mut self) {
        self.detached = true;
        self.pool.close();
    }

    /// Sends SIGTERM to every worker and what it has started. Running tasks end with
    /// [`Error::WorkerDied`](crate::Error::WorkerDied), all others run on new workers.
    ///
    /// Does not block. A task that handles the signal may go on.
    pub fn terminate_workers(&self) {
        self.pool.signal_all(Signal::TERM);
    }

    /// Kills every worker and what it has started. Running tasks end with
    /// [`Error::WorkerDied`](crate::Error::WorkerDied), all others run on new workers.
    ///
    /// Does not block.
    pub fn kill_workers(&self) {
        self.pool.signal_all(Signal::KILL);
    }
}

impl Default for ProcessPoolExecutor {
    /// Creates an executor with one worker for each usable cpu.
    fn default() -> Self {
        Self::new(num_cpus::get())
    }
}

impl Backend for ProcessPoolExecutor {
    fn execute(&self, job: Job) {
        self.pool.execute(job.into_task());
    }

    fn workers(&self) -> Option<Workers> {
        let is_limited = self.pool.settings.time_limit.is_some();
        Some(Workers(if is_limited { Sharers::Limited } else { Sharers::Processes(Arc::clone(&self.pool)) }))
    }

    fn max_workers(&self) -> usize {
        self.pool.settings.max_workers
    }

    fn close(&self) {
        self.pool.close();
    }

    fn join_timeout(&self, timeout: Option<Duration>) -> bool {
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
        self.pool.close();
        if self.detached {
            return;
        }
        if std::thread::panicking() {
            self.pool.cancel_pending();
        }
        self.pool.join(None);
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
