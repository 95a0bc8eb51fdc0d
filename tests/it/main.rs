//! What the interface promises, a module per concern.

mod api;
mod awaiting;
mod backend;
mod blocking;
mod bytes;
mod callbacks;
mod codec;
mod completed;
mod drops;
mod error;
mod executor;
mod future;
mod inline;
mod job;
mod map;
mod map_input;
mod map_unordered;
#[cfg(feature = "auto-entry")]
mod processes;
mod promise;
mod shared;
mod sizes;
mod support;
mod text;
mod threads;
mod wait;
