//! This crate beside what its users would pick instead and beside the least that each thing could cost, in one run:
//! `cargo run --release -p benches`, and in half a minute with `-- --quick`. README.md, a directory up, says what is counted.
//!
//! `workloads` names all of them, `tasks`, `maps` and `waits` have those of threads, `processes` those of worker processes,
//! `resources` what is not time. Who takes part: `pools` of threads, `python`, procspawn's pool in `processes`, and `limits` and
//! `ball`, the least. `contest` lets them take turns, `target` judges, `report` and `chart` show.

#![cfg_attr(test, expect(dead_code, reason = "the tests do not run the comparison"))]

// It reads `/proc`, and enters worker processes that nobody starts but the loader.
#[cfg(target_os = "linux")]
#[path = "comparison.rs"]
mod comparison;

#[cfg(target_os = "linux")]
use comparison::*;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("compare: nothing is compared on systems other than Linux");
}
