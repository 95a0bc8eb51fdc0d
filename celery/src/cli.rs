//! The command line of a worker, with Celery's own spelling: [`worker`] is the whole `main` of a program.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use concurrent_futures::{Backend, ThreadPoolExecutor, named};

use crate::topology::DEFAULT_QUEUE;
use crate::worker::{Worker, WorkerBuilder};

/// Runs the tasks of this program for clients of Celery.
#[derive(Debug, Parser)]
#[command(version = None)]
struct Options {
    /// Where RabbitMQ is, such as amqp://127.0.0.1; by default what CELERY_BROKER_URL says.
    #[arg(short, long, value_name = "URL")]
    broker: Option<String>,
    /// The queues to take tasks from.
    #[arg(short = 'Q', long, value_delimiter = ',', default_value = DEFAULT_QUEUE)]
    queues: Vec<String>,
    /// How many tasks run at a time; by default one for each processor that may be used.
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
    /// Where tasks run. In a process, a task can be killed, and a crash costs only itself.
    #[arg(short = 'P', long, value_enum, default_value_t)]
    pool: Pool,
    /// The name that Celery's tools know the worker by, such as sums@%h, where %h is the machine.
    #[arg(short = 'n', long)]
    hostname: Option<String>,
    /// How many seconds a stop waits for the tasks that run; by default as long as they take.
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
    /// How often a task is run again when its worker is lost, if its client does not say.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    redeliver: u32,
    /// Tell monitors what becomes of each task.
    #[arg(short = 'E', long)]
    task_events: bool,
    /// Print the names of the tasks, and end.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Pool {
    #[cfg_attr(unix, default)]
    Processes,
    #[cfg_attr(not(unix), default)]
    Threads,
}

/// Reads the command line, and runs a worker until it is stopped.
///
/// It reads the queue `celery`, as clients use that do not set another. For those that do, start it with `--queues`.
///
/// On Unix, the first SIGTERM or SIGINT (Ctrl-C) is a [warm](crate::Stopper::warm) stop. A second one, or the end of
/// `--grace`, is a [cold](crate::Stopper::cold) one. Messages of the crate from the level `info` on, and warnings of
/// other crates, are written to the error stream, unless the program has a logger of its own. If the worker cannot run,
/// this writes a sentence that says why, and returns a failure.
///
/// The linker leaves out a library crate that the program does not mention, with its tasks. Mention it then:
/// `use that_crate as _;`. `--list` shows the tasks that there are.
///
/// # Examples
///
/// ```no_run,standalone_crate
/// use std::process::ExitCode;
/// use concurrent_futures::task;
///
/// #[task(name = "sums.sum_to")]
/// fn sum_to(n: u64) -> u64 {
///     (1..=n).sum()
/// }
///
/// fn main() -> ExitCode {
///     concurrent_futures_celery::cli::worker()
/// }
/// ```
pub fn worker() -> ExitCode {
    let options = Options::parse();
    let ended = if options.list { list().map_err(|clash| clash.to_string()) } else { run(options) };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<(), named::Clash> {
    named::all()?.for_each(|function| println!("{}", function.name()));
    Ok(())
}

fn run(options: Options) -> Result<(), String> {
    // It fails if the program has a logger of its own, which is then used.
    let _ = log::set_logger(&Log).map(|()| log::set_max_level(log::LevelFilter::Info));
    let text = |error: crate::ConnectError| error.to_string();
    let builder = match &options.broker {
        Some(url) => Worker::builder(url),
        None => WorkerBuilder::from_env().map_err(text)?,
    };
    let builder = builder.queues(options.queues).redeliver(options.redeliver).events(options.task_events);
    let builder = options.hostname.iter().fold(builder, |builder, name| builder.name(name));
    let builder = options.grace.iter().fold(builder, |builder, grace| builder.grace(Duration::from_secs(*grace)));
    let slots = options.concurrency.map_or_else(processors, usize::from);
    let worker = builder.executor(executor(options.pool, slots)?).build().map_err(text)?;
    let stopper = worker.stopper();
    let signals = signals::on_each(move |times| if times == 1 { stopper.warm() } else { stopper.cold() })?;
    let ended = worker.run().map_err(text);
    signals.end();
    ended
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn executor(pool: Pool, slots: usize) -> Result<Box<dyn Backend>, String> {
    match pool {
        #[cfg(unix)]
        Pool::Processes => Ok(Box::new(concurrent_futures::ProcessPoolExecutor::new(slots))),
        #[cfg(not(unix))]
        Pool::Processes => Err("there are no process pools on this system: say --pool threads".into()),
        Pool::Threads => Ok(Box::new(ThreadPoolExecutor::new(slots))),
    }
}

/// Writes to the error stream.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // What lapin logs below a warning is of no use to whoever runs a worker.
        metadata.level() <= log::Level::Warn || metadata.target().starts_with("concurrent_futures")
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("[{}] {}", record.level().as_str().to_lowercase(), record.args());
        }
    }
    fn flush(&self) {}
}

#[cfg(unix)]
mod signals {
    use std::thread::JoinHandle;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::{Handle, Signals};

    /// A thread that waits for signals.
    pub(super) struct Waiter {
        handle: Handle,
        thread: JoinHandle<()>,
    }

    /// Calls a function at each signal that asks for an end, with the number of signals so far.
    pub(super) fn on_each(act: impl Fn(u32) + Send + 'static) -> Result<Waiter, String> {
        let failed = |error: std::io::Error| format!("signals cannot be handled: {error}");
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
        let handle = signals.handle();
        let wait = move || signals.forever().zip(1..).for_each(|(_, times)| act(times));
        let thread = std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
        Ok(Waiter { handle, thread })
    }

    impl Waiter {
        pub(super) fn end(self) {
            self.handle.close();
            // The thread panics only if `act` does, which the panic hook has reported.
            let _ = self.thread.join();
        }
    }
}

#[cfg(not(unix))]
mod signals {
    pub(super) struct Waiter;

    pub(super) fn on_each(_: impl Fn(u32) + Send + 'static) -> Result<Waiter, String> {
        Ok(Waiter)
    }

    impl Waiter {
        pub(super) fn end(self) {}
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Options, Pool};

    #[test]
    fn options_are_spelt_as_celery_spells_them() {
        Options::command().debug_assert();
        let line = "worker --broker amqp://h -Q rust,gpu -c 8 -P threads -n sums@%h --grace 30 -E";
        let options = Options::parse_from(line.split(' '));
        assert_eq!(options.queues, ["rust", "gpu"]);
        assert_eq!((options.concurrency, options.grace, options.task_events), (Some(8), Some(30), true));
        assert!(matches!(options.pool, Pool::Threads) && options.hostname.as_deref() == Some("sums@%h"));
        assert!(Options::try_parse_from(["worker", "-c", "0"]).is_err());
        assert_eq!(Options::parse_from(["worker"]).queues, ["celery"]);
    }
}
