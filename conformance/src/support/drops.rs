//! Values that report their drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Counts how often its tokens are dropped. Clones are the same counter.
#[derive(Clone, Default)]
pub struct Drops(Arc<Counts>);

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// A value whose drop is counted.
pub struct Token(Arc<Counts>);

impl Drops {
    /// Makes a token.
    pub fn token(&self) -> Token {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Token(Arc::clone(&self.0))
    }

    /// Returns how many tokens were dropped.
    pub fn count(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// Returns how many tokens exist.
    pub fn alive(&self) -> usize {
        // In this order, a token that is made and dropped in between does not make the difference negative.
        let dropped = self.0.dropped.load(Ordering::SeqCst);
        self.0.made.load(Ordering::SeqCst) - dropped
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped, unless the thread is already panicking.
pub struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("boom in a drop");
        }
    }
}
