//! What the interface promises, a module per concern.

mod callbacks;
mod future;
mod sizes;
mod support;
mod text;
