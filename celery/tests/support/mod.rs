//! A private broker and Python's side of Celery, for tests. What is started here is ended by its id.

// Not every program of tests uses all of it.
#![allow(dead_code, unused_imports)]

mod broker;
mod door;
mod proxy;
mod python;
mod rust;
mod scripted;

pub(crate) use broker::{Broker, end_all};
pub(crate) use door::Door;
pub(crate) use proxy::Proxy;
pub(crate) use python::{Python, run};
pub(crate) use rust::{READY, Rust, serve};
pub(crate) use scripted::{Answer, Called, Raw, Scripted, same, same_number};

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use concurrent_futures_celery::CeleryExecutor;

/// Returns a name that nothing else has, for a queue.
pub(crate) fn unique(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Makes a client whose tasks go to a queue.
pub(crate) fn client(url: &str, queue: &str) -> CeleryExecutor {
    CeleryExecutor::builder(url).queue(queue).build().expect("a broker")
}

/// Sends a signal, such as `-TERM`, to a process.
pub(crate) fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &process.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// Waits until a process has a line with this text on its error stream, which is a pipe. Returns `false` if it ends before.
///
/// What else it says is read on another thread, so that it never waits for a reader.
pub(crate) fn has_said(process: &mut Child, text: &str, rest: impl Fn(String) + Send + 'static) -> bool {
    let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let has_said = lines.by_ref().any(|line| line.contains(text));
    std::thread::spawn(move || lines.for_each(rest));
    has_said
}

/// Returns a folder under `target` that is kept between runs.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("celery").join(name);
    std::fs::create_dir_all(&folder).expect("a folder in target");
    folder
}

/// Returns the path of a file of the crate.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a script, and returns what it prints, or what it says has gone wrong.
fn script(path: &Path, arguments: &[&OsStr], environment: &[(&str, &str)]) -> Result<String, String> {
    let output =
        Command::new("bash").arg(path).args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("bash is missing: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
