//! The pool of worker processes.

#[cfg(target_os = "linux")]
mod asleep;
mod attacks;
mod batches;
mod carried;
mod crashes;
mod damage;
mod helping;
mod marked;
mod payloads;
mod settings;
mod start_up;
mod states;
mod stopping;
mod support;
