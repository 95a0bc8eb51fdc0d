//! [`Rust`]: a worker of this crate, in a process of its own.

use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use concurrent_futures::{ProcessPoolExecutor, ThreadPoolExecutor};
use concurrent_futures_celery::Worker;

use super::{Program, unique};

/// The environment variable that makes a process of the tests a worker. It has the name of its queue.
const QUEUE: &str = "CF_TEST_QUEUE";
/// The variable that has its number of slots.
const SLOTS: &str = "CF_TEST_SLOTS";
/// The variable that is set if its executor is a pool of processes.
const PROCESSES: &str = "CF_TEST_PROCESSES";
/// The variable that has its name.
const NAME: &str = "CF_TEST_NAME";

/// The text in the log of a worker that takes tasks.
pub(crate) const READY: &str = "takes tasks from";

/// A worker with the tasks of the test program. Dropping it ends the worker.
pub(crate) struct Rust {
    program: Program,
    pub(crate) queue: String,
    pub(crate) name: String,
}

/// Writes to the error stream, by which a test learns that a worker is there.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("concurrent_futures")
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}", record.args());
        }
    }
    fn flush(&self) {}
}

impl Rust {
    /// Starts a worker with this many slots, each of which is a process or a thread.
    pub(crate) fn start(url: &str, slots: usize, processes: bool) -> Self {
        Self::start_on(&unique("rust"), url, slots, processes)
    }

    /// Starts a worker on a queue, and returns when it takes tasks.
    pub(crate) fn start_on(queue: &str, url: &str, slots: usize, processes: bool) -> Self {
        Self::start_by(Command::new(std::env::current_exe().expect("a path")), queue, url, slots, processes)
    }

    /// Starts a worker like [`start_on`](Self::start_on), by a command that runs this program on some machine.
    pub(crate) fn start_by(mut command: Command, queue: &str, url: &str, slots: usize, processes: bool) -> Self {
        let name = format!("{}@test", unique("rust"));
        command.env("CELERY_BROKER_URL", url).env(QUEUE, queue).env(SLOTS, slots.to_string()).env(NAME, &name);
        if processes {
            command.env(PROCESSES, "1");
        }
        let mut program = Program::start(command.stderr(Stdio::piped())).expect("a worker");
        let is_ready = program.has_said(READY, |line| eprintln!("  worker: {line}"));
        assert!(is_ready, "the worker has ended before it was ready");
        Self { program, queue: queue.into(), name }
    }

    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Kills it. The processes that it has started notice that and end.
    pub(crate) fn kill(&mut self) {
        let _ = self.program.0.kill();
        self.wait();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.program.wait()
    }
}

/// Makes this process a worker, if it was started as one.
pub(crate) fn serve() -> Option<ExitCode> {
    let queue = std::env::var(QUEUE).ok()?;
    let slots = std::env::var(SLOTS).expect("a number").parse().expect("a number");
    log::set_logger(&Log).map(|()| log::set_max_level(log::LevelFilter::Info)).expect("the only logger");
    let url = std::env::var("CELERY_BROKER_URL").expect("a broker");
    let builder = Worker::builder(&url)
        .queues([queue])
        .name(&std::env::var(NAME).expect("a name"))
        .grace(Duration::from_secs(20));
    let builder = match std::env::var(PROCESSES) {
        Ok(_) => builder.executor(ProcessPoolExecutor::new(slots)),
        Err(_) => builder.executor(ThreadPoolExecutor::new(slots)),
    };
    builder.build().expect("settings").run().expect("a broker");
    Some(ExitCode::SUCCESS)
}
