//! The pool of worker processes.

#[cfg(target_os = "linux")]
mod asleep;
mod attacks;
mod batches;
mod contexts;
mod crashes;
mod damage;
mod helping;
mod marked;
mod out_of_band;
mod payloads;
mod settings;
mod start_up;
mod started;
mod states;
mod stopping;
mod support;
