//! Tasks that print without end, to where it goes and to where it does not.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use concurrent_futures::{Error, Executor, ProcessPoolExecutor, TaskOptions};

use crate::host::*;

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_task_that_prints_without_end_into_nothing", host: print, check: into_nothing },
    Case { name: "a_task_that_prints_without_end_into_a_pipe_that_nobody_reads", host: print, check: into_a_pipe },
    Case { name: "a_task_that_prints_without_end_into_a_closed_pipe", host: print, check: into_a_closed_pipe },
];

fn print() {
    let pool = ProcessPoolExecutor::new(2);
    let limited = pool.with(TaskOptions::new().time_limit(Duration::from_millis(200)));
    let print = |line: String| -> u8 {
        loop {
            use std::io::Write;
            // Not `println!`, which panics when nobody will ever read it.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    };
    let prints: Vec<_> = (0..4).map(|n| limited.submit(print, format!("line {n} of many"))).collect();
    for future in prints {
        let outcome = future.result();
        assert!(matches!(outcome, Err(Error::TimeLimit(_))), "{outcome:?}");
    }
    assert_works(&pool);
    drop(pool);
    eprintln!("done");
}

#[track_caller]
fn ends_well(name: &str, output: impl Into<Stdio>) {
    let mut command = Command::new("/proc/self/exe");
    let host = command.env(HOST, name).stdout(output).stderr(Stdio::piped()).process_group(0).spawn().expect("a host");
    // All of its processes hold standard error.
    let output = host.wait_with_output().expect("a child");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.ends_with("done\n"), "{errors}");
}

fn into_nothing(name: &str) {
    ends_well(name, File::options().write(true).open("/dev/null").expect("/dev/null"));
}

fn into_a_pipe(name: &str) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    ends_well(name, writer);
    drop(reader);
}

fn into_a_closed_pipe(name: &str) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    ends_well(name, writer);
}
