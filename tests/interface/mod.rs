//! The interface, apart from any executor or on a particular one: futures, waiting, maps, jobs, errors.

mod api;
mod awaiting;
mod backend;
mod blocking;
mod bytes;
mod callbacks;
mod chains;
mod codec;
mod completed;
mod contexts;
mod drops;
mod entrusted;
mod error;
mod examples;
mod executor;
#[cfg(feature = "remote")]
mod formats;
mod future;
mod hooks;
mod inline;
mod job;
mod layers;
mod map;
mod map_input;
mod map_unordered;
#[cfg(feature = "remote")]
mod named;
mod promise;
mod python;
mod retry;
mod shared;
mod sizes;
#[cfg(feature = "stream")]
mod stream;
mod submit_async;
mod text;
#[cfg(feature = "tracing")]
mod tracing;
mod wait;
