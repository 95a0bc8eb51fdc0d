//! Model checks.
#![cfg(any(model = "loom", model = "shuttle"))]

mod cell;
mod checker;
mod waiting;
