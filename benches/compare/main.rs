//! This crate beside what its users would pick instead and beside the least that each thing could cost, in one run:
//! `cargo bench --bench compare`, and in half a minute with `-- --quick`. README.md, a directory up, says what is counted.
//!
//! `workloads` names all of them, `tasks`, `maps` and `waits` have those of threads, `processes` those of worker processes,
//! `resources` what is not time. Who takes part: `pools` of threads, `python`, procspawn's pool in `processes`, and `limits` and
//! `ball`, the least. `contest` lets them take turns, `target` judges, `report` and `chart` show.

// It reads `/proc`, and enters worker processes that nobody starts but the loader.
#[cfg(automatic)]
#[path = "comparison.rs"]
mod comparison;

#[cfg(automatic)]
use comparison::*;

#[cfg(not(automatic))]
fn main() {
    eprintln!("compare: nothing is compared without the feature `auto-entry`, nor on systems other than Linux");
}
