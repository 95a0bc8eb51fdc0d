//! What the interface promises, a module per concern.

mod awaiting;
mod callbacks;
mod completed;
mod error;
mod future;
mod promise;
mod shared;
mod sizes;
mod support;
mod text;
mod wait;
