//! `ThreadPoolExecutor` and `scope`: every promise that can be observed.

mod closures;
mod faults;
mod leaks;
mod nesting;
mod queue;
mod scope;
mod shutdown;
mod support;
mod workers;
