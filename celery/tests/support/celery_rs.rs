//! Builds the program of celery-rs with cargo.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{file, folder};

/// Returns the path of the program. It is built at the first call, and kept between runs.
///
/// # Errors
///
/// A sentence that says what is missing.
pub(crate) fn celery_rs() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(build).clone()
}

fn build() -> Result<PathBuf, String> {
    let target = folder("celery-rs");
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo.args(["build", "--quiet", "--manifest-path"]).arg(file("tests/celery_rs/Cargo.toml"));
    // The flags for the build of this program must not change that one.
    cargo.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS").stdin(Stdio::null());
    let output = cargo.output().map_err(|error| format!("cargo is missing: {error}"))?;
    if output.status.success() {
        Ok(target.join("debug/celery-rs-peer"))
    } else {
        Err(format!("celery-rs cannot be built: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
