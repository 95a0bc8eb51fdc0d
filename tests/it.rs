//! What the crate promises beyond what holds for every executor (that is in `conformance`): the interface, threads, processes.

mod interface;
#[cfg(target_os = "linux")]
mod leaks;
#[cfg(automatic)]
mod processes;
mod threads;

use concurrent_futures_conformance::support;
