//! What the builder is told.
