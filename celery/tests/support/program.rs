//! [`Program`]: a worker or a client in a process of its own, which does not outlive the tests.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

/// The process groups of the programs that run.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Ends the programs of tests that hang, which do not drop theirs.
pub(super) fn end_all() {
    std::mem::take(&mut *RUNNING.lock().unwrap()).into_iter().for_each(end);
}

fn end(group: u32) {
    // `kill` writes an error if all processes of the group have ended by themselves.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null()).status();
}

/// A program that leads a process group. Dropping it ends the whole group.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
        RUNNING.lock().unwrap().push(child.id());
        Ok(Self(child))
    }

    /// Sends it a signal, such as `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits until a line on its error stream, which must be a pipe, has this text. Returns `false` if the program ends
    /// before. `each` gets each line, later ones in another thread, so that the program never blocks on the pipe.
    pub(crate) fn has_said(&mut self, text: &str, mut each: impl FnMut(&str) + Send + 'static) -> bool {
        let mut lines = BufReader::new(self.0.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let has_said = lines.by_ref().inspect(|line| each(line)).any(|line| line.contains(text));
        std::thread::spawn(move || lines.for_each(|line| each(&line)));
        has_said
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("a child")
    }

    /// Kills it and the processes that it has started, as a crash of its machine would.
    pub(crate) fn kill(&mut self) {
        end(self.0.id());
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        RUNNING.lock().unwrap().retain(|group| *group != self.0.id());
        self.kill();
    }
}
