//! `ThreadPoolExecutor` and `scope`: every promise that can be observed.

mod attacks;
mod claims;
mod closures;
mod faults;
mod hastened;
mod leaks;
mod limits;
mod nesting;
mod own_end;
mod queue;
mod scope;
mod shutdown;
mod support;
mod workers;
