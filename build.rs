//! Defines `cfg(processes)` and `cfg(automatic)`: the one place that says where there is a pool of processes, and where its
//! workers start without a call in `main`.
//!
//! The systems are those that have all that `src/process/sys/` asks for. The crate builds on every other one too,
//! without `ProcessPoolExecutor`. Features cannot tell: they are on by default, whatever the system is.

use std::env;

const SYSTEMS: [&str; 6] = ["dragonfly", "freebsd", "illumos", "linux", "macos", "netbsd"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let has = |feature| env::var_os(feature).is_some();
    if has("CARGO_FEATURE_PROCESS") && SYSTEMS.contains(&system.as_str()) {
        println!("cargo::rustc-cfg=processes");
        if has("CARGO_FEATURE_AUTO_ENTRY") && system == "linux" {
            println!("cargo::rustc-cfg=automatic");
        }
    }
}
