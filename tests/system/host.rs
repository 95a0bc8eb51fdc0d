//! [`Host`]: a program with a pool, seen from the test; and what such programs have in common.

use std::fmt::Debug;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;

use concurrent_futures::{Backend, Error, Executor, Exit, Future, ProcessPoolExecutor};
use rustix::process::{Pid, Signal, kill_process};

/// Names the case that a process is the host of.
pub(crate) const HOST: &str = "CONCURRENT_FUTURES_TEST_HOST";

/// A program, and the test that starts it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) host: fn(),
    pub(crate) check: fn(&str),
}

/// A running host. All of its processes hold the other ends of its output.
pub(crate) struct Host {
    child: Child,
    output: BufReader<ChildStdout>,
    errors: Option<thread::JoinHandle<String>>,
}

impl Host {
    pub(crate) fn start(name: &str) -> Self {
        Self::run(name, &mut Command::new("/proc/self/exe"))
    }

    /// Starts it by a script, in which `"$0"` is the program.
    pub(crate) fn by_script(name: &str, script: &str) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        Self::run(name, Command::new("/bin/sh").args(["-c", script]).arg(program))
    }

    pub(crate) fn run(name: &str, command: &mut Command) -> Self {
        command.env(HOST, name).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("a host");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut errors = child.stderr.take().expect("a pipe");
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            errors.read_to_end(&mut bytes).expect("a pipe can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, output, errors: Some(errors) }
    }

    /// The next line that it says.
    #[track_caller]
    pub(crate) fn hears(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a pipe can be read");
        if line.is_empty() {
            let errors = self.errors.take().expect("asked once").join().expect("a reader");
            panic!("the host has ended: {errors}");
        }
        line.trim_end().to_owned()
    }

    /// Lets it go on from where it waits to be told.
    pub(crate) fn tell(&mut self) {
        self.child.stdin.as_mut().expect("a pipe").write_all(b"go on\n").expect("the host listens");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn kill(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the host is there");
    }

    /// Waits until it has ended, and every process that it started, and returns what they said.
    pub(crate) fn ends(mut self) -> (ExitStatus, String, String) {
        let mut output = String::new();
        self.output.read_to_string(&mut output).expect("a pipe can be read");
        let errors = self.errors.take().expect("asked once").join().expect("a reader");
        let status = self.child.wait().expect("a child");
        (status, output, errors)
    }

    /// Waits until all has ended, and looks that it ended well.
    #[track_caller]
    pub(crate) fn ends_well(self) -> String {
        let (status, output, errors) = self.ends();
        assert!(status.success(), "{status}: {output}{errors}");
        output
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user that nobody else is.
pub(crate) const USER: u32 = 54_321;

/// A copy of this program that any user may start.
pub(crate) fn copy_for_all(directory: &Path) -> PathBuf {
    fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("our directory");
    let program = directory.join("host");
    fs::copy("/proc/self/exe", &program).expect("a copy of this program");
    program
}

// For the programs.

pub(crate) use concurrent_futures_conformance::support::{Checkpoint, broken, pid, stop_at};

/// Blocks every signal, in this thread and in those that it starts.
#[allow(unsafe_code)]
pub(crate) fn block_all_signals(_: ()) {
    // SAFETY: of this type, zeroes are an empty set.
    let mut all = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: fills in a set of its own.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: the set was filled in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) };
}

/// Ignores every signal, in this process and in those that it starts.
#[allow(unsafe_code)]
pub(crate) fn ignore_all_signals(_: ()) {
    for signal in 1..=64 {
        // SAFETY: to ignore a signal has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Waits until the test says so.
pub(crate) fn wait_to_be_told() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("standard input");
}

/// Says that it runs, and runs for ever.
pub(crate) fn be_busy(_: ()) {
    println!("busy");
    loop {
        thread::park();
    }
}

/// Looks that the pool works, with all of its workers at a time.
#[track_caller]
pub(crate) fn assert_works(pool: &ProcessPoolExecutor) {
    let checkpoint = Checkpoint::new();
    let futures: Vec<_> = (0..pool.max_workers()).map(|_| pool.submit(stop_at, checkpoint.address())).collect();
    let calls: Vec<_> = futures.iter().map(|_| checkpoint.arrived()).collect();
    drop(calls);
    for future in futures {
        future.result().expect("the pool works");
    }
}

/// How the worker ended that ran this.
#[track_caller]
pub(crate) fn exit_of<T: Debug>(future: Future<T>) -> Exit {
    match future.result() {
        Err(Error::WorkerDied(died)) => died.exit().clone(),
        other => panic!("not a death: {other:?}"),
    }
}
