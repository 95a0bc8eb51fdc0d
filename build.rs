//! Defines `cfg(processes)`: the one place that says where there is a pool of processes.
//!
//! The systems are those that have all that `src/process/sys/` asks for. The crate builds on every other one too,
//! without `ProcessPoolExecutor`.

use std::env;

const SYSTEMS: [&str; 6] = ["dragonfly", "freebsd", "illumos", "linux", "macos", "netbsd"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if env::var_os("CARGO_FEATURE_PROCESS").is_some() && SYSTEMS.contains(&system.as_str()) {
        println!("cargo::rustc-cfg=processes");
    }
}
