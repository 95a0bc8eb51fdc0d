//! What the interface promises, a module per concern.

mod api;
mod awaiting;
mod backend;
mod blocking;
mod bytes;
mod callbacks;
#[cfg(target_os = "linux")]
mod census;
mod codec;
mod completed;
mod drops;
mod entrusted;
mod error;
mod executor;
mod future;
mod inline;
mod job;
#[cfg(target_os = "linux")]
mod leaks;
mod map;
mod map_input;
mod map_unordered;
#[cfg(automatic)]
mod processes;
mod promise;
mod shared;
mod sizes;
mod support;
mod text;
mod threads;
mod wait;

// Tests run in the order of their names: these are the first and the last, see `leaks`.

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by `leaks`, in a process of its own"]
fn a_census() {
    leaks::count();
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by `leaks`, in a process of its own"]
fn zero_are_left() {
    leaks::compare();
}
