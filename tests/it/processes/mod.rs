//! The pool of worker processes.

mod carried;
mod crashes;
mod damage;
mod payloads;
mod settings;
mod start_up;
mod states;
mod stopping;
mod support;
