//! Compares this crate with what its users would pick instead, and with the least that each workload could cost:
//! `cargo run --release -p benches`, or `-- --quick` for half a minute. The README.md of this package says what is
//! measured.
//!
//! | modules | what they have |
//! |---|---|
//! | `workloads` | the list of all workloads |
//! | `tasks`, `maps`, `waits` | workloads on threads |
//! | `processes` | workloads on worker processes, with procspawn's pool as the peer |
//! | `resources` | workloads that measure something else than time |
//! | `pools`, `python` | the other contestants: pools of threads, and Python's executors |
//! | `limits`, `ball` | the least that a workload could cost |
//! | `contest` | lets the contestants take turns |
//! | `target`, `report`, `chart` | judge the figures, and show them |

#![cfg_attr(test, expect(dead_code, reason = "the tests do not run the comparison"))]

// It reads `/proc`, and its worker processes enter by themselves, without a call of `init`.
#[cfg(target_os = "linux")]
#[path = "comparison.rs"]
mod comparison;

#[cfg(target_os = "linux")]
use comparison::*;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("compare: nothing is compared on systems other than Linux");
}
