//! Starts private brokers, workers and clients for tests, and ends them by their ids.

// Not every program of tests uses all of it.
#![allow(dead_code, unused_imports)]

mod broker;
mod celery_rs;
mod door;
mod machines;
mod program;
mod proxy;
mod python;
mod rust;
mod scripted;

pub(crate) use broker::Broker;
pub(crate) use celery_rs::celery_rs;
pub(crate) use door::Door;
pub(crate) use machines::Machines;
pub(crate) use program::Program;
pub(crate) use proxy::Proxy;
pub(crate) use python::{Python, programs, run};
pub(crate) use rust::{READY, Rust, serve};
pub(crate) use scripted::{Answer, Called, Raw, Scripted, same, same_number};

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use concurrent_futures_celery::CeleryExecutor;

/// Ends what tests that hang have started.
pub(crate) fn end_all() {
    program::end_all();
    broker::end_all();
    machines::end_all();
}

/// Returns a unique name, for a queue or a folder.
pub(crate) fn unique(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Makes a client whose tasks go to a queue.
pub(crate) fn client(url: &str, queue: &str) -> CeleryExecutor {
    CeleryExecutor::builder(url).queue(queue).build().expect("a broker")
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

/// Runs a script. Returns its output, or its error message if it fails.
fn script(path: &Path, arguments: &[&OsStr], environment: &[(&str, &str)]) -> Result<String, String> {
    script_by(Command::new("bash"), path, arguments, environment)
}

/// Runs a script like [`script`], by a command that runs `bash` on some machine.
fn script_by(
    mut bash: Command,
    path: &Path,
    arguments: &[&OsStr],
    environment: &[(&str, &str)],
) -> Result<String, String> {
    let output = bash.arg(path).args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("bash is missing: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
