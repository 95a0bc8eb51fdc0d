//! Events, in the order in which they happened.

use std::sync::{Arc, Mutex};

/// Collects events. Clones are the same collection.
#[derive(Debug)]
pub struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }
}

impl<T: Clone> Seen<T> {
    /// Makes an empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    pub fn push(&self, what: T) {
        self.0.lock().unwrap().push(what);
    }

    /// Returns all events.
    pub fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}
