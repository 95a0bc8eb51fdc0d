//! The pool of worker processes.

#[cfg(target_os = "linux")]
mod asleep;
mod attacks;
mod carried;
mod crashes;
mod damage;
mod helping;
mod marked;
mod payloads;
mod portions;
mod settings;
mod start_up;
mod started;
mod states;
mod stopping;
mod support;
