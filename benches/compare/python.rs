//! Python's executors, in a process of their own that lives as long as this one. `peers.py` is their side.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

pub(crate) const THREADS: &str = "Python threads";
pub(crate) const PROCESSES: &str = "Python processes";

/// Started when it is asked for first.
static PYTHON: LazyLock<Option<Mutex<Python>>> = LazyLock::new(|| Some(Mutex::new(Python::start()?)));

struct Python {
    // It ends when this end of its pipe is closed, with the program.
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _child: Child,
}

/// Runs a workload of `peers.py` so many times a call. Tries it once first: the machine may lack what it needs.
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
