//! [`Python`]: Celery's own worker.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Program, file, folder, script, unique};

/// A worker with the tasks of `examples/python/tasks.py`. Dropping it ends the worker.
pub(crate) struct Python {
    program: Program,
    pub(crate) queue: String,
    pub(crate) name: String,
    /// The file with its log, which is kept if a test fails.
    log: PathBuf,
}

/// Returns the folder with the programs of an environment that has Celery. It is made at the first call, and kept
/// between runs.
///
/// # Errors
///
/// A sentence that says what is missing.
pub(crate) fn programs() -> Result<PathBuf, String> {
    static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || script(&file("examples/python.sh"), &[folder("python").as_os_str()], &[]).map(PathBuf::from);
    PROGRAMS.get_or_init(make).clone()
}

/// Runs a script of `tests/peers/scripts`, which can import the tasks of `examples/python`. Panics with its output if
/// it fails.
#[track_caller]
pub(crate) fn run(url: &str, name: &str, environment: &[(&str, &str)]) {
    let python = programs().expect("Python's Celery").join("python");
    let mut command = Command::new(python);
    command.arg(file("tests/peers/scripts").join(name)).envs(environment.iter().copied()).stdin(Stdio::null());
    command.env("CELERY_BROKER_URL", url).env("PYTHONPATH", file("examples/python"));
    command.env("CELERY", programs().expect("Python's Celery").join("celery"));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("python");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
}

impl Python {
    /// Starts a worker with `slots` processes, and returns when it takes tasks.
    pub(crate) fn start(url: &str, slots: usize) -> Result<Self, String> {
        Self::start_on(url, slots, &unique("python"))
    }

    /// Starts a worker like [`start`](Self::start), on the queue of another one.
    pub(crate) fn start_on(url: &str, slots: usize, queue: &str) -> Result<Self, String> {
        let (queue, name) = (queue.to_owned(), format!("{}@test", unique("python")));
        let mut command = Command::new(programs()?.join("celery"));
        command
            .args(["-A", "tasks", "worker", "-Q", &queue, "-n", &name, "-c", &slots.to_string(), "--without-mingle"])
            .args(["-l", "info", "--without-gossip"])
            .env("CELERY_BROKER_URL", url)
            // Otherwise Celery refuses to run as root, or warns at length.
            .env("C_FORCE_ROOT", "1")
            .current_dir(file("examples/python"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut program = Program::start(&mut command).map_err(|error| format!("celery cannot be started: {error}"))?;
        let log = folder("logs").join(&name);
        let mut copy = File::create(&log).expect("a log");
        let is_ready = program.has_said("ready.", move |line| writeln!(copy, "{line}").expect("room on the disk"));
        let python = Self { program, queue, name, log };
        match is_ready {
            true => Ok(python),
            false => Err(format!("Celery's worker has ended before it was ready: see {}", python.log.display())),
        }
    }

    /// Kills the worker and its processes, as a crash of its machine would.
    pub(crate) fn kill(&mut self) {
        self.program.kill();
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what Celery's worker {} has said is in {}", self.name, self.log.display());
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}
