//! What the interface promises, a module per concern.

mod future;
mod sizes;
mod support;
mod text;
