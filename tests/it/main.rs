//! What the interface promises, a module per concern.

mod awaiting;
mod callbacks;
mod future;
mod promise;
mod shared;
mod sizes;
mod support;
mod text;
