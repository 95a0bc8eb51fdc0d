//! Python's executors. They run `peers.py` in a process of their own, which lives as long as this one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

pub(crate) const THREADS: &str = "Python threads";
pub(crate) const PROCESSES: &str = "Python processes";

/// Started at the first use. `None` if there is no `python3`.
static PYTHON: LazyLock<Option<Mutex<Python>>> = LazyLock::new(|| Some(Mutex::new(Python::start()?)));

struct Python {
    // The child ends when this end of the pipe is closed, at the latest when this program ends.
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _child: Child,
}

/// Returns a function that runs a workload of `peers.py` the given number of times.
///
/// # Errors
///
/// If there is no `python3`, or if a first try shows that it lacks what the workload needs.
pub(crate) fn run(workload: &'static str) -> Result<impl FnMut(u64) -> f64 + 'static, &'static str> {
    let python = PYTHON.as_ref().ok_or("no python3 on the PATH")?;
    let ask = move |times: u64| python.lock().expect("nobody panics").ask(workload, times);
    ask(1).ok_or("python3 cannot run it")?;
    Ok(move |times| ask(times).expect("it could do it before"))
}

impl Python {
    fn start() -> Option<Self> {
        const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compare/peers.py");
        let mut python = Command::new("python3");
        let mut child = python.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (orders, answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        Some(Self { orders, answers, _child: child })
    }

    fn ask(&mut self, workload: &str, times: u64) -> Option<f64> {
        writeln!(self.orders, "{workload} {times}").ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok()?;
        answer.trim().parse().ok()
    }
}
